package agent

import (
	"slices"
	"testing"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

func TestOnlyGroupsThatRunAndHaveOneMembershipAreMovedToTermsThatNobodyHasReached(t *testing.T) {
	terms := map[string]uint64{robustmq.GroupMetadata: 5, robustmq.GroupData: 5}
	group := func(change func(*robustmq.GroupState)) robustmq.ClusterStatus {
		status := robustmq.ClusterStatus{}
		for name := range terms {
			status[name] = robustmq.GroupState{Running: true, Term: 4, Configs: [][]uint64{{3, 1, 2}}}
		}
		g := status[robustmq.GroupData]
		change(&g)
		status[robustmq.GroupData] = g
		return status
	}
	if voters, err := movable(group(func(*robustmq.GroupState) {}), terms); err != nil || !slices.Equal(voters, []uint64{1, 2, 3}) {
		t.Errorf("%v, %v", voters, err)
	}
	for what, status := range map[string]robustmq.ClusterStatus{
		"a core has stopped":      group(func(g *robustmq.GroupState) { g.Running = false }),
		"it is being changed":     group(func(g *robustmq.GroupState) { g.Configs = [][]uint64{{1, 2, 3}, {1, 2}} }),
		"it has no membership":    group(func(g *robustmq.GroupState) { g.Configs = nil }),
		"it has another":          group(func(g *robustmq.GroupState) { g.Configs = [][]uint64{{1, 2, 3, 4}} }),
		"the term was reached":    group(func(g *robustmq.GroupState) { g.Term = 5 }),
		"a group is not known":    {robustmq.GroupMetadata: {Running: true, Term: 4, Configs: [][]uint64{{1, 2, 3}}}},
		"the server says nothing": nil,
		"none has a membership":   {robustmq.GroupMetadata: {Running: true, Term: 4}, robustmq.GroupData: {Running: true, Term: 4}},
	} {
		if voters, err := movable(status, terms); err == nil {
			t.Errorf("%s: %v", what, voters)
		}
	}
	if _, err := movable(group(func(*robustmq.GroupState) {}), nil); err == nil {
		t.Error("no group is named")
	}
}
