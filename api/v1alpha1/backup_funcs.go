package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/meta"
)

// Ended reports whether the backup is complete or has failed: nothing more is done with it.
func (b *RobustMQBackup) Ended() bool {
	return b.Status.Stage == BackupComplete || b.Status.Stage == BackupFailed
}

// WhyIncomplete is "<reason>: <message>" of the condition Complete; empty where nothing has said it yet.
func (b *RobustMQBackup) WhyIncomplete() string {
	c := meta.FindStatusCondition(b.Status.Conditions, ConditionComplete)
	if c == nil {
		return ""
	}
	return c.Reason + ": " + c.Message
}

// Restorable reports whether the backup was found complete, by its condition.
func (b *RobustMQBackup) Restorable() bool {
	return meta.IsStatusConditionTrue(b.Status.Conditions, ConditionComplete)
}

// Ended reports whether the restore is complete, has failed or was aborted: the cluster is as it was or as it shall be, and nothing more is done with it.
func (r *RobustMQRestore) Ended() bool {
	switch r.Status.Stage {
	case RestoreComplete, RestoreFailed, RestoreAborted:
		return true
	}
	return false
}
