package seeding

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/gate"
	"github.com/robustmq/robustmq-operator/internal/agent/images"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/volume"
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

// calm is a cluster at rest that node 1 leads.
func calm() robustmq.ClusterStatus {
	g := robustmq.GroupState{
		Running: true, Term: 1, VoteNode: 1, VoteCommitted: true, State: "Follower", CurrentLeader: 1, LastApplied: &robustmq.LogID{Term: 1, NodeID: 1, Index: 7},
		Configs: [][]uint64{{1, 2, 3}}, Nodes: map[uint64]string{1: "a:1228", 2: "b:1228", 3: "c:1228"}, MembershipLog: &robustmq.LogID{Term: 1, NodeID: 1, Index: 5},
	}
	return robustmq.ClusterStatus{robustmq.GroupMetadata: g, robustmq.GroupOffset: g, robustmq.GroupData: g}
}

// giver is the donor: node 3 with a recorded database, its agent, and the network to it.
type giver struct {
	t        testing.TB
	root     string
	database string

	mu     sync.Mutex
	source *images.Source
	cancel context.CancelFunc
	calls  int // of the network so far, every read of a stream among them
	// fault decides what becomes of a call; nil: it goes through.
	fault func(call int) error
	// from are the offsets at which streams were begun behind the first byte.
	from []int64
	sent int64
	cut  bool // streams are cut
	// status is what its server says; nil: calm.
	status robustmq.ClusterStatus
}

func newGiver(t testing.TB) *giver {
	t.Helper()
	g := &giver{t: t, root: t.TempDir()}
	g.database = filepath.Join(g.root, "data", "_rocksdb")
	if err := imagetest.Unpack(imagetest.Follower, g.database); err != nil {
		t.Fatal(err)
	}
	g.restart()
	t.Cleanup(func() { g.stop() })
	return g
}

