package transfer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/internal/agent/images"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// database is a recorded database of a follower, without its WAL's entries: what a member has just after a start.
func database(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "_rocksdb")
	if err := imagetest.Unpack(imagetest.Follower, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func read(t *testing.T, dir string, from uint64) *image.RaftLogs {
	t.Helper()
	logs, err := image.ReadRaftLogs(t.Context(), images.OS{}, dir, from)
	if err != nil {
		t.Fatal(err)
	}
	return logs
}

// target is a record of node 2, which shall lead in term 9 and had the votes of the recorded database: term 1 of node 1.
func target(t *testing.T, dir string) Record {
	t.Helper()
	r := Record{ID: "a", Role: protocol.TransferTarget, Self: 2, Target: 2, Phase: protocol.TransferCommitted, Terms: map[string]uint64{}, Voters: []uint64{1, 2, 3}, Before: map[string]protocol.TransferGroup{}}
	for _, group := range robustmq.Groups {
		r.Terms[group] = 9
		r.Before[group] = protocol.TransferGroup{Vote: protocol.RaftVote{Term: 1, NodeID: 1, Committed: true}}
	}
	r.WAL = read(t, dir, 0).Next
	return r
}

func takeOver(t *testing.T, dir string, r Record) {
	t.Helper()
	if err := r.MayCommit(); err != nil {
		t.Fatal(err)
	}
	edit(t, dir, r.TakeOver()...)
}

func edit(t *testing.T, dir string, edits ...image.Edit) {
	t.Helper()
	if err := image.Append(t.Context(), images.OS{}, dir, edits); err != nil {
		t.Fatal(err)
	}
}

// entry is a log entry as a server writes it; its key begins like that of the group's vote.
func entry(group string, id robustmq.LogID) image.Edit {
	key := append([]byte{'L'}, image.SetVote(group, image.Vote{}).Key[1:9]...)
	value := []byte{}
	for _, n := range []uint64{id.Term, id.NodeID, id.Index} {
		for shift := 0; shift < 64; shift += 8 {
			value = append(value, byte(n>>shift))
		}
	}
	for shift := 56; shift >= 0; shift -= 8 {
		key = append(key, byte(id.Index>>shift))
	}
	return image.Edit{Kind: rocksdb.Put, Family: image.FamilyRaft, Key: key, Value: append(value, 0, 0, 0, 0)}
}

func vote(t *testing.T, dir, group string) image.Vote {
	t.Helper()
	v := read(t, dir, 0).Groups[group].Vote
	if v == nil {
		t.Fatalf("%s: no vote in the WALs", group)
	}
	return *v
}

func TestATargetThatGivesUpHasItsOldVotesAgain(t *testing.T) {
	dir := database(t)
	r := target(t, dir)
	takeOver(t, dir, r)
	if got := vote(t, dir, robustmq.GroupData); got != (image.Vote{Term: 9, Node: 2, Committed: true}) {
		t.Fatalf("%+v", got)
	}
	for range 2 {
		outcome, err := Undo(t.Context(), images.OS{}, dir, r)
		if err != nil || outcome != protocol.TransferUndone {
			t.Fatal(outcome, err)
		}
		for _, group := range robustmq.Groups {
			if got := vote(t, dir, group); got != (image.Vote{Term: 1, Node: 1, Committed: true}) {
				t.Errorf("%s: %+v", group, got)
			}
		}
	}
}

func TestATargetThatWroteAsTheLeaderKeepsItsVotes(t *testing.T) {
	dir := database(t)
	r := target(t, dir)
	takeOver(t, dir, r)
	edit(t, dir, entry(robustmq.GroupOffset, robustmq.LogID{Term: 9, NodeID: 2, Index: 5000}))
	outcome, err := Undo(t.Context(), images.OS{}, dir, r)
	if err != nil || outcome != protocol.TransferKept {
		t.Fatal(outcome, err)
	}
	if got := vote(t, dir, robustmq.GroupData); got.Term != 9 {
		t.Errorf("%+v", got)
	}
}

func TestAVoteThatSomebodyElseGotSinceIsNotTakenBack(t *testing.T) {
	dir := database(t)
	r := target(t, dir)
	takeOver(t, dir, r)
	later := image.Vote{Term: 10, Node: 3}
	edit(t, dir, image.SetVote(robustmq.GroupData, later))
	outcome, err := Undo(t.Context(), images.OS{}, dir, r)
	if err != nil || outcome != protocol.TransferUndone {
		t.Fatal(outcome, err)
	}
	if got := vote(t, dir, robustmq.GroupData); got != later {
		t.Errorf("the vote for node 3 was taken back: %+v", got)
	}
	if got := vote(t, dir, robustmq.GroupMetadata); got.Term != 1 {
		t.Errorf("%+v", got)
	}
}

func TestWhereTablesMayHideWhatWasWrittenTheVotesAreKept(t *testing.T) {
	dir := database(t)
	r := target(t, dir)
	takeOver(t, dir, r)
	r.WAL = 1 // as if RocksDB had opened the database and flushed it since
	if logs := read(t, dir, r.WAL); logs.Whole {
		t.Skip("the recorded database needs its first WAL still")
	}
	if outcome, err := Undo(t.Context(), images.OS{}, dir, r); err != nil || outcome != protocol.TransferKept {
		t.Error(outcome, err)
	}
}

func TestAFormerLeaderThatWasToldNothingGivesUpItsLeadershipAboveTheTarget(t *testing.T) {
	dir := database(t)
	r := Record{ID: "a", Role: protocol.TransferLeader, Self: 1, Target: 2, Phase: protocol.TransferPrepared, Terms: map[string]uint64{}, Voters: []uint64{1, 2, 3}, Before: map[string]protocol.TransferGroup{}}
	for _, group := range robustmq.Groups {
		r.Terms[group], r.Before[group] = 9, protocol.TransferGroup{Vote: protocol.RaftVote{Term: 1, NodeID: 1, Committed: true}}
	}
	r.Before[robustmq.GroupOffset] = protocol.TransferGroup{Vote: protocol.RaftVote{Term: 1, NodeID: 3, Committed: true}}
	before := read(t, dir, 0).Groups[robustmq.GroupOffset].Vote
	for range 2 {
		if err := Yield(t.Context(), images.OS{}, dir, r); err != nil {
			t.Fatal(err)
		}
		if got := vote(t, dir, robustmq.GroupData); got != (image.Vote{Term: 10, Node: 1}) {
			t.Errorf("%+v", got)
		}
		if after := read(t, dir, 0).Groups[robustmq.GroupOffset].Vote; fmt.Sprint(after) != fmt.Sprint(before) && (after == nil || before == nil || *after != *before) {
			t.Errorf("a group that it did not lead: %+v", after)
		}
	}
	edit(t, dir, image.SetVote(robustmq.GroupData, image.Vote{Term: 12, Node: 3}))
	if err := Yield(t.Context(), images.OS{}, dir, r); err != nil {
		t.Fatal(err)
	}
	if got := vote(t, dir, robustmq.GroupData); got.Term != 12 {
		t.Errorf("a promise was taken back: %+v", got)
	}
}

func TestAFormerLeaderGoesOnOnlyWhenAQuorumHasTurnedAway(t *testing.T) {
	r := Record{
		Self: 1, Target: 2, Terms: map[string]uint64{robustmq.GroupMetadata: 4}, Voters: []uint64{1, 2, 3},
		Before: map[string]protocol.TransferGroup{robustmq.GroupMetadata: {Vote: protocol.RaftVote{Term: 3, NodeID: 1, Committed: true}}},
	}
	says := func(term, node uint64) robustmq.ClusterStatus {
		return robustmq.ClusterStatus{robustmq.GroupMetadata: {Term: term, VoteNode: node, VoteCommitted: true}}
	}
	for _, c := range []struct {
		name   string
		others map[uint64]robustmq.ClusterStatus
		want   bool
	}{
		{"nobody answers", nil, false},
		{"both follow the target", map[uint64]robustmq.ClusterStatus{2: says(4, 2), 3: says(4, 2)}, true},
		{"one follows the target", map[uint64]robustmq.ClusterStatus{2: says(4, 2)}, false},
		{"one still follows this one", map[uint64]robustmq.ClusterStatus{2: says(4, 2), 3: says(3, 1)}, false},
		{"itself does not count", map[uint64]robustmq.ClusterStatus{1: says(4, 2), 2: says(4, 2)}, false},
		{"a candidate of the same term with a greater id", map[uint64]robustmq.ClusterStatus{2: says(3, 2), 3: says(3, 2)}, true},
		{"another group only", map[uint64]robustmq.ClusterStatus{2: {robustmq.GroupData: {Term: 4}}, 3: says(4, 2)}, false},
	} {
		if got := r.Passed(c.others); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

func TestATargetBehindIsSeen(t *testing.T) {
	at := func(term, node, index uint64) *robustmq.LogID {
		return &robustmq.LogID{Term: term, NodeID: node, Index: index}
	}
	for _, c := range []struct {
		a, b *robustmq.LogID
		want bool
	}{
		{at(3, 1, 10), at(3, 1, 10), true}, {at(3, 1, 11), at(3, 1, 10), true}, {at(3, 1, 9), at(3, 1, 10), false},
		{at(2, 1, 90), at(3, 1, 10), false}, {at(4, 1, 9), at(3, 1, 10), true}, {nil, at(3, 1, 10), false}, {at(3, 1, 10), nil, false}, {&robustmq.LogID{}, &robustmq.LogID{}, true},
	} {
		if got := AtLeast(c.a, c.b); got != c.want {
			t.Errorf("%v, %v: %t", c.a, c.b, got)
		}
	}
}

func TestAPositionComesFromTheWALsAndElseFromTheLastAnswer(t *testing.T) {
	applied := &robustmq.LogID{Term: 3, NodeID: 1, Index: 40}
	status := robustmq.ClusterStatus{"g": {Term: 3, VoteNode: 1, VoteCommitted: true, LastLogIndex: 40, LastApplied: applied}}
	get := func(logs image.RaftLogs) protocol.TransferGroup {
		p, err := Position(&logs, status, []string{"g"})
		if err != nil {
			t.Fatal(err)
		}
		return p["g"]
	}
	if g := get(image.RaftLogs{}); g.Last == nil || *g.Last != *applied || g.Vote != (protocol.RaftVote{Term: 3, NodeID: 1, Committed: true}) {
		t.Errorf("%+v", g)
	}
	last := &robustmq.LogID{Term: 4, NodeID: 2, Index: 41}
	if g := get(image.RaftLogs{Groups: map[string]image.RaftLog{"g": {Last: last, Vote: &image.Vote{Term: 4, Node: 2}}}}); *g.Last != *last || g.Vote.Term != 4 || g.Vote.Committed {
		t.Errorf("%+v", g)
	}
	if g := get(image.RaftLogs{Groups: map[string]image.RaftLog{"g": {Truncated: true}}}); g.Last != nil {
		t.Errorf("a log that was cut behind what is known: %+v", g)
	}
	status["g"] = robustmq.GroupState{LastLogIndex: 42, LastApplied: applied}
	if g := get(image.RaftLogs{}); g.Last != nil {
		t.Errorf("an entry that was not applied has no known term: %+v", g)
	}
	if _, err := Position(&image.RaftLogs{}, status, []string{"h"}); err == nil {
		t.Error("a group that the server does not have")
	}
}

func TestATermThatWasSeenIsRefused(t *testing.T) {
	r := Record{Target: 2, Terms: map[string]uint64{"g": 3}, Before: map[string]protocol.TransferGroup{"g": {Vote: protocol.RaftVote{Term: 3, NodeID: 1}}}}
	if r.MayCommit() == nil {
		t.Error("a term that was voted in")
	}
	r.Terms["g"] = 4
	if err := r.MayCommit(); err != nil {
		t.Error(err)
	}
	if (Record{Target: 2}).MayCommit() == nil {
		t.Error("no group")
	}
}

// diskFS fails from an operation on, as a process that was killed does nothing any more.
type diskFS struct {
	images.OS
	steps, dieAt int
}

var errKilled = errors.New("killed")

func (d *diskFS) at() error {
	if d.steps++; d.dieAt > 0 && d.steps >= d.dieAt {
		return errKilled
	}
	return nil
}

func (d *diskFS) Create(name string) (image.WriteFile, error) {
	if err := d.at(); err != nil {
		return nil, err
	}
	return d.OS.Create(name)
}

func (d *diskFS) Rename(a, b string) error {
	if err := d.at(); err != nil {
		return err
	}
	return d.OS.Rename(a, b)
}

func (d *diskFS) RemoveAll(name string) error {
	if err := d.at(); err != nil {
		return err
	}
	return d.OS.RemoveAll(name)
}

func (d *diskFS) MkdirAll(name string) error {
	if err := d.at(); err != nil {
		return err
	}
	return d.OS.MkdirAll(name)
}

func TestARecordIsOldOrNewWheneverTheAgentIsKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), protocol.TransferFile)
	older := Record{ID: "old", Role: protocol.TransferLeader, Phase: protocol.TransferPrepared, Until: time.Unix(100, 0).UTC()}
	newer := Record{ID: "new", Role: protocol.TransferTarget, Phase: protocol.TransferReserved, Until: time.Unix(200, 0).UTC()}
	killed := 0
	for at := 1; ; at++ {
		if err := Save(images.OS{}, path, older); err != nil {
			t.Fatal(err)
		}
		err := Save(&diskFS{dieAt: at}, path, newer)
		got, loadErr := Load(images.OS{}, path)
		if loadErr != nil || got.ID != "old" && got.ID != "new" || err == nil && got.ID != "new" {
			t.Fatalf("killed at %d: %+v, %v", at, got, loadErr)
		}
		if err == nil {
			break
		}
		killed++
	}
	if killed < 3 {
		t.Errorf("killed at %d steps only", killed)
	}
	if r, err := Load(images.OS{}, path+"x"); r != nil || err != nil {
		t.Error(r, err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(images.OS{}, path); err == nil {
		t.Error("half a record")
	}
}

func TestATargetKilledWhileItsVotesChangeHasAllOldOrAllNewOnes(t *testing.T) {
	for _, way := range []string{"take over", "undo", "yield"} {
		for at := 1; ; at++ {
			dir := database(t)
			r := target(t, dir)
			fsys := &diskFS{dieAt: at}
			var err error
			switch way {
			case "take over":
				err = image.Append(context.Background(), fsys, dir, r.TakeOver())
			case "undo":
				takeOver(t, dir, r)
				_, err = Undo(context.Background(), fsys, dir, r)
			default:
				r.Self, r.Target = 1, 2
				err = Yield(context.Background(), fsys, dir, r)
			}
			seen := map[uint64]int{}
			for _, group := range robustmq.Groups {
				if v := read(t, dir, 0).Groups[group].Vote; v != nil {
					seen[v.Term]++
				} else {
					seen[0]++
				}
			}
			if len(seen) != 1 {
				t.Fatalf("%s, killed at %d: votes of terms %v", way, at, seen)
			}
			// The next life puts it right, from wherever it finds it.
			if way != "yield" {
				if outcome, err := Undo(t.Context(), images.OS{}, dir, r); err != nil || outcome != protocol.TransferUndone || vote(t, dir, robustmq.GroupOffset).Term != 1 {
					t.Fatalf("%s, killed at %d: %s %v", way, at, outcome, err)
				}
			}
			if err == nil {
				break
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"id":"a","role":"Target","self":2,"target":2,"phase":"Committed","until":"2026-01-01T00:00:00Z","terms":{"data_0":4},"voters":[1,2,3],"before":{"data_0":{"vote":{"term":3,"nodeID":1,"committed":true}}},"wal":9}`))
	f.Add([]byte(`{"id":"a","role":"Leader","phase":"Prepared"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := Parse(raw)
		if err == nil && (r.ID == "" || r.Phase == protocol.TransferCommitted && len(r.Before) == 0) {
			t.Errorf("accepted %q as %+v", raw, r)
		}
	})
}
