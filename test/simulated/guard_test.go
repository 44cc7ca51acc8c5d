package simulated

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/simulated/network"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// The gate taken out: every server starts as soon as its pod does. These are red demonstrations: they pass only while the worlds show what the gate is there to prevent,
// so that the tests which find nothing of the kind with the gate in its place are known to be able to fail.

func TestWithTheGatesOpenAMemberThatReachesNoPeerFoundsASecondCluster(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{GatesOpen: true, Nodes: 5})
	const lonely = "c-placement-center-2"
	for _, other := range []string{"c-placement-center-0", "c-placement-center-1"} {
		w.Network.Set(lonely, other, network.BlackHole)
	}
	w.StartOperator()
	c := w.Apply(manifest(newest, 3, 1, ""))
	w.Await("a second cluster", func() (bool, string) {
		seen := memberships(w, c)
		return seen["[[3]]"] > 0 && len(seen) > 1, fmt.Sprint(seen)
	})
	if ok, why := w.OneRaft(c); ok {
		t.Errorf("the check for one cluster is blind: it passed, beside %v", memberships(w, c))
	} else {
		t.Log("as it should, the check for one cluster fails:", why)
	}
}

func TestWithTheGatesOpenParallelStartsLeaveHalfMembersOrCrashes(t *testing.T) {
	t.Parallel()
	broken := 0
	const tries = 4
	for seed := range uint64(tries) {
		r := rand.New(rand.NewPCG(seed, 2))
		w := env.New(t, world.Options{GatesOpen: true, Seed: seed, Nodes: 5})
		w.Network.Delay(0, w.Scaled(time.Duration(r.Int64N(int64(400*time.Millisecond)))))
		w.StartOperator()
		c := w.Apply(manifest(newest, 5, 1, ""))
		// Whatever a parallel start ends as, it has ended after a minute: crashed servers were started again and again meanwhile. Nobody may have founded anything: each found a
		// peer that was there, went to join it, and all of them ended.
		over := time.Now().Add(w.Scaled(time.Minute))
		whole, why := false, ""
		w.Await("a minute, and the end of the first starts", func() (bool, string) {
			whole, why = w.OneRaft(c)
			return time.Now().After(over) && (len(w.Founders()) > 0 || restarted(w, c, 5)), why
		})
		if !whole {
			broken++
			t.Logf("seed %d: %s; memberships %v; founders %v", seed, why, memberships(w, c), w.Founders())
		}
		w.Close()
	}
	if broken == 0 {
		t.Errorf("%d of %d parallel starts went well: the simulator no longer shows what a real server does", tries, tries)
	}
}

// restarted tells whether the servers of n members of the placement centre have each ended and were started again.
func restarted(w *world.World, c *v1alpha1.RobustMQCluster, n int) bool {
	for _, m := range w.Cluster(c.Name).Status.Members {
		if m.Role == v1alpha1.RolePlacementCenter && m.Restarts > 0 {
			n--
		}
	}
	return n == 0
}

// memberships counts the different memberships that the servers of the placement centre claim in any group.
func memberships(w *world.World, c *v1alpha1.RobustMQCluster) map[string]int {
	seen := map[string]int{}
	for _, p := range w.Pods(c, v1alpha1.RolePlacementCenter) {
		status, err := w.Raft(p)
		if err != nil {
			seen["down"]++
			continue
		}
		for _, name := range robustmq.Groups {
			seen[fmt.Sprint(status[name].Configs)]++
		}
	}
	return seen
}
