package simulated

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// topicOn makes topics until one has a copy on the node, and returns its name.
func topicOn(t *testing.T, w *world.World, node uint64, name string, copies int) string {
	t.Helper()
	for i := range 40 {
		topic := fmt.Sprintf("%s-%d", name, i)
		w.CreateTopic(memberZero, topic, copies)
		var s world.Segment
		w.Await(topic+" is placed", func() (bool, string) {
			var err error
			s, err = w.Segment(memberZero, topic)
			return err == nil, fmt.Sprint(err)
		})
		if slices.Contains(s.Replicas, node) {
			return topic
		}
	}
	t.Fatalf("none of 40 topics is on node %d", node)
	return ""
}

// without waits until a broker's pod is away and the cluster is whole again.
func without(t *testing.T, w *world.World, pod string) {
	t.Helper()
	gone(t, w, pod)
	formed(t, w)
}

func TestABrokerWithTheOnlyCopyOfATopicStaysUntilTheTopicIsGone(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	form(t, w, manifest(newest, 3, 2, ""))
	topic := topicOn(t, w, 1002, "single", 1)
	w.Apply(manifest(newest, 3, 1, ""))
	w.AwaitCondition("c", v1alpha1.ConditionDegraded, "True", v1alpha1.ReasonNotDrainable, topic)
	m := row(t, w, broker(1))
	if !m.InService || m.Server != protocol.ServerRunning {
		t.Errorf("it does not serve while it stays: %+v", m)
	}
	w.DeleteTopic(memberZero, topic)
	for i := range 40 { // the others of the same kind
		other := fmt.Sprintf("single-%d", i)
		if s, err := w.Segment(memberZero, other); err == nil && slices.Contains(s.Replicas, 1002) {
			w.DeleteTopic(memberZero, other)
		}
	}
	without(t, w, broker(1))
}

func row(t *testing.T, w *world.World, pod string) v1alpha1.MemberStatus {
	t.Helper()
	for _, m := range w.Cluster("c").Status.Members {
		if m.Pod == pod {
			return m
		}
	}
	t.Fatalf("the status has no %s", pod)
	return v1alpha1.MemberStatus{}
}

func TestTheVolumeOfADrainedBrokerGoesWithItWhereTheUserSaidSo(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	form(t, w, manifest(newest, 3, 2, "  volumeRetention: Delete\n"))
	topicOn(t, w, 1002, "t", 2)
	w.Apply(manifest(newest, 3, 1, "  volumeRetention: Delete\n"))
	without(t, w, broker(1))
	w.Await("its claim to be gone", func() (bool, string) {
		var claim corev1.PersistentVolumeClaim
		err := w.Client.Get(w.Context(), client.ObjectKey{Namespace: w.Namespace, Name: "data-" + broker(1)}, &claim)
		return apierrors.IsNotFound(err), fmt.Sprint(err)
	})
	w.Apply(manifest(newest, 3, 2, "  volumeRetention: Delete\n"))
	formed(t, w)
}

// An operator that dies between stop and unregistering, and is away for longer than the registration lasts, leaves segments that name a dead node: the call would do nothing any more.
func TestABrokerThatWasNotUnregisteredInTimeComesBackAndLeavesAgain(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 2, ""))
	l := &load{t: t, w: w}
	topic := topicOn(t, w, 1002, "late", 2)
	l.begin("traffic", 1, broker(0))
	agent := agents(t, w, c)(broker(1))
	w.Operator().Crash()
	if _, err := agent.Server(w.Context(), protocol.ServerOrder{Action: protocol.ServerStop, Reason: "as the operator that died"}); err != nil {
		t.Fatal(err)
	}
	w.Await("the registration to expire", func() (bool, string) {
		ids, err := w.Registry(memberZero)
		return err == nil && !slices.Contains(ids, 1002), fmt.Sprint(ids, err)
	})
	if s, err := w.Segment(memberZero, topic); err != nil || !slices.Contains(s.Replicas, 1002) {
		t.Fatalf("nothing is stranded: %+v %v", s, err)
	}
	w.Apply(manifest(newest, 3, 1, ""))
	w.StartOperator()
	without(t, w, broker(1))
	if s, err := w.Segment(memberZero, topic); err != nil || slices.Contains(s.Replicas, 1002) || len(s.ISR) != 2 {
		t.Errorf("after all: %+v %v", s, err)
	}
	l.end()
}

