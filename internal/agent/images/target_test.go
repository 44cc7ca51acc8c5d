package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/internal/agent/gate"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/volume"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// member is a pod of the placement centre whose volume an image is put into.
type member struct {
	t        testing.TB
	volume   volume.Volume
	database string
	disk     *disk
	target   *Target
	cancel   context.CancelFunc

	mu         sync.Mutex
	generation int64
	running    bool
	held       bool
}

// newMember has an empty volume, or one with a recorded database and the marker of generation 1.
func newMember(t testing.TB, recorded string) *member {
	t.Helper()
	root := t.TempDir()
	m := &member{t: t, volume: volume.At(root), database: filepath.Join(root, "data", "_rocksdb"), disk: &disk{}, generation: 2}
	if recorded != "" {
		if err := imagetest.Unpack(recorded, m.database); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(root, "data", "_snapshot", "metadata_0-1.bin"), "snapshot of the old one")
		put(t, filepath.Join(root, "engine", "shard", "0.msg"), "messages")
		if err := m.volume.WriteMarker(oldMarker); err != nil {
			t.Fatal(err)
		}
	}
	m.restart()
	return m
}

var oldMarker = protocol.Marker{ClusterUID: "uid", NodeID: 2, Role: "PlacementCenter", Generation: 1, Origin: protocol.OriginJoined, Member: true, HasData: true}

