package job_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	bimage "github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/internal/agent/images"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// restoredMember is a member that gets a backup: what its agent has for that, over a folder, behind mutual TLS.
type restoredMember struct {
	*httptest.Server
	job.RestoreMember
	t   testing.TB
	dir string

	mu        sync.Mutex
	target    *images.Target
	stop      context.CancelFunc
	down      bool // connections are cut
	intercept func(http.ResponseWriter, *http.Request) bool
	body      func(name string, offset int64, body io.Reader) io.Reader
	answer    func(protocol.PlacedFile) protocol.PlacedFile
	placement func(protocol.Placement) protocol.Placement
	puts      []string // file@offset
	received  atomic.Int64
}

// quick is a disk that is not waited for: nobody cuts the power here.
type quick struct{ images.OS }

func (quick) Sync(string) error { return nil }

type quickFile struct{ bimage.WriteFile }

func (quickFile) Sync() error { return nil }

// Append see images.FS.
func (q quick) Append(name string) (bimage.WriteFile, error) {
	f, err := q.OS.Append(name)
	return quickFile{f}, err
}

// Create see image.FS.
func (q quick) Create(name string) (bimage.WriteFile, error) {
	f, err := q.OS.Create(name)
	return quickFile{f}, err
}

// memberAt is member n of the cluster that is restored, 1 or more, with its volume in a folder.
func (w *world) memberAt(n uint64, volume string) *restoredMember {
	w.t.Helper()
	if err := os.MkdirAll(volume, 0o700); err != nil {
		w.t.Fatal(err)
	}
	m := &restoredMember{t: w.t, dir: filepath.Join(volume, "placement")}
	m.Pod, m.NodeID = fmt.Sprintf("my-cluster-placement-center-%d", n-1), n
	m.serve(w.agent.TLS.Clone())
	w.t.Cleanup(func() {
		m.CloseClientConnections()
		m.Close()
		m.stop()
		m.target.Wait()
	})
	m.restart()
	return m
}

func (m *restoredMember) serve(config *tls.Config) {
	m.Server = httptest.NewUnstartedServer(m)
	m.TLS = config
	m.StartTLS()
	m.Agent = m.Listener.Addr().String()
}

// members of the cluster, from 1 on.
func (w *world) members(n int) []*restoredMember {
	var list []*restoredMember
	for i := range n {
		list = append(list, w.memberAt(uint64(i+1), w.t.TempDir()))
	}
	return list
}

// restart is a new agent over the same volume.
func (m *restoredMember) restart() {
	m.t.Helper()
	if err := m.start(); err != nil {
		m.t.Fatal(err)
	}
}

func (m *restoredMember) start() error {
	target := images.NewTarget(images.TargetOptions{
		FS: quick{}, Dir: m.dir, Database: func() string { return filepath.Join(filepath.Dir(m.dir), "_rocksdb") }, Beside: func() []string { return nil },
		Pod: func() images.Pod {
			return images.Pod{ClusterUID: uid, NodeID: m.NodeID, Role: "PlacementCenter", Generation: 2, Meta: true, Volume: protocol.VolumeState{Phase: protocol.VolumeEmpty}}
		},
		WriteMarker: func(*protocol.Marker) error { return nil }, Reserve: 1,
	})
	ctx, stop := context.WithCancel(context.Background())
	if err := target.Start(ctx); err != nil {
		stop()
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stop != nil {
		m.stop()
	}
	m.target, m.stop = target, stop
	return nil
}

func (m *restoredMember) with(change func(*restoredMember)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
}

// ServeHTTP implements http.Handler as the agent does.
func (m *restoredMember) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	target, intercept, body, down := m.target, m.intercept, m.body, m.down
	changed, told := m.answer, m.placement
	m.mu.Unlock()
	if down {
		panic(http.ErrAbortHandler)
	}
	if intercept != nil && intercept(w, r) {
		return
	}
	path := strings.Split(strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, protocol.PathPlacements), "/"), "/")
	say := func(p protocol.Placement, err error) {
		if told != nil {
			p = told(p)
		}
		m.say(w, p, err)
	}
	switch {
	case r.Method == http.MethodPost && path[0] == "":
		var request protocol.PlacementRequest
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			m.say(w, nil, &images.Refusal{Reason: protocol.ReasonBadRequest, Message: err.Error()})
			return
		}
		say(target.Begin(request))
	case r.Method == http.MethodGet && len(path) == 1:
		say(target.Get(path[0]))
	case r.Method == http.MethodPut && len(path) == 3:
		offset, err := images.ParseOffset(r.URL.Query().Get("offset"))
		if err != nil {
			m.say(w, nil, err)
			return
		}
		m.with(func(m *restoredMember) { m.puts = append(m.puts, fmt.Sprintf("%s@%d", path[2], offset)) })
		var content io.Reader = counting{r.Body, &m.received}
		if body != nil {
			content = body(path[2], offset, content)
		}
		file, err := target.Put(context.WithoutCancel(r.Context()), path[0], path[2], offset, content)
		if changed != nil && err == nil {
			file = changed(file)
		}
		m.say(w, file, err)
	default:
		m.say(w, nil, &images.Refusal{Reason: protocol.ReasonForbidden, Message: r.URL.Path})
	}
}

