package transfer

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/internal/agent/images"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

func TestLogsOfOneTermAreComparedByTheirLeaderToo(t *testing.T) {
	// Two leaders of one term are possible where votes are ordered by term, then node: the greater node id was the later.
	late, early := &robustmq.LogID{Term: 3, NodeID: 2, Index: 9}, &robustmq.LogID{Term: 3, NodeID: 1, Index: 10}
	if !AtLeast(late, early) || AtLeast(early, late) {
		t.Error("a longer log of an earlier leader counts for more than that of the later one")
	}
}

func TestVotesAreOrderedByTermNodeAndWhetherAQuorumAgreed(t *testing.T) {
	ordered := []protocol.RaftVote{{Term: 1, NodeID: 3, Committed: true}, {Term: 2}, {Term: 2, NodeID: 1}, {Term: 2, NodeID: 1, Committed: true}, {Term: 2, NodeID: 2}, {Term: 3}}
	for i, a := range ordered {
		for k, b := range ordered {
			if got := compare(a, b); (got < 0) != (i < k) || (got > 0) != (i > k) {
				t.Errorf("%+v, %+v: %d", a, b, got)
			}
		}
	}
}

func TestATargetTakesOverNoGroupOfWhichItsOldVoteIsNotKnown(t *testing.T) {
	r := Record{Target: 2, Terms: map[string]uint64{"g": 4, "h": 4}, Before: map[string]protocol.TransferGroup{"g": {Vote: protocol.RaftVote{Term: 3, NodeID: 1}}}}
	if err := r.MayCommit(); err == nil || !strings.Contains(err.Error(), "h") {
		t.Errorf("%v: it could not be given back", err)
	}
	r.Before["h"] = protocol.TransferGroup{Vote: protocol.RaftVote{Term: 4, NodeID: 1}}
	if err := r.MayCommit(); err == nil {
		t.Error("one of two terms was voted in")
	}
	r.Before["h"] = protocol.TransferGroup{Vote: protocol.RaftVote{Term: 3, NodeID: 1, Committed: true}}
	if err := r.MayCommit(); err != nil {
		t.Error(err)
	}
}

func TestThePositionOfALogThatWasPurgedToItsEndOrIsEmptyIsKnown(t *testing.T) {
	purged := &robustmq.LogID{Term: 2, NodeID: 3, Index: 40}
	status := robustmq.ClusterStatus{
		"purged": {LastLogIndex: 40, Purged: purged, LastApplied: &robustmq.LogID{Term: 2, NodeID: 3, Index: 39}}, "empty": {},
	}
	p, err := Position(&image.RaftLogs{}, status, []string{"purged", "empty"})
	if err != nil {
		t.Fatal(err)
	}
	if got := p["purged"].Last; got == nil || *got != *purged {
		t.Errorf("%+v", got)
	}
	if got := p["empty"].Last; got == nil || *got != (robustmq.LogID{}) {
		t.Errorf("%+v", got)
	}
}

func TestAFormerLeaderOfTwoGroupsGoesOnOnlyWhenBothHaveTurnedAway(t *testing.T) {
	led := protocol.TransferGroup{Vote: protocol.RaftVote{Term: 3, NodeID: 1, Committed: true}}
	r := Record{Self: 1, Target: 2, Terms: map[string]uint64{"a": 4, "b": 4}, Voters: []uint64{1, 2, 3}, Before: map[string]protocol.TransferGroup{"a": led, "b": led}}
	newer, old := robustmq.GroupState{Term: 4, VoteNode: 2, VoteCommitted: true}, robustmq.GroupState{Term: 3, VoteNode: 1, VoteCommitted: true}
	half := map[uint64]robustmq.ClusterStatus{2: {"a": newer, "b": old}, 3: {"a": newer, "b": old}}
	if r.Passed(half) {
		t.Error("group b still follows it")
	}
	// A candidacy of its own is no leadership that it could go on with.
	r.Before["b"] = protocol.TransferGroup{Vote: protocol.RaftVote{Term: 3, NodeID: 1}}
	if !r.Passed(half) {
		t.Error("it did not lead group b")
	}
	r.Voters = []uint64{1, 2, 3, 4, 5}
	if r.Passed(half) {
		t.Error("two of five are no quorum")
	}
}

