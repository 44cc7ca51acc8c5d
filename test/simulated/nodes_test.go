package simulated

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/topology"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// loseMachine takes the power from the machine of a pod, which must be alone there, and waits until its Node is not Ready.
func loseMachine(t *testing.T, w *world.World, c *v1alpha1.RobustMQCluster, pod string) string {
	t.Helper()
	node := w.Kubelet.NodeOf(pod)
	for _, other := range w.AllPods(c) {
		if other != pod && w.Kubelet.NodeOf(other) == node {
			t.Fatalf("%s shares the machine of %s: the test wants one dead pod", other, pod)
		}
	}
	w.Kubelet.PowerCut(node)
	w.Await("the node monitor", func() (bool, string) { return !w.NodeReady(node), "the Node is Ready" })
	return node
}

// heard waits for an event and returns its message.
func heard(t *testing.T, w *world.World, reason, words string) string {
	t.Helper()
	message := ""
	w.Await("the event "+reason, func() (bool, string) {
		found := events(w, reason, words)
		if len(found) > 0 {
			message = found[0].Message
		}
		return len(found) > 0, "not told"
	})
	return message
}

func TestAPodOnANodeThatIsOnlyNotReadyIsLeftToAPersonWhoThenSaysThatItIsGone(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{Nodes: 7})
	c := form(t, w, manifest(newest, 3, 2, ""))
	const lost = "c-placement-center-2"
	first := pod(t, w, lost)
	node := loseMachine(t, w, c, lost)
	w.AwaitCondition("c", v1alpha1.ConditionDegraded, "True", v1alpha1.ReasonNodeLost, "kubectl delete node "+node)
	w.Stays(4*time.Minute, "the pod", func() (bool, string) {
		p := pod(t, w, lost)
		return p != nil && p.UID == first.UID, "it was made anew without a proof"
	})
	w.DeleteNode(node)
	w.Await("another pod elsewhere", func() (bool, string) {
		p := pod(t, w, lost)
		return p != nil && p.UID != first.UID && p.Spec.NodeName != node && p.Spec.NodeName != "", "the old one"
	})
	if message := heard(t, w, v1alpha1.ReasonPodForceDeleted, lost); !strings.Contains(message, node) || !strings.Contains(message, "no longer exists") {
		t.Errorf("the event does not have the proof: %s", message)
	}
	formed(t, w)
	heard(t, w, v1alpha1.ReasonRecovered, lost)
}

func TestALocalVolumeOfANodeThatIsGoneIsMadeAnewAndItsMemberSeeded(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{Nodes: 7})
	c := form(t, w, manifest(newest, 3, 2, ""))
	for _, lost := range []string{"c-placement-center-1", "c-mqtt-broker-1"} {
		claim := w.Claim(lost)
		volume := w.PinVolume(lost, corev1.PersistentVolumeReclaimRetain)
		node := loseMachine(t, w, c, lost)
		w.DeleteNode(node)
		w.Await("another volume claim of "+lost, func() (bool, string) {
			now := &corev1.PersistentVolumeClaim{}
			err := w.Client.Get(w.Context(), client.ObjectKeyFromObject(claim), now)
			return err == nil && now.UID != claim.UID, "the old one"
		})
		if message := heard(t, w, v1alpha1.ReasonVolumeRenewed, lost); !strings.Contains(message, volume.Name) || !strings.Contains(message, "released") {
			t.Errorf("the event does not say what became of the old volume: %s", message)
		}
		formed(t, w)
		if err := w.Client.Get(w.Context(), client.ObjectKeyFromObject(volume), volume); err != nil {
			t.Errorf("the old volume: %v", err)
		}
	}
	if m := w.Marker("c-placement-center-1"); m.Origin != protocol.OriginSeeded {
		t.Errorf("%+v", m)
	}
	if ids := w.Founders(); !slices.Equal(ids, []string{"c-placement-center-0"}) {
		t.Errorf("servers that founded a cluster: %v", ids)
	}
}

