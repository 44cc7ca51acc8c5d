package topology

import (
	"cmp"
	"slices"
	"strings"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/quorum"
)

// Sizes says how many pods each role's StatefulSet has in this pass. Upwards it is what the spec wants at once: gates decide who starts, and when. Downwards it stays until the highest
// ordinal is proven to be needed by nobody: out of every raft group, unregistered, named by no segment, and emptied.
// A voter that the StatefulSet does not reach is reached first (a resource that was deleted with five members and comes back with three): it has to leave before it may be missing.
func Sizes(s Snapshot, h Health) map[v1alpha1.Role]int32 {
	out := map[v1alpha1.Role]int32{}
	for role, wanted := range s.Wanted.Replicas {
		n := max(wanted, s.Present[role])
		if role == v1alpha1PlacementCenter {
			n = max(n, h.reach())
		}
		for n > wanted && gone(s, h, role, n-1) {
			n--
		}
		out[role] = n
	}
	return out
}

// reach is one more than the highest ordinal of the placement centre's voters, by the leaders' word; 0 where nobody leads.
func (h Health) reach() int32 {
	n := int32(0)
	first := v1alpha1PlacementCenter.BaseNodeID()
	for _, group := range h.s.Wanted.Groups {
		for _, id := range h.voters(group) {
			if id >= first && id < v1alpha1.RoleMQTTBroker.BaseNodeID() {
				n = max(n, int32(id-first)+1) //nolint:gosec // below 1000
			}
		}
	}
	return n
}

// gone reports whether the pod of that ordinal may be taken away, and nothing is left to be done for it.
func gone(s Snapshot, h Health, role v1alpha1.Role, ordinal int32) bool {
	if !s.Wanted.Decommission {
		return false
	}
	members := s.of(role)
	i := slices.IndexFunc(members, func(m Member) bool { return m.Ordinal == ordinal })
	// What is foreign is left alone; what is being taken over comes to its end before it is decided what becomes of it.
	return i >= 0 && !s.adopts(members[i]) && (role != v1alpha1PlacementCenter || h.outside(members[i].NodeID)) && drained(s, h, members[i])
}

// outside reports whether the node is in no raft group, by every voter's own word: what the leaders decided is in the log of each of them, so no election brings the node back.
func (h Health) outside(id uint64) bool {
	if !h.ledAll() || h.known(id) {
		return false
	}
	for _, group := range h.s.Wanted.Groups {
		voters := h.voters(group)
		if voters == nil {
			return false
		}
		for _, v := range voters {
			m, ok := h.s.node(v)
			if !ok || m.Agent == nil || !m.Agent.Groups[group].uniform() || slices.Contains(m.Agent.Groups[group].Members, id) {
				return false
			}
		}
	}
	return true
}

// votersWhole reports whether every voter, wanted or not, is one everywhere by its own word and the leaders'.
func (h Health) votersWhole() bool {
	for _, group := range h.s.Wanted.Groups {
		for _, id := range h.voters(group) {
			if !h.voterInAll(id) {
				return false
			}
		}
	}
	return h.ledAll()
}

// EveryVoterWhole reports whether no voter is missing: while one is, and be it one that is being taken away, no other pod of the placement centre may be evicted.
func (h Health) EveryVoterWhole() bool { return h.QuorumProblem() == "" && h.votersWhole() }

// TakenOut reports whether the member is on its way out of the placement centre: no longer wanted, and either stopped for it or counted by nobody. It is no voter that somebody misses.
func (h Health) TakenOut(m Member) bool {
	return m.Role == v1alpha1PlacementCenter && !h.s.wantedOf(m) && (shut(m) || h.outside(m.NodeID))
}

// LeftEmpty reports whether the member is no longer wanted, belongs to no raft group, and has an empty volume: there is nothing on it that its pod could come back to.
func (h Health) LeftEmpty(m Member) bool {
	return m.Role == v1alpha1PlacementCenter && !h.s.wantedOf(m) && awaitsOrder(m) && h.outside(m.NodeID)
}

// shut reports whether the pod's server does not run, and does not start by itself.
func shut(m Member) bool {
	return m.Agent != nil && !m.Agent.GateOpen && m.Agent.Server == ServerStopped
}

// counted reports whether a leader has the node in its group's membership, or in one of two while it changes.
func (h Health) counted(id uint64) bool {
	for group, l := range h.leaders {
		if slices.Contains(l.Agent.Groups[group].Members, id) {
			return true
		}
	}
	return false
}

