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

// ShrinkFloor returns the smallest size to which n voters may be reduced in one change: a quorum of the present size, so that the members
// that stay hold every acknowledged write even when nothing else is known about them.
func ShrinkFloor(n int) int { return Of(n) }

// Group is one raft group: its voters, and those of them that were seen in service (answering, raft running, following a leader).
type Group struct {
	Name      string
	Voters    []uint64
	InService []uint64
}

// Verdict is the answer: allowed, or the reason why not, in words for a user.
type Verdict struct {
	Allowed bool
	Message string
}

// MayGo says whether node id may be taken down now: in every group that counts it as a voter, those in service without it must still be a quorum.
// Voters that are down already count against the change, whoever took them down. A node that is no voter may always go.
// The only voter of a group may go: there is nobody whom it could leave without a quorum but itself, and holding it would hold it for ever.
func MayGo(id uint64, groups []Group) Verdict {
	for _, g := range groups {
		if !slices.Contains(g.Voters, id) || len(g.Voters) == 1 {
			continue
		}
		stay := 0
		var down []string
		for _, v := range g.Voters {
			switch {
			case v == id:
			case slices.Contains(g.InService, v):
				stay++
			default:
				down = append(down, fmt.Sprint(v))
			}
		}
		if need := Of(len(g.Voters)); stay < need {
			msg := fmt.Sprintf("group %s would keep %d of its %d voters in service without node %d, and needs %d", g.Name, stay, len(g.Voters), id, need)
			if len(down) > 0 {
				msg += "; down already: node " + strings.Join(down, ", ")
			}
			return Verdict{Message: msg}
		}
	}
	return Verdict{Allowed: true}
}
