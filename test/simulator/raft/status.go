package raft

import (
	"encoding/json"
	"time"
)

// Status is what openraft's metrics say of a group, with the JSON names and the order that RobustMQ answers with.
type Status struct {
	RunningState         json.RawMessage   `json:"running_state"`
	ID                   uint64            `json:"id"`
	CurrentTerm          uint64            `json:"current_term"`
	Vote                 Vote              `json:"vote"`
	LastLogIndex         *uint64           `json:"last_log_index"`
	LastApplied          *LogID            `json:"last_applied"`
	Snapshot             *LogID            `json:"snapshot"`
	Purged               *LogID            `json:"purged"`
	State                string            `json:"state"`
	CurrentLeader        *uint64           `json:"current_leader"`
	MillisSinceQuorumAck *uint64           `json:"millis_since_quorum_ack"`
	MembershipConfig     StoredMembership  `json:"membership_config"`
	Replication          map[uint64]*LogID `json:"replication"`
}

// Status returns the group as this node sees it.
func (g *Group) Status() Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := Status{
		RunningState: json.RawMessage(`{"Ok":null}`), ID: g.o.ID, CurrentTerm: g.vote.LeaderID.Term, Vote: g.vote,
		LastApplied: g.applied, Snapshot: g.snapshot, Purged: g.purged, State: g.state, MembershipConfig: g.effective(),
	}
	s.MembershipConfig.Membership = s.MembershipConfig.Membership.clone()
	if g.fatal != "" {
		s.RunningState = json.RawMessage(`{"Err":` + g.fatal + `}`)
	}
	if s.State == "" {
		s.State = Learner
	}
	if l := g.last(); l != nil {
		s.LastLogIndex = &l.Index
	}
	if n := g.currentLeader(); n != nil {
		s.CurrentLeader = &n.NodeID
	}
	if g.state == Leader {
		s.MillisSinceQuorumAck = g.millisSinceQuorumAck()
		s.Replication = map[uint64]*LogID{}
		for id, p := range g.progress {
			s.Replication[id] = p.matched
		}
	}
	return s
}

// Positions are the last and the last applied index.
func (g *Group) Positions() (last, applied uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l := g.last(); l != nil {
		last = l.Index
	}
	if g.applied != nil {
		applied = g.applied.Index
	}
	return last, applied
}

// millisSinceQuorumAck is how long ago, in simulated time, a quorum answered; nil when none has since the start of this leader.
// A healthy leader was seen to say 0 to 30: openraft publishes its metrics as the answers come.
func (g *Group) millisSinceQuorumAck() *uint64 {
	now := time.Now()
	m := g.effective().Membership
	var at time.Time
	// The quorum's acknowledgement is the latest moment at which a majority of every list had answered.
	for _, candidate := range append([]uint64{g.o.ID}, m.voters()...) {
		t := g.ackOf(candidate, now)
		if t.After(at) && m.quorum(func(id uint64) bool { return !g.ackOf(id, now).Before(t) }) {
			at = t
		}
	}
	if at.IsZero() {
		return nil
	}
	passed := now.Sub(at)
	ms := uint64(g.o.Timing.Simulated(passed) / time.Millisecond)
	if len(m.voters()) == 1 {
		ms = 0
	} else if ms < 1000 || passed < g.o.Timing.Grace {
		ms %= 31
	}
	return &ms
}

func (g *Group) ackOf(id uint64, now time.Time) time.Time {
	if id == g.o.ID {
		return now
	}
	if p := g.progress[id]; p != nil {
		return p.ackAt
	}
	return time.Time{}
}
