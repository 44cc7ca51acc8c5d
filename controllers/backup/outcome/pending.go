package outcome

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

// going is how pods are going that have not ended: running where one of them runs, else what the newest waits for.
func going(alive []*corev1.Pod) Outcome {
	for _, pod := range alive {
		if c := container(pod); c != nil && c.State.Running != nil {
			return Outcome{Phase: Running, Since: c.State.Running.StartedAt.Time}
		}
	}
	newest := slices.MaxFunc(alive, func(a, b *corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	o := Outcome{Phase: Pending}
	o.Reason, o.Message = waitsFor(newest)
	return o
}

// waitsFor names what keeps a pod's program from running.
func waitsFor(pod *corev1.Pod) (reason, message string) {
	if c := container(pod); c != nil && c.State.Waiting != nil {
		w := c.State.Waiting
		switch {
		case manifests.ImageNotPulled(w.Reason):
			return v1alpha1.ReasonImagePullFailed, fmt.Sprintf("image %s of pod %s cannot be pulled (%s)", c.Image, pod.Name, withMessage(w))
		case manifests.ContainerNotMade(w.Reason):
			return v1alpha1.ReasonPodFailing, fmt.Sprintf("the container of pod %s cannot be made: %s", pod.Name, withMessage(w))
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return v1alpha1.ReasonUnschedulable, fmt.Sprintf("no node takes pod %s: %s", pod.Name, cmp.Or(c.Message, c.Reason))
		}
	}
	if pod.Spec.NodeName == "" {
		return v1alpha1.ReasonWaitingForPods, fmt.Sprintf("pod %s waits for a node", pod.Name)
	}
	return v1alpha1.ReasonWaitingForPods, fmt.Sprintf("pod %s is being started on node %s", pod.Name, pod.Spec.NodeName)
}

func withMessage(w *corev1.ContainerStateWaiting) string {
	if w.Message == "" {
		return w.Reason
	}
	return w.Reason + ": " + strings.TrimSpace(w.Message)
}
