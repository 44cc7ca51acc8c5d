package job_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/pki"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// fakeAgent is a member's agent with one image, behind mutual TLS with the certificates that the operator makes.
type fakeAgent struct {
	*httptest.Server
	files map[string]content

	mu        sync.Mutex
	image     protocol.Image
	staging   int    // how many questions it answers with Staging
	other     string // an image that is in the way
	counts    map[string]int64
	counted   func(name string) // at every count
	cut       func(name string, offset int64) (after int64, hang bool)
	spoil     func(name string) bool // a bit is another one
	intercept func(http.ResponseWriter, *http.Request) bool
	streams   int
	reports   []protocol.ImageProgress
	calls     []string
	released  int
	peers     []string
}

// content of a file: bytes, or as many as asked for of a pattern, for files that are too large to keep.
type content struct {
	size int64
	at   func(offset int64) io.Reader
}

func bytesContent(b []byte) content {
	return content{int64(len(b)), func(offset int64) io.Reader { return bytes.NewReader(b[offset:]) }}
}

func (c content) sum() string {
	h := sha256.New()
	io.Copy(h, io.LimitReader(c.at(0), c.size)) //nolint:errcheck // a hash takes everything
	return hex.EncodeToString(h.Sum(nil))
}

func logID(index uint64) *robustmq.LogID { return &robustmq.LogID{Term: 2, NodeID: 1, Index: index} }

// newAgent serves an image of files, and puts a Job's certificates below root.
func newAgent(t testing.TB, root string, files map[string]content) *fakeAgent {
	t.Helper()
	a := &fakeAgent{files: files, counts: map[string]int64{"users": 316, "topics": 37, "tenants": 3}}
	for _, name := range sortedTablesFirst(files) {
		a.image.Files = append(a.image.Files, imageFile(name, files[name]))
	}
	a.image.Groups = map[string]protocol.ImageGroup{}
	for i, name := range robustmq.Groups {
		a.image.Groups[name] = protocol.ImageGroup{
			Vote:        protocol.RaftVote{Term: 3, NodeID: 1, Committed: true},
			Membership:  protocol.RaftMembership{LogID: logID(5), Voters: []uint64{1, 2, 3}, Addresses: map[uint64]string{1: "a:1", 2: "b:1", 3: "c:1"}},
			LastApplied: logID(uint64(100 + i)),
		}
	}
	made, err := pki.Desired(pki.Secrets{}, pki.Subject{Namespace: "prod", Cluster: "my-cluster"}, pki.DefaultRules(), time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range made.Secrets.Job {
		put(t, root, filepath.Join(protocol.PKIDir, name), data)
	}
	for name, data := range made.Secrets.Agent {
		put(t, root, filepath.Join(agentPKI, name), data)
	}
	a.Server = httptest.NewUnstartedServer(a)
	if a.TLS, err = agentTLS(root); err != nil {
		t.Fatal(err)
	}
	a.Config.ErrorLog = nil
	a.StartTLS()
	t.Cleanup(func() { a.CloseClientConnections(); a.Close() })
	return a
}

// agentPKI is the folder of the agents' certificate.
const agentPKI = "agent-pki"

func agentTLS(root string) (*tls.Config, error) {
	var files [3][]byte
	for i, name := range []string{pki.KeyCert, pki.KeyKey, pki.KeyTrust} {
		b, err := os.ReadFile(filepath.Join(root, agentPKI, name))
		if err != nil {
			return nil, err
		}
		files[i] = b
	}
	pair, err := tls.X509KeyPair(files[0], files[1])
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(files[2])
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots}, nil
}

func imageFile(name string, c content) protocol.ImageFile {
	return protocol.ImageFile{Name: name, Size: c.size, SHA256: c.sum(), Table: strings.HasSuffix(name, ".sst")}
}

