package raft

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/simulator/store"
)

// recorded opens a folder that was recorded from a real RobustMQ 0.4.11.
func recorded(t *testing.T, name string) store.Storage {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "_rocksdb")
	if err := imagetest.Unpack(name, dir); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestTheRaftRecordsOfARealServerAreReadAndWrittenByteForByte(t *testing.T) {
	for _, name := range []string{"fresh-1node", "follower-300users"} {
		s := recorded(t, name)
		g := &Group{}
		entries, states := 0, 0
		err := s.Each(store.FamilyRaft, func(key, value []byte) error {
			var again []byte
			if key[0] == 'L' {
				e, err := readEntry(value)
				if err != nil {
					return err
				}
				again, entries = appendEntry(nil, e), entries+1
			} else {
				if err := g.loadState(key[9], value); err != nil {
					return err
				}
				states++
				switch key[9] {
				case keyVote:
					again = appendVote(nil, g.vote)
				case keyCommitted:
					again = appendLogID(nil, *g.committed)
				case keyApplied:
					again = appendLogID(nil, *g.applied)
				case keyMembership:
					again = appendStoredMembership(nil, g.stored)
				default:
					return fmt.Errorf("a record of type %d", key[9])
				}
			}
			if !bytes.Equal(again, value) {
				return fmt.Errorf("% x is written as\n% x instead of\n% x", key, again, value)
			}
			return nil
		})
		if err != nil || entries < 15 || states != 12 {
			t.Errorf("%s: %d entries, %d states, %v", name, entries, states, err)
		}
	}
}

// What the product's edits write is what the group reads, and an edited address holds although the log's entry has the old one.
func TestEditsOfTheProductAreInForceAtTheNextStart(t *testing.T) {
	s := recorded(t, "follower-300users")
	for _, e := range []image.Edit{
		image.SetVote("metadata_0", image.Vote{Term: 5, Node: 2, Committed: true}),
		image.SetMembership("metadata_0", image.Membership{LogID: &robustmq.LogID{Term: 1, NodeID: 1, Index: 30}, Addresses: map[uint64]string{1: "a:1", 2: "b:1", 3: "c:1"}}),
	} {
		if err := s.Write(store.Record{Family: e.Family, Key: e.Key, Value: e.Value}); err != nil {
			t.Fatal(err)
		}
	}
	g, err := New(Options{Name: "metadata_0", ID: 2, Storage: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Stop)
	status := g.Status()
	if want := (Vote{LeaderID{5, 2}, true}); status.Vote != want {
		t.Errorf("vote %v", status.Vote)
	}
	m := status.MembershipConfig
	if m.LogID == nil || m.LogID.Index != 30 || !reflect.DeepEqual(m.Membership.Configs, [][]uint64{{1, 2, 3}}) || m.Membership.Nodes[3].RPCAddr != "c:1" {
		t.Errorf("membership %+v", m)
	}
	if *status.LastLogIndex != 0x1c5 || status.LastApplied.Index != 0x1c5 {
		t.Errorf("log to %d, applied %v", *status.LastLogIndex, status.LastApplied)
	}
}

func TestASnapshotThatWasRemovedIsMadeAnew(t *testing.T) {
	dir := t.TempDir()
	m := StoredMembership{&LogID{LeaderID{1, 1}, 3}, Membership{Configs: [][]uint64{{1}}, Nodes: map[uint64]NodeAddr{1: {1, "a:1"}}}}
	snapshots := Snapshots(filepath.Join(dir, "_snapshot"))
	for i := range uint64(8) {
		if err := snapshots.save("metadata_0", LogID{LeaderID{1, 1}, 100 * (i + 1)}, m); err != nil {
			t.Fatal(err)
		}
	}
	last, again, err := snapshots.load("metadata_0")
	if err != nil || last.Index != 800 || !reflect.DeepEqual(again, m) {
		t.Fatalf("%v %+v %v", last, again, err)
	}
	files, err := os.ReadDir(string(snapshots))
	if err != nil || len(files) != 2*kept+1 {
		t.Errorf("%d files, %v", len(files), err)
	}
	if other, _, err := snapshots.load("data_0"); other != nil || err != nil {
		t.Errorf("a snapshot of another group: %v, %v", other, err)
	}
	s, err := store.Open(filepath.Join(dir, "_rocksdb"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	position := LogID{LeaderID{1, 1}, 900}
	g := &Group{o: Options{Name: "metadata_0", Storage: s, Snapshots: snapshots}, keys: newKeys("metadata_0"), stored: m}
	if err := s.Write(g.logIDRecord(keyPurged, &position), g.logIDRecord(keyApplied, &position), g.membershipRecord()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(string(snapshots)); err != nil {
		t.Fatal(err)
	}
	fresh, err := New(Options{Name: "metadata_0", ID: 1, Storage: s, Snapshots: snapshots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fresh.Stop)
	if status := fresh.Status(); status.Snapshot == nil || *status.Snapshot != position || *status.Purged != position {
		t.Errorf("snapshot %v, purged %v", status.Snapshot, status.Purged)
	}
	if last, _, err := snapshots.load("metadata_0"); err != nil || last == nil || *last != position {
		t.Errorf("kept: %v, %v", last, err)
	}
}