// restart is a new agent: it knows no image.
func (g *giver) restart() {
	g.stop()
	source := images.NewSource(images.SourceOptions{
		FS: images.OS{}, Root: filepath.Join(g.root, ".images"), Database: func() string { return g.database },
		Ask: func(context.Context) (images.Server, error) {
			g.mu.Lock()
			defer g.mu.Unlock()
			status := g.status
			if status == nil {
				status = calm()
			}
			return images.Server{Process: 1, Status: status, Groups: robustmq.Groups}, nil
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	if err := source.Start(ctx); err != nil {
		g.t.Error(err)
	}
	g.mu.Lock()
	g.source, g.cancel = source, cancel
	g.mu.Unlock()
}

func (g *giver) stop() {
	g.mu.Lock()
	source, cancel := g.source, g.cancel
	g.mu.Unlock()
	if source != nil {
		cancel()
		source.Wait()
	}
}

func (g *giver) set(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
}

// at is called for every use of the network.
func (g *giver) at() (*images.Source, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls++
	if g.fault != nil {
		if err := g.fault(g.calls); err != nil {
			return nil, err
		}
	}
	return g.source, nil
}

// told is an answer as a client gives it.
func told(err error) error {
	var refusal *images.Refusal
	if errors.As(err, &refusal) {
		return &client.Error{Status: 409, Reason: refusal.Reason, Message: refusal.Message}
	}
	return err
}

func (g *giver) Peer(context.Context) (protocol.Peer, error) {
	_, err := g.at()
	return protocol.Peer{NodeID: 3, Serving: true, ClusterUID: "uid", Generation: 2}, err
}

func (g *giver) BeginImage(ctx context.Context, r protocol.ImageRequest) (protocol.Image, error) {
	source, err := g.at()
	if err != nil {
		return protocol.Image{}, err
	}
	i, err := source.Begin(ctx, r)
	return i, told(err)
}

func (g *giver) Image(_ context.Context, id string) (protocol.Image, error) {
	source, err := g.at()
	if err != nil {
		return protocol.Image{}, err
	}
	i, err := source.Get(id)
	return i, told(err)
}

func (g *giver) ReleaseImage(_ context.Context, id string) error {
	source, err := g.at()
	if err != nil {
		return err
	}
	return told(source.Release(id))
}

func (g *giver) ImageFile(_ context.Context, id, name string, offset int64) (io.ReadCloser, error) {
	source, err := g.at()
	if err != nil {
		return nil, err
	}
	s, err := source.Open(id, name)
	if err != nil {
		return nil, told(err)
	}
	if offset > 0 {
		g.set(func() { g.from = append(g.from, offset) })
	}
	return &line{s, g}, s.Skip(offset)
}

func (g *giver) Close() {}

// line is a stream over the network: what arrives in one read is small, so that it is cut in the middle of files.
type line struct {
	*images.Stream
	g *giver
}

func (l *line) Read(p []byte) (int, error) {
	if _, err := l.g.at(); err != nil {
		return 0, err
	}
	cut := false
	l.g.set(func() { cut = l.g.cut })
	if cut {
		return 0, errors.New("connection reset by peer")
	}
	n, err := l.Stream.Read(p[:min(len(p), 16<<10)])
	l.g.set(func() { l.g.sent += int64(n) })
	return n, err
}

var errKilled = errors.New("killed")

// disk is a file system that a killed process changes no more.
type disk struct {
	images.OS
	mu    sync.Mutex
	steps int
	dieAt int
	died  func()
}

func (d *disk) at() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.steps++
	if d.dieAt > 0 && d.steps >= d.dieAt {
		if d.died != nil {
			d.died()
		}
		return errKilled
	}
	return nil
}

func (d *disk) kill(after int, died func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dieAt, d.died = 0, died
	if after > 0 {
		d.dieAt = d.steps + after
	}
}

type diskFile struct {
	image.WriteFile
	d *disk
}

func (f *diskFile) Write(p []byte) (int, error) {
	if err := f.d.at(); err != nil {
		return 0, err
	}
	return f.WriteFile.Write(p)
}
func (f *diskFile) Sync() error { return nil }

func (d *disk) open(open func(string) (image.WriteFile, error), name string) (image.WriteFile, error) {
	if err := d.at(); err != nil {
		return nil, err
	}
	f, err := open(name)
	if err != nil {
		return nil, err
	}
	return &diskFile{f, d}, nil
}
func (d *disk) Create(name string) (image.WriteFile, error) { return d.open(d.OS.Create, name) }
func (d *disk) Append(name string) (image.WriteFile, error) { return d.open(d.OS.Append, name) }
func (d *disk) Sync(string) error                           { return nil }

func (d *disk) change(do func() error) error {
	if err := d.at(); err != nil {
		return err
	}
	return do()
}
func (d *disk) MkdirAll(dir string) error {
	return d.change(func() error { return d.OS.MkdirAll(dir) })
}
func (d *disk) Link(a, b string) error   { return d.change(func() error { return d.OS.Link(a, b) }) }
func (d *disk) Rename(a, b string) error { return d.change(func() error { return d.OS.Rename(a, b) }) }
func (d *disk) Exchange(a, b string) error {
	return d.change(func() error { return d.OS.Exchange(a, b) })
}
func (d *disk) RemoveAll(name string) error {
	return d.change(func() error { return d.OS.RemoveAll(name) })
}

// taker is the target: node 2 with an empty volume, and its agent.
type taker struct {
	t        testing.TB
	g        *giver
	volume   volume.Volume
	database string
	disk     *disk
	target   *images.Target
	seeder   *Seeder
	cancel   context.CancelFunc
}

func newTaker(t testing.TB, g *giver) *taker {
	t.Helper()
	root := t.TempDir()
	m := &taker{t: t, g: g, volume: volume.At(root), database: filepath.Join(root, "data", "_rocksdb"), disk: &disk{}}
	m.restart()
	t.Cleanup(func() { m.stop() })
	return m
}

func (m *taker) stop() {
	m.cancel()
	m.seeder.Wait()
	m.target.Wait()
}

// restart is a new agent over the same volume, as it settles before anything else.
func (m *taker) restart() {
	m.t.Helper()
	if m.cancel != nil {
		m.stop()
	}
	m.disk.kill(0, nil)
	if err := m.volume.Sweep(); err != nil {
		m.t.Fatal(err)
	}
	if err := images.Settle(m.disk, m.database); err != nil {
		m.t.Fatal(err)
	}
	m.target = images.NewTarget(images.TargetOptions{
		FS: m.disk, Dir: m.volume.Path(volume.PlacementDir), Database: func() string { return m.database }, Beside: func() []string { return nil }, Pod: m.pod,
		WriteMarker: func(marker *protocol.Marker) error {
			if err := m.disk.at(); err != nil {
				return err
			}
			if marker == nil {
				return m.volume.RemoveMarker()
			}
			return m.volume.WriteMarker(*marker)
		},
	})
	m.seeder = New(Options{
		FS: m.disk, File: m.volume.Path(volume.SeedFile), Target: m.target, Dial: func(protocol.SeedOrder) (Donor, error) { return m.g, nil }, Pod: m.pod,
		Groups: func() []string { return robustmq.Groups }, Poll: time.Millisecond, Retry: time.Millisecond, Patience: 200 * time.Millisecond, Idle: 5 * time.Second,
	})
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	if err := errors.Join(m.target.Start(ctx), m.seeder.Start(ctx)); err != nil {
		m.t.Fatal(err)
	}
}

func (m *taker) input() gate.Input {
	return gate.Input{Volume: m.volume.Inspect(), ClusterUID: "uid", NodeID: 2, Role: "PlacementCenter", Generation: 2}
}

func (m *taker) pod() images.Pod {
	in := m.input()
	return images.Pod{ClusterUID: "uid", NodeID: 2, Role: "PlacementCenter", Generation: 2, Meta: true, Volume: in.Volume, Gate: gate.Decide(in)}
}

// gate is the gate's reason as the agent decides it.
func (m *taker) gate() string {
	in := m.input()
	in.Seeding, in.Placing = m.seeder.Active(), m.target.Working()
	return gate.Decide(in).Reason
}

func order(id string) protocol.SeedOrder {
	return protocol.SeedOrder{ID: id, ClusterUID: "uid", NodeID: 2, Generation: 2, Donor: "donor:7443", DonorNodeID: 3, Least: map[string]uint64{robustmq.GroupMetadata: 7}}
}

// ended waits until the seed is over, one way or another; nil when there is none.
func (m *taker) ended() *protocol.Seed {
	m.t.Helper()
	var s *protocol.Seed
	eventually(m.t, "the seed ends", func() bool {
		s = m.seeder.State()
		return s == nil || !s.Active()
	})
	return s
}

// finish does what the operator does, from wherever it finds the member, and checks what it must find in the end.
func (m *taker) finish() {
	m.t.Helper()
	for try := range 5 {
		s := m.ended()
		switch {
		case s != nil && s.Phase == protocol.SeedPlaced:
			m.whole(s.ID)
			return
		case s != nil:
			if err := m.seeder.Abandon(s.ID); err != nil {
				m.t.Fatalf("%+v: %v", s, err)
			}
			fallthrough
		default:
			if v := m.volume.Inspect(); v.Phase != protocol.VolumeEmpty || m.target.State() != nil || m.gate() != protocol.GateAwaitsOrder {
				m.t.Fatalf("something is left: %+v, %+v, gate %s", v, m.target.State(), m.gate())
			}
			if _, err := m.seeder.Begin(order("again-" + string(rune('a'+try)))); err != nil {
				m.t.Fatal(err)
			}
		}
	}
	m.t.Fatal("it never ends")
}

// whole checks that the donor's metadata is in place, and the gate shut until the word is given.
func (m *taker) whole(id string) {
	m.t.Helper()
	if got := m.gate(); got != protocol.GatePlacing {
		m.t.Fatalf("gate %s", got)
	}
	got, err1 := imagetest.Contents(context.Background(), m.database)
	want, err2 := imagetest.Contents(context.Background(), m.g.database)
	if err := errors.Join(err1, err2); err != nil {
		m.t.Fatal(err)
	}
	for _, family := range image.MetadataFamilies {
		if len(want[family]) == 0 || !slices.Equal(got[family], want[family]) {
			m.t.Fatalf("%s: %d entries, want %d", family, len(got[family]), len(want[family]))
		}
	}
	if _, err := m.target.Open(id); err != nil {
		m.t.Fatal(err)
	}
	if got := m.gate(); got != protocol.GateOpen {
		m.t.Fatalf("opened, gate %s", got)
	}
	if err := errors.Join(m.target.Discard(id), m.seeder.Ended(id)); err != nil || m.seeder.State() != nil {
		m.t.Fatalf("%v, %+v", err, m.seeder.State())
	}
}