func TestAVoteOfTheSameTermForAGreaterNodeIsNotTakenBack(t *testing.T) {
	dir := database(t)
	r := target(t, dir)
	takeOver(t, dir, r)
	later := image.Vote{Term: 9, Node: 3} // above node 2 in its own term
	edit(t, dir, image.SetVote(robustmq.GroupData, later))
	if outcome, err := Undo(t.Context(), images.OS{}, dir, r); err != nil || outcome != protocol.TransferUndone {
		t.Fatal(outcome, err)
	}
	if got := vote(t, dir, robustmq.GroupData); got != later {
		t.Errorf("%+v", got)
	}
	if err := Yield(t.Context(), images.OS{}, dir, Record{Self: 1, Terms: map[string]uint64{robustmq.GroupData: 8}, Before: map[string]protocol.TransferGroup{
		robustmq.GroupData: {Vote: protocol.RaftVote{Term: 1, NodeID: 1, Committed: true}},
	}}); err != nil {
		t.Fatal(err)
	}
	if got := vote(t, dir, robustmq.GroupData); got != later {
		t.Errorf("node 1 gives its leadership up below a vote that it has given: %+v", got)
	}
}

func TestARecordThatNoTransferMakesIsRefused(t *testing.T) {
	for _, raw := range []string{
		``, `{`, `{"role":"Target","phase":"Prepared"}`, `{"id":"a","role":"Witness","phase":"Prepared"}`, `{"id":"a","role":"Target","phase":"Later"}`,
		`{"id":"a","role":"Leader","phase":"Reserved"}`, `{"id":"a","role":"Leader","phase":"Committed","wal":4,"before":{"g":{}}}`,
		`{"id":"a","role":"Target","phase":"Committed","wal":4}`, `{"id":"a","role":"Target","phase":"Committed","before":{"g":{}}}`,
	} {
		if r, err := Parse([]byte(raw)); err == nil {
			t.Errorf("%s: %+v", raw, r)
		}
	}
	if _, err := Parse([]byte(`{"id":"a","role":"Target","phase":"Committed","wal":4,"before":{"g":{}}}`)); err != nil {
		t.Error(err)
	}
}

// The server was started on the new votes, RocksDB has written them into tables, and it was killed in the middle of its next WAL's first record: RocksDB would not read what is appended behind that.
func TestATargetWhoseNextWALIsTornBeforeItsFirstRecordKeepsItsVotes(t *testing.T) {
	const next = "000047.log" // of the recorded database, whose tables are all older
	dir := database(t)
	r := target(t, dir)
	r.WAL = 46
	wal := filepath.Join(dir, next)
	if err := os.Truncate(wal, 20); err != nil {
		t.Fatal(err)
	}
	if logs := read(t, dir, r.WAL); !logs.Whole || len(logs.Groups) != 0 {
		t.Fatalf("%+v: something else would keep its votes", logs)
	}
	before := listing(t, dir)
	outcome, err := Undo(t.Context(), images.OS{}, dir, r)
	if err != nil || outcome != protocol.TransferKept {
		t.Errorf("%q, %v", outcome, err)
	}
	if after := listing(t, dir); !slices.Equal(after, before) {
		t.Errorf("%v, before %v", after, before)
	}
}

func TestATargetWhoseDatabaseIsInUseIsNotSaidToHaveKeptItsVotes(t *testing.T) {
	dir := database(t)
	r := target(t, dir)
	takeOver(t, dir, r)
	lock, err := images.OS{}.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if outcome, err := Undo(t.Context(), images.OS{}, dir, r); !errors.Is(err, image.ErrInUse) || outcome != "" {
		t.Errorf("%q, %v: it is to be tried again", outcome, err)
	}
}

// listing are the files of a database but for its lock.
func listing(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "LOCK" {
			names = append(names, e.Name())
		}
	}
	return names
}
