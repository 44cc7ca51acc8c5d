package raft

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/test/simulator/store"
)

// reseed wipes a stopped node and gives it another one's data with a vote for that one: what an operator does whose cluster lost its majority.
func (c *cluster) reseed(id, donor uint64, vote Vote) {
	c.t.Helper()
	c.mu.Lock()
	c.applied[id] = nil
	from := c.stores[donor]
	c.mu.Unlock()
	dir := filepath.Join(c.dir, addr(id))
	if err := os.RemoveAll(dir); err != nil {
		c.t.Fatal(err)
	}
	to, err := store.Open(dir)
	if err != nil {
		c.t.Fatal(err)
	}
	var batch []store.Record
	err = from.Each(store.FamilyRaft, func(key, value []byte) error {
		batch = append(batch, store.Record{Family: store.FamilyRaft, Key: slices.Clone(key), Value: slices.Clone(value)})
		return nil
	})
	g := &Group{keys: newKeys("metadata_0"), vote: vote}
	if err = errors.Join(err, to.Write(append(batch, g.voteRecord())...), to.Close()); err != nil {
		c.t.Fatal(err)
	}
}

// orphan is a leader of three whose two followers are stopped for good.
func (c *cluster) orphan() *Group {
	c.t.Helper()
	leader := c.found(1, 2, 3)[0]
	c.stop(2)
	c.stop(3)
	return leader
}

// append puts an entry into the log of a leader that nobody follows.
func (c *cluster) append(g *Group) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := g.Write(ctx, []byte("nobody has it")); !errors.Is(err, context.DeadlineExceeded) {
		c.t.Fatalf("a write without a quorum: %v", err)
	}
}

func TestALeaderThatMeetsAnUncommittedVoteForItselfNeitherLeadsNorStandsForElectionUntilItIsStartedAgain(t *testing.T) {
	c := newCluster(t)
	leader := c.orphan()
	before := leader.Status()
	c.reseed(2, 1, Vote{LeaderID: LeaderID{2, 1}})
	c.append(leader)
	other := c.start(2)
	c.eventually("the leader has taken the vote over", func() bool { return leader.Status().CurrentTerm == 2 })
	c.eventually("the other stood for election, twice, and was refused for its shorter log", func() bool { return other.Status().CurrentTerm >= 4 })
	s := leader.Status()
	if s.State != Leader || s.Vote != (Vote{LeaderID: LeaderID{2, 1}}) || s.CurrentLeader != nil || s.MillisSinceQuorumAck == nil || *s.MillisSinceQuorumAck < 20_000 {
		t.Errorf("%+v", s)
	}
	c.append(leader)
	if s := leader.Status(); *s.LastLogIndex != *before.LastLogIndex+2 || *s.LastApplied != *before.LastApplied {
		t.Errorf("what it takes is appended in its old term and committed never: %+v, before %+v", s, before)
	}
	if s := other.Status(); *s.LastLogIndex != *before.LastLogIndex || s.State == Leader {
		t.Errorf("%+v", s)
	}
	c.stop(1)
	again := c.start(1)
	if s := again.Status(); s.State != Follower {
		t.Errorf("started again: %+v", s)
	}
	c.eventually("the longer log is elected", func() bool {
		s := again.Status()
		return s.State == Leader && s.MillisSinceQuorumAck != nil && *s.MillisSinceQuorumAck < 3000 && s.CurrentTerm > 2
	})
}

func TestALeaderThatMeetsAnUncommittedVoteForItselfGivesWayToALogAsLongAsItsOwn(t *testing.T) {
	c := newCluster(t)
	leader := c.orphan()
	c.reseed(2, 1, Vote{LeaderID: LeaderID{2, 1}})
	other := c.start(2)
	c.eventually("the other leads, and the old leader follows it", func() bool {
		s, old := other.Status(), leader.Status()
		return s.State == Leader && old.State == Follower && old.CurrentLeader != nil && *old.CurrentLeader == 2
	})
}

func TestALeaderThatMeetsACommittedVoteForItselfLeadsThatTerm(t *testing.T) {
	c := newCluster(t)
	leader := c.orphan()
	c.reseed(2, 1, Vote{LeaderID{5, 1}, true})
	c.append(leader)
	c.start(2)
	c.eventually("it leads the term of the vote", func() bool {
		s := leader.Status()
		return s.State == Leader && s.CurrentTerm == 5 && s.CurrentLeader != nil && s.LastApplied.LeaderID == LeaderID{5, 1}
	})
	if _, err := leader.Write(context.Background(), []byte("more")); err != nil {
		t.Error(err)
	}
}