// leaveNext takes the members of the placement centre away that are no longer wanted: the highest ordinal first, one at a time, each to its end.
//
// Its engine first, as a broker's (drainMember): it holds copies of messages, too. Then LeaveCluster on the member that leads every group, which RobustMQ carries out group by group and leaves
// half done where another one leads the next; then, once no voter counts it any more, its volume is emptied: a member that left and starts again with what it had believes that it still belongs.
// Each pass decides anew from what is seen, so that what a dead operator or a lost answer left half done is finished.
func leaveNext(s Snapshot, h Health, p *Plan) bool {
	if !s.Wanted.Decommission || !s.Wanted.Founded {
		return true
	}
	for _, m := range slices.Backward(s.of(v1alpha1PlacementCenter)) {
		switch {
		case s.wantedOf(m):
			return true
		case m.Ordinal >= s.Present[m.Role]:
			if m.State != PodMissing {
				p.wait(v1alpha1.ReasonLeaving, "%s left, and its pod is being removed", m.Pod)
				return false
			}
		case !gone(s, h, m.Role, m.Ordinal):
			if leave(s, h, m, p) {
				return true
			}
			if awaitsCopies(s, h, m) && len(p.Steps) == 0 && startNodes(s, h, p) {
				mendLists(s, h, p)
			}
			return false
		}
	}
	return true
}

// awaitsCopies reports whether a stopped member that no segment names any more is kept only until the others have every copy in sync. A copy comes back on a node that is in its place: one with an
// empty volume is let in for it, and one that the leader does not list (it takes part in no copying then, for ever) is restarted.
func awaitsCopies(s Snapshot, h Health, m Member) bool {
	return shut(m) && !h.registered(m.NodeID) && s.Drain.Complete && len(s.Drain.naming(m.NodeID)) == 0 && len(missingCopies(s, m.NodeID)) > 0
}

// leave takes the next step for one member; it returns false while nothing else may change.
func leave(s Snapshot, h Health, m Member, p *Plan) bool {
	votes := h.groupsOf(m.NodeID)
	stopped := shut(m)
	switch {
	case m.State == PodTerminating:
		p.wait(v1alpha1.ReasonWaitingForPods, "%s is on its way out", m.Pod)
		return false
	case h.outside(m.NodeID):
		return leaveWithEngine(s, h, m, p)
	case !h.counted(m.NodeID):
		p.wait(v1alpha1.ReasonLeaving, "%s left; every voter has to say so before its volume is emptied", m.Pod)
		return true
	case s.Wanted.Replicas[v1alpha1PlacementCenter] < 2 && len(h.voters(s.Wanted.Groups[0])) <= 3 && len(votes) == len(s.Wanted.Groups) && !stopped && !s.Wanted.One.Allowed:
		p.trouble(v1alpha1.ReasonScaleInPending, "%s stays: RobustMQ takes nobody out of two voters, so a placement centre becomes one of a single member only while its metadata is not served, and without a reserve before: list AllowShrinkBelowQuorum in spec.unsafe, or set spec.placementCenter.replicas to 3",
			m.Pod)
		return true
	case len(h.voters(s.Wanted.Groups[0])) == 2 && len(votes) == len(s.Wanted.Groups) && !stopped && s.Wanted.One.Allowed:
		return beginAlone(s, h, m, p)
	case len(votes) < len(s.Wanted.Groups) && !stopped:
		return stopHalfMember(h, m, p)
	case !stopped:
		return beginLeaving(s, h, m, p)
	case len(votes) == len(s.Wanted.Groups):
		if proven, _ := evacuated(s, h, m); !proven || len(missingCopies(s, m.NodeID)) > 0 {
			return leaveWithEngine(s, h, m, p)
		}
	}
	return leaveGroups(s, h, m, p)
}

// beginLeaving asks whether it may be begun at all. Nothing is stopped before all of it can be finished, as far as can be seen.
func beginLeaving(s Snapshot, h Health, m Member, p *Plan) bool {
	if len(p.Steps) > 0 {
		return true
	}
	if leader, common := h.CommonLeader(); !common || leader.NodeID == m.NodeID {
		return handOver(s, h, m, p)
	}
	if serving(m) && h.unregistered(m) {
		p.wait(v1alpha1.ReasonScaleInPending, "%s stays until the metadata leader lists it again: copies move only while a node is registered", m.Pod)
		return true // mendLists restarts it
	}
	verdict := quorum.MayLeave(m.NodeID, h.Groups())
	if verdict.Allowed {
		verdict = quorum.MayGo(m.NodeID, h.Groups())
	}
	if !verdict.Allowed {
		p.wait(v1alpha1.ReasonScaleInPending, "%s stays for now: %s", m.Pod, verdict.Message)
		return true
	}
	return drainMember(s, h, m, p)
}