func TestAVolumeThatTheUserWantsKeptIsNotGivenUpUntilItIs(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{Nodes: 7})
	c := form(t, w, manifest(newest, 3, 2, ""))
	const lost = "c-placement-center-1"
	claim := w.Claim(lost)
	volume := w.PinVolume(lost, corev1.PersistentVolumeReclaimDelete)
	w.DeleteNode(loseMachine(t, w, c, lost))
	w.AwaitCondition("c", v1alpha1.ConditionDegraded, "True", v1alpha1.ReasonVolumeLost, "kubectl patch pv "+volume.Name)
	w.Stays(2*time.Minute, "the claim", func() (bool, string) { return w.Claim(lost).UID == claim.UID, "it was deleted" })
	before := volume.DeepCopy()
	volume.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
	if err := w.Client.Patch(w.Context(), volume, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	heard(t, w, v1alpha1.ReasonVolumeRenewed, volume.Name)
	formed(t, w)
}

func TestWithAMajorityOfVolumesOnNodesThatAreGoneNoneIsGivenUp(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{Nodes: 7})
	c := form(t, w, manifest(newest, 3, 2, ""))
	claims := map[string]*corev1.PersistentVolumeClaim{}
	for _, lost := range []string{"c-placement-center-1", "c-placement-center-2"} {
		claims[lost] = w.Claim(lost)
		w.PinVolume(lost, corev1.PersistentVolumeReclaimRetain)
		w.DeleteNode(loseMachine(t, w, c, lost))
	}
	heard(t, w, v1alpha1.ReasonPodForceDeleted, "c-placement-center-1")
	heard(t, w, v1alpha1.ReasonPodForceDeleted, "c-placement-center-2")
	w.Stays(5*time.Minute, "the claims", func() (bool, string) {
		for lost, claim := range claims {
			now := &corev1.PersistentVolumeClaim{}
			if err := w.Client.Get(w.Context(), client.ObjectKeyFromObject(claim), now); err != nil || now.UID != claim.UID {
				return false, lost + " lost its volume claim"
			}
		}
		return true, ""
	})
}

func TestAPodOnANodeThatIsOutOfServiceIsReplacedAndOneThatAnswersIsNot(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{Nodes: 7})
	c := form(t, w, manifest(newest, 3, 2, ""))
	taint := func(node *corev1.Node) {
		node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: topology.TaintOutOfService, Value: "nodeshutdown", Effect: corev1.TaintEffectNoExecute})
	}
	// Of a machine that works the taint alone is no proof.
	const alive, lost = "c-mqtt-broker-0", "c-mqtt-broker-1"
	first := pod(t, w, alive)
	w.ChangeNode(w.Kubelet.NodeOf(alive), taint)
	node := loseMachine(t, w, c, lost)
	old := pod(t, w, lost)
	w.ChangeNode(node, taint)
	if err := w.Client.Delete(w.Context(), old); client.IgnoreNotFound(err) != nil { // as the taint's eviction does
		t.Fatal(err)
	}
	heard(t, w, v1alpha1.ReasonPodForceDeleted, "is tainted as out of service")
	formed(t, w)
	if now := pod(t, w, alive); now == nil || now.UID != first.UID {
		t.Error("the pod of a machine that works was removed")
	}
}

func TestALeaderLeavesACordonedNodeBeforeItIsDrained(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{Nodes: 7})
	c := form(t, w, manifest(newest, 3, 2, ""))
	leader := c.Status.Leader
	node := w.Kubelet.NodeOf(leader)
	w.ChangeNode(node, func(n *corev1.Node) { n.Spec.Unschedulable = true })
	heard(t, w, v1alpha1.ReasonLeadershipMoved, "cordoned")
	after := formed(t, w)
	if after.Status.Leader == leader {
		t.Errorf("%s leads on", leader)
	}
	w.ChangeNode(node, func(n *corev1.Node) { n.Spec.Unschedulable = false })
	formed(t, w)
}
