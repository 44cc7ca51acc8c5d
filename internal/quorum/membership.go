package quorum

import "slices"

// MayJoin says whether node id may become a voter of every group now. RobustMQ changes its groups one after another on the member that is asked, so that one must lead them all; nobody but
// id may be on its way in or out; and every voter must be in service: the newcomer counts as missing until it has proven itself, and of n + 1 voters n in service are a quorum for every n > 1.
// The second voter of a cluster of one is the exception that cannot be avoided; RobustMQ itself waits until a newcomer has the whole log before it lets it vote.
// A node that is a voter of some groups already (half joined) may be finished; one that is a voter of all may not join again.
func MayJoin(id uint64, groups []Group) Verdict {
	if v := together(id, groups); !v.Allowed {
		return v
	}
	if !slices.ContainsFunc(groups, func(g Group) bool { return g.changing() || !slices.Contains(g.Voters, id) }) {
		return refusal("node %d is a voter of every raft group already", id)
	}
	for _, g := range groups {
		if len(without(g.Voters, id)) == 0 {
			return refusal("group %s has no voter but node %d", g.Name, id)
		}
		if text := missing(g, g.Voters, id); text != "" {
			return refusal("nobody joins group %s while a voter is not in service: one more could cost the quorum%s", g.Name, text)
		}
	}
	return Verdict{Allowed: true}
}

// MayLeave says whether node id may be taken out of every group now. It may be down itself: that is what it is stopped for. Every other voter must be in service, so that each group goes on
// with one voter less and all of them whole. RobustMQ refuses below three voters. A node that has half left, or half joined (a voter of some groups only, or of one only by one of two configurations), is finished also with a voter missing, as long as
// those in service are a quorum of the configuration that is and of the one that comes.
func MayLeave(id uint64, groups []Group) Verdict {
	if v := together(id, groups); !v.Allowed {
		return v
	}
	votes, whole := 0, 0 // whole: also by the older and the newer one of two configurations
	for _, g := range groups {
		if !slices.Contains(g.Voters, id) {
			continue
		}
		votes++
		if !slices.ContainsFunc(g.configs(), func(config []uint64) bool { return !slices.Contains(config, id) }) {
			whole++
		}
	}
	if votes == 0 {
		return refusal("node %d is no voter of any raft group", id)
	}
	for _, g := range groups {
		if g.Leader == id {
			return refusal("node %d leads group %s: another member has to lead before it leaves", id, g.Name)
		}
		if !slices.Contains(g.Voters, id) {
			continue
		}
		if n := len(g.Voters); n < 3 {
			return refusal("group %s has %d voters: a member leaves only where at least 2 stay", g.Name, n)
		}
		if text := missing(g, g.Voters, id); text != "" && whole == len(groups) {
			return refusal("nobody leaves group %s while another voter is not in service%s", g.Name, text)
		}
		// The old configuration holds until the new one is agreed upon: both need a quorum, without the one that goes.
		stay := staying(g, g.Voters, id)
		if need := Of(len(g.Voters)); stay < need {
			return refusal("group %s has %d of its %d voters in service beside node %d, and needs %d to agree that it leaves%s", g.Name, stay, len(g.Voters), id, need, missing(g, g.Voters, id))
		}
	}
	return Verdict{Allowed: true}
}

// MayTransfer says whether node to may be made the leader of every group by a planned transfer. For about two seconds that stops to and everybody who leads a group, which of few voters
// leaves less than a quorum: so nothing may be amiss before it. Every group has a leader and one and the same membership, and every voter is in service and not behind.
// One member that is a voter of some groups only (a leave that stopped half way because the leaders were apart) may differ, and may be down: bringing the leaders together is its cure.
func MayTransfer(to uint64, groups []Group) Verdict {
	half := odd(groups)
	led := 0
	for _, g := range groups {
		switch {
		case g.Leader == 0:
			return refusal("group %s has no leader", g.Name)
		case g.changing():
			return refusal("the membership of group %s is being changed", g.Name)
		case len(half) > 1:
			return refusal("groups have different voters, and more than one member is half joined or has half left")
		case !slices.Contains(g.Voters, to):
			return refusal("node %d is no voter of group %s", to, g.Name)
		}
		except := uint64(0)
		if len(half) == 1 {
			except = half[0]
		}
		if text := missing(g, g.Voters, except); text != "" {
			return refusal("leadership of group %s is not moved while a voter is not in service%s", g.Name, text)
		}
		if need := Of(len(g.Voters)); staying(g, g.Voters, except) < need {
			return refusal("group %s has %d voters in service, and needs %d, without node %d, which has half left", g.Name, staying(g, g.Voters, except), need, except)
		}
		if g.Leader == to {
			led++
		}
	}
	if led == len(groups) {
		return refusal("node %d leads every raft group already", to)
	}
	return Verdict{Allowed: true}
}

// odd are the nodes that are voters of some groups and not of others.
func odd(groups []Group) []uint64 {
	votes := map[uint64]int{}
	for _, g := range groups {
		for _, v := range g.Voters {
			votes[v]++
		}
	}
	var out []uint64
	for id, n := range votes {
		if n < len(groups) {
			out = append(out, id)
		}
	}
	return sorted(out)
}

// together says whether the groups can be changed as one: there are groups, one member leads them all, and but for node id, whose change this is, all have one and the same membership.
func together(id uint64, groups []Group) Verdict {
	if len(groups) == 0 {
		return refusal("no raft group is known")
	}
	rest := without(groups[0].configs()[0], id)
	for _, g := range groups {
		switch {
		case g.Leader == 0:
			return refusal("group %s has no leader", g.Name)
		case g.Leader != groups[0].Leader:
			return refusal("group %s is led by node %d and group %s by node %d: a change of the membership would stop half way", groups[0].Name, groups[0].Leader, g.Name, g.Leader)
		}
		for _, voters := range g.configs() {
			if !slices.Equal(without(voters, id), rest) {
				return refusal("group %s has other voters than group %s, or they are being changed: another member is half joined or has half left", g.Name, groups[0].Name)
			}
		}
	}
	return Verdict{Allowed: true}
}

func sorted(ids []uint64) []uint64 { return slices.Sorted(slices.Values(ids)) }

func without(ids []uint64, id uint64) []uint64 {
	return slices.DeleteFunc(sorted(ids), func(v uint64) bool { return v == id })
}
