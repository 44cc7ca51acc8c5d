package raft

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/test/simulator/store"
)

// cluster connects groups in memory; a node in cut reaches nobody and is reached by nobody.
type cluster struct {
	t      *testing.T
	timing Timing
	dir    string

	mu      sync.Mutex
	groups  map[string]*Group
	stores  map[uint64]store.Storage
	cut     map[string]bool
	applied map[uint64][]string
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{t: t, dir: t.TempDir(), groups: map[string]*Group{}, stores: map[uint64]store.Storage{}, cut: map[string]bool{}, applied: map[uint64][]string{}}
	c.timing = Timing{
		Heartbeat: 10 * time.Millisecond, ElectionMin: 200 * time.Millisecond, ElectionMax: 400 * time.Millisecond, Lease: 400 * time.Millisecond, RPC: 100 * time.Millisecond,
		Simulated: func(d time.Duration) time.Duration { return d * 50 }, Grace: 50 * time.Millisecond,
	}
	t.Cleanup(func() {
		for _, g := range c.groups {
			g.Stop()
		}
		for _, s := range c.stores {
			_ = s.Close()
		}
	})
	return c
}

func addr(id uint64) string { return fmt.Sprintf("n%d", id) }

func (c *cluster) start(id uint64) *Group {
	c.t.Helper()
	s, err := store.Open(filepath.Join(c.dir, addr(id)))
	if err != nil {
		c.t.Fatal(err)
	}
	g, err := New(Options{
		Name: "metadata_0", ID: id, Timing: c.timing, Storage: s, Transport: from{c, addr(id)}, Rand: rand.New(rand.NewPCG(id, 7)), SnapshotEvery: 100, Keep: 1000,
		Apply: func(_ LogID, command []byte) any {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.applied[id] = append(c.applied[id], string(command))
			return len(c.applied[id])
		},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	c.groups[addr(id)], c.stores[id] = g, s
	c.mu.Unlock()
	g.Start()
	return g
}

func (c *cluster) stop(id uint64) {
	c.mu.Lock()
	g, s := c.groups[addr(id)], c.stores[id]
	delete(c.groups, addr(id))
	delete(c.stores, id)
	c.mu.Unlock()
	g.Stop()
	_ = s.Close()
}

// isolate cuts a node off, or connects it again.
func (c *cluster) isolate(id uint64, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut[addr(id)] = cut
}

type from struct {
	c    *cluster
	addr string
}

var errUnreachable = errors.New("unreachable")

func (f from) to(target string) (*Group, error) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	g := f.c.groups[target]
	if g == nil || f.c.cut[f.addr] || f.c.cut[target] {
		return nil, errUnreachable
	}
	return g, nil
}

func (f from) Vote(_ context.Context, target, _ string, r VoteRequest) (VoteReply, error) {
	g, err := f.to(target)
	if err != nil {
		return VoteReply{}, err
	}
	return g.HandleVote(r)
}

func (f from) Append(_ context.Context, target, _ string, r AppendRequest) (AppendReply, error) {
	g, err := f.to(target)
	if err != nil {
		return AppendReply{}, err
	}
	return g.HandleAppend(r)
}

func (f from) Snapshot(_ context.Context, target, _ string, r SnapshotRequest) (SnapshotReply, error) {
	g, err := f.to(target)
	if err != nil {
		return SnapshotReply{}, err
	}
	return g.HandleSnapshot(r)
}

func (c *cluster) eventually(what string, cond func() bool) {
	c.t.Helper()
	end := time.Now().Add(15 * time.Second)
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for !cond() {
		if time.Now().After(end) {
			c.t.Fatalf("not in time: %s", what)
		}
		<-ticker.C
	}
}

// found makes node 1 a cluster, and joins the others.
func (c *cluster) found(ids ...uint64) []*Group {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	groups := []*Group{c.start(ids[0])}
	if err := groups[0].Initialise([]NodeAddr{{ids[0], addr(ids[0])}}); err != nil {
		c.t.Fatal(err)
	}
	for i, id := range ids[1:] {
		groups = append(groups, c.start(id))
		if err := groups[0].AddLearner(ctx, NodeAddr{id, addr(id)}); err != nil {
			c.t.Fatal(err)
		}
		if err := groups[0].ChangeVoters(ctx, ids[:i+2], true); err != nil {
			c.t.Fatal(err)
		}
	}
	return groups
}

func TestJoiningWritesTheSameNumberOfEntriesAsOpenraft(t *testing.T) {
	c := newCluster(t)
	groups := c.found(1, 2, 3)
	// Recorded from RobustMQ: offset_0 of three members stands at 7: founding 0 and 1, then learner, joint and uniform twice.
	c.eventually("everybody is at 7 with one list of three", func() bool {
		for _, g := range groups {
			s := g.Status()
			if s.LastLogIndex == nil || *s.LastLogIndex != 7 || len(s.MembershipConfig.Membership.Configs) != 1 || len(s.MembershipConfig.Membership.Configs[0]) != 3 {
				return false
			}
		}
		return true
	})
	if s := groups[0].Status(); s.State != Leader || s.Vote != (Vote{LeaderID{1, 1}, true}) || s.MillisSinceQuorumAck == nil {
		t.Errorf("%+v", s)
	}
}

func TestARestartedLeaderLeadsOnInItsTerm(t *testing.T) {
	c := newCluster(t)
	c.found(1, 2, 3)
	c.stop(1)
	g := c.start(1)
	if s := g.Status(); s.State != Leader || s.CurrentTerm != 1 {
		t.Fatalf("%+v", s)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := g.Write(ctx, []byte("x")); err != nil {
		t.Fatal(err)
	}
}

func TestALeaderAloneSaysLeaderAndHasNoAcknowledgementAfterARestart(t *testing.T) {
	c := newCluster(t)
	c.found(1, 2)
	c.stop(2)
	c.stop(1)
	s := c.start(1).Status()
	if s.State != Leader || s.CurrentLeader == nil || *s.CurrentLeader != 1 || s.MillisSinceQuorumAck != nil {
		t.Errorf("%+v", s)
	}
}

func TestNobodyIsElectedWhileTheLeaseOfALostLeaderRuns(t *testing.T) {
	c := newCluster(t)
	groups := c.found(1, 2, 3)
	start := time.Now()
	c.stop(1)
	c.eventually("another leader", func() bool { return groups[1].IsLeader() || groups[2].IsLeader() })
	if took := time.Since(start); took < c.timing.Lease+c.timing.ElectionMin-50*time.Millisecond {
		t.Errorf("elected after %v", took)
	}
	if s := groups[1].Status(); s.CurrentTerm < 2 {
		t.Errorf("%+v", s)
	}
}

func TestAVoterRefusesEverybodyWhileItsLeadersLeaseRuns(t *testing.T) {
	c := newCluster(t)
	groups := c.found(1, 2, 3)
	c.eventually("it follows", func() bool { return groups[1].Status().CurrentLeader != nil })
	last := groups[0].Status()
	request := VoteRequest{Vote: Vote{LeaderID: LeaderID{99, 3}}, Last: &LogID{LeaderID{99, 3}, *last.LastLogIndex + 9}}
	reply, err := groups[1].HandleVote(request)
	if err != nil || reply.Granted || reply.Vote.LeaderID.Term != 1 || groups[1].Status().CurrentTerm != 1 {
		t.Errorf("%+v %v", reply, err)
	}
}

func TestAWriteOnAFollowerNamesTheLeader(t *testing.T) {
	c := newCluster(t)
	groups := c.found(1, 2)
	c.eventually("the follower knows its leader", func() bool { return groups[1].Status().CurrentLeader != nil })
	_, err := groups[1].Write(context.Background(), []byte("x"))
	if err == nil || err.Error() != `has to forward request to: Some(1), Some(Node { node_id: 1, rpc_addr: "n1" })` {
		t.Errorf("%v", err)
	}
	fresh := c.start(9)
	if err := fresh.AddLearner(context.Background(), NodeAddr{9, addr(9)}); err == nil || err.Error() != "has to forward request to: None, None" {
		t.Errorf("%v", err)
	}
}

func TestASecondChangeOfMembershipIsRefusedWhileOneRuns(t *testing.T) {
	c := newCluster(t)
	groups := c.found(1, 2)
	c.isolate(2, true)
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if err := groups[0].AddLearner(ctx, NodeAddr{3, addr(3)}); err == nil {
		t.Fatal("a change was committed without a quorum")
	}
	err := groups[0].ChangeVoters(context.Background(), []uint64{1}, true)
	if err == nil || !strings.Contains(err.Error(), "the cluster is already undergoing a configuration change at log") {
		t.Errorf("%v", err)
	}
}

func TestAJoinThatIsCutShortLeavesAJointConfiguration(t *testing.T) {
	c := newCluster(t)
	groups := c.found(1)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := groups[0].ChangeVoters(ctx, []uint64{1, 2}, true); err == nil {
		t.Fatal("a voter that never answered was accepted")
	}
	if configs := groups[0].Status().MembershipConfig.Membership.Configs; len(configs) != 2 {
		t.Errorf("%v", configs)
	}
}

func TestAMemberThatNeedsASnapshotGetsNothingAndIsAVoterAllTheSame(t *testing.T) {
	c := newCluster(t)
	groups := c.found(1)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for i := range 1250 {
		if _, err := groups[0].Write(ctx, fmt.Appendf(nil, "w%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	leader := groups[0].Status()
	if leader.Purged == nil || leader.Snapshot.Index-leader.Purged.Index != 1000 {
		t.Fatalf("%+v", leader)
	}
	g := c.start(2)
	if err := groups[0].AddLearner(ctx, NodeAddr{2, addr(2)}); err != nil {
		t.Fatal(err)
	}
	if err := groups[0].ChangeVoters(ctx, []uint64{1, 2}, true); err != nil {
		t.Fatal(err)
	}
	s := g.Status()
	if s.Purged == nil || *s.Purged != *s.Snapshot || s.Purged.Index != leader.Snapshot.Index {
		t.Errorf("%+v", s)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.applied[2]); n >= 100 || slices.Contains(c.applied[2], "w0") {
		t.Errorf("%d commands reached it", n)
	}
}

func TestAWipedVoterThatFoundedItsOwnClusterIsOverwrittenByASnapshotOfNothing(t *testing.T) {
	c := newCluster(t)
	groups := c.found(3, 2) // the leader's vote T1-N3 is above T1-N2, which the lonely member will give itself
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for i := range 1250 {
		if _, err := groups[0].Write(ctx, fmt.Appendf(nil, "w%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	c.stop(2)
	c.mu.Lock()
	c.applied[2] = nil
	c.mu.Unlock()
	c.dir = t.TempDir()
	c.isolate(2, true)
	g := c.start(2)
	if err := g.Initialise([]NodeAddr{{2, addr(2)}}); err != nil {
		t.Fatal(err)
	}
	if s := g.Status(); s.State != Leader || len(s.MembershipConfig.Membership.Nodes) != 1 {
		t.Fatalf("it did not found a cluster: %+v", s)
	}
	c.isolate(2, false)
	if _, err := groups[0].Write(ctx, []byte("later")); err != nil {
		t.Fatal(err)
	}
	c.eventually("it follows the real leader, at its position", func() bool {
		s, leader := g.Status(), groups[0].Status()
		return s.State == Follower && *s.LastLogIndex == *leader.LastLogIndex && *s.LastApplied == *leader.LastApplied && len(s.MembershipConfig.Membership.Nodes) == 2
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.applied[2]); n >= 150 {
		t.Errorf("%d commands reached it", n)
	}
}

func TestAWipedVoterGetsTheWholeLogAgain(t *testing.T) {
	c := newCluster(t)
	groups := c.found(1, 2, 3)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for i := range 10 {
		if _, err := groups[0].Write(ctx, fmt.Appendf(nil, "w%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	c.stop(3)
	c.mu.Lock()
	c.applied[3] = nil
	c.mu.Unlock()
	c.dir = t.TempDir() // an empty volume for who starts now
	c.start(3)
	c.eventually("every command is applied again", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.applied[3]) == 10
	})
}

func TestTheTermsOfAnIsolatedFollowerDeposeTheLeader(t *testing.T) {
	c := newCluster(t)
	groups := c.found(1, 2, 3)
	c.eventually("it knows that it is a voter", func() bool { return groups[2].Status().State == Follower })
	c.isolate(3, true)
	// With a shorter log it wins no vote: only its term in an answer to the leader can do harm.
	if _, err := groups[0].Write(context.Background(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	c.eventually("it campaigned", func() bool { return groups[2].Status().CurrentTerm >= 3 })
	if s := groups[0].Status(); s.CurrentTerm != 1 || s.State != Leader {
		t.Fatalf("the others noticed: %+v", s)
	}
	c.isolate(3, false)
	c.eventually("the leader steps down", func() bool { return groups[0].Status().CurrentTerm >= 3 })
	c.eventually("somebody leads again", func() bool {
		for _, g := range groups {
			if s := g.Status(); s.State == Leader && s.MillisSinceQuorumAck != nil {
				return true
			}
		}
		return false
	})
}

func TestARemovedMemberThatRunsOnDisturbsNobody(t *testing.T) {
	c := newCluster(t)
	groups := c.found(1, 2, 3)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := groups[0].ChangeVoters(ctx, []uint64{1, 2}, false); err != nil {
		t.Fatal(err)
	}
	c.eventually("two voters, and no third node", func() bool {
		m := groups[1].Status().MembershipConfig.Membership
		return len(m.Configs) == 1 && len(m.Configs[0]) == 2 && len(m.Nodes) == 2
	})
	if _, err := groups[0].Write(ctx, []byte("x")); err != nil {
		t.Fatal(err)
	}
}

func TestWhatWasCommittedAndNotAppliedIsAppliedAtTheNextStart(t *testing.T) {
	c := newCluster(t)
	g := c.found(1)[0]
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for i := range 5 {
		if _, err := g.Write(ctx, fmt.Appendf(nil, "w%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	last := *g.Status().LastApplied
	c.stop(1)
	s, err := store.Open(filepath.Join(c.dir, addr(1)))
	if err != nil {
		t.Fatal(err)
	}
	earlier := last
	earlier.Index -= 2
	if err := errors.Join(s.Write(g.logIDRecord(keyApplied, &earlier)), s.Close()); err != nil {
		t.Fatal(err)
	}
	again := c.start(1)
	if applied := again.Status().LastApplied; applied == nil || *applied != last {
		t.Errorf("applied %v of %v", applied, last)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if all := c.applied[1]; !slices.Equal(all[len(all)-4:], []string{"w3", "w4", "w3", "w4"}) {
		t.Errorf("applied %v", all)
	}
}

func FuzzALogEntryOfAnyBytesNeverPanics(f *testing.F) {
	g := &Group{keys: newKeys("metadata_0")}
	f.Add(g.entryRecord(Entry{LogID: LogID{LeaderID{1, 2}, 3}, Command: []byte("c")}).Value)
	f.Add(g.entryRecord(Entry{Membership: &Membership{Configs: [][]uint64{{1}}}}).Value)
	f.Fuzz(func(t *testing.T, value []byte) {
		if e, err := readEntry(value); err == nil {
			again := g.entryRecord(e)
			if _, err := readEntry(again.Value); err != nil {
				t.Fatal(err)
			}
		}
	})
}
