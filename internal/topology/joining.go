package topology

import (
	"fmt"
	"slices"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/quorum"
)

// finishJoins brings members that run without being voters everywhere to an end: finished by JoinCluster on the leader of all groups, or, where that cannot work, rolled back.
// RobustMQ 0.4.4 and later: a join walks the groups one by one on one node; what interrupts it leaves a half member for ever, with every port open.
func finishJoins(s Snapshot, h Health, p *Plan) bool {
	if !h.ledAll() {
		p.trouble(v1alpha1.ReasonQuorumLost, "%s", h.QuorumProblem())
		return false
	}
	for _, m := range s.of(v1alpha1PlacementCenter) {
		if m.Agent == nil || !m.Agent.GateOpen || h.voterInAll(m.NodeID) || s.Wanted.Decommission && !s.wantedOf(m) {
			continue
		}
		seen := s.Seen[Symptom{SymptomHalfJoined, m.Pod}]
		in := h.groupsOf(m.NodeID)
		switch {
		case len(in) == len(s.Wanted.Groups):
			// A voter everywhere by the leaders' word that is down, catching up or restarting: raft does it.
			p.wait(v1alpha1.ReasonMembersMissing, "%s is a voter and does not agree with the leaders yet (server %s)", m.Pod, m.Agent.Server)
			continue
		case seeded(m):
			return joinSeeded(s, h, m, p)
		case seen <= s.Limits.HalfJoin:
			p.wait(v1alpha1.ReasonJoiningMember, "%s is joining: voter in %d of %d raft groups", m.Pod, len(in), len(s.Wanted.Groups))
			return false
		}
		leader, common := h.CommonLeader()
		switch {
		case !serving(m):
			p.trouble(v1alpha1.ReasonHalfJoined, "%s is a voter in %d of %d raft groups and its server does not answer (%s)", m.Pod, len(in), len(s.Wanted.Groups), m.Agent.ServerExit)
			if seen > s.Limits.JoinRollback && m.Agent.Marker != nil && m.Agent.Marker.Origin == OriginJoined {
				p.step(Step{Kind: StepStop, Pod: m.Pod, NodeID: m.NodeID, Cures: SymptomHalfJoined, Reason: "its join does not come to an end and is rolled back"})
			}
		case common && seen <= s.Limits.JoinRollback && young(h):
			p.step(Step{Kind: StepJoin, Pod: m.Pod, Via: leader.Pod, NodeID: m.NodeID, Addr: m.Addr,
				Reason: fmt.Sprintf("its own join stopped after %d of %d raft groups", len(in), len(s.Wanted.Groups))})
		case m.Agent.Marker != nil && m.Agent.Marker.Origin == OriginJoined:
			// Where it votes already it may be what the quorum stands on.
			if v := quorum.MayGo(m.NodeID, h.Groups()); !v.Allowed {
				p.trouble(v1alpha1.ReasonHalfJoined, "%s is a voter in %d of %d raft groups; its join cannot be finished, and is not rolled back yet: %s", m.Pod, len(in), len(s.Wanted.Groups), v.Message)
				continue // what the quorum lacks is mended further on
			}
			p.step(Step{Kind: StepStop, Pod: m.Pod, NodeID: m.NodeID, Cures: SymptomHalfJoined, Reason: "its join cannot be finished and is rolled back"})
		default:
			p.trouble(v1alpha1.ReasonHalfJoined, "%s is a voter in %d of %d raft groups", m.Pod, len(in), len(s.Wanted.Groups))
			if !h.counted(m.NodeID) {
				continue // it left, and nobody counts on it; a voter that is missing is mended further on
			}
		}
		return false
	}
	return true
}

// joinNext lets the next empty member join, lowest ordinal first, when everybody before it is whole.
func joinNext(s Snapshot, h Health, p *Plan) bool {
	members := s.of(v1alpha1PlacementCenter)
	for _, m := range members {
		if !s.wantedOf(m) || h.voterInAll(m.NodeID) || !awaitsOrder(m) {
			continue
		}
		if h.known(m.NodeID) {
			// The id has a vote, and its data is gone: an empty start would be voted in with whatever the log still holds, and look healthy. It is seeded.
			if other := seedUnderWay(s); other != "" {
				p.wait(v1alpha1.ReasonEmptyVolume, "%s has an empty volume although it is a voter: it is seeded after %s", m.Pod, other)
			}
			continue
		}
		if wait := mayJoin(s, h, m); wait != nil {
			p.Waits = append(p.Waits, *wait)
			if wait.Reason == v1alpha1.ReasonLeadersApart {
				bringTogether(s, h, p)
			}
			return false
		}
		if !young(h) {
			// Empty it would be voted in with almost no data.
			return orderSeed(s, h, m, p)
		}
		p.step(Step{Kind: StepOrderJoin, Pod: m.Pod, NodeID: m.NodeID, Reason: "every member before it is a voter of every raft group"})
		return false
	}
	return true
}

