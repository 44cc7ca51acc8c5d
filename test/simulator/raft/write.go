package raft

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// proposer is the vote under which this node appends entries: a leader's own, and before there is any leader the node's.
func (g *Group) proposer() Vote {
	if g.state == Leader {
		return g.leading
	}
	return g.vote
}

// appendLocal puts an entry at the end of the leader's log.
func (g *Group) appendLocal(e Entry) error {
	e.LogID = LogID{LeaderID: g.proposer().LeaderID}
	if l := g.last(); l != nil {
		e.LogID.Index = l.Index + 1
	}
	g.log = append(g.log, e)
	if e.Membership != nil {
		id := e.LogID
		g.memberships = append(g.memberships, StoredMembership{&id, *e.Membership})
	}
	if err := g.write(g.entryRecord(e)); err != nil {
		return err
	}
	if g.state == Leader {
		if e.Membership != nil {
			g.followMembership()
		}
		g.advance()
		for _, p := range g.progress {
			p.poke()
		}
	}
	g.notify()
	return nil
}

// propose appends an entry as leader and waits until it is applied.
func (g *Group) propose(ctx context.Context, e Entry, check func() error) (any, error) {
	g.mu.Lock()
	if g.state == Shutdown || g.ctx.Err() != nil {
		g.mu.Unlock()
		return nil, &FatalError{"not running"}
	}
	if g.state != Leader {
		err := &ForwardError{g.currentLeader()}
		g.mu.Unlock()
		return nil, err
	}
	if check != nil {
		if err := check(); err != nil {
			g.mu.Unlock()
			return nil, err
		}
	}
	index := uint64(0)
	if l := g.last(); l != nil {
		index = l.Index + 1
	}
	w := &waiter{id: LogID{g.leading.LeaderID, index}, done: make(chan outcome, 1)}
	g.waiting[index] = append(g.waiting[index], w)
	err := g.appendLocal(e)
	g.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case o := <-w.done:
		return o.result, o.err
	case <-ctx.Done():
		return nil, fmt.Errorf("raft write of %s: %w", g.o.Name, ctx.Err())
	}
}

// Write replicates a command and returns what the state machine answered.
func (g *Group) Write(ctx context.Context, command []byte) (any, error) {
	return g.propose(ctx, Entry{Command: command}, nil)
}

// change appends a membership made from the one in effect. It is refused while another change is not committed yet.
func (g *Group) change(ctx context.Context, next func(Membership) Membership) error {
	e := Entry{Membership: &Membership{}}
	_, err := g.propose(ctx, e, func() error {
		effective, committed := g.effective(), g.committedMembership()
		if compare(effective.LogID, committed.LogID) != 0 {
			return &InProgressError{effective.LogID, committed.LogID}
		}
		*e.Membership = next(effective.Membership.clone())
		return nil
	})
	return err
}

// AddLearner adds a node, or keeps it as it is when it is known already, and waits, without end, until it has caught up.
func (g *Group) AddLearner(ctx context.Context, n NodeAddr) error {
	err := g.change(ctx, func(m Membership) Membership {
		if _, known := m.Nodes[n.NodeID]; !known {
			m.Nodes[n.NodeID] = n
		}
		return m
	})
	if err != nil {
		return err
	}
	for {
		g.mu.Lock()
		changed := g.changed
		if g.state != Leader {
			err := &ForwardError{g.currentLeader()}
			g.mu.Unlock()
			return err
		}
		p, last := g.progress[n.NodeID], g.last()
		caughtUp := p != nil && (n.NodeID == g.o.ID || p.matched != nil && p.matched.Index+1 >= last.Index)
		g.mu.Unlock()
		if caughtUp {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ChangeVoters replaces the voters, by way of a joint configuration. With retain, who is no voter any more stays as a learner.
func (g *Group) ChangeVoters(ctx context.Context, voters []uint64, retain bool) error {
	voters = slices.Clone(voters)
	slices.Sort(voters)
	joint := false
	err := g.change(ctx, func(m Membership) Membership {
		if len(m.Configs) == 1 && slices.Equal(m.Configs[0], voters) {
			return m
		}
		last := m.Configs[len(m.Configs)-1]
		m.Configs = [][]uint64{last, voters}
		if slices.Equal(last, voters) {
			m.Configs = [][]uint64{voters}
		}
		joint = len(m.Configs) == 2
		return m
	})
	if err != nil || !joint {
		return err
	}
	return g.change(ctx, func(m Membership) Membership {
		old := m.voters()
		m.Configs = [][]uint64{voters}
		if !retain {
			for _, id := range old {
				if !slices.Contains(voters, id) {
					delete(m.Nodes, id)
				}
			}
		}
		return m
	})
}

// Voters lists every voter of the membership in effect.
func (g *Group) Voters() []uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.effective().Membership.voters()
}

// Wait blocks until something in the group moved, at most d.
func (g *Group) Wait(ctx context.Context, d time.Duration) {
	g.mu.Lock()
	changed := g.changed
	g.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
	}
}
