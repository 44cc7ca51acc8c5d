//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/e2e/messages"
)

// TestAMemberWhoseMachineIsGoneForGoodIsMadeAnewElsewhere takes a follower's machine away as a cloud does, disk and all: no power, and no Node any more. Its pods get other machines, their volumes
// are made anew, and the member is filled from the others.
func TestAMemberWhoseMachineIsGoneForGoodIsMadeAnewElsewhere(t *testing.T) {
	onlyLong(t)
	onBed(t)
	s := newScene(t, "machine")
	c := small("machine")
	c.Spec.VolumeRetention = v1alpha1.VolumesDeleted // what is on the lost disk need not be kept
	s.apply(c)
	s.ready(3 * time.Minute)
	s.fill(purgedAfter)
	s.sameKeys("metadata was written")

	victim := s.member(2)
	if s.leader() == victim {
		victim = s.member(1)
	}
	node := s.getPod(victim).Spec.NodeName
	lost := map[client.ObjectKey]string{} // pod -> its volume
	for _, pod := range s.pods() {
		if pod.Spec.NodeName == node {
			lost[client.ObjectKeyFromObject(&pod)] = s.volumeOf(pod.Name)
		}
	}
	writes, acknowledged := s.writeUsers("machine")
	begin := time.Now()
	s.must(theBed.PowerCut(s.Context(), node))
	s.Cleanup(func() { _ = theBed.PowerOn(contextWithoutCancel(s.T), node) }) // it comes back as a machine that nobody knows
	s.kubectl("delete", "node", node, "--wait=false")
	s.await("the loss noticed", 2*time.Minute, func(c *v1alpha1.RobustMQCluster) bool { return c.Status.PlacementCenter.Ready < 3 })
	s.members(3, 10*time.Minute)
	took := time.Since(begin)
	acks, refused, _ := writes.Stop()
	figures.add(fmt.Sprintf("a follower's machine gone for good, with %d pods and their disks: from the power cut to Ready", len(lost)), "%.1f s; %d users acknowledged, %d calls refused; longest gap between acknowledgements %.1f s",
		took.Seconds(), len(acks), refused, messages.LongestGap(acks, begin, time.Now()).Seconds())
	for key, volume := range lost {
		if pod := s.getPod(key); pod.Spec.NodeName == node || s.volumeOf(pod.Name) == volume {
			t.Errorf("%s is on node %s with volume %s again", key.Name, pod.Spec.NodeName, s.volumeOf(pod.Name))
		}
	}
	if missing := s.missingUsers(acknowledged()); len(missing) > 0 {
		t.Errorf("%d of %d acknowledged users are lost: %v", len(missing), len(acks), missing)
	}
	s.sameKeys("a machine was lost")
	s.messages("e2e/machine")
}

// volumeOf is the PersistentVolume of a pod's claim.
func (s *scene) volumeOf(pod string) string {
	s.Helper()
	var claim corev1.PersistentVolumeClaim
	s.must(k8s.Get(s.Context(), client.ObjectKey{Namespace: s.name.Namespace, Name: "data-" + pod}, &claim))
	return claim.Spec.VolumeName
}
