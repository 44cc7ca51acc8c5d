package images

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

const patience = 20 * time.Second

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// reasonOf is the reason of a refusal; "" when err is none.
func reasonOf(err error) string {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Reason
	}
	return ""
}

func contents(t testing.TB, dir string) map[string][]string {
	t.Helper()
	c, err := imagetest.Contents(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sameFamilies compares some families of two databases.
func sameFamilies(t testing.TB, got, want map[string][]string, families ...string) {
	t.Helper()
	for _, name := range families {
		if !reflect.DeepEqual(got[name], want[name]) {
			t.Errorf("%s: %d entries, want %d", name, len(got[name]), len(want[name]))
		}
	}
}

// group is a raft group of three members at rest.
func group() robustmq.GroupState {
	return robustmq.GroupState{
		Running: true, Term: 1, VoteNode: 1, VoteCommitted: true, State: "Follower", CurrentLeader: 1, LastApplied: &robustmq.LogID{Term: 1, NodeID: 1, Index: 7},
		Configs: [][]uint64{{1, 2, 3}}, Nodes: map[uint64]string{1: "a:1228", 2: "b:1228", 3: "c:1228"}, MembershipLog: &robustmq.LogID{Term: 1, NodeID: 1, Index: 5},
	}
}

func calm() robustmq.ClusterStatus {
	return robustmq.ClusterStatus{robustmq.GroupMetadata: group(), robustmq.GroupOffset: group(), robustmq.GroupData: group()}
}

// server answers what a test wants: the answers in turn, the last one for ever.
type server struct {
	mu      sync.Mutex
	answers []func() (Server, error)
	asked   int
}

func (s *server) ask(context.Context) (Server, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := s.answers[min(s.asked, len(s.answers)-1)]
	s.asked++
	return answer()
}

func says(process any, status robustmq.ClusterStatus) func() (Server, error) {
	return func() (Server, error) { return Server{Process: process, Status: status, Groups: robustmq.Groups}, nil }
}

func fails(err error) func() (Server, error) { return func() (Server, error) { return Server{}, err } }

// clock is moved by the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// disk is the machine's file system with the faults that a test injects.
type disk struct {
	OS

	mu    sync.Mutex
	free  uint64 // when not 0
	fault func(operation, name string) error
	steps int // changing operations so far
	dieAt int // this one and all later ones fail: the process was killed; 0 never
	reads map[string]int
}

var errKilled = errors.New("killed")

func (d *disk) set(change func(*disk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

// at is called before every operation.
func (d *disk) at(operation, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if operation == "open" {
		if d.reads == nil {
			d.reads = map[string]int{}
		}
		d.reads[filepath.Base(name)]++
	} else {
		d.steps++
		if d.dieAt > 0 && d.steps >= d.dieAt {
			return errKilled
		}
	}
	if d.fault != nil {
		return d.fault(operation, name)
	}
	return nil
}

func (d *disk) Create(name string) (image.WriteFile, error) {
	if err := d.at("create", name); err != nil {
		return nil, err
	}
	f, err := d.OS.Create(name)
	if err != nil {
		return nil, err
	}
	return &diskFile{f, d, name}, nil
}

func (d *disk) Append(name string) (image.WriteFile, error) {
	if err := d.at("append", name); err != nil {
		return nil, err
	}
	f, err := d.OS.Append(name)
	if err != nil {
		return nil, err
	}
	return &diskFile{f, d, name}, nil
}

type diskFile struct {
	image.WriteFile
	d    *disk
	name string
}

func (f *diskFile) Write(p []byte) (int, error) {
	if err := f.d.at("write", f.name); err != nil {
		return 0, err
	}
	return f.WriteFile.Write(p)
}

func (d *disk) Open(name string) (io.ReadCloser, error) {
	if err := d.at("open", name); err != nil {
		return nil, err
	}
	return d.OS.Open(name)
}

// Sync does nothing: processes are killed here, and the power stays on.
func (d *disk) Sync(string) error { return nil }

func (f *diskFile) Sync() error { return nil }

func (d *disk) MkdirAll(dir string) error {
	if err := d.at("mkdir", dir); err != nil {
		return err
	}
	return d.OS.MkdirAll(dir)
}

func (d *disk) Link(oldname, newname string) error {
	if err := d.at("link", oldname); err != nil {
		return &os.LinkError{Op: "link", Old: oldname, New: newname, Err: err}
	}
	return d.OS.Link(oldname, newname)
}

func (d *disk) Rename(oldname, newname string) error {
	if err := d.at("rename", oldname); err != nil {
		return err
	}
	return d.OS.Rename(oldname, newname)
}

func (d *disk) Exchange(a, b string) error {
	if err := d.at("exchange", a); err != nil {
		return err
	}
	return d.OS.Exchange(a, b)
}

func (d *disk) RemoveAll(name string) error {
	if err := d.at("remove", name); err != nil {
		return err
	}
	return d.OS.RemoveAll(name)
}

func (d *disk) Free(dir string) (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.free != 0 {
		return d.free, nil
	}
	return d.OS.Free(dir)
}

// volumeOf makes a data volume with a recorded database in data/_rocksdb.
func volumeOf(t testing.TB, recorded string) (root, database string) {
	t.Helper()
	root = t.TempDir()
	database = filepath.Join(root, "data", "_rocksdb")
	if err := imagetest.Unpack(recorded, database); err != nil {
		t.Fatal(err)
	}
	return root, database
}

// listing is every path below a folder.
func listing(t testing.TB, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			names = append(names, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func request(id string) protocol.ImageRequest {
	return protocol.ImageRequest{ID: id, Families: protocol.FamiliesMetadata}
}
