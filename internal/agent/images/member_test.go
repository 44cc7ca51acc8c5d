package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
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