// mayJoin is the preflight of the join of m: why not, or nil. What people can do something about is said in words of its own; package quorum has the last word.
func mayJoin(s Snapshot, h Health, m Member) *Wait {
	if _, ok := h.CommonLeader(); !ok {
		return &Wait{Reason: v1alpha1.ReasonLeadersApart, Trouble: true, Message: "the raft groups are led by different members: a join would stop half way"}
	}
	for _, group := range s.Wanted.Groups {
		voters := h.voters(group)
		if voters == nil {
			return &Wait{Reason: v1alpha1.ReasonJoiningMember, Message: fmt.Sprintf("the membership of raft group %s is changing", group)}
		}
		if !slices.Equal(voters, h.voters(s.Wanted.Groups[0])) {
			return &Wait{Reason: v1alpha1.ReasonHalfJoined, Trouble: true, Message: "the raft groups have different memberships"}
		}
	}
	if wait := founding(s, h); wait != nil {
		return wait
	}
	for _, id := range h.voters(s.Wanted.Groups[0]) {
		if h.voterInAll(id) {
			continue
		}
		name := fmt.Sprintf("node %d", id)
		if m, ok := s.node(id); ok {
			name = m.Pod
		}
		return &Wait{Reason: v1alpha1.ReasonMembersMissing, Message: fmt.Sprintf("nobody joins while the voter %s is not in service: a wrong member more could cost the quorum", name)}
	}
	if v := quorum.MayJoin(m.NodeID, h.Groups()); !v.Allowed {
		return &Wait{Reason: v1alpha1.ReasonMembersMissing, Message: v.Message}
	}
	return nil
}

// mostLeading is the member that leads the most groups; of equals the one that leads the metadata. The fewer groups have to change hands, the likelier all end with it.
func mostLeading(s Snapshot, h Health) Member {
	best, _ := h.Leader(s.Wanted.Groups[0])
	for _, m := range s.of(v1alpha1PlacementCenter) {
		if len(h.LeaderOf(m.NodeID)) > len(h.LeaderOf(best.NodeID)) {
			best = m
		}
	}
	return best
}

// bringTogether moves the leadership to the member that leads most (transferTogether); two voters, too, have a transfer for it: without it the third, with which either of them could fail, would never
// come. Where that cannot be done, it stops a member that leads only some of the groups, so that the one that leads most takes over; it is released when every group is led again, or after Limits.Hold.
// That only while the cluster is being formed, and only where the quorum can spare it: it costs an election, during which nobody can connect, and once brokers serve that is not worth a member more.
func bringTogether(s Snapshot, h Health, p *Plan) {
	if s.Seen[Symptom{Kind: SymptomLeadersApart}] <= s.Limits.LeadersApart {
		return
	}
	step, wait, ok := transferTogether(s, h, fewestVoters, "the raft groups are led by different members, and a member waits to join")
	if ok {
		step.Cures = SymptomLeadersApart
		p.step(step)
		return
	}
	p.Waits = append(p.Waits, wait)
	if slices.ContainsFunc(s.of(v1alpha1.RoleMQTTBroker), serving) {
		return
	}
	target := mostLeading(s, h)
	for _, group := range s.Wanted.Groups {
		if l, ok := h.Leader(group); ok && l.NodeID != target.NodeID {
			if v := quorum.MayGo(l.NodeID, h.Groups()); !v.Allowed {
				p.wait(v1alpha1.ReasonLeadersApart, "%s leads %s while %s leads more, and is not held: %s", l.Pod, group, target.Pod, v.Message)
				return
			}
			p.step(Step{Kind: StepStop, Pod: l.Pod, NodeID: l.NodeID, Cures: SymptomLeadersApart, Reason: fmt.Sprintf("it leads %s while %s leads more, and a member waits to join", group, target.Pod)})
			return
		}
	}
}

// young reports whether no leader's log was ever purged, so that a newcomer replays everything. RobustMQ keeps about 1000 entries behind its snapshots.
func young(h Health) bool {
	for group, l := range h.leaders {
		if l.Agent.Groups[group].Purged != 0 {
			return false
		}
	}
	return true
}