type counting struct {
	io.Reader
	n *atomic.Int64
}

func (c counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func (m *restoredMember) say(w http.ResponseWriter, answer any, err error) {
	var refusal *images.Refusal
	switch {
	case err == nil:
		json.NewEncoder(w).Encode(answer) //nolint:errcheck // the client may be gone
	case errors.As(err, &refusal):
		refuse(w, 409, refusal.Reason, refusal.Message)
	default:
		refuse(w, 500, protocol.ReasonInternal, err.Error())
	}
}

// phase of the placement.
func (m *restoredMember) phase() protocol.PlacementPhase {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.target.State(); p != nil {
		return p.Phase
	}
	return ""
}

// wantWhole: the member has every byte of an image, and nothing else.
func (m *restoredMember) wantWhole(files map[string]content) {
	m.t.Helper()
	if phase := m.phase(); phase != protocol.PlacementReceived {
		m.t.Errorf("%s: its placement is %q", m.Pod, phase)
	}
	m.wantFiles(files)
}

func (m *restoredMember) wantFiles(files map[string]content) {
	m.t.Helper()
	entries, err := os.ReadDir(filepath.Join(m.dir, "files"))
	if err != nil {
		m.t.Error(err)
		return
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		got, err := os.ReadFile(filepath.Join(m.dir, "files", e.Name()))
		if err != nil {
			m.t.Fatal(err)
		}
		want, err := io.ReadAll(io.LimitReader(files[e.Name()].reader(), files[e.Name()].size))
		if err != nil {
			m.t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			m.t.Errorf("%s: %s is another one: %d bytes, want %d", m.Pod, e.Name(), len(got), len(want))
		}
	}
	if len(names) != len(files) {
		m.t.Errorf("%s: it has %q", m.Pod, names)
	}
}

func (c content) reader() io.Reader {
	if c.at == nil {
		return bytes.NewReader(nil)
	}
	return c.at(0)
}

// discard what it received.
func (m *restoredMember) discard() {
	m.t.Helper()
	if err := os.RemoveAll(m.dir); err != nil {
		m.t.Fatal(err)
	}
}

// wantNothing: no restore has begun there.
func (m *restoredMember) wantNothing() {
	m.t.Helper()
	if _, err := os.Stat(m.dir); !errors.Is(err, os.ErrNotExist) {
		m.t.Errorf("%s: %v", m.Pod, err)
	}
}

// inspect asks for a backup.
func (w *world) inspect(changes ...func(*job.InspectRequest)) job.Request {
	r := w.request
	r.Inspect = &job.InspectRequest{Source: job.SourceRequest{ClusterUID: uid}}
	for _, change := range changes {
		change(r.Inspect)
	}
	return r
}

// restore of a backup to members.
func (w *world) restore(backup job.Result, members []*restoredMember) job.Request {
	r := w.request
	r.Restore = &job.RestoreRequest{
		Source: job.SourceRequest{ClusterUID: uid, ID: backup.ID, ManifestSHA256: backup.ManifestSHA256}, PlacementID: "restore-1", Origin: protocol.OriginRestored, Generation: 2,
		ServerName: protocol.ServerName("prod", "my-cluster"),
	}
	var ids []uint64
	for _, m := range members {
		r.Restore.Members = append(r.Restore.Members, m.RestoreMember)
		ids = append(ids, m.NodeID)
	}
	r.Restore.Edits = edits(ids...)
	return r
}

// mustRestore a backup, and look at every byte.
func (w *world) mustRestore(backup job.Result, members []*restoredMember, files map[string]content) job.Result {
	w.t.Helper()
	r := w.run(job.Restore, w.restore(backup, members))
	w.want(r, job.BackupPlaced, backup.ID)
	if !r.OK() {
		w.t.Fatalf("%s", w.log)
	}
	for _, m := range members {
		m.wantWhole(files)
	}
	w.wantNoLocks()
	return r
}

func (w *world) wantNoLocks() {
	w.t.Helper()
	for _, key := range w.server.Objects() {
		if strings.Contains(key, "/locks/") {
			w.t.Errorf("%s is left", key)
		}
	}
}

// gets of objects whose key has a part, since n requests were seen.
func (w *world) gets(part string, since int) int {
	n := 0
	for _, r := range w.server.Requests()[since:] {
		if strings.HasPrefix(r, "GET ") && strings.Contains(r, part) {
			n++
		}
	}
	return n
}

// objectOf a table in a backup.
func (w *world) objectOf(backup job.Result, table string) string {
	w.t.Helper()
	b, err := w.archive().Read(w.t.Context(), backup.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, t := range b.Manifest.Tables {
		if t.Name == table {
			return base + t.Object.Key
		}
	}
	w.t.Fatalf("%s has no %s: %v", backup.ID, table, slices.Collect(func(yield func(string) bool) {
		for _, t := range b.Manifest.Tables {
			if !yield(t.Name) {
				return
			}
		}
	}))
	return ""
}
