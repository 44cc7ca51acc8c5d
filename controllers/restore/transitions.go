package restore

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// transition is one thing that became true between two statuses, told once as an event of the restore and of its cluster.
type transition struct{ kind, reason, message string }

// transitions compares two statuses. The former one is read for telling only, never for deciding.
func transitions(before, after v1alpha1.RobustMQRestoreStatus) []transition {
	then, now := meta.FindStatusCondition(before.Conditions, v1alpha1.ConditionComplete), meta.FindStatusCondition(after.Conditions, v1alpha1.ConditionComplete)
	if now == nil {
		return nil
	}
	var out []transition
	tell := func(kind, reason, message string) { out = append(out, transition{kind, reason, message}) }
	was, is := meta.FindStatusCondition(before.Conditions, v1alpha1.ConditionVerified), meta.FindStatusCondition(after.Conditions, v1alpha1.ConditionVerified)
	if is != nil && is.Reason != v1alpha1.ReasonPending && (was == nil || was.Reason != is.Reason) && !ended(after.Stage) {
		kind := corev1.EventTypeNormal
		if is.Reason == v1alpha1.ReasonMembersDisagree {
			kind = corev1.EventTypeWarning
		}
		tell(kind, is.Reason, is.Message)
	}
	switch after.Stage {
	case before.Stage:
		if after.Stage == v1alpha1.RestoreWaiting && then != nil && then.Reason != now.Reason {
			tell(corev1.EventTypeNormal, now.Reason, now.Message)
		}
	case v1alpha1.RestoreFailed:
		tell(corev1.EventTypeWarning, now.Reason, now.Message)
	case v1alpha1.RestoreAborting:
		tell(corev1.EventTypeWarning, v1alpha1.ReasonRestoreAborting, fmt.Sprintf("the members go back to what they had: %s", now.Message))
	case v1alpha1.RestoreWaiting, v1alpha1.RestoreValidating, v1alpha1.RestoreSaving, v1alpha1.RestoreComplete, v1alpha1.RestoreAborted:
		tell(corev1.EventTypeNormal, now.Reason, now.Message)
	default:
		tell(corev1.EventTypeNormal, now.Reason, fmt.Sprintf("%s: %s", after.Stage, now.Message))
	}
	return out
}
