package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/volume"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

// recorded gives the pod's volume a recorded database of a real server and the marker of an earlier life.
func (p *pod) recorded(name string) *pod {
	p.w.t.Helper()
	if err := imagetest.Unpack(name, filepath.Join(p.Paths.VolumeDir, "data", "_rocksdb")); err != nil {
		p.w.t.Fatal(err)
	}
	marker := protocol.Marker{ClusterUID: "uid", NodeID: p.ID, Role: p.Role, Generation: 1, Origin: protocol.OriginJoined, Member: true, HasData: true}
	if err := volume.At(p.Paths.VolumeDir).WriteMarker(marker); err != nil {
		p.w.t.Fatal(err)
	}
	return p
}

// running starts a member of three that has a recorded database.
func runningMember(t *testing.T) (*world, *pod) {
	t.Helper()
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).recorded(imagetest.Follower)
	w.script(1).set(func(b *behaviour) { b.voters = []uint64{1, 2, 3} })
	p.start()
	p.eventually("the server runs", runs)
	return w, p
}

func imageRequest(id string) protocol.ImageRequest {
	return protocol.ImageRequest{ID: id, Families: protocol.FamiliesMetadata}
}

// readyImage begins an image and waits for it.
func readyImage(t *testing.T, c client.Client, id string) (i protocol.Image) {
	t.Helper()
	if _, err := c.BeginImage(t.Context(), imageRequest(id)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the image is ready", func() bool {
		var err error
		if i, err = c.Image(t.Context(), id); err != nil || i.Phase == protocol.ImageFailed {
			t.Fatalf("%+v, %v", i, err)
		}
		return i.Phase == protocol.ImageReady
	}, func() any { return i })
	return i
}

func TestAJobCopiesAnImageOfARunningMember(t *testing.T) {
	_, p := runningMember(t)
	job := p.as(protocol.ClientJob)
	i := readyImage(t, job, "backup-1")
	dir := t.TempDir()
	for _, f := range i.Files {
		content, err := download(t.Context(), job, i.ID, f.Name, 0)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != f.SHA256 || int64(len(content)) != f.Size {
			t.Errorf("%s is not what the image lists", f.Name)
		}
		put(t, filepath.Join(dir, f.Name), content)
	}
	got, err1 := imagetest.Contents(t.Context(), dir)
	want, err2 := imagetest.Contents(t.Context(), filepath.Join(p.Paths.VolumeDir, "data", "_rocksdb"))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	for _, family := range image.MetadataFamilies {
		if !slices.Equal(got[family], want[family]) {
			t.Errorf("%s: %d entries, want %d", family, len(got[family]), len(want[family]))
		}
	}
	if g := i.Groups["metadata_0"]; g.Membership.LogID == nil || g.Membership.LogID.Index != 5 || g.Vote.Term != 1 || !g.Vote.Committed || len(i.Groups) != 3 {
		t.Errorf("%+v", i.Groups)
	}
	if _, err := job.ReportImage(t.Context(), i.ID, protocol.ImageProgress{Stage: protocol.StageUploading, Bytes: 1, Total: 3}); err != nil {
		t.Fatal(err)
	}
	p.agent.source.Tick()
	state, err := p.operator().State(t.Context())
	if s := state.Images; err != nil || s.Image == nil || s.Image.ID != "backup-1" || s.Image.Phase != protocol.ImageReady || s.Image.Progress.Bytes != 1 || s.WALBytes == 0 || s.StagingBytes == 0 || s.Image.Files != nil {
		t.Errorf("%+v, %v", s.Image, err)
	}
	if !runs(state) || state.Server.Restarts != 0 {
		t.Errorf("the server was disturbed: %+v", state.Server)
	}
	_, metrics := p.get("/metrics")
	for _, line := range []string{"robustmq_agent_images_total 1", "robustmq_agent_image 1", "robustmq_agent_image_duration_seconds_count 1", "robustmq_metadata_wal_bytes ", "robustmq_agent_staging_bytes "} {
		if !strings.Contains(metrics, line) {
			t.Errorf("no %q in the metrics", line)
		}
	}
	for range 2 {
		if err := job.ReleaseImage(t.Context(), i.ID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := job.Image(t.Context(), i.ID); client.Reason(err) != protocol.ReasonNotFound {
		t.Errorf("a released image: %v", err)
	}
}

func download(ctx context.Context, c client.Client, id, name string, offset int64) ([]byte, error) {
	stream, err := c.ImageFile(ctx, id, name, offset)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(stream)
	return content, errors.Join(err, stream.Close())
}

func TestAnAgentMayNotTouchImages(t *testing.T) {
	_, p := runningMember(t)
	peer := p.as(protocol.ClientAgent)
	_, err1 := peer.BeginImage(t.Context(), imageRequest("a"))
	_, err2 := peer.ImageFile(t.Context(), "a", "CURRENT", 0)
	_, err3 := peer.BeginPlacement(t.Context(), protocol.PlacementRequest{ID: "a"})
	_, err4 := peer.OpenPlacement(t.Context(), "a")
	for _, err := range []error{err1, err2, err3, err4, peer.ReleaseImage(t.Context(), "a")} {
		if client.Reason(err) != protocol.ReasonForbidden {
			t.Error(err)
		}
	}
	job := p.as(protocol.ClientJob)
	_, err1 = job.Place(t.Context(), "a")
	_, err2 = job.OpenPlacement(t.Context(), "a")
	_, err3 = job.RevertPlacement(t.Context(), "a")
	for _, err := range []error{err1, err2, err3, job.DiscardPlacement(t.Context(), "a")} {
		if client.Reason(err) != protocol.ReasonForbidden {
			t.Errorf("a Job may bring bytes, that they come into force is not its word: %v", err)
		}
	}
	if _, err := job.Placement(t.Context(), "a"); client.Reason(err) != protocol.ReasonNotFound {
		t.Error(err)
	}
}

// cutting is a network whose connections break when so many bytes have come in.
func cutting(after int64) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &cut{Conn: conn, left: after}, nil
	}
}