// handOver waits until one member that stays leads every group, and says which one is the nearest to it, or what keeps it from leading.
func handOver(s Snapshot, h Health, m Member, p *Plan) bool {
	why := "it leads " + strings.Join(h.LeaderOf(m.NodeID), ", ")
	if _, common := h.CommonLeader(); !common {
		why = "the raft groups are led by different members, and its leaving would stop half way"
	}
	heir, ok := heirOf(s, h, m)
	switch {
	case !ok:
		p.wait(v1alpha1.ReasonLeadersApart, "%s leaves when a member that stays leads every raft group: %s; none of them is in service", m.Pod, why)
		return true
	default:
		if v := quorum.MayTransfer(heir.NodeID, h.Groups()); !v.Allowed {
			p.wait(v1alpha1.ReasonLeadersApart, "%s leaves when a member that stays leads every raft group: %s; %s cannot take over: %s", m.Pod, why, heir.Pod, v.Message)
			return true
		}
	}
	p.wait(v1alpha1.ReasonLeadersApart, "%s leaves when a member that stays, %s say, leads every raft group: %s", m.Pod, heir.Pod, why)
	from := ""
	if len(h.LeaderOf(m.NodeID)) > 0 {
		from = m.Pod
	}
	step, wait, ok := transferTo(s, h, enoughVoters, []Member{heir}, from, m.Pod+" is to leave, and "+why)
	if !ok {
		p.Waits = append(p.Waits, wait)
		return true
	}
	p.step(step)
	return false
}

// heirOf is the member that leadership is best handed to: one that stays and is whole, is on no machine that is about to be drained, leads the most groups already, and of equals has the lowest number.
func heirOf(s Snapshot, h Health, leaves Member) (heir Member, ok bool) {
	for _, m := range s.of(v1alpha1PlacementCenter) {
		if m.NodeID == leaves.NodeID || !s.wantedOf(m) || !h.voterInAll(m.NodeID) {
			continue
		}
		if !ok || cmp.Or(compareBool(s.cordoned(m), s.cordoned(heir)), cmp.Compare(len(h.LeaderOf(heir.NodeID)), len(h.LeaderOf(m.NodeID)))) < 0 {
			heir, ok = m, true
		}
	}
	return heir, ok
}

// stopHalfMember stops a member that votes in some groups only: its join did not come to an end, or it was started again in the middle of its leaving.
func stopHalfMember(h Health, m Member, p *Plan) bool {
	if m.Agent == nil {
		p.trouble(v1alpha1.ReasonScaleInPending, "%s is a voter of some raft groups only, and its agent does not answer: %s", m.Pod, m.AgentError)
		return true
	}
	if v := quorum.MayGo(m.NodeID, h.Groups()); !v.Allowed {
		p.wait(v1alpha1.ReasonScaleInPending, "%s is a voter of %s only, and is not stopped yet: %s", m.Pod, strings.Join(h.groupsOf(m.NodeID), ", "), v.Message)
		return true
	}
	p.step(Step{Kind: StepStop, Pod: m.Pod, NodeID: m.NodeID, Planned: true, Reason: "it is no longer wanted and votes in some raft groups only: it is stopped, and taken out of them"})
	return false
}

// leaveWithEngine does what is to be done for any node that messages count on. A member of the placement centre is never let in again for it: an empty one would be voted in.
func leaveWithEngine(s Snapshot, h Health, m Member, p *Plan) bool {
	if awaitsOrder(m) && len(s.Drain.naming(m.NodeID)) > 0 {
		if h.registered(m.NodeID) {
			p.step(unregister(h, m))
			return false
		}
		p.trouble(v1alpha1.ReasonNotDrainable, "%s cannot be taken away: its volume is empty, %d segments name it, and copies move only while a node is registered; set replicas back, and it is filled from the others first",
			m.Pod, len(s.Drain.naming(m.NodeID)))
		return true
	}
	return drainMember(s, h, m, p)
}

// leaveGroups takes a stopped member out of the raft groups.
func leaveGroups(s Snapshot, h Health, m Member, p *Plan) bool {
	leader, common := h.CommonLeader()
	whole := len(h.groupsOf(m.NodeID)) == len(s.Wanted.Groups)
	switch {
	case !common && whole && held(m):
		// Leadership is handed over with every voter up only.
		p.step(Step{Kind: StepStart, Pod: m.Pod, NodeID: m.NodeID, Planned: true, Reason: "the raft groups came to be led by different members: it leaves when one leads them all"})
		return false
	case !common:
		return handOver(s, h, m, p)
	}
	if v := quorum.MayLeave(m.NodeID, h.Groups()); !v.Allowed {
		p.wait(v1alpha1.ReasonLeaving, "%s is stopped, and does not leave yet: %s", m.Pod, v.Message)
		return true
	}
	p.step(Step{Kind: StepLeave, Pod: m.Pod, Via: leader.Pod, NodeID: m.NodeID, Planned: true, Reason: "nothing counts on it any more: it leaves every raft group"})
	return false
}
