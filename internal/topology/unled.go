package topology

import (
	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// openUnled opens what was put into a voter's volume while nobody leads: where this is the voter that is missing to a quorum, nobody will ever lead before.
//
// With a leader seedMembers does it. Without one it is as safe where every raft group was led when the seed was ordered: the image holds at least what the leaders had then (Seed.Least, by which its agent has judged the
// image). The volume was empty by then, or its server stopped, so everything that this node has ever confirmed is in it, and whatever was agreed upon since was agreed upon without it. Started, it is a voter
// that is behind: nobody comes to lead by its vote whose log lacks what it once confirmed, and itself only where no quorum has more.
//
// An image of which that is not known, because it is a survivor's (surviveMajority) or an older agent does not say it, may end before what this node confirmed. A survivor's is opened while its majority
// is still lost; turns a volume up again that may hold more, it waits for a leader like the other one.
func openUnled(s Snapshot, h Health, p *Plan) bool {
	if h.ledAll() {
		return true
	}
	for _, m := range s.of(v1alpha1PlacementCenter) {
		if m.Agent == nil || m.Agent.Terminating || m.Agent.Seed == nil || m.Agent.Seed.Phase != SeedPlaced || !h.known(m.NodeID) {
			continue
		}
		if group, all := m.Agent.Seed.ordersEvery(s.Wanted.Groups); !all {
			p.trouble(v1alpha1.ReasonSeeding, "%s holds the metadata of node %d, and is started when a member leads: nobody led raft group %s when it was ordered, so it may end before what %s confirmed earlier",
				m.Pod, m.Agent.Seed.Donor, group, m.Pod)
			continue
		}
		if group, by, late := passedBy(s, m); late {
			p.trouble(v1alpha1.ReasonSeeding, "%s holds the metadata of node %d, and is started when a member leads: %s no longer has what follows it in raft group %s, and would send a snapshot, which loses data",
				m.Pod, m.Agent.Seed.Donor, by, group)
			continue
		}
		p.step(Step{Kind: StepOpenSeed, Pod: m.Pod, NodeID: m.NodeID, Reason: "nobody leads, and it holds everything that the leaders had when its volume was empty"})
		return true
	}
	return true
}

// ordersEvery reports whether the image had to hold what a leader had in every one of the groups, and else names one.
func (s *Seed) ordersEvery(groups []string) (group string, all bool) {
	for _, group := range groups {
		if s.Least[group] == 0 {
			return group, false
		}
	}
	return "", true
}

// passedBy names a raft group, and a member that serves, whose log begins behind the image in the member's volume.
func passedBy(s Snapshot, m Member) (group, by string, late bool) {
	for _, other := range s.of(v1alpha1PlacementCenter) {
		if !serving(other) {
			continue
		}
		for _, group := range s.Wanted.Groups {
			// An agent that was started again while it received may not know Applied any more.
			if other.Agent.Groups[group].Purged > max(m.Agent.Seed.Applied[group], m.Agent.Seed.Least[group]) {
				return group, other.Pod, true
			}
		}
	}
	return "", "", false
}
