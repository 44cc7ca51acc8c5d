package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// asCaller makes a request as it comes out of a verified connection.
func asCaller(kind protocol.ClientKind, method, target string, body io.Reader) (*http.Request, error) {
	request, err := http.NewRequest(method, "https://agent"+target, body)
	if err != nil {
		return nil, err
	}
	uri, err := url.Parse(protocol.ClientURI(testNamespace, testCluster, kind))
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{URIs: []*url.URL{uri}}
	request.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf}}}
	return request, nil
}

// FuzzImageCalls sends what it likes to the calls of images: none may fail in the agent, read what is not in the image, or write outside of the placement's folder.
func FuzzImageCalls(f *testing.F) {
	for _, seed := range []struct{ method, path, body string }{
		{"POST", "", `{"id":"a","families":"Metadata"}`}, {"POST", "", `{"id":"../a","families":"Metadata"}`}, {"GET", "/a", ""}, {"DELETE", "/b", ""},
		{"GET", "/a/files/CURRENT", ""}, {"GET", "/a/files/..%2f..%2fdata%2f_rocksdb%2fCURRENT", ""}, {"GET", "/a/files/%00", ""}, {"PUT", "/a/progress", `{"stage":"Uploading","bytes":-1}`},
		{"PUT", "/p/files/..%2fx?offset=0", "abc"}, {"PUT", "/p/files/CURRENT?offset=5", "abc"}, {"POST", "/p/place", ""}, {"POST", "", `{"id":"p","origin":"Seeded","clusterUID":"uid","nodeID":1,"files":[{"name":"../x"}]}`},
	} {
		f.Add(seed.method, seed.path, seed.body, false)
		f.Add(seed.method, seed.path, seed.body, true)
	}
	root := f.TempDir()
	paths := PathsUnder(root)
	if err := imagetest.Unpack(imagetest.Fresh, filepath.Join(paths.VolumeDir, "data", "_rocksdb")); err != nil {
		f.Fatal(err)
	}
	a, err := New(Options{PodName: testCluster + "-placement-center-0", PodIP: "127.0.0.1", Paths: paths, Launcher: (&world{}).launcherAt("")})
	if err != nil {
		f.Fatal(err)
	}
	a.mounted.config.Namespace, a.mounted.config.Cluster = testNamespace, testCluster
	ctx, cancel := context.WithCancel(context.Background())
	f.Cleanup(cancel)
	if err := errors.Join(a.source.Start(ctx), a.target.Start(ctx)); err != nil {
		f.Fatal(err)
	}
	handler := a.Handler()
	before := tree(f, root)
	f.Fuzz(func(t *testing.T, method, path, body string, placements bool) {
		base := protocol.PathImages
		if placements {
			base = protocol.PathPlacements
		}
		request, err := asCaller(protocol.ClientJob, method, base+path, strings.NewReader(body))
		if err != nil {
			return // no such request exists
		}
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		if recorder.Code == http.StatusInternalServerError {
			t.Errorf("%s %s: %d %s", method, path, recorder.Code, recorder.Body)
		}
		if recorder.Code/100 == 2 && method == http.MethodGet {
			t.Errorf("GET %s: %d, though there is no image", path, recorder.Code)
		}
		if after := tree(t, root); !slices.Equal(before, after) {
			t.Errorf("%s %s changed the pod: %v", method, path, after)
		}
	})
}

// tree is every path below a folder.
func tree(t testing.TB, root string) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func TestNamesInURLsLeadNowhereElse(t *testing.T) {
	_, p := runningMember(t)
	readyImage(t, p.operator(), "a")
	handler := p.agent.Handler()
	for path, want := range map[string]int{
		"/v1/images/a/files/CURRENT": http.StatusOK, "/v1/images/a": http.StatusOK,
		"/v1/images/a/files/..%2F..%2F..%2Frobustmq-operator.json": http.StatusNotFound, "/v1/images/a/files/%2Fetc%2Fpasswd": http.StatusNotFound, "/v1/images/a/files/LOCK": http.StatusNotFound,
		"/v1/images/a%2F..%2Fa": http.StatusNotFound, "/v1/images/A": http.StatusNotFound, "/v1/images/a/files/": http.StatusBadRequest, "/v1/images/a/files/CURRENT/x": http.StatusBadRequest,
		"/v1/images/..%2Fstate": http.StatusNotFound,
	} {
		request, err := asCaller(protocol.ClientJob, http.MethodGet, path, nil)
		if err != nil {
			t.Fatal(err)
		}
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		redirected := want == http.StatusBadRequest && recorder.Code/100 == 3 // to a path without what cannot be in one
		if recorder.Code != want && !redirected {
			t.Errorf("%s: %d, want %d: %.200s", path, recorder.Code, want, recorder.Body)
		}
	}
}
