package contract

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/images"
	"github.com/robustmq/robustmq-operator/internal/agent/solevoter"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/contract/lab"
)

// A placement centre of three becomes one of one as the operator does it: the third leaves by RobustMQ's own call, the second is stopped, and the first is made the only voter in its stopped database.
// It leads at once, has everything, forgets the dead node when it is told to, and grows again.
func TestOneOfTheLastTwoVotersGoesOnAloneWithEverythingAndGrowsAgain(t *testing.T) {
	l := lab.New(t, lab.Options{Alone: true})
	nodes := form(l, 1, 2, 3)
	createUsers(l, nodes[0], "u", 20)
	settled(l, nodes)
	ctx := context.Background()
	first, second, third := nodes[0], nodes[1], nodes[2]
	third.Stop()
	leader := led(l, nodes[:2], robustmq.GroupMetadata)
	if err := leader.Client().Unregister(ctx, 3); err != nil {
		t.Fatal(err)
	}
	l.Eventually(60*time.Second, "the third member leaves", func() bool {
		return led(l, nodes[:2], robustmq.GroupMetadata).Client().Leave(ctx, 3) == nil && votersAre(first.Status(), []uint64{1, 2})
	})
	agree(l, nodes[:2], 1, 2)
	createUsers(l, first, "v", 10)
	second.Stop()
	member, err := solevoter.Check(first.Status(), 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	first.Stop()
	if err := os.RemoveAll(first.Snapshots()); err != nil {
		t.Fatal(err)
	}
	if err := member.Rewrite(ctx, images.OS{}, first.Database()); err != nil {
		t.Fatal(err)
	}
	first.Start()
	took := l.Elapsed(func() {
		l.Eventually(20*time.Second, "the first leads every group alone", func() bool { return leadsAlone(first) })
	})
	t.Logf("led alone %v after its start", took.Round(100*time.Millisecond))
	// Before its MQTT port is open the server deletes the registration, answers an error (its calls to nodes are not set up yet), and moves nothing.
	started(first)
	l.Eventually(20*time.Second, "the stopped node is still registered", func() bool { return slices.Contains(registered(first), 2) })
	if err := first.Client().Unregister(ctx, 2); err != nil {
		t.Fatal(err)
	}
	l.Eventually(10*time.Second, "it is registered no more", func() bool { return !slices.Contains(registered(first), 2) })
	createUsers(l, first, "w", 10)
	for prefix, count := range map[string]int{"u": 20, "v": 10, "w": 10} {
		hasUsers(l, first, prefix, count)
	}
	// Started again it is the same, and the place of the second is free for an empty one.
	first.Stop()
	started(first.Start())
	agree(l, nodes[:1], 1)
	if !leadsAlone(first) {
		t.Errorf("after a restart: %+v", first.Status())
	}
	second.Wipe()
	started(second.Start())
	agree(l, nodes[:2], 1, 2)
	settled(l, nodes[:2])
	for prefix, count := range map[string]int{"u": 20, "v": 10, "w": 10} {
		hasUsers(l, second, prefix, count)
	}
}

func leadsAlone(n *lab.Node) bool {
	status := n.Status()
	for _, name := range robustmq.Groups {
		if g := status[name]; !g.LeadsWithQuorum() || !slices.Equal(g.Voters(), []uint64{n.ID}) {
			return false
		}
	}
	return true
}