type cut struct {
	net.Conn
	mu   sync.Mutex
	left int64
}

func (c *cut) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left <= 0 {
		_ = c.Conn.Close()
		return 0, errors.New("the line is dead")
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

func TestAStreamThatWasCutGoesOnByRange(t *testing.T) {
	w, p := runningMember(t)
	// Megabytes, so that the line breaks in the middle.
	if _, err := imagetest.Messages(t.Context(), filepath.Join(p.Paths.VolumeDir, "data", "_rocksdb"), 8<<20, 512, 4<<20); err != nil {
		t.Fatal(err)
	}
	i := readyImage(t, p.as(protocol.ClientJob), "a")
	wal := slices.MaxFunc(i.Files, func(a, b protocol.ImageFile) int { return int(a.Size - b.Size) })
	if wal.Table || wal.Size < 1<<20 {
		t.Fatalf("%+v", wal)
	}
	whole, err := download(t.Context(), p.operator(), "a", wal.Name, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	parts := 0
	for ; int64(len(got)) < wal.Size; parts++ {
		if parts > 50 {
			t.Fatal("no end")
		}
		c, err := client.NewPool(client.Limits{}, cutting(300_000)).Client("uid", w.ca.client(protocol.ClientJob), p.IP)
		if err != nil {
			t.Fatal(err)
		}
		part, err := download(t.Context(), c, "a", wal.Name, int64(len(got)))
		if err == nil && int64(len(got)+len(part)) != wal.Size {
			t.Fatalf("%d bytes are taken for the rest", len(part))
		}
		got = append(got, part...)
	}
	if parts < 3 || !bytes.Equal(got, whole) {
		t.Errorf("%d parts, equal %t", parts, bytes.Equal(got, whole))
	}
	if _, err := download(t.Context(), p.operator(), "a", wal.Name, wal.Size); client.Reason(err) != protocol.ReasonBadRequest {
		t.Errorf("behind the end: %v", err)
	}
}

func TestAFileThatChangedUnderTheStreamIsNotTakenForWhole(t *testing.T) {
	_, p := runningMember(t)
	job := p.as(protocol.ClientJob)
	i := readyImage(t, job, "a")
	table := i.Files[slices.IndexFunc(i.Files, func(f protocol.ImageFile) bool { return f.Table && f.Size > 2000 })]
	paths, err := filepath.Glob(filepath.Join(p.Paths.VolumeDir, volume.StagingDir, "*", "database", table.Name))
	if err != nil || len(paths) != 1 {
		t.Fatal(paths, err)
	}
	if err := os.Truncate(paths[0], table.Size-1000); err != nil {
		t.Fatal(err)
	}
	if content, err := download(t.Context(), job, "a", table.Name, 0); err == nil {
		t.Errorf("%d of %d bytes were taken for the file", len(content), table.Size)
	}
	// The connection pool is not harmed.
	if _, err := job.Image(t.Context(), "a"); err != nil {
		t.Error(err)
	}
}

func TestAReleasedImageEndsTheStreamOfOneWhoReadsNoMore(t *testing.T) {
	_, p := runningMember(t)
	if _, err := imagetest.Messages(t.Context(), filepath.Join(p.Paths.VolumeDir, "data", "_rocksdb"), 40<<20, 512, 32<<20); err != nil {
		t.Fatal(err)
	}
	job := p.as(protocol.ClientJob)
	i := readyImage(t, job, "a")
	wal := slices.MaxFunc(i.Files, func(a, b protocol.ImageFile) int { return int(a.Size - b.Size) })
	stream, err := job.ImageFile(t.Context(), "a", wal.Name, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close() //nolint:errcheck // it was only read
	if _, err := io.ReadFull(stream, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	// The agent's writes wait now: nobody reads on.
	if err := p.operator().ReleaseImage(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, stream); err == nil {
		t.Errorf("%d bytes of %d look like the whole", n, wal.Size)
	}
}

func TestAnImageNeedsARunningMemberOfThePlacementCentre(t *testing.T) {
	w := newWorld(t)
	stopped := w.add(config.RolePlacementCenter, 0).recorded(imagetest.Follower)
	broker := w.add(config.RoleMQTTBroker, 0).initialised(nil)
	stopped.start()
	broker.start()
	stopped.eventually("the server runs", runs)
	if _, err := stopped.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop}); err != nil {
		t.Fatal(err)
	}
	if _, err := stopped.operator().BeginImage(t.Context(), imageRequest("a")); client.Reason(err) != protocol.ReasonServerDown {
		t.Error(err)
	}
	broker.eventually("the server runs", runs)
	if _, err := broker.operator().BeginImage(t.Context(), imageRequest("a")); client.Reason(err) != protocol.ReasonConflict {
		t.Error(err)
	}
}

func TestAnAgentThatWasStartedAgainHasNoImages(t *testing.T) {
	_, p := runningMember(t)
	readyImage(t, p.as(protocol.ClientJob), "a")
	staging := filepath.Join(p.Paths.VolumeDir, volume.StagingDir)
	if names, err := os.ReadDir(staging); err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	p.kill()
	<-p.exit
	p.start()
	p.eventually("the server runs", runs)
	if names, err := os.ReadDir(staging); err == nil && len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
	if _, err := p.as(protocol.ClientJob).Image(t.Context(), "a"); client.Reason(err) != protocol.ReasonNotFound {
		t.Error(err)
	}
	readyImage(t, p.as(protocol.ClientJob), "b")
}

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
		if recorder.Code != want && !(want == http.StatusBadRequest && recorder.Code/100 == 3) {
			t.Errorf("%s: %d, want %d: %.200s", path, recorder.Code, want, recorder.Body)
		}
	}
}

