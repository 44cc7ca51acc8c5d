package cluster

import (
	corev1 "k8s.io/api/core/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// eventOfPlanned names the event of a step that the user asked for: nothing had gone wrong before it. reason is the one that the same step has when it repairs something.
func eventOfPlanned(kind topology.StepKind, reason string) (eventType, planned string) {
	switch kind {
	case topology.StepLeave:
		return corev1.EventTypeNormal, v1alpha1.ReasonMemberLeft
	case topology.StepQuiesce, topology.StepDrain:
		return corev1.EventTypeNormal, v1alpha1.ReasonDraining
	case topology.StepUnregister:
		return corev1.EventTypeNormal, v1alpha1.ReasonNodeUnregistered
	case topology.StepReleaseVolume:
		return corev1.EventTypeNormal, v1alpha1.ReasonVolumeReleased
	}
	return corev1.EventTypeNormal, reason
}
