package contract

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/internal/agent/images"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/transfer"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/contract/lab"
)

// streamPace is between two writes of a stream. A member that is away for longer than the log reaches back, 1000 entries, comes back with a hole (seen-formation.md, fact 2), and that is
// another test's subject.
const streamPace = 20 * time.Millisecond

// stream creates users at a node, one after the other, each until it is acknowledged.
type stream struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu   sync.Mutex
	acks int
	last time.Time
	gap  time.Duration
}

func streamUsers(l *lab.Lab, n *lab.Node, prefix string) *stream {
	ctx, cancel := context.WithCancel(l.T.Context())
	s := &stream{cancel: cancel, done: make(chan struct{}), last: time.Now()}
	go func() {
		defer close(s.done)
		pace := time.NewTicker(streamPace)
		defer pace.Stop()
		for i := 0; ctx.Err() == nil; <-pace.C {
			if !createUser(n, fmt.Sprintf("%s%04d", prefix, i)) {
				continue
			}
			i++
			s.mu.Lock()
			s.acks, s.gap, s.last = i, max(s.gap, time.Since(s.last)), time.Now()
			s.mu.Unlock()
		}
	}()
	l.T.Cleanup(func() { cancel(); <-s.done })
	return s
}

// longest is the longest time without an acknowledged write since the last look, and how many there were in all.
func (s *stream) longest() (time.Duration, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gap := max(s.gap, time.Since(s.last))
	s.gap = 0
	return gap, s.acks
}

func (s *stream) stop() int {
	s.cancel()
	<-s.done
	return s.acks
}

// handOver moves all groups from one node to another as the agents do, with their own code. It says how long both were stopped, and how long it took until the target led with a quorum.
func handOver(l *lab.Lab, nodes []*lab.Node, from, to *lab.Node) (stopped, leads time.Duration, r transfer.Record) {
	l.T.Helper()
	r = transfer.Record{Role: protocol.TransferTarget, Self: to.ID, Target: to.ID, Terms: map[string]uint64{}}
	for _, n := range nodes {
		status := n.Status()
		for _, group := range robustmq.Groups {
			r.Terms[group] = max(r.Terms[group], status[group].Term+1)
		}
	}
	position := func(n *lab.Node) (map[string]protocol.TransferGroup, uint64) {
		said := n.Status()
		n.Stop()
		logs, err := image.ReadRaftLogs(l.T.Context(), images.OS{}, n.Database(), 0)
		if err != nil {
			l.T.Fatal(err)
		}
		p, err := transfer.Position(logs, said, robustmq.Groups)
		if err != nil {
			l.T.Fatal(err)
		}
		return p, logs.Next
	}
	begin := time.Now()
	theirs, _ := position(from)
	r.Before, r.WAL = position(to)
	for _, group := range robustmq.Groups {
		if !transfer.AtLeast(r.Before[group].Last, theirs[group].Last) {
			l.T.Logf("%s is behind in %s: %v, %v", to.Name, group, r.Before[group].Last, theirs[group].Last)
			// Back within 10 s it keeps its term.
			started(from.Start())
			started(to.Start())
			return 0, 0, r
		}
	}
	if err := r.MayCommit(); err != nil {
		l.T.Fatal(err)
	}
	if err := image.Append(l.T.Context(), images.OS{}, to.Database(), r.TakeOver()); err != nil {
		l.T.Fatal(err)
	}
	to.Start()
	stopped = time.Since(begin)
	l.Eventually(15*time.Second, to.Name+" leads everything", func() bool {
		status := to.Status()
		for _, group := range robustmq.Groups {
			if g := status[group]; !g.LeadsWithQuorum() || g.Term != r.Terms[group] {
				return false
			}
		}
		return true
	})
	leads = time.Since(begin)
	from.Start()
	l.Eventually(30*time.Second, "all follow "+to.Name, func() bool {
		for _, n := range nodes {
			for _, group := range robustmq.Groups {
				if n.Status()[group].CurrentLeader != to.ID {
					return false
				}
			}
		}
		return true
	})
	return stopped, leads, r
}

