package cluster

import (
	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// eventOfPlanned names the event of a step that the user asked for: nothing had gone wrong before it. reason is the one that the same step has when it repairs something.
func eventOfPlanned(kind topology.StepKind, reason string) string {
	switch kind {
	case topology.StepLeave:
		return v1alpha1.ReasonMemberLeft
	case topology.StepQuiesce, topology.StepDrain:
		return v1alpha1.ReasonDraining
	case topology.StepUnregister:
		return v1alpha1.ReasonNodeUnregistered
	case topology.StepReleaseVolume:
		return v1alpha1.ReasonVolumeReleased
	}
	return reason
}
