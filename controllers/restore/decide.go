package restore

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// verdict is what follows from an observation: what the status says, and then what is done.
type verdict struct {
	stage v1alpha1.RestoreStage
	// reason and message of the condition Complete; awaits is the line for people.
	reason, message, awaits string
	// verified is the condition Verified where this pass can say something about it.
	verified *opinion

	// What is recorded, each once: the zero value leaves the status as it is.
	source     *v1alpha1.RestoredBackup
	safetyName string
	generation int64
	term       int64
	stopping   bool
	orphans    []string // topics that nothing names any more

	// What is done after the status was written.
	inspect, save, push       bool // make the Job, the backup, the Job
	removeInspect, removePush bool
	orders                    []order
	// release takes the finalizer off; left is what the cluster still has of it then.
	release bool
	left    string
}

// opinion is a condition Verified.
type opinion struct {
	status          metav1.ConditionStatus
	reason, message string
}

// action is something that an agent is told.
type action string

// The actions.
const (
	stop        action = "Stop"
	start       action = "Start"
	abandon     action = "Abandon"     // remove what was received
	abandonSeed action = "AbandonSeed" // of another member's image
	place       action = "Place"
	open        action = "Open"
	revert      action = "Revert"
	discard     action = "Discard" // what was there before
)

// order is one call of one agent. Each may be repeated.
type order struct {
	pod string
	do  action
	id  string // of the placement or seed
}

// decide says how far a restore is and what is to be done. A stage never goes back except into Aborting, and of a restore that has ended nothing changes.
func decide(o *observation, t Timings) verdict {
	stage := o.restore.Status.Stage
	switch {
	case o.restore.Ended():
		return afterwards(o, t)
	case stage == v1alpha1.RestoreAborting:
		return aborting(o, t)
	case o.unwanted():
		return takeBack(o)
	}
	switch stage {
	case "", v1alpha1.RestoreWaiting:
		return waiting(o)
	case v1alpha1.RestoreValidating:
		return validating(o, t)
	case v1alpha1.RestoreSaving:
		return saving(o, t)
	}
	if o.cluster == nil || !o.cluster.DeletionTimestamp.IsZero() {
		return failed(v1alpha1.ReasonClusterDeleted, fmt.Sprintf("RobustMQCluster %s was deleted while it was being restored", o.restore.Spec.ClusterName))
	}
	switch stage {
	case v1alpha1.RestoreStopping:
		return stopping(o, t)
	case v1alpha1.RestoreTransferring:
		return transferring(o, t)
	case v1alpha1.RestoreOpening:
		return opening(o, t)
	case v1alpha1.RestoreVerifying:
		return verifying(o, t)
	}
	return starting(o, t)
}

// at is the verdict that a restore stays in, or enters, a stage. What it awaits may follow.
func at(stage v1alpha1.RestoreStage, format string, args ...any) verdict {
	v := verdict{stage: stage, reason: reasons[stage], awaits: fmt.Sprintf(format, args...)}
	v.message = v.awaits
	return v
}

// reasons of the condition Complete in the stages.
var reasons = map[v1alpha1.RestoreStage]string{
	v1alpha1.RestoreWaiting: v1alpha1.ReasonWaitingForTurn, v1alpha1.RestoreValidating: v1alpha1.ReasonRestoreValidating, v1alpha1.RestoreSaving: v1alpha1.ReasonRestoreSaving,
	v1alpha1.RestoreStopping: v1alpha1.ReasonRestoring, v1alpha1.RestoreTransferring: v1alpha1.ReasonRestoring, v1alpha1.RestoreOpening: v1alpha1.ReasonRestoring,
	v1alpha1.RestoreVerifying: v1alpha1.ReasonRestoring, v1alpha1.RestoreStarting: v1alpha1.ReasonRestoring, v1alpha1.RestoreAborting: v1alpha1.ReasonRestoreAborting,
}

// failed ends a restore that has stopped nothing.
func failed(reason, message string) verdict {
	return verdict{stage: v1alpha1.RestoreFailed, reason: reason, message: message, removePush: true}
}

func refuse(format string, args ...any) verdict {
	return failed(v1alpha1.ReasonRestoreRefused, fmt.Sprintf(format, args...)+"; nothing was stopped")
}

// back begins to take a restore back that cannot be completed.
func back(reason, format string, args ...any) verdict {
	return verdict{stage: v1alpha1.RestoreAborting, reason: reason, message: fmt.Sprintf(format, args...), awaits: "the members go back to what they had", removePush: true}
}

// takeBack is about a restore that somebody does not want any more.
func takeBack(o *observation) verdict {
	why := "its annotation " + v1alpha1.AnnotationAbort + " says so"
	if !o.restore.DeletionTimestamp.IsZero() {
		why = "it is being deleted"
	}
	switch o.restore.Status.Stage {
	case "", v1alpha1.RestoreWaiting, v1alpha1.RestoreValidating, v1alpha1.RestoreSaving:
		return verdict{stage: v1alpha1.RestoreAborted, reason: v1alpha1.ReasonRestoreAborted, message: "taken back because " + why + "; nothing was stopped"}
	}
	return back(v1alpha1.ReasonRestoreAborting, "taken back because %s", why)
}

// ago is how long ago something was; 0 where it was not yet.
func (o *observation) ago(at metav1.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return o.now.Sub(at.Time)
}
