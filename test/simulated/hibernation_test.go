package simulated

import (
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

const sleep = "  hibernated: true\n"

// asleep waits until the cluster sleeps: no pod, and every volume claim.
func asleep(t *testing.T, w *world.World) {
	t.Helper()
	w.AwaitCondition("c", v1alpha1.ConditionReady, "False", v1alpha1.ReasonHibernated, "")
	for _, name := range w.AllPods(w.Cluster("c")) {
		if pod(t, w, name) != nil {
			t.Errorf("%s is there", name)
		}
		if w.Claim(name) == nil {
			t.Errorf("%s has lost its volume claim", name)
		}
	}
}

// lacksNothing checks that what is exported of a cluster that sleeps as it was told wakes nobody.
func lacksNothing(t *testing.T, w *world.World) {
	t.Helper()
	families, err := w.Operator().Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "robustmq_operator_trouble" || f.GetName() == "robustmq_operator_cluster_members" && m.GetGauge().GetValue() != 0 {
				t.Errorf("%s: %v", f.GetName(), m)
			}
		}
	}
}

func TestAClusterHibernatesWithItsVolumesAndWakesAsTheSame(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	before := form(t, w, manifest(newest, 3, 2, ""))
	user := map[string]any{"tenant": "default", "username": "kept", "password": "fake-pw", "is_superuser": false}
	if err := w.Create("c-mqtt-broker-0", "user", user); err != nil {
		t.Fatal(err)
	}
	w.Apply(manifest(newest, 3, 2, sleep))
	asleep(t, w)
	lacksNothing(t, w)
	w.Apply(manifest(newest, 3, 2, ""))
	after := formed(t, w)
	if after.Status.ClusterUID != before.Status.ClusterUID {
		t.Errorf("cluster UID %s, then %s", before.Status.ClusterUID, after.Status.ClusterUID)
	}
	if founders := w.Founders(); !slices.Equal(founders, []string{"c-placement-center-0"}) {
		t.Errorf("servers that founded a cluster: %v, want member 0 once in both lives", founders)
	}
	w.Await("the user", func() (bool, string) {
		ok, err := w.Login("c-mqtt-broker-1", "kept", "fake-pw")
		if err != nil {
			return false, err.Error()
		}
		return ok, "refused"
	})
}

func TestWhileAClusterSleepsFewerMembersMayBeAskedForAndTheyLeaveInOrderWhenItWakes(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{Nodes: 5})
	form(t, w, manifest(newest, 5, 2, ""))
	w.Apply(manifest(newest, 5, 2, sleep))
	asleep(t, w)
	w.Apply(manifest(newest, 3, 2, sleep))
	w.Apply(manifest(newest, 3, 2, ""))
	w.AwaitFor(w.Scaled(30*time.Minute), "three voters everywhere, and no other pod", func() (bool, string) {
		for _, name := range []string{"c-placement-center-0", "c-placement-center-1", "c-placement-center-2"} {
			status, err := w.Raft(name)
			if err != nil {
				return false, name + ": " + err.Error()
			}
			for group, g := range status {
				if len(g.Voters()) != 3 {
					return false, fmt.Sprintf("%s has voters %v in %s", name, g.Voters(), group)
				}
			}
		}
		return pod(t, w, "c-placement-center-4") == nil && pod(t, w, "c-placement-center-3") == nil, "pods of members that left are there"
	})
	w.AwaitReady("c")
}

func TestAnOperatorKilledAtEveryWriteOfHibernationLosesNothing(t *testing.T) {
	long(t)
	t.Parallel()
	w := env.New(t, world.Options{})
	before := form(t, w, manifest(newest, 3, 2, ""))
	w.Operator().Crash()
	w.Apply(manifest(newest, 3, 2, sleep))
	for n := 1; !sleeps(w.Cluster("c")) && n < 20; n++ {
		op := w.StartOperatorUntil(1)
		w.Await("the operator's death or sleep", func() (bool, string) { return op.Dead() || sleeps(w.Cluster("c")), "it lives" })
		op.Crash()
	}
	w.StartOperator()
	asleep(t, w)
	w.Apply(manifest(newest, 3, 2, ""))
	if after := formed(t, w); after.Status.ClusterUID != before.Status.ClusterUID || len(w.Founders()) != 1 {
		t.Errorf("cluster UID %s, then %s; founders %v", before.Status.ClusterUID, after.Status.ClusterUID, w.Founders())
	}
}

func sleeps(c *v1alpha1.RobustMQCluster) bool {
	return slices.ContainsFunc(c.Status.Conditions, func(x metav1.Condition) bool {
		return x.Type == v1alpha1.ConditionReady && x.Reason == v1alpha1.ReasonHibernated
	})
}