func sortedTablesFirst(files map[string]content) []string {
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if x, y := strings.HasSuffix(a, ".sst"), strings.HasSuffix(b, ".sst"); x != y {
			if x {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	return names
}

func put(t testing.TB, root, name string, data []byte) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// address as the request has it.
func (a *fakeAgent) address() string { return a.Listener.Addr().String() }

// with changes it while it may serve.
func (a *fakeAgent) with(change func(*fakeAgent)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(a)
}

func refuse(w http.ResponseWriter, status int, reason, message string) {
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(protocol.Error{Reason: reason, Message: message}) //nolint:errcheck // the client may be gone
}

// ServeHTTP implements http.Handler.
func (a *fakeAgent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.calls = append(a.calls, r.Method+" "+r.URL.Path)
	a.peers = append(a.peers, r.TLS.PeerCertificates[0].URIs[0].String())
	intercept := a.intercept
	a.mu.Unlock()
	if intercept != nil && intercept(w, r) {
		return
	}
	rest, ok := strings.CutPrefix(r.URL.Path, protocol.PathImages)
	switch {
	case strings.HasPrefix(r.URL.Path, protocol.PathAdmin):
		a.count(w, r)
	case !ok:
		refuse(w, 403, protocol.ReasonForbidden, r.URL.Path)
	case rest == "" && r.Method == http.MethodPost:
		a.begin(w, r)
	default:
		a.known(w, r, strings.Split(strings.TrimPrefix(rest, "/"), "/"))
	}
}

func (a *fakeAgent) begin(w http.ResponseWriter, r *http.Request) {
	var request protocol.ImageRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil || request.Families != protocol.FamiliesMetadata {
		refuse(w, 400, protocol.ReasonBadRequest, fmt.Sprint(err))
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.other != "" && a.other != request.ID {
		refuse(w, 409, protocol.ReasonBusy, "the image "+a.other+" is there")
		return
	}
	a.image.ID = request.ID
	a.answer(w)
}

// answer with the image; the lock is held.
func (a *fakeAgent) answer(w http.ResponseWriter) {
	image := a.image
	if image.Phase == "" {
		image.Phase = protocol.ImageReady
	}
	if a.staging > 0 {
		a.staging--
		image.Phase, image.Files, image.Groups = protocol.ImageStaging, nil, nil
	}
	json.NewEncoder(w).Encode(image) //nolint:errcheck // the client may be gone
}

func (a *fakeAgent) known(w http.ResponseWriter, r *http.Request, path []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if path[0] != a.image.ID || a.released > 0 && r.Method != http.MethodDelete {
		refuse(w, 404, protocol.ReasonNotFound, "no image "+path[0])
		return
	}
	switch {
	case r.Method == http.MethodGet && len(path) == 1:
		a.answer(w)
	case r.Method == http.MethodPut && len(path) == 2 && path[1] == "progress":
		var p protocol.ImageProgress
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
			refuse(w, 400, protocol.ReasonBadRequest, err.Error())
			return
		}
		a.reports = append(a.reports, p)
		a.answer(w)
	case r.Method == http.MethodDelete && len(path) == 1:
		a.released++
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodGet && len(path) == 3 && path[1] == "files":
		if a.streams == protocol.MaxImageStreams {
			refuse(w, 409, protocol.ReasonBusy, "too many streams")
			return
		}
		a.streams++
		a.mu.Unlock()
		defer a.mu.Lock() // also when the connection is cut by a panic
		defer func() {
			a.mu.Lock()
			a.streams--
			a.mu.Unlock()
		}()
		a.stream(w, r, path[2])
	default:
		refuse(w, 400, protocol.ReasonBadRequest, r.URL.Path)
	}
}

func (a *fakeAgent) stream(w http.ResponseWriter, r *http.Request, name string) {
	c, ok := a.files[name]
	var from int64
	if text, ranged := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ranged {
		n, err := strconv.ParseInt(strings.TrimSuffix(text, "-"), 10, 64)
		if err != nil || n >= c.size {
			refuse(w, 416, protocol.ReasonBadRequest, "range")
			return
		}
		from = n
	}
	if !ok {
		refuse(w, 404, protocol.ReasonNotFound, "no file "+name)
		return
	}
	after, hang := c.size, false
	a.mu.Lock()
	if a.cut != nil {
		after, hang = a.cut(name, from)
	}
	spoil := a.spoil != nil && a.spoil(name)
	a.mu.Unlock()
	if r.Header.Get("TE") != "" {
		refuse(w, 400, protocol.ReasonBadRequest, "a Job compares whole files, and needs no trailers")
		return
	}
	w.Header().Set("Content-Length", strconv.FormatInt(c.size-from, 10))
	if from > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	body := io.LimitReader(c.at(from), min(c.size, after)-from)
	if spoil {
		body = &flipped{r: body, at: c.size/2 - from}
	}
	if _, err := io.Copy(w, body); err != nil {
		panic(http.ErrAbortHandler)
	}
	if after < c.size {
		w.(http.Flusher).Flush()
		if hang {
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}
}

// flipped is content of which one bit is another one.
type flipped struct {
	r  io.Reader
	at int64
}

// Read implements io.Reader.
func (f *flipped) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if 0 <= f.at && f.at < int64(n) {
		p[f.at] ^= 1
	}
	f.at -= int64(n)
	return n, err
}

// count answers as RobustMQ 0.4.11 does: a page, and how many there are.
func (a *fakeAgent) count(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, path := range protocol.CountPaths {
		if r.Method != http.MethodGet || r.URL.Path != strings.TrimSuffix(protocol.PathAdmin, "/")+path {
			continue
		}
		n, known := a.counts[name]
		w.Header().Set(protocol.HeaderAdminStatus, "200")
		if !known {
			w.Write([]byte(`{"code":100,"data":null,"error":"no such list"}`)) //nolint:errcheck // the client may be gone
			return
		}
		fmt.Fprintf(w, `{"code":0,"data":{"data":[{"username":"first"}],"total_count":%d},"error":null}`, n)
		if a.counted != nil {
			a.counted(name)
		}
		return
	}
	refuse(w, 403, protocol.ReasonForbidden, r.URL.Path)
}
