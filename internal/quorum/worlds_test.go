package quorum

import (
	"fmt"
	"slices"
	"testing"
)

// kind is what a node of a world is.
type kind int

const (
	healthy kind = iota
	down
	lagging   // in every group
	half      // a voter of the first groups only, healthy: its join stopped half way, or its leaving began at the other end
	halfDown  // the same, and gone
	lagsFirst // lagging in the first group only
	tail      // a voter of the last group only, healthy: it has half left
	tailDown  // the same, and gone
	kinds
)

// votes reports whether a node of that kind is a voter of group i of n.
func (k kind) votes(i, n int) bool {
	switch k {
	case half, halfDown:
		return i < (n+1)/2
	case tail, tailDown:
		return i == n-1
	}
	return true
}

func (k kind) up() bool { return k != down && k != halfDown && k != tailDown }

func (k kind) lags(i int) bool { return k == lagging || k == lagsFirst && i == 0 }

// world makes groups of nodes 1 to len(nodes). leaders are the leaders of the groups. joint: the last group is in the middle of taking that node out or in.
func world(nodes []kind, leaders []uint64, joint uint64) []Group {
	groups := make([]Group, len(leaders))
	for i := range groups {
		g := &groups[i]
		g.Name, g.Leader = fmt.Sprint("g", i), leaders[i]
		for n, k := range nodes {
			id := uint64(n + 1)
			if !k.votes(i, len(groups)) {
				continue
			}
			g.Voters = append(g.Voters, id)
			switch {
			case k.lags(i):
				g.Lagging = append(g.Lagging, id)
				fallthrough // a lagging one answers
			case k.up():
				g.InService = append(g.InService, id)
			}
		}
	}
	if g := &groups[len(groups)-1]; joint != 0 && len(without(g.Voters, joint)) > 0 { // no membership is ever empty
		if !slices.Contains(g.Voters, joint) {
			g.Voters = append(g.Voters, joint)
		}
		g.Configs = [][]uint64{g.Voters, without(g.Voters, joint)}
	}
	return groups
}

// stands reports whether those of up are more than half of every configuration that a group has, and of those that it is about to have. It knows nothing of the code it judges.
func stands(g Group, up func(id uint64) bool, coming ...[]uint64) bool {
	configs := append([][]uint64{}, coming...)
	if len(g.Configs) == 0 {
		configs = append(configs, g.Voters)
	}
	for _, c := range append(configs, g.Configs...) {
		n := 0
		for _, id := range c {
			if up(id) {
				n++
			}
		}
		if 2*n <= len(c) {
			return false
		}
	}
	return true
}

func isHealthy(g Group, id uint64) bool {
	return slices.Contains(g.InService, id) && !slices.Contains(g.Lagging, id)
}

// judge tries every step in a world, and reports how many were asked for and how many of them were allowed.
func judge(t *testing.T, nodes []kind, groups []Group) (asked, allowed int) {
	t.Helper()
	bad := func(step string, id uint64) {
		t.Fatalf("%s %d is allowed in %v, leaders %v: %+v", step, id, nodes, []uint64{groups[0].Leader, groups[len(groups)-1].Leader}, groups)
	}
	count := func(v Verdict) bool {
		asked++
		if v.Allowed {
			allowed++
		}
		if v.Allowed != (v.Message == "") {
			t.Fatalf("%+v", v)
		}
		return v.Allowed
	}
	for id := uint64(1); id <= uint64(len(nodes))+1; id++ {
		// Stopped, or restarted: the others must stand without it, and nothing else is asked.
		safe := true
		for _, g := range groups {
			for _, c := range g.configs() {
				if slices.Contains(c, id) && len(c) > 1 {
					safe = safe && stands(Group{Voters: c}, func(v uint64) bool { return v != id && isHealthy(g, v) })
				}
			}
		}
		if got := MayGo(id, groups); count(got) != safe {
			t.Fatalf("stop %d: allowed %v, want %v in %+v (%s)", id, got.Allowed, safe, groups, got.Message)
		}
		if count(MayJoin(id, groups)) {
			for _, g := range groups {
				coming := append(slices.Clone(g.Voters), id)
				if slices.Contains(g.Voters, id) {
					coming = g.Voters
				}
				alone := len(without(g.Voters, id)) == 1 // the second of two: it votes only once it has everything
				if g.Leader == 0 || g.Leader != groups[0].Leader || !stands(g, func(v uint64) bool { return v == id && alone || v != id && isHealthy(g, v) }, coming) {
					bad("join", id)
				}
			}
		}
		if count(MayLeave(id, groups)) {
			for _, g := range groups {
				if g.Leader == 0 || g.Leader != groups[0].Leader || g.Leader == id {
					bad("leave (leaders)", id)
				}
				if slices.Contains(g.Voters, id) && (len(g.Voters) < 3 || !stands(g, func(v uint64) bool { return v != id && isHealthy(g, v) }, without(g.Voters, id))) {
					bad("leave", id)
				}
			}
		}
		if count(MayTransfer(id, groups)) {
			for _, g := range groups {
				if !slices.Contains(g.Voters, id) || len(g.Configs) > 0 || g.Leader == 0 || !stands(g, func(v uint64) bool { return isHealthy(g, v) }) {
					bad("transfer to", id)
				}
				for _, v := range g.Voters {
					whole := !slices.ContainsFunc(groups, func(g Group) bool { return !slices.Contains(g.Voters, v) })
					if whole && !isHealthy(g, v) || v == id && !whole {
						bad("transfer to", id)
					}
				}
			}
		}
	}
	// Whoever refuses everything keeps the quorum, too: with nothing amiss, whatever makes sense is allowed.
	if !slices.ContainsFunc(nodes, func(k kind) bool { return k != healthy }) && groups[0].Leader != 0 && groups[0].Leader == groups[len(groups)-1].Leader && len(groups[len(groups)-1].Configs) == 0 {
		n, leader := uint64(len(nodes)), groups[0].Leader
		for id := uint64(1); id <= n; id++ {
			if id != leader && (!MayTransfer(id, groups).Allowed || MayLeave(id, groups).Allowed != (n > 2)) {
				t.Fatalf("node %d of %d healthy ones led by %d: transfer %+v, leave %+v", id, n, leader, MayTransfer(id, groups), MayLeave(id, groups))
			}
		}
		if v := MayJoin(n+1, groups); !v.Allowed {
			t.Fatalf("a newcomer to %d healthy ones: %s", n, v.Message)
		}
	}
	return asked, allowed
}

