package contract

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/contract/lab"
)

// unheard gives a leader that has lost its quorum entries that nobody else will have: it takes every write, and never answers it.
func unheard(l *lab.Lab, leader *lab.Node, group string) {
	l.T.Helper()
	before := leader.Status()[group].LastLogIndex
	l.Eventually(60*time.Second, "a longer log", func() bool {
		ctx, cancel := context.WithTimeout(l.T.Context(), 2*time.Second)
		defer cancel()
		user := map[string]any{"tenant": "default", "username": "nobody", "password": "pnobody", "is_superuser": false}
		if a, err := askContext(ctx, leader, "POST", "/api/cluster/user/create", "Bearer "+token(), user); err == nil {
			if _, err = a.data(); err == nil {
				l.T.Fatal("a write without a quorum was acknowledged")
			}
		}
		return leader.Status()[group].LastLogIndex > before
	})
}

// orphan makes a leader of three with 20 users whose two followers lose their volumes. One gets the leader's data back, with uncommitted votes in the next term, and starts; meanwhile the
// leader has taken writes that it could not answer.
func orphan(l *lab.Lab, group string, vote func(leader uint64) uint64) (survivor, seeded *lab.Node, was robustmq.ClusterStatus) {
	l.T.Helper()
	nodes := form(l, 1, 2, 3)
	survivor = led(l, nodes, group)
	others := without(nodes, survivor.ID)
	createUsers(l, survivor, "u", 20)
	settled(l, nodes)
	for _, n := range others {
		n.Kill()
		n.Wipe()
	}
	was = survivor.Status()
	votes := map[string]protocol.RaftVote{}
	for name, g := range was {
		votes[name] = protocol.RaftVote{Term: g.Term + 1, NodeID: vote(survivor.ID)}
	}
	seeded = others[0]
	seedFrom(l, survivor, seeded, nil, votes)
	unheard(l, survivor, group)
	seeded.Start()
	return survivor, seeded, was
}

// wholeAgain waits until two of three lead a group again, and checks that both have what was acknowledged.
func wholeAgain(l *lab.Lab, group string, two ...*lab.Node) {
	l.T.Helper()
	took := l.Elapsed(func() { led(l, two, group) })
	l.T.Logf("led after %v", took.Round(time.Second))
	for _, n := range two {
		if voters := n.Status()[group].Voters(); !slices.Equal(voters, []uint64{1, 2, 3}) {
			l.T.Errorf("%s: voters %v", n.Name, voters)
		}
		hasUsers(l, n, "u", 20)
	}
}

// What the operator does when two of three volumes are lost: the votes that it gives are for nobody.
func TestALeaderThatMeetsALaterTermInWhichNobodyWasVotedForStepsDownAndIsElected(t *testing.T) {
	const group = robustmq.GroupMetadata
	l := lab.New(t, lab.Options{Speed: 10})
	survivor, seeded, was := orphan(l, group, func(uint64) uint64 { return 0 })
	l.Eventually(30*time.Second, "the survivor has heard of the term, and leads no more", func() bool {
		g := survivor.Status()[group]
		return g.Running && g.Term > was[group].Term && g.State != "Leader"
	})
	wholeAgain(l, group, survivor, seeded)
}

// Votes for the survivor bring RobustMQ's raft into a state out of which only a restart leads: topology.freeElections.
func TestALeaderThatMeetsAnUncommittedVoteForItselfIsStuckUntilItIsStartedAgain(t *testing.T) {
	const group = robustmq.GroupMetadata
	l := lab.New(t, lab.Options{Speed: 10})
	survivor, seeded, was := orphan(l, group, func(leader uint64) uint64 { return leader })
	l.Eventually(30*time.Second, "the survivor has taken the vote over", func() bool { return survivor.Status()[group].Term == was[group].Term+1 })

	stuck := func() bool {
		g := survivor.Status()[group]
		return g.Running && g.State == "Leader" && g.Term == was[group].Term+1 && g.VoteNode == survivor.ID && !g.VoteCommitted && g.CurrentLeader == 0 && !g.LeadsWithQuorum()
	}
	if !stuck() {
		t.Fatalf("%+v", survivor.Status()[group])
	}
	l.Eventually(150*time.Second, "the other stood for election once more", func() bool { return seeded.Status()[group].Term > was[group].Term+2 })
	if !stuck() || seeded.Status()[group].LeadsWithQuorum() {
		t.Errorf("survivor %+v\nthe other %+v", survivor.Status()[group], seeded.Status()[group])
	}
	t.Logf("term %d, %d ms since an acknowledgement; the other is in term %d", survivor.Status()[group].Term, *survivor.Status()[group].MillisSinceQuorumAck, seeded.Status()[group].Term)

	survivor.Kill()
	survivor.Start()
	wholeAgain(l, group, survivor, seeded)
}
