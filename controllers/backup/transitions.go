package backup

import (
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// transition is one thing that became true between two statuses, told once as an event.
type transition struct{ kind, reason, message string }

// transitions compares two statuses. The former one is read for telling only, never for deciding.
func transitions(before, after v1alpha1.RobustMQBackupStatus) []transition {
	var out []transition
	tell := func(kind, reason, message string) { out = append(out, transition{kind, reason, message}) }
	then, now := meta.FindStatusCondition(before.Conditions, v1alpha1.ConditionComplete), meta.FindStatusCondition(after.Conditions, v1alpha1.ConditionComplete)
	if before.JobName == "" && after.JobName != "" {
		tell(corev1.EventTypeNormal, v1alpha1.ReasonBackupStarted, fmt.Sprintf("Job %s copies from %s", after.JobName, cmp.Or(after.Source.Pod, "a member that is not known")))
	}
	if now == nil {
		return out
	}
	switch after.Stage {
	case before.Stage:
		// Still waiting, and for something else. The first Job of a backup is told above.
		if after.Stage == v1alpha1.BackupWaiting && then != nil && then.Reason != now.Reason && len(out) == 0 {
			tell(corev1.EventTypeNormal, now.Reason, now.Message)
		}
	case v1alpha1.BackupComplete:
		tell(corev1.EventTypeNormal, now.Reason, fmt.Sprintf("%s: %s, %s of it new to the bucket", after.Key, after.Size, sizeOf(*after.UploadedBytes)))
	case v1alpha1.BackupFailed:
		tell(corev1.EventTypeWarning, now.Reason, now.Message)
	case v1alpha1.BackupWaiting, v1alpha1.BackupUploading, v1alpha1.BackupVerifying:
		tell(corev1.EventTypeNormal, now.Reason, now.Message)
	case v1alpha1.BackupStaging: // BackupStarted said so
	}
	return out
}