// patterns calls each with every way to be of n nodes.
func patterns(n int, of []kind, each func([]kind)) {
	nodes := make([]kind, n)
	var fill func(i int)
	fill = func(i int) {
		if i == n {
			each(nodes)
			return
		}
		for _, k := range of {
			nodes[i] = k
			fill(i + 1)
		}
	}
	fill(0)
}

// leaderships are: nobody, every node of all groups, and groups led apart.
func leaderships(n, groups int) (out [][]uint64) {
	for l := range n + 1 {
		out = append(out, slices.Repeat([]uint64{uint64(l)}, groups))
	}
	if apart := slices.Repeat([]uint64{1}, groups); groups > 1 {
		apart[groups-1] = uint64(n)
		out = append(out, apart)
	}
	return out
}

// Every world of 1 to 7 voters and every step: what is allowed leaves a quorum in every configuration that there is then.
//
// Two groups stand for all, the third is always like one of them: every pattern of healthy, down, lagging, half joined and half joined and down nodes, under every leadership and with every
// change of the second group's membership that can be under way. Up to 5 voters in every order; of 6 and 7, whose order cannot matter more, in ascending order and all its rotations.
// Three groups, and every kind of node, up to 3 voters.
func TestNoStepThatIsAllowedLeavesLessThanAQuorumInAnyWorldOfUpToSevenVoters(t *testing.T) {
	worlds, asked, allowed := 0, 0, 0
	try := func(nodes []kind, groups int, joints bool) {
		for _, leaders := range leaderships(len(nodes), groups) {
			for joint := range uint64(len(nodes)) + 2 {
				if joint != 0 && !joints {
					break
				}
				a, b := judge(t, nodes, world(nodes, leaders, joint))
				worlds, asked, allowed = worlds+1, asked+a, allowed+b
			}
		}
	}
	basic := []kind{healthy, down, lagging, half, halfDown}
	for n := 1; n <= 7; n++ {
		patterns(n, basic, func(nodes []kind) {
			if n <= 5 {
				try(nodes, 2, n <= 4)
				return
			}
			if !slices.IsSorted(nodes) {
				return
			}
			for r := range n {
				try(append(slices.Clone(nodes[r:]), nodes[:r]...), 2, r == 0)
			}
		})
	}
	all := make([]kind, kinds)
	for k := range all {
		all[k] = kind(k)
	}
	for n := 1; n <= 3; n++ {
		patterns(n, all, func(nodes []kind) { try(nodes, 3, true) })
	}
	t.Logf("%d worlds, %d steps asked for, %d of them allowed", worlds, asked, allowed)
	if worlds < 80_000 || allowed < asked/20 {
		t.Errorf("%d worlds and %d of %d steps allowed: the test has lost its world", worlds, allowed, asked)
	}
}
