package simulated

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// settled waits until the cluster is what its spec says, and nobody else is there any more.
func settled(t *testing.T, w *world.World) *v1alpha1.RobustMQCluster {
	t.Helper()
	c := formed(t, w)
	w.Await("no pods but those that are wanted", func() (bool, string) {
		var pods corev1.PodList
		if err := w.Client.List(w.Context(), &pods, client.InNamespace(w.Namespace)); err != nil {
			return false, err.Error()
		}
		for _, p := range pods.Items {
			if !slices.Contains(w.AllPods(c), p.Name) {
				return false, p.Name
			}
		}
		return true, ""
	})
	return c
}

func TestAPlacementCentreGrowsFromOneToThree(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	form(t, w, manifest(newest, 1, 2, ""))
	before := pod(t, w, "c-placement-center-0").UID
	w.Apply(manifest(newest, 3, 2, ""))
	c := settled(t, w)
	sameKeys(t, w, c)
	if after := pod(t, w, "c-placement-center-0").UID; after != before {
		t.Error("the founder's pod was made anew")
	}
	if founders := w.Founders(); !slices.Equal(founders, []string{"c-placement-center-0"}) {
		t.Errorf("servers that founded a cluster: %v, want member 0 once", founders)
	}
}

func TestAPlacementCentreGrowsFromThreeToFiveWithAYoungLogOneAfterAnother(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 1, ""))
	users(t, w, "c-placement-center-0", "before", 20)
	w.Apply(manifest(newest, 5, 1, ""))
	most := 0
	w.Await("five members", func() (bool, string) {
		// Half members are never two: the second newcomer begins when the first is whole.
		half := 0
		for _, p := range []string{"c-placement-center-3", "c-placement-center-4"} {
			if s, err := w.Raft(p); err == nil && len(s) > 0 && !slices.Contains(s[robustmq.GroupData].Voters(), uint64(p[len(p)-1]-'0')+1) {
				half++
			}
		}
		most = max(most, half)
		c = w.Cluster("c")
		return w.OneRaft(c)
	})
	if most > 1 {
		t.Errorf("%d members were on their way in at once", most)
	}
	sameKeys(t, w, settled(t, w))
}

// shrink starts with five members that are whole, and ends when three are.
func shrink(t *testing.T, w *world.World) *v1alpha1.RobustMQCluster {
	t.Helper()
	w.Apply(manifest(newest, 3, 1, ""))
	c := settled(t, w)
	for _, ordinal := range []string{"4", "3"} {
		if m := w.Marker("c-placement-center-" + ordinal); m != nil {
			t.Errorf("the volume of member %s was not emptied: %+v", ordinal, m)
		}
	}
	return c
}

func TestFiveMembersBecomeThreeWithAPurgedLogAndNothingIsLost(t *testing.T) {
	long(t)
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 5, 1, ""))
	fillLog(t, w, c)
	sameKeys(t, w, c)
	down := 0
	ctx, stop := context.WithCancel(w.Context())
	watched := make(chan struct{})
	go func() { // never are two voters down
		defer close(watched)
		for ctx.Err() == nil {
			n := 0
			for _, p := range w.Pods(c, v1alpha1.RolePlacementCenter) {
				if m, ok := w.StatusOf("c", p); ok && len(m.VoterIn) > 0 && !m.InService {
					n++
				}
			}
			down = max(down, n)
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	c = shrink(t, w)
	stop()
	<-watched
	if down > 1 {
		t.Errorf("%d voters were down at once", down)
	}
	sameKeys(t, w, c)
	// One whose leaving was asked for again, because its first answer was lost, is told twice.
	left := map[string]bool{}
	for _, e := range events(w, v1alpha1.ReasonMemberLeft) {
		left[e.Message] = true
	}
	if len(left) != 2 {
		t.Errorf("events of members that left: %v", left)
	}
}

func TestThreeMembersBecomeFiveAndThreeAgainWithAPurgedLog(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 1, ""))
	fillLog(t, w, c)
	w.Apply(manifest(newest, 5, 1, ""))
	c = settled(t, w)
	sameKeys(t, w, c)
	for _, pod := range []string{"c-placement-center-3", "c-placement-center-4"} {
		if m := w.Marker(pod); m.Origin != protocol.OriginSeeded {
			t.Errorf("%s came by its data as %s: an empty member was let in", pod, m.Origin)
		}
	}
	users(t, w, c.Status.Leader, "five", 20)
	sameKeys(t, w, shrink(t, w))
}

func TestAVoterThatIsDownKeepsTheOthersFromLeaving(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{Nodes: 7})
	c := form(t, w, manifest(newest, 5, 1, ""))
	node := w.Kubelet.NodeOf("c-placement-center-1")
	w.Kubelet.PowerCut(node)
	w.Await("the member is missed", func() (bool, string) {
		m, _ := w.StatusOf("c", "c-placement-center-1")
		return !m.InService, "in service"
	})
	w.Apply(manifest(newest, 3, 1, ""))
	w.Stays(2*time.Minute, "five members", func() (bool, string) {
		for _, p := range []string{"c-placement-center-3", "c-placement-center-4"} {
			s, err := w.Raft(p)
			if err != nil || !slices.Contains(s[robustmq.GroupMetadata].Voters(), 5) {
				return false, fmt.Sprintf("%s: %v %v", p, s[robustmq.GroupMetadata].Voters(), err)
			}
		}
		return true, ""
	})
	w.Kubelet.PowerOn(node)
	sameKeys(t, w, shrink(t, w))
	_ = c
}

