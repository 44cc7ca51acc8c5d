package images

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/volume"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

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
		"a generation that the configuration does not have yet":   {"", func(_ *member, r *protocol.PlacementRequest) { r.Generation = 3 }, ""},
		"a generation that the configuration is beyond":           {"", func(_ *member, r *protocol.PlacementRequest) { r.Generation = 1 }, protocol.ReasonConflict},
		"a seed of a generation that the configuration is not at": {"", func(_ *member, r *protocol.PlacementRequest) { r.Generation, r.Origin = 3, protocol.OriginSeeded }, protocol.ReasonConflict},
		"another node":    {"", func(_ *member, r *protocol.PlacementRequest) { r.NodeID = 1 }, protocol.ReasonConflict},
		"another cluster": {"", func(_ *member, r *protocol.PlacementRequest) { r.ClusterUID = "other" }, protocol.ReasonConflict},
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
		"a committed vote for nobody": {"", func(_ *member, r *protocol.PlacementRequest) {
			r.Edits.Votes = map[string]protocol.RaftVote{robustmq.GroupData: {Term: 1, Committed: true}}
		}, protocol.ReasonBadRequest},
		"an uncommitted vote for nobody": {"", func(_ *member, r *protocol.PlacementRequest) {
			r.Edits.Votes = map[string]protocol.RaftVote{robustmq.GroupData: {Term: 1}}
		}, ""},
		"a vote in no term": {"", func(_ *member, r *protocol.PlacementRequest) {
			r.Edits.Votes = map[string]protocol.RaftVote{robustmq.GroupData: {NodeID: 1}}
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

func TestGoingBackThatWasBegunIsGoneOnWithOrGivenUp(t *testing.T) {
	a := backup(t, imagetest.Fresh)
	opened := func() *member {
		m := newMember(t, imagetest.Follower)
		m.placed(a, a.request("a"))
		if _, err := m.target.Open("a"); err != nil {
			t.Fatal(err)
		}
		// The agent ends when the marker shuts the gate, before the record says so.
		marker := *m.volume.Inspect().Marker
		marker.Placement = "a"
		if err := m.volume.WriteMarker(marker); err != nil {
			t.Fatal(err)
		}
		m.restart()
		return m
	}
	m := opened()
	if err := m.target.Discard("a"); reasonOf(err) != protocol.ReasonConflict {
		t.Errorf("what Revert goes back to was removed: %v", err)
	}
	if p, err := m.target.Open("a"); err != nil || p.Phase != protocol.PlacementOpen || m.gate() != protocol.GateOpen {
		t.Errorf("opened again: %+v, %v, gate %s", p, err, m.gate())
	}
	m = opened()
	if p, err := m.target.Revert("a"); err != nil || p.Phase != protocol.PlacementReverted || m.gate() != protocol.GateOldGeneration {
		t.Errorf("gone on with: %+v, %v, gate %s", p, err, m.gate())
	}
	// The agent ends when all is back but the record: the server may run by then.
	m = opened()
	m.disk.set(func(d *disk) {
		markers := 0
		d.fault = func(op, name string) error {
			if op == "marker" {
				markers++
			}
			if markers == 2 && op == "create" && strings.Contains(name, recordName) {
				return errKilled
			}
			return nil
		}
	})
	if _, err := m.target.Revert("a"); !errors.Is(err, errKilled) {
		t.Fatalf("not killed: %v", err)
	}
	m.disk.set(func(d *disk) { d.fault = nil })
	m.restart()
	m.running = true
	if p, err := m.target.Revert("a"); err != nil || p.Phase != protocol.PlacementReverted {
		t.Errorf("%+v, %v", p, err)
	}
}
