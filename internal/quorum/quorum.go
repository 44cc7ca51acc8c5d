package quorum

import (
	"fmt"
	"slices"
	"strings"
)

// Of returns how many of n voters make a quorum: more than half. 0 for n ≤ 0.
func Of(n int) int {
	if n <= 0 {
		return 0
	}
	return n/2 + 1
}

// Tolerates returns how many of n voters may be down while a quorum stands: n − Of(n). It is the maxUnavailable of a disruption budget.
func Tolerates(n int) int {
	if n <= 0 {
		return 0
	}
	return n - Of(n)
}

// Outvoted reports whether a former leader among n voters can agree to nothing of its own term any more once turned of the others have turned to a newer leader: those that are left, itself among them,
// are no quorum. It may then start as it was.
func Outvoted(n, turned int) bool { return n-turned < Of(n) }

// Indispensable reports whether nothing can have been agreed upon in a group without node id, whose own log has the memberships configs: one, or two while it is being changed, the older one first.
// Then whatever was acknowledged is in its log.
//
// Each of them may be what the others went by, since its entry may never have been agreed upon (then the older one held on), and a change that was agreed upon may have been brought to its end without
// the node hearing of it (then the newer one holds). So each majority of each has to contain it: at most two voters, of whom it is one. Nothing further can have followed: the next change
// is agreed upon by a majority of the membership before it, and so by this node.
func Indispensable(id uint64, configs [][]uint64) bool {
	return len(configs) > 0 && !slices.ContainsFunc(configs, func(voters []uint64) bool {
		return !slices.Contains(voters, id) || len(voters)-1 >= Of(len(voters))
	})
}

// ShrinkFloor returns the smallest size to which n voters may be reduced in one change: a quorum of the present size, so that the members
// that stay hold every acknowledged write even when nothing else is known about them.
func ShrinkFloor(n int) int { return Of(n) }

// Group is one raft group: its voters, and those of them that were seen in service (answering, raft running, following a leader).
// A node that is a voter of some groups only is half joined, or has half left.
type Group struct {
	Name string
	// Voters are the voters of the one configuration, or of both of a joint one.
	Voters    []uint64
	InService []uint64
	// Lagging are voters that answer and follow, and are too far behind their leader to stand in for anybody: like those that are down they are no part of a quorum.
	Lagging []uint64
	// Configs are the configurations of a membership that is being changed: each needs a quorum of its own. Empty otherwise.
	Configs [][]uint64
	// Leader is the node that leads with a quorum behind it; 0 when none is known.
	Leader uint64
}

// configs are the configurations that each need a quorum.
func (g Group) configs() [][]uint64 {
	if g.changing() {
		return g.Configs
	}
	return [][]uint64{g.Voters}
}

// changing reports whether the membership is being changed.
func (g Group) changing() bool { return len(g.Configs) > 0 }

// counts reports whether a voter is part of a quorum: in service, and not lagging.
func (g Group) counts(id uint64) bool {
	return slices.Contains(g.InService, id) && !slices.Contains(g.Lagging, id)
}

// Verdict is the answer: allowed, or the reason why not, in words for a user.
type Verdict struct {
	Allowed bool
	Message string
}

// MayGo says whether node id may be taken down now, for a moment or for good: in every configuration that counts it as a voter, those in service without it must still be a quorum.
// Voters that are down already count against the change, whoever took them down. A node that is no voter may always go.
// The only voter of a group may go: there is nobody whom it could leave without a quorum but itself, and holding it would hold it for ever.
func MayGo(id uint64, groups []Group) Verdict {
	for _, g := range groups {
		for _, voters := range g.configs() {
			if !slices.Contains(voters, id) || len(voters) == 1 {
				continue
			}
			stay := staying(g, voters, id)
			if need := Of(len(voters)); stay < need {
				return refusal("group %s would keep %d of its %d voters in service without node %d, and needs %d%s", g.Name, stay, len(voters), id, need, missing(g, voters, id))
			}
		}
	}
	return Verdict{Allowed: true}
}

// staying counts the voters of a configuration that are in service without node id.
func staying(g Group, voters []uint64, id uint64) int {
	n := 0
	for _, v := range voters {
		if v != id && g.counts(v) {
			n++
		}
	}
	return n
}

// missing names the voters beside id that are no part of a quorum; empty when there are none.
func missing(g Group, voters []uint64, id uint64) string {
	var down, lagging []string
	for _, v := range voters {
		switch {
		case v == id || g.counts(v):
		case slices.Contains(g.Lagging, v):
			lagging = append(lagging, fmt.Sprint(v))
		default:
			down = append(down, fmt.Sprint(v))
		}
	}
	text := ""
	if len(down) > 0 {
		text += "; down already: node " + strings.Join(down, ", ")
	}
	if len(lagging) > 0 {
		text += "; behind its leader: node " + strings.Join(lagging, ", ")
	}
	return text
}

func refusal(format string, args ...any) Verdict {
	return Verdict{Message: fmt.Sprintf(format, args...)}
}

// Member is one member of the placement centre: as the operator sees it live, or as the status says it was seen last.
type Member struct {
	Name string
	// Votes: it is a voter of at least one raft group.
	Votes bool
	// InService: it is a voter of every raft group, and answers.
	InService bool
	// Entering says what brings it in ("is joining", "is being seeded"); empty when nothing does.
	Entering string
}

// MayShrink says whether a placement centre of present members may be reduced to size in one change: a quorum of the present size has to stay.
func MayShrink(present, size int) Verdict {
	if size >= ShrinkFloor(present) {
		return Verdict{Allowed: true}
	}
	return Verdict{Message: fmt.Sprintf("the placement centre has %d members, whose quorum is %d: %d cannot be taken away at once", present, Of(present), present-size)}
}

// MayShrinkNow says whether the placement centre may be reduced while its members are as they are: no voter may be missing, and nobody on the way in.
// A member that votes nowhere and that nothing brings in (its pod cannot be scheduled, say) is no reason: nobody counts on it, and fewer members may be the very cure.
// Where no member is in service, the voters are not known, and nothing may go.
func MayShrinkNow(members []Member) Verdict {
	served := false
	for _, m := range members {
		served = served || m.InService
		switch {
		case m.InService:
		case m.Votes:
			return Verdict{Message: fmt.Sprintf("the voter %s is not in service, and one that goes now brings the quorum nearer to its loss", m.Name)}
		case m.Entering != "":
			return Verdict{Message: fmt.Sprintf("%s %s, and two changes of the membership at once can leave half of one", m.Name, m.Entering)}
		}
	}
	if !served {
		return Verdict{Message: "no member of the placement centre is in service, so nobody knows who votes"}
	}
	return Verdict{Allowed: true}
}