func TestABrokerThatIsTakenAwayIsWantedAgainHalfWay(t *testing.T) {
	long(t)
	t.Parallel()
	for _, stage := range []string{"stopped", "unregistered", "emptied"} {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			w := env.New(t, world.Options{})
			c := form(t, w, manifest(newest, 3, 2, ""))
			l := &load{t: t, w: w}
			topicOn(t, w, 1002, "t", 2)
			l.begin("traffic", 2, broker(1), broker(0))
			agent := agents(t, w, c)(broker(1))
			w.Apply(manifest(newest, 3, 1, ""))
			w.Await(stage, func() (bool, string) {
				s, err := agent.State(w.Context())
				if err != nil {
					return false, err.Error()
				}
				ids, err := w.Registry(memberZero)
				switch {
				case err != nil || s.Server.Phase != protocol.ServerStopped:
					return false, s.Server.Phase
				case stage == "unregistered":
					return !slices.Contains(ids, 1002), fmt.Sprint(ids)
				case stage == "emptied":
					return s.Volume.Phase == protocol.VolumeEmpty, s.Volume.Phase
				}
				return true, ""
			})
			w.Apply(manifest(newest, 3, 2, ""))
			formed(t, w)
			l.end()
		})
	}
}

func TestAnOperatorKilledAfterAnyWriteOfAScaleInIsFollowedByOneThatEndsIt(t *testing.T) {
	long(t)
	t.Parallel()
	w := env.New(t, world.Options{})
	form(t, w, manifest(newest, 3, 2, ""))
	topicOn(t, w, 1002, "t", 2)
	settle(t, w)
	before := len(w.Operator().Changes())
	w.Apply(manifest(newest, 3, 1, ""))
	without(t, w, broker(1))
	settle(t, w)
	writes := w.Operator().Changes()[before:]
	t.Logf("taking a broker away takes %d writes (events and orders to agents not counted): %v", len(writes), writes)
	w.Close()
	for _, n := range crashes(t, len(writes)) {
		t.Run(fmt.Sprintf("after write %d, %s", n, writes[n-1]), func(t *testing.T) {
			t.Parallel()
			w := env.New(t, world.Options{Seed: uint64(n)}) //nolint:gosec // small
			form(t, w, manifest(newest, 3, 2, ""))
			l := &load{t: t, w: w}
			topicOn(t, w, 1002, "t", 2)
			l.begin("traffic", 2, broker(1), broker(0))
			settle(t, w)
			w.Operator().Crash()
			first := w.StartOperatorUntil(n)
			w.Apply(manifest(newest, 3, 1, ""))
			w.Await("the operator's death, or the end", func() (bool, string) {
				c := w.Cluster("c")
				ready := meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionReady) && c.Status.MQTTBroker.Replicas == 1
				return first.Dead() || ready, fmt.Sprintf("%d of %d writes", len(first.Changes()), n)
			})
			w.StartOperator()
			without(t, w, broker(1))
			l.end()
		})
	}
}

// Orders to agents are no writes: the operator is killed as soon as each of them shows.
func TestAnOperatorKilledAfterEveryOrderOfAScaleInIsFollowedByOneThatEndsIt(t *testing.T) {
	long(t)
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 2, ""))
	l := &load{t: t, w: w}
	topic := topicOn(t, w, 1002, "t", 2)
	l.begin("traffic", 2, broker(1), broker(0))
	agent := agents(t, w, c)(broker(1))
	state := func() protocol.State { s, _ := agent.State(w.Context()); return s }
	w.Apply(manifest(newest, 3, 1, ""))
	for _, stage := range []struct {
		what  string
		shows func() bool
	}{
		{"quiesced", func() bool { s := state(); return s.Server.Quiesced || s.Server.Phase == protocol.ServerStopped }},
		{"stopped", func() bool { return state().Server.Phase == protocol.ServerStopped }},
		{"unregistered", func() bool { ids, err := w.Registry(memberZero); return err == nil && !slices.Contains(ids, 1002) }},
		{"named by nobody", func() bool {
			s, err := w.Segment(memberZero, topic)
			return err == nil && !slices.Contains(s.Replicas, 1002) && len(s.ISR) == 2
		}},
		{"emptied", func() bool { return w.Marker(broker(1)) == nil }},
		{"taken from its set", func() bool { return *statefulSet(t, w, "c-mqtt-broker").Spec.Replicas == 1 }},
	} {
		w.Await(stage.what, func() (bool, string) { return stage.shows(), "not yet" })
		w.Operator().Crash()
		t.Log("killed when it was", stage.what)
		w.StartOperator()
	}
	without(t, w, broker(1))
	l.end()
}