// The writer's own node is never stopped: what it misses is what a client of a broker misses.
func TestLeadershipMovesTenTimesUnderWritesAndEveryAcknowledgedOneIsEverywhere(t *testing.T) {
	l := lab.New(t, lab.Options{Speed: 2, Alone: true})
	nodes := form(l, 1, 2, 3)
	agree(l, nodes, 1, 2, 3)
	settled(l, nodes)
	s := streamUsers(l, nodes[2], "t")
	var table strings.Builder
	from, to := nodes[0], nodes[1]
	for tries, moved := 1, 0; moved < 10; tries++ {
		if tries > 20 {
			t.Fatalf("%d of 20 tries were put back\n%s", 20-moved, table.String())
		}
		s.longest()
		stopped, leads, _ := handOver(l, nodes, from, to)
		s.mu.Lock()
		before := s.acks
		s.mu.Unlock()
		l.Eventually(30*time.Second, "the writer goes on", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.acks > before
		})
		gap, acks := s.longest()
		started(from)
		started(to) // one that is still starting takes 20 s to end
		fmt.Fprintf(&table, "%2d  %s -> %s  target started after %4.2f s  leads with a quorum after %4.2f s  longest time without a write %5.2f s  acknowledged so far %d\n",
			tries, from.Name, to.Name, stopped.Seconds(), leads.Seconds(), gap.Seconds(), acks)
		if leads == 0 {
			l.Eventually(60*time.Second, "the old leader leads again", func() bool { return led(l, nodes, robustmq.GroupData) == from })
			continue
		}
		moved++
		from, to = to, from
	}
	acks := s.stop()
	t.Logf("\n%s", table.String())
	settled(l, nodes)
	for _, n := range nodes {
		n.Kill()
		keys := liveKeys(t, n)
		missing := 0
		for i := range acks {
			if !keys[userPrefix+fmt.Sprintf("t%04d", i)] {
				missing++
			}
		}
		if missing > 0 {
			t.Errorf("%s lacks %d of %d acknowledged writes", n.Name, missing, acks)
		}
	}
	t.Logf("%d acknowledged writes, looked for in the database of every member", acks)
}

// A target that shall not lead has its old votes again and nobody lost anything; a former leader that gives up is not a leader any more, and an election follows.
func TestATargetGivesItsVotesBackAndAFormerLeaderGivesUp(t *testing.T) {
	l := lab.New(t, lab.Options{Speed: 4})
	nodes := form(l, 1, 2, 3)
	agree(l, nodes, 1, 2, 3)
	createUsers(l, nodes[0], "u", 20)
	settled(l, nodes)
	was := nodes[0].Status()

	target := transfer.Record{Role: protocol.TransferTarget, Self: 2, Target: 2, Terms: map[string]uint64{}, Voters: []uint64{1, 2, 3}}
	for _, group := range robustmq.Groups {
		target.Terms[group] = was[group].Term + 1
	}
	said := nodes[1].Status()
	nodes[1].Stop()
	logs, err := image.ReadRaftLogs(t.Context(), images.OS{}, nodes[1].Database(), 0)
	if err == nil {
		target.WAL = logs.Next
		target.Before, err = transfer.Position(logs, said, robustmq.Groups)
	}
	if err == nil {
		err = image.Append(t.Context(), images.OS{}, nodes[1].Database(), target.TakeOver())
	}
	if err != nil {
		t.Fatal(err)
	}
	outcome, err := transfer.Undo(t.Context(), images.OS{}, nodes[1].Database(), target)
	if err != nil || outcome != protocol.TransferUndone {
		t.Fatal(outcome, err)
	}
	nodes[1].Start()
	l.Eventually(30*time.Second, "the same leader in the same term", func() bool {
		now := nodes[1].Status()
		for _, group := range robustmq.Groups {
			if g := now[group]; g.CurrentLeader != 1 || g.Term != was[group].Term {
				return false
			}
		}
		return true
	})

	started(nodes[1]) // a server whose leader goes while it makes its topics gives up

	leader := transfer.Record{Role: protocol.TransferLeader, Self: 1, Target: 2, Terms: target.Terms, Voters: target.Voters}
	said = nodes[0].Status()
	nodes[0].Stop()
	if logs, err = image.ReadRaftLogs(t.Context(), images.OS{}, nodes[0].Database(), 0); err == nil {
		leader.Before, err = transfer.Position(logs, said, robustmq.Groups)
	}
	if err == nil {
		err = transfer.Yield(t.Context(), images.OS{}, nodes[0].Database(), leader)
	}
	if err != nil {
		t.Fatal(err)
	}
	nodes[0].Start()
	l.Eventually(20*time.Second, "it answers, and leads nothing in its old term", func() bool {
		g, ok := nodes[0].Status()[robustmq.GroupData]
		return ok && g.Term > target.Terms[robustmq.GroupData] && g.State != "Leader"
	})
	l.Eventually(120*time.Second, "an election above the target's term", func() bool {
		for _, n := range nodes {
			for _, group := range robustmq.Groups {
				if g := n.Status()[group]; g.LeadsWithQuorum() && g.Term > target.Terms[group] {
					return true
				}
			}
		}
		return false
	})
	for _, n := range nodes {
		hasUsers(l, n, "u", 20)
	}
}