func put(t testing.TB, path, content string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// restart is a new agent over the same volume.
func (m *member) restart() {
	m.t.Helper()
	if err := m.volume.Sweep(); err != nil {
		m.t.Fatal(err)
	}
	if err := Settle(m.disk, m.database); err != nil {
		m.t.Fatal(err)
	}
	m.target = NewTarget(TargetOptions{
		FS: m.disk, Dir: m.volume.Path(volume.PlacementDir), Database: func() string { return m.database },
		Beside: func() []string { return []string{filepath.Join(filepath.Dir(m.database), "_snapshot")} }, Pod: m.pod, WriteMarker: m.mark,
	})
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	if err := m.target.Start(ctx); err != nil {
		m.t.Fatal(err)
	}
	target := m.target
	m.t.Cleanup(func() {
		cancel()
		target.Wait()
	})
}

func (m *member) input() gate.Input {
	m.mu.Lock()
	defer m.mu.Unlock()
	return gate.Input{Volume: m.volume.Inspect(), ClusterUID: "uid", NodeID: 2, Role: "PlacementCenter", Generation: m.generation, Held: m.held}
}

func (m *member) pod() Pod {
	in := m.input()
	m.mu.Lock()
	defer m.mu.Unlock()
	return Pod{ClusterUID: "uid", NodeID: 2, Role: "PlacementCenter", Generation: m.generation, Meta: true, Volume: in.Volume, Running: m.running, Gate: gate.Decide(in)}
}

func (m *member) mark(marker *protocol.Marker) error {
	if err := m.disk.at("marker", ""); err != nil {
		return err
	}
	if marker == nil {
		return m.volume.RemoveMarker()
	}
	return m.volume.WriteMarker(*marker)
}

// gate is what the gate's reason would be now.
func (m *member) gate() string {
	in := m.input()
	in.Placing = m.target.Working()
	return gate.Decide(in).Reason
}

func (m *member) await(id string, phases ...protocol.PlacementPhase) (p protocol.Placement) {
	m.t.Helper()
	eventually(m.t, fmt.Sprintf("placement %s is %v", id, phases), func() bool {
		var err error
		if p, err = m.target.Get(id); err != nil {
			m.t.Fatal(err)
		}
		return slices.Contains(phases, p.Phase)
	})
	return p
}

// archive is an image as it is in a backup.
type archive struct {
	dir   string
	files []protocol.PlacementFile
}

// backup extracts the metadata of a recorded database.
func backup(t testing.TB, recorded string) archive {
	t.Helper()
	_, database := volumeOf(t, recorded)
	a := archive{dir: filepath.Join(t.TempDir(), "image")}
	result, err := image.Extract(context.Background(), image.OS{}, database, a.dir, image.MetadataFamilies)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range result.Files() {
		sum, size, err := sumOf(context.Background(), OS{}, filepath.Join(a.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		a.files = append(a.files, protocol.PlacementFile{Name: name, Size: size, SHA256: sum})
	}
	return a
}

func (a archive) read(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(a.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func (a archive) request(id string) protocol.PlacementRequest {
	edits := protocol.PlacementEdits{Votes: map[string]protocol.RaftVote{}, Memberships: map[string]protocol.RaftMembership{}}
	for _, name := range robustmq.Groups {
		edits.Votes[name] = protocol.RaftVote{Term: 9, NodeID: 3, Committed: true}
		edits.Memberships[name] = protocol.RaftMembership{LogID: &robustmq.LogID{Term: 1, NodeID: 1, Index: 5}, Voters: []uint64{2, 3}, Addresses: map[uint64]string{2: "x:1228", 3: "y:1228"}}
	}
	return protocol.PlacementRequest{ID: id, Origin: protocol.OriginRestored, ClusterUID: "uid", NodeID: 2, Generation: 2, Files: a.files, Edits: edits}
}

// send sends all files.
func (m *member) send(a archive, r protocol.PlacementRequest) error {
	if _, err := m.target.Begin(r); err != nil {
		return err
	}
	for _, f := range a.files {
		if _, err := m.target.Put(context.Background(), r.ID, f.Name, 0, bytes.NewReader(a.read(m.t, f.Name))); err != nil {
			return err
		}
	}
	return nil
}

// placed sends and places.
func (m *member) placed(a archive, r protocol.PlacementRequest) protocol.Placement {
	m.t.Helper()
	if err := m.send(a, r); err != nil {
		m.t.Fatal(err)
	}
	if _, err := m.target.Place(r.ID); err != nil {
		m.t.Fatal(err)
	}
	p := m.await(r.ID, protocol.PlacementPlaced, protocol.PlacementFailed)
	if p.Phase != protocol.PlacementPlaced {
		m.t.Fatalf("%s: %s", p.Reason, p.Message)
	}
	return p
}

// edited are an image's contents with the edits of archive.request in force.
func edited(t testing.TB, a archive, r protocol.PlacementRequest) map[string][]string {
	t.Helper()
	c := contents(t, a.dir)
	list, err := edits(r.Edits, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		c[e.Family] = append(slices.Clone(c[e.Family]), fmt.Sprintf("operation %d %x %x", e.Kind, e.Key, e.Value))
	}
	return c
}

func TestAnImageIsPutIntoAnEmptyVolumeAndWaitsForTheWord(t *testing.T) {
	m, a := newMember(t, ""), backup(t, imagetest.Follower)
	r := a.request("a")
	if err := m.send(a, r); err != nil {
		t.Fatal(err)
	}
	if p := m.await("a", protocol.PlacementReceived); p.Received != p.Total || p.Total == 0 || !p.Files[0].Verified {
		t.Errorf("%+v", p)
	}
	if got := m.gate(); got != protocol.GateAwaitsOrder {
		t.Errorf("what was received opens or changes the gate: %s", got)
	}
	if _, err := m.target.Open("a"); reasonOf(err) != protocol.ReasonConflict {
		t.Errorf("opened before it is in place: %v", err)
	}
	if _, err := m.target.Place("a"); err != nil {
		t.Fatal(err)
	}
	p := m.await("a", protocol.PlacementPlaced)
	if p.KeptEngine || p.Before || m.gate() != protocol.GatePlacing {
		t.Errorf("%+v, gate %s", p, m.gate())
	}
	sameFamilies(t, contents(t, m.database), edited(t, a, r), image.Families...)
	inspection, err := image.Inspect(t.Context(), image.OS{}, m.database)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range robustmq.Groups {
		if v := inspection.Groups[name].Vote; v == nil || *v != (image.Vote{Term: 9, Node: 3, Committed: true}) {
			t.Errorf("vote of %s: %+v", name, v)
		}
	}
	// Repeating is harmless.
	if again, err := m.target.Place("a"); err != nil || again.Phase != protocol.PlacementPlaced {
		t.Errorf("%+v, %v", again, err)
	}
	for range 2 {
		if p, err := m.target.Open("a"); err != nil || p.Phase != protocol.PlacementOpen {
			t.Fatalf("%+v, %v", p, err)
		}
	}
	marker := m.volume.Inspect().Marker
	if m.gate() != protocol.GateOpen || marker.Origin != protocol.OriginRestored || marker.Generation != 2 || marker.Placement != "" || !marker.HasData {
		t.Errorf("gate %s, marker %+v", m.gate(), marker)
	}
	m.running = true
	if err := m.target.Discard("a"); err != nil {
		t.Fatal(err)
	}
	if left := listing(t, m.volume.Path(volume.PlacementDir)); len(left) > 0 || m.target.State() != nil {
		t.Errorf("left behind: %v, %+v", left, m.target.State())
	}
	if err := m.target.Discard("a"); err != nil {
		t.Errorf("discarded twice: %v", err)
	}
}

func TestAVolumeWithMessagesKeepsThem(t *testing.T) {
	m, a := newMember(t, imagetest.Follower), backup(t, imagetest.Fresh)
	if _, err := imagetest.Messages(t.Context(), m.database, 1<<20, 4096, 32<<10); err != nil {
		t.Fatal(err)
	}
	before := contents(t, m.database)
	if len(before[image.FamilyStorage]) < 200 {
		t.Fatalf("only %d messages", len(before[image.FamilyStorage]))
	}
	r := a.request("a")
	p := m.placed(a, r)
	if !p.KeptEngine || !p.Before {
		t.Errorf("%+v", p)
	}
	got := contents(t, m.database)
	sameFamilies(t, got, edited(t, a, r), image.MetadataFamilies...)
	sameFamilies(t, got, before, image.EngineFamilies...)
	if _, err := os.Stat(m.volume.Path("data/_snapshot")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old snapshots are still in force: %v", err)
	}
	if _, err := os.Stat(m.volume.Path("engine/shard/0.msg")); err != nil {
		t.Errorf("messages: %v", err)
	}
	if _, err := m.target.Open("a"); err != nil {
		t.Fatal(err)
	}
	if err := m.target.Discard("a"); err != nil {
		t.Fatal(err)
	}
	if names := listing(t, m.volume.Path("data")); slices.ContainsFunc(names, func(n string) bool { return strings.Contains(n, ".old") }) {
		t.Errorf("%v", names)
	}
}

func TestRevertGoesBackToWhatWasThereBefore(t *testing.T) {
	for _, recorded := range []string{"", imagetest.Follower} {
		for _, opened := range []bool{false, true} {
			t.Run(fmt.Sprintf("on %q, opened %t", recorded, opened), func(t *testing.T) {
				m, a := newMember(t, recorded), backup(t, imagetest.Fresh)
				var before map[string][]string
				if recorded != "" {
					before = contents(t, m.database)
				}
				marker := m.volume.Inspect().Marker
				m.placed(a, a.request("a"))
				if opened {
					if _, err := m.target.Open("a"); err != nil {
						t.Fatal(err)
					}
					if _, err := m.target.Revert("a"); reasonOf(err) != protocol.ReasonConflict {
						t.Fatalf("reverted behind an open gate: %v", err)
					}
					m.held = true
					put(t, m.volume.Path("data/_snapshot/new"), "made by the server")
				}
				for range 2 {
					if p, err := m.target.Revert("a"); err != nil || p.Phase != protocol.PlacementReverted {
						t.Fatalf("%+v, %v", p, err)
					}
				}
				state := m.volume.Inspect()
				if !reflect.DeepEqual(state.Marker, marker) {
					t.Errorf("marker %+v, want %+v", state.Marker, marker)
				}
				if recorded == "" {
					if state.Phase != protocol.VolumeEmpty || m.gate() != protocol.GateAwaitsOrder {
						t.Errorf("%+v, gate %s, %v", state, m.gate(), listing(t, m.volume.Dir))
					}
				} else {
					sameFamilies(t, contents(t, m.database), before, image.Families...)
					if m.gate() != protocol.GateOldGeneration {
						t.Errorf("gate %s", m.gate())
					}
				}
				// Another one may follow.
				m.held = false
				m.placed(a, a.request("b"))
			})
		}
	}
}

func TestAnImageIsTakenOnlyWhereItFits(t *testing.T) {
	a := backup(t, imagetest.Fresh)
	for name, c := range map[string]struct {
		recorded string
		change   func(*member, *protocol.PlacementRequest)
		reason   string
	}{
		"empty volume":               {"", func(*member, *protocol.PlacementRequest) {}, ""},
		"older generation":           {imagetest.Follower, func(*member, *protocol.PlacementRequest) {}, ""},
		"same generation, stopped":   {imagetest.Follower, func(m *member, r *protocol.PlacementRequest) { m.generation, r.Generation, m.held = 1, 1, true }, ""},
		"same generation, gate open": {imagetest.Follower, func(m *member, r *protocol.PlacementRequest) { m.generation, r.Generation = 1, 1 }, protocol.ReasonConflict},
		"the server runs":            {imagetest.Follower, func(m *member, _ *protocol.PlacementRequest) { m.running = true }, protocol.ReasonConflict},
		"another generation":         {"", func(_ *member, r *protocol.PlacementRequest) { r.Generation = 3 }, protocol.ReasonConflict},
		"another node":               {"", func(_ *member, r *protocol.PlacementRequest) { r.NodeID = 1 }, protocol.ReasonConflict},
		"another cluster":            {"", func(_ *member, r *protocol.PlacementRequest) { r.ClusterUID = "other" }, protocol.ReasonConflict},
		"data of another cluster": {imagetest.Follower, func(m *member, _ *protocol.PlacementRequest) {
			m.remark(func(k *protocol.Marker) { k.ClusterUID = "other" })
		}, protocol.ReasonConflict},
		"data of another node":       {imagetest.Follower, func(m *member, _ *protocol.PlacementRequest) { m.remark(func(k *protocol.Marker) { k.NodeID = 1 }) }, protocol.ReasonConflict},
		"data of a newer generation": {imagetest.Follower, func(m *member, _ *protocol.PlacementRequest) { m.remark(func(k *protocol.Marker) { k.Generation = 3 }) }, protocol.ReasonConflict},
		"data that nobody knows":     {imagetest.Follower, func(m *member, _ *protocol.PlacementRequest) { _ = m.volume.RemoveMarker() }, protocol.ReasonConflict},
		"an image that nobody knows": {imagetest.Follower, func(m *member, _ *protocol.PlacementRequest) {
			m.remark(func(k *protocol.Marker) { k.Placement = "z" })
		}, protocol.ReasonConflict},
		"data that was lost": {"", func(m *member, r *protocol.PlacementRequest) {
			m.remark(func(*protocol.Marker) {})
			m.generation, r.Generation = 1, 1
		}, ""},
		"no space":                    {"", func(m *member, _ *protocol.PlacementRequest) { m.disk.free = 256<<20 + 10 }, protocol.ReasonNoSpace},
		"no ID":                       {"", func(_ *member, r *protocol.PlacementRequest) { r.ID = "" }, protocol.ReasonBadRequest},
		"founded by an image":         {"", func(_ *member, r *protocol.PlacementRequest) { r.Origin = protocol.OriginFounded }, protocol.ReasonBadRequest},
		"no files":                    {"", func(_ *member, r *protocol.PlacementRequest) { r.Files = nil }, protocol.ReasonBadRequest},
		"a file twice":                {"", func(_ *member, r *protocol.PlacementRequest) { r.Files = append(slices.Clone(r.Files), r.Files[0]) }, protocol.ReasonBadRequest},
		"a file elsewhere":            {"", renamed("../../etc/passwd"), protocol.ReasonBadRequest},
		"a file in a folder":          {"", renamed("a/000001.sst"), protocol.ReasonBadRequest},
		"a name that is not the same": {"", renamed("01.sst"), protocol.ReasonBadRequest},
		"options":                     {"", renamed("OPTIONS-000001"), protocol.ReasonBadRequest},
		"no CURRENT": {"", func(_ *member, r *protocol.PlacementRequest) {
			r.Files = slices.DeleteFunc(slices.Clone(r.Files), func(f protocol.PlacementFile) bool { return f.Name == rocksdb.CurrentName })
		}, protocol.ReasonBadRequest},
		"a hash of another kind": {"", func(_ *member, r *protocol.PlacementRequest) {
			r.Files = slices.Clone(r.Files)
			r.Files[0].SHA256 = "abcd"
		}, protocol.ReasonBadRequest},
		"sizes beyond measure": {"", func(_ *member, r *protocol.PlacementRequest) {
			r.Files = slices.Clone(r.Files)
			r.Files[0].Size, r.Files[1].Size = 1<<62, 1<<62
		}, protocol.ReasonBadRequest},
		"a negative size": {"", func(_ *member, r *protocol.PlacementRequest) { r.Files = slices.Clone(r.Files); r.Files[0].Size = -1 }, protocol.ReasonBadRequest},
		"an unknown group": {"", func(_ *member, r *protocol.PlacementRequest) {
			r.Edits.Votes = map[string]protocol.RaftVote{"x": {Term: 1, NodeID: 1}}
		}, protocol.ReasonBadRequest},
		"a vote for nobody": {"", func(_ *member, r *protocol.PlacementRequest) {
			r.Edits.Votes = map[string]protocol.RaftVote{robustmq.GroupData: {Term: 1}}
		}, protocol.ReasonBadRequest},
		"a voter without address": {"", func(_ *member, r *protocol.PlacementRequest) {
			r.Edits.Memberships = map[string]protocol.RaftMembership{robustmq.GroupData: {Voters: []uint64{1, 2}, Addresses: map[uint64]string{1: "a:1", 3: "b:1"}}}
		}, protocol.ReasonBadRequest},
		"a registry with a node twice": {"", func(_ *member, r *protocol.PlacementRequest) {
			r.Edits.Registry = []protocol.RegistryNode{{ID: 1, Host: "a"}, {ID: 1, Host: "b"}}
		}, protocol.ReasonBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			m, r := newMember(t, c.recorded), a.request("a")
			c.change(m, &r)
			if _, err := m.target.Begin(r); reasonOf(err) != c.reason || c.reason == "" && err != nil {
				t.Errorf("%v, want %q", err, c.reason)
			}
			if c.reason != "" && len(listing(t, m.volume.Path(volume.PlacementDir))) > 0 {
				t.Error("something was made")
			}
		})
	}
}

func renamed(name string) func(*member, *protocol.PlacementRequest) {
	return func(_ *member, r *protocol.PlacementRequest) {
		r.Files = slices.Clone(r.Files)
		r.Files[0].Name = name
	}
}

// remark changes the volume's marker.
func (m *member) remark(change func(*protocol.Marker)) {
	m.t.Helper()
	marker := oldMarker
	change(&marker)
	if err := m.volume.WriteMarker(marker); err != nil {
		m.t.Fatal(err)
	}
}

func TestOnePlacementAtATime(t *testing.T) {
	m, a := newMember(t, ""), backup(t, imagetest.Fresh)
	if _, err := m.target.Begin(a.request("a")); err != nil {
		t.Fatal(err)
	}
	if _, err := m.target.Begin(a.request("a")); err != nil {
		t.Errorf("the same once more: %v", err)
	}
	other := a.request("a")
	other.Edits.Votes = nil
	if _, err := m.target.Begin(other); reasonOf(err) != protocol.ReasonConflict {
		t.Errorf("the same ID with another request: %v", err)
	}
	if _, err := m.target.Begin(a.request("b")); reasonOf(err) != protocol.ReasonBusy || !strings.Contains(err.Error(), "placement a ") {
		t.Errorf("another one: %v", err)
	}
	if err := m.target.Delete("b"); err != nil {
		t.Errorf("one that is not there: %v", err)
	}
	if err := m.target.Delete("a"); err != nil {
		t.Fatal(err)
	}
	m.placed(a, a.request("b"))
	if err := m.target.Delete("b"); reasonOf(err) != protocol.ReasonConflict {
		t.Errorf("deleted in place: %v", err)
	}
	if err := m.target.Discard("b"); reasonOf(err) != protocol.ReasonConflict {
		t.Errorf("discarded before it is open: %v", err)
	}
	for _, call := range []func(string) (protocol.Placement, error){m.target.Get, m.target.Place, m.target.Open, m.target.Revert} {
		if _, err := call("a"); reasonOf(err) != protocol.ReasonNotFound {
			t.Error(err)
		}
	}
}

func TestAFileGoesOnWhereItWasCut(t *testing.T) {
	m, a := newMember(t, ""), backup(t, imagetest.Follower)
	if _, err := m.target.Begin(a.request("a")); err != nil {
		t.Fatal(err)
	}
	largest := slices.MaxFunc(a.files, func(x, y protocol.PlacementFile) int { return int(x.Size - y.Size) })
	content := a.read(t, largest.Name)
	cut := errors.New("connection reset")
	file, err := m.target.Put(t.Context(), "a", largest.Name, 0, io.MultiReader(bytes.NewReader(content[:700]), iotest.ErrReader(cut)))
	if !errors.Is(err, cut) || file.Received != 700 {
		t.Fatalf("%+v, %v", file, err)
	}
	m.restart() // the agent too
	if p := m.await("a", protocol.PlacementReceiving); p.Received != 700 {
		t.Fatalf("%+v", p)
	}
	for _, offset := range []int64{0, 699, 701, largest.Size, -1} {
		if _, err := m.target.Put(t.Context(), "a", largest.Name, offset, bytes.NewReader(content)); reasonOf(err) != protocol.ReasonConflict || !strings.Contains(err.Error(), "700 bytes") {
			t.Errorf("from %d: %v", offset, err)
		}
	}
	if file, err = m.target.Put(t.Context(), "a", largest.Name, 700, bytes.NewReader(content[700:1000])); err != nil || file.Received != 1000 || file.Verified {
		t.Fatalf("a part: %+v, %v", file, err)
	}
	if file, err = m.target.Put(t.Context(), "a", largest.Name, 1000, bytes.NewReader(content[1000:])); err != nil || !file.Verified {
		t.Fatalf("the rest: %+v, %v", file, err)
	}
	if file, err = m.target.Put(t.Context(), "a", largest.Name, largest.Size, bytes.NewReader(nil)); err != nil || !file.Verified {
		t.Errorf("once more: %+v, %v", file, err)
	}
	m.restart()
	if p := m.await("a", protocol.PlacementReceiving); p.Received != largest.Size {
		t.Errorf("%+v", p)
	}
}

func TestBytesThatAreNotTheAnnouncedOnesAreThrownAway(t *testing.T) {
	m, a := newMember(t, ""), backup(t, imagetest.Follower)
	if _, err := m.target.Begin(a.request("a")); err != nil {
		t.Fatal(err)
	}
	f := a.files[0]
	good := a.read(t, f.Name)
	flipped := slices.Clone(good)
	flipped[len(flipped)/2] ^= 1
	longer := append(slices.Clone(good), 0)
	for name, c := range map[string]struct {
		content []byte
		reason  string
	}{"a flipped byte": {flipped, protocol.ReasonBadData}, "one byte more": {longer, protocol.ReasonBadRequest}, "much more": {bytes.Repeat(good, 40), protocol.ReasonBadRequest}} {
		if _, err := m.target.Put(t.Context(), "a", f.Name, 0, bytes.NewReader(c.content)); reasonOf(err) != c.reason {
			t.Errorf("%s: %v", name, err)
		}
		if p, err := m.target.Get("a"); err != nil || p.Received != 0 {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	if _, err := m.target.Place("a"); reasonOf(err) != protocol.ReasonConflict {
		t.Errorf("placed half: %v", err)
	}
	if file, err := m.target.Put(t.Context(), "a", f.Name, 0, bytes.NewReader(good)); err != nil || !file.Verified {
		t.Errorf("the right bytes: %+v, %v", file, err)
	}
	for _, name := range []string{"", "../placement.json", "placement.json", "OPTIONS-000001", "999999.sst"} {
		if _, err := m.target.Put(t.Context(), "a", name, 0, bytes.NewReader(good)); reasonOf(err) != protocol.ReasonNotFound {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestTwoCallersDoNotWriteOneFile(t *testing.T) {
	m, a := newMember(t, ""), backup(t, imagetest.Follower)
	if _, err := m.target.Begin(a.request("a")); err != nil {
		t.Fatal(err)
	}
	f := a.files[0]
	content := a.read(t, f.Name)
	reader, writer := io.Pipe()
	first := make(chan error, 1)
	go func() {
		_, err := m.target.Put(context.Background(), "a", f.Name, 0, reader)
		first <- err
	}()
	if _, err := writer.Write(content[:100]); err != nil { // it is being read now
		t.Fatal(err)
	}
	if _, err := m.target.Put(t.Context(), "a", f.Name, 0, bytes.NewReader(content)); reasonOf(err) != protocol.ReasonBusy {
		t.Errorf("the second caller: %v", err)
	}
	if _, err := writer.Write(content[100:]); err != nil {
		t.Fatal(err)
	}
	_ = writer.Close()
	if err := <-first; err != nil {
		t.Errorf("the first caller: %v", err)
	}
	for _, other := range a.files[1:] {
		if _, err := m.target.Put(t.Context(), "a", other.Name, 0, bytes.NewReader(a.read(t, other.Name))); err != nil {
			t.Fatal(err)
		}
	}
	// Two who place: one does it.
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			if _, err := m.target.Place("a"); err != nil && reasonOf(err) != protocol.ReasonBusy {
				t.Error(err)
			}
		})
	}
	all.Wait()
	m.await("a", protocol.PlacementPlaced)
}

func TestADiskThatFillsIsNamedAndTheRestCanFollow(t *testing.T) {
	m, a := newMember(t, imagetest.Follower), backup(t, imagetest.Fresh)
	before := contents(t, m.database)
	r := a.request("a")
	full := func(op, _ string) error {
		if op == "write" {
			return syscall.ENOSPC
		}
		return nil
	}
	if _, err := m.target.Begin(r); err != nil {
		t.Fatal(err)
	}
	m.disk.set(func(d *disk) { d.fault = full })
	if _, err := m.target.Put(t.Context(), "a", a.files[0].Name, 0, bytes.NewReader(a.read(t, a.files[0].Name))); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v", err)
	}
	m.disk.set(func(d *disk) { d.fault = nil })
	for _, f := range a.files {
		if _, err := m.target.Put(t.Context(), "a", f.Name, 0, bytes.NewReader(a.read(t, f.Name))); err != nil {
			t.Fatal(err)
		}
	}
	m.disk.set(func(d *disk) {
		d.fault = func(op, name string) error {
			if op == "write" && strings.Contains(name, "_rocksdb") {
				return syscall.ENOSPC
			}
			return nil
		}
	})
	if _, err := m.target.Place("a"); err != nil {
		t.Fatal(err)
	}
	p := m.await("a", protocol.PlacementFailed)
	if p.Reason != protocol.ImageNoSpace || m.gate() != protocol.GatePlacing {
		t.Errorf("%+v, gate %s", p, m.gate())
	}
	sameFamilies(t, contents(t, m.database), before, image.Families...)
	m.disk.set(func(d *disk) { d.fault = nil })
	if _, err := m.target.Place("a"); err != nil {
		t.Fatal(err)
	}
	m.await("a", protocol.PlacementPlaced)
	sameFamilies(t, contents(t, m.database), edited(t, a, r), image.MetadataFamilies...)
}

// TestAnAgentKilledAtAnyMomentLeavesAVolumeThatIsOldOrNew kills the agent at every change to the disk, between the first file and the end, and lets another one go on as the operator would.
func TestAnAgentKilledAtAnyMomentLeavesAVolumeThatIsOldOrNew(t *testing.T) {
	a := backup(t, imagetest.Fresh)
	r := a.request("a")
	for _, recorded := range []string{"", imagetest.Follower} {
		for _, way := range []string{"forward", "back"} {
			t.Run(fmt.Sprintf("on %q, %s", recorded, way), func(t *testing.T) {
				var before map[string][]string
				killed := 0
				for at := 1; ; at++ {
					m := newMember(t, recorded)
					if recorded != "" {
						before = contents(t, m.database)
					}
					marker := m.volume.Inspect().Marker
					m.disk.set(func(d *disk) { d.dieAt = d.steps + at })
					err := walk(m, a, r, way)
					survived := err == nil
					m.cancel()
					m.target.Wait()
					m.disk.set(func(d *disk) { d.dieAt = 0 })
					m.restart()
					// Whatever happened, what is there is one of the two, and the gate is open only on the whole.
					now := "old"
					if m.volume.Inspect().Phase == protocol.VolumeInitialised {
						if got := contents(t, m.database); !reflect.DeepEqual(onlyOf(got, image.MetadataFamilies), onlyOf(before, image.MetadataFamilies)) {
							now = "new"
							sameFamilies(t, got, edited(t, a, r), image.MetadataFamilies...)
						}
					}
					if open := m.gate() == protocol.GateOpen; open && now == "old" || open && way == "back" && survived {
						t.Fatalf("killed at %d: the gate is open on the %s data", at, now)
					}
					// The operator goes on.
					if err := walk(m, a, r, way); err != nil {
						t.Fatalf("killed at %d (%s data): not finished: %v", at, now, err)
					}
					switch way {
					case "forward":
						sameFamilies(t, contents(t, m.database), edited(t, a, r), image.MetadataFamilies...)
						if m.gate() != protocol.GateOpen {
							t.Fatalf("killed at %d: gate %s", at, m.gate())
						}
					default:
						if state := m.volume.Inspect(); !reflect.DeepEqual(state.Marker, marker) || recorded == "" && state.Phase != protocol.VolumeEmpty {
							t.Fatalf("killed at %d: %+v with %+v, files %v", at, state, state.Marker, listing(t, m.volume.Dir))
						}
						if recorded != "" {
							sameFamilies(t, contents(t, m.database), before, image.Families...)
						}
					}
					if t.Failed() {
						t.Fatalf("killed at step %d", at)
					}
					if survived {
						break
					}
					killed++
				}
				if killed < 30 {
					t.Errorf("killed at %d steps only", killed)
				}
				t.Logf("killed at each of %d steps", killed)
			})
		}
	}
}

func onlyOf(contents map[string][]string, families []string) map[string][]string {
	c := maps.Clone(contents)
	maps.DeleteFunc(c, func(name string, _ []string) bool { return !slices.Contains(families, name) })
	return c
}

// walk does what a caller does, from wherever it finds the placement.
func walk(m *member, a archive, r protocol.PlacementRequest, way string) error {
	p, err := m.target.Get(r.ID)
	if reasonOf(err) == protocol.ReasonNotFound {
		if m.volume.Inspect().Marker != nil && m.volume.Inspect().Marker.Origin == r.Origin {
			return nil // it was discarded already
		}
		p, err = m.target.Begin(r)
	}
	for err == nil {
		switch p.Phase {
		case protocol.PlacementReceiving:
			for _, f := range p.Files {
				if _, err := m.target.Put(context.Background(), r.ID, f.Name, f.Received, bytes.NewReader(a.read(m.t, f.Name)[f.Received:])); err != nil {
					return err
				}
			}
			p, err = m.target.Get(r.ID)
		case protocol.PlacementReceived, protocol.PlacementFailed:
			failed := p.Changed
			if _, err := m.target.Place(r.ID); err != nil {
				return err
			}
			p = m.await(r.ID, protocol.PlacementPlaced, protocol.PlacementFailed)
			if p.Phase == protocol.PlacementFailed && p.Changed.After(failed) {
				return errors.New(p.Message)
			}
		case protocol.PlacementPlaced:
			if way == "forward" {
				p, err = m.target.Open(r.ID)
			} else {
				p, err = m.target.Revert(r.ID)
			}
		case protocol.PlacementReverting:
			p, err = m.target.Revert(r.ID)
		case protocol.PlacementOpen:
			return m.target.Discard(r.ID)
		case protocol.PlacementReverted:
			return nil
		default:
			return fmt.Errorf("phase %s", p.Phase)
		}
	}
	return err
}

func TestARecordThatIsNotOneKeepsTheTargetShut(t *testing.T) {
	m, a := newMember(t, ""), backup(t, imagetest.Fresh)
	if _, err := m.target.Begin(a.request("a")); err != nil {
		t.Fatal(err)
	}
	put(t, m.volume.Path(volume.PlacementDir+"/"+recordName), "{")
	target := NewTarget(m.target.o)
	if err := target.Start(t.Context()); err == nil || !strings.Contains(err.Error(), recordName) {
		t.Fatal(err)
	}
	if _, err := target.Begin(a.request("a")); reasonOf(err) != protocol.ReasonBusy {
		t.Error(err)
	}
}

func TestWhatWasReceivedGoesWithTheVolume(t *testing.T) {
	m, a := newMember(t, imagetest.Follower), backup(t, imagetest.Fresh)
	if err := m.send(a, a.request("a")); err != nil {
		t.Fatal(err)
	}
	if err := m.target.Forget(); err != nil {
		t.Fatal(err)
	}
	if err := m.volume.Wipe(); err != nil {
		t.Fatal(err)
	}
	if left := listing(t, m.volume.Dir); len(left) > 0 || m.target.State() != nil {
		t.Errorf("%v", left)
	}
	m.placed(a, a.request("a"))
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"request":{"id":"a","origin":"Seeded","clusterUID":"u","nodeID":1,"generation":1,"files":[{"name":"CURRENT","size":1,"sha256":""}]},"phase":"Placing"}`))
	a := backup(f, imagetest.Fresh)
	r := a.request("a")
	f.Add(fmt.Appendf(nil, `{"request":{"id":"a","origin":"Seeded","clusterUID":"u","nodeID":1,"files":[{"name":"CURRENT","size":16,"sha256":%q},{"name":"MANIFEST-000001","size":16,"sha256":%q}]},"phase":"Receiving","changed":%q}`,
		r.Files[0].SHA256, r.Files[0].SHA256, time.Unix(0, 0).UTC().Format(time.RFC3339)))
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := parseRecord(content)
		if err != nil {
			return
		}
		for _, file := range got.Request.Files {
			if filepath.Base(file.Name) != file.Name || strings.ContainsAny(file.Name, `/\`) || strings.HasPrefix(file.Name, ".") {
				t.Fatalf("file %q", file.Name)
			}
		}
		if total(got.Request.Files) < 0 {
			t.Fatal("sizes overflow")
		}
		if _, err := edits(got.Request.Edits, 0); err != nil {
			t.Fatalf("edits that were admitted cannot be made: %v", err)
		}
	})
}