// seed makes the image of one member and the request that puts it into another.
func seed(t *testing.T, from *pod, to *pod) (protocol.PlacementRequest, map[string][]byte) {
	t.Helper()
	job := from.as(protocol.ClientJob)
	i := readyImage(t, job, "seed")
	request := protocol.PlacementRequest{ID: "seed-1", Origin: protocol.OriginSeeded, ClusterUID: "uid", NodeID: to.ID, Generation: to.config.Generation}
	content := map[string][]byte{}
	for _, f := range i.Files {
		raw, err := download(t.Context(), job, i.ID, f.Name, 0)
		if err != nil {
			t.Fatal(err)
		}
		content[f.Name] = raw
		request.Files = append(request.Files, protocol.PlacementFile{Name: f.Name, Size: f.Size, SHA256: f.SHA256})
	}
	return request, content
}

func TestAWipedMemberIsSeededFromALiveOne(t *testing.T) {
	w := newWorld(t)
	donor := w.add(config.RolePlacementCenter, 0).recorded(imagetest.Follower)
	wiped := w.add(config.RolePlacementCenter, 1)
	w.script(1).set(func(b *behaviour) { b.voters = []uint64{1, 2, 3} })
	donor.start()
	donor.eventually("the server runs", runs)
	wiped.start()
	wiped.eventually("it waits", func(s protocol.State) bool { return s.Gate.Reason == protocol.GateAwaitsOrder })
	request, content := seed(t, donor, wiped)

	job, operator := wiped.as(protocol.ClientJob), wiped.operator()
	if _, err := donor.operator().BeginPlacement(t.Context(), func() protocol.PlacementRequest { r := request; r.NodeID = 1; return r }()); client.Reason(err) != protocol.ReasonConflict {
		t.Errorf("into a member whose server runs: %v", err)
	}
	if _, err := job.BeginPlacement(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	for name, raw := range content {
		// In two parts, the first of which is cut by the caller.
		half := len(raw) / 2
		if half > 0 {
			if _, err := job.PutFile(t.Context(), "seed-1", name, 0, io.MultiReader(bytes.NewReader(raw[:half]), &failing{})); err == nil {
				t.Fatal("a body that failed was taken for whole")
			}
		}
		var at int64
		eventually(t, "what arrived is known", func() bool {
			placement, err := job.Placement(t.Context(), "seed-1")
			if err != nil {
				t.Fatal(err)
			}
			at = placement.Files[slices.IndexFunc(placement.Files, func(f protocol.PlacedFile) bool { return f.Name == name })].Received
			_, err = job.PutFile(t.Context(), "seed-1", name, at, bytes.NewReader(raw[at:]))
			return err == nil
		}, func() any { return at })
	}
	if _, err := operator.Place(t.Context(), "seed-1"); err != nil {
		t.Fatal(err)
	}
	wiped.eventually("it is in place", func(s protocol.State) bool {
		return s.Images.Placement != nil && s.Images.Placement.Phase == protocol.PlacementPlaced && s.Gate.Reason == protocol.GatePlacing
	})
	never(t, "the server starts without the word", 300*time.Millisecond, func() bool { return w.startsOf(2) > 0 })
	for what, err := range map[string]error{
		"founded": func() error { _, err := operator.Gate(t.Context(), wiped.gateOrder(protocol.GateFound)); return err }(),
		"adopted": func() error { _, err := operator.Gate(t.Context(), wiped.gateOrder(protocol.GateAdopt)); return err }(),
	} {
		if client.Reason(err) != protocol.ReasonConflict {
			t.Errorf("%s while an image waits: %v", what, err)
		}
	}
	// The word is kept over the agent's own end.
	wiped.kill()
	<-wiped.exit
	wiped.start()
	wiped.eventually("it waits again", func(s protocol.State) bool { return s.Gate.Reason == protocol.GatePlacing && s.Images.Placement != nil })
	if p, err := wiped.operator().OpenPlacement(t.Context(), "seed-1"); err != nil || p.Phase != protocol.PlacementOpen {
		t.Fatalf("%+v, %v", p, err)
	}
	state := wiped.eventually("the server runs", runs)
	if m := state.Volume.Marker; m.Origin != protocol.OriginSeeded || m.Placement != "" {
		t.Errorf("%+v", m)
	}
	if _, err := wiped.operator().RevertPlacement(t.Context(), "seed-1"); client.Reason(err) != protocol.ReasonConflict {
		t.Errorf("reverted under a running server: %v", err)
	}
	if err := wiped.operator().DiscardPlacement(t.Context(), "seed-1"); err != nil {
		t.Fatal(err)
	}
	if s := wiped.agent.State(t.Context()); s.Images.Placement != nil || !runs(s) {
		t.Errorf("%+v", s)
	}
}

// failing is a body that breaks.
type failing struct{}

func (*failing) Read([]byte) (int, error) { return 0, errors.New("broken") }

func TestAWipeTakesPlacementAndImageAlong(t *testing.T) {
	w := newWorld(t)
	donor := w.add(config.RolePlacementCenter, 0).recorded(imagetest.Follower)
	other := w.add(config.RolePlacementCenter, 1)
	w.script(1).set(func(b *behaviour) { b.voters = []uint64{1, 2, 3} })
	donor.start()
	donor.eventually("the server runs", runs)
	other.start()
	other.eventually("it waits", func(s protocol.State) bool { return s.Gate.Reason == protocol.GateAwaitsOrder })
	request, content := seed(t, donor, other)
	if _, err := other.operator().BeginPlacement(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	for name, raw := range content {
		if _, err := other.operator().PutFile(t.Context(), request.ID, name, 0, bytes.NewReader(raw)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := other.operator().Place(t.Context(), request.ID); err != nil {
		t.Fatal(err)
	}
	state := other.eventually("it is in place", func(s protocol.State) bool { return s.Images.Placement.Phase == protocol.PlacementPlaced })
	if _, err := other.operator().Wipe(t.Context(), protocol.WipeOrder{Marker: *state.Volume.Marker, Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	state = other.agent.State(t.Context())
	if state.Images.Placement != nil || state.Volume.Phase != protocol.VolumeEmpty || state.Volume.Marker != nil {
		t.Errorf("%+v", state)
	}
	if names, err := os.ReadDir(other.Paths.VolumeDir); err != nil || len(names) > 0 {
		t.Errorf("%v, %v", names, err)
	}
	if _, err := donor.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop}); err != nil {
		t.Fatal(err)
	}
	marker := donor.agent.State(t.Context()).Volume.Marker
	if _, err := donor.operator().Wipe(t.Context(), protocol.WipeOrder{Marker: *marker, Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	if _, err := donor.operator().Image(t.Context(), "seed"); client.Reason(err) != protocol.ReasonNotFound || !strings.Contains(err.Error(), "wiped") {
		t.Error(err)
	}
}

func TestAnExchangeThatWasInterruptedIsSettledBeforeTheServerStarts(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).recorded(imagetest.Follower)
	database := filepath.Join(p.Paths.VolumeDir, "data", "_rocksdb")
	// What a power cut leaves between the two steps of an exchange where the file system has none.
	if err := os.Rename(database, database+image.OldSuffix); err != nil {
		t.Fatal(err)
	}
	p.start()
	p.eventually("the server runs", runs)
	if _, err := os.Stat(filepath.Join(database, "CURRENT")); err != nil {
		t.Error(err)
	}
}

func TestAnExchangeThatCannotBeSettledShutsTheGate(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).recorded(imagetest.Follower)
	intent := filepath.Join(p.Paths.VolumeDir, "data", "_rocksdb.placing")
	put(t, intent, []byte("{"))
	p.start()
	s := p.eventually("the gate is shut", func(s protocol.State) bool { return s.Gate.Reason == protocol.GateUnsettled })
	if s.Gate.Open || !strings.Contains(s.Gate.Message, "_rocksdb.placing") {
		t.Errorf("%+v", s.Gate)
	}
	never(t, "the server starts", 300*time.Millisecond, func() bool { return w.startsOf(1) > 0 })
	if err := os.Remove(intent); err != nil {
		t.Fatal(err)
	}
	p.eventually("the server runs", runs)
	// The same while it runs: the running server stays, the next start does not come.
	put(t, intent, []byte("{"))
	if _, err := p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerRestart}); err != nil {
		t.Fatal(err)
	}
	p.eventually("the next start is refused", func(s protocol.State) bool { return s.Gate.Reason == protocol.GateUnsettled && s.Server.PID == 0 })
	if err := os.Remove(intent); err != nil {
		t.Fatal(err)
	}
	p.eventually("the server runs again", runs)
	if w.startsOf(1) != 2 {
		t.Errorf("started %d times", w.startsOf(1))
	}
}

func TestOrdersWaitUntilTheVolumeIsSettled(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0)
	p.configure(nil)
	for n := range 5 {
		p.start()
		// Whatever comes first: an order on an empty volume is carried out or refused, and never hangs.
		eventually(t, fmt.Sprintf("order %d", n), func() bool {
			_, err := p.operator().Gate(t.Context(), p.gateOrder(protocol.GateFound))
			return err == nil
		}, func() any { return nil })
		p.kill()
		<-p.exit
	}
}