func TestAMemberThatLeavesIsWantedAgainHalfWay(t *testing.T) {
	long(t)
	t.Parallel()
	w := env.New(t, world.Options{})
	form(t, w, manifest(newest, 5, 1, ""))
	w.Apply(manifest(newest, 3, 1, ""))
	w.Await("member 4 stopped", func() (bool, string) {
		m, _ := w.StatusOf("c", "c-placement-center-4")
		return m.Server == protocol.ServerStopped, m.Server
	})
	w.Apply(manifest(newest, 5, 1, ""))
	sameKeys(t, w, settled(t, w))
}

// four members are even: the smallest placement centre that one may leave and three stay.
const four = "  unsafe: [AllowEvenPlacementCenter]\n"

func TestAnOperatorKilledAfterAnyWriteOfALeavingIsFollowedByOneThatEndsIt(t *testing.T) {
	long(t)
	t.Parallel()
	w := env.New(t, world.Options{})
	form(t, w, manifest(newest, 4, 1, four))
	settle(t, w)
	before := len(w.Operator().Changes())
	w.Apply(manifest(newest, 3, 1, four))
	settled(t, w)
	settle(t, w)
	writes := w.Operator().Changes()[before:]
	t.Logf("a leaving takes %d writes (events and orders to agents not counted): %v", len(writes), writes)
	w.Close()
	for _, n := range crashes(t, len(writes)) {
		t.Run(fmt.Sprintf("after write %d, %s", n, writes[n-1]), func(t *testing.T) {
			t.Parallel()
			w := env.New(t, world.Options{Seed: uint64(n)}) //nolint:gosec // small
			form(t, w, manifest(newest, 4, 1, four))
			settle(t, w)
			w.Operator().Crash()
			first := w.StartOperatorUntil(n)
			w.Apply(manifest(newest, 3, 1, four))
			// A run may need fewer writes than the recorded one: then nothing is left to crash, and the end state is the test.
			w.Await("the operator's death, or the end", func() (bool, string) {
				c := w.Cluster("c")
				ready := meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionReady) && c.Status.PlacementCenter.Replicas == 3
				return first.Dead() || ready, fmt.Sprintf("%d of %d writes", len(first.Changes()), n)
			})
			w.StartOperator()
			sameKeys(t, w, settled(t, w))
		})
	}
}

// Orders to agents are no writes: the operator is killed as soon as each of them shows, and once more before the next.
func TestAnOperatorKilledAfterEveryOrderOfALeavingIsFollowedByOneThatEndsIt(t *testing.T) {
	long(t)
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 4, 1, four))
	const last = "c-placement-center-3"
	agent := agents(t, w, c)
	voterOf := func(pod string) (in int, ok bool) {
		s, err := w.Raft(pod)
		for _, name := range robustmq.Groups {
			if slices.Contains(s[name].Voters(), 4) {
				in++
			}
		}
		return in, err == nil
	}
	w.Apply(manifest(newest, 3, 1, four))
	for _, stage := range []struct {
		what  string
		shows func() bool
	}{
		{"stopped", func() bool {
			s, err := agent(last).State(w.Context())
			return err == nil && s.Server.Phase == protocol.ServerStopped
		}},
		{"unregistered", func() bool {
			ids, err := w.Registry("c-placement-center-0")
			return err == nil && !slices.Contains(ids, 4)
		}},
		{"out of every group", func() bool { in, ok := voterOf("c-placement-center-0"); return ok && in == 0 }},
		{"emptied", func() bool { return w.Marker(last) == nil }},
		{"taken from its set", func() bool { return *statefulSet(t, w, "c-placement-center").Spec.Replicas == 3 }},
	} {
		w.Await(stage.what, func() (bool, string) { return stage.shows(), "not yet" })
		w.Operator().Crash()
		t.Log("killed when it was", stage.what)
		w.StartOperator()
	}
	sameKeys(t, w, settled(t, w))
}

// A server that took its member out of one group only, as RobustMQ does where another member leads the next one, is found and finished.
func TestAHalfExecutedLeavingIsFoundAndFinished(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 5, 1, ""))
	w.Operator().Crash()
	// The answer is lost, and so is the rest of the call: its server ends in the middle.
	if err := w.LeaveHalf(c.Status.Leader, 5); err != nil {
		t.Fatal(err)
	}
	status, err := w.Raft(c.Status.Leader)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(status[robustmq.GroupMetadata].Voters(), 5) || !slices.Contains(status[robustmq.GroupData].Voters(), 5) {
		t.Fatalf("not half left: %v, %v", status[robustmq.GroupMetadata].Voters(), status[robustmq.GroupData].Voters())
	}
	w.StartOperator()
	sameKeys(t, w, shrink(t, w))
}
