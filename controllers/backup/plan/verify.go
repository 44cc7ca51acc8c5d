package plan

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
)

// damagedKept is how many broken backups are remembered, as the schema has it.
const damagedKept = 32

// annotationBackup on the Job of a verification names the RobustMQBackup that it reads.
const annotationBackup = "robustmq.io/verified-backup"

// verifyDue is when to read the newest backup again; false: nobody asked for it, or there is none. One that is newer than the one that was found wanting is read at once.
func verifyDue(st v1alpha1.VerificationStatus, every *metav1.Duration, newest *v1alpha1.RobustMQBackup, now time.Time) (time.Time, bool) {
	switch {
	case every == nil || newest == nil:
		return time.Time{}, false
	case st.Failures > 0 && st.Backup != newest.Name:
		return time.Time{}, true
	case st.Failures > 0 && !job.Reason(st.Reason).Passing():
		sound := st.JobOutcome
		sound.Failures = 0
		return again(sound, every.Duration, now), true
	}
	return again(st.JobOutcome, every.Duration, now), true
}

// verified is what the status says of a verification that ended.
func verified(before v1alpha1.VerificationStatus, backup *v1alpha1.RobustMQBackup, name, uid string, o outcome.Outcome, now time.Time) v1alpha1.VerificationStatus {
	after := v1alpha1.VerificationStatus{JobOutcome: noted(before.JobOutcome, uid, o, now), Backup: name, Damaged: slices.Clone(before.Damaged)}
	if after.LastReadTime = before.LastReadTime; after.LastReadTime.IsZero() || spoke(after) {
		after.LastReadTime = after.Time
	}
	if backup == nil { // its object was deleted meanwhile
		return after
	}
	id := idOf(backup)
	after.Damaged = slices.DeleteFunc(after.Damaged, func(d string) bool { return d == id && o.OK() })
	if brokenFor(after.Reason) && !slices.Contains(after.Damaged, id) {
		after.Damaged = append(after.Damaged, id)
		after.Damaged = after.Damaged[max(0, len(after.Damaged)-damagedKept):]
	}
	return after
}

// spoke reports whether the last verification found out how the backup is.
func spoke(st v1alpha1.VerificationStatus) bool { return st.Failures == 0 || brokenFor(st.Reason) }

// brokenFor reports whether a reason says that the backup is not what it should be, and not only that this could not be found out.
func brokenFor(reason string) bool {
	return reason == v1alpha1.ReasonBackupBroken || reason == v1alpha1.ReasonBackupMissing
}

// backupsVerified is the condition; nil where nobody asked for verifications.
func backupsVerified(cluster *v1alpha1.RobustMQCluster, st v1alpha1.VerificationStatus) *metav1.Condition {
	if cluster.Spec.Backup.VerifyEvery == nil {
		return nil
	}
	c := &metav1.Condition{Type: v1alpha1.ConditionBackupsVerified, Status: metav1.ConditionUnknown, ObservedGeneration: cluster.Generation}
	switch {
	case st.Time.IsZero():
		c.Reason, c.Message = v1alpha1.ReasonPending, "no backup was read again yet"
	case st.Failures == 0:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, v1alpha1.ReasonBackupVerified, "backup "+st.Backup+" was read whole, and the bucket has what its manifest says"
	case brokenFor(st.Reason):
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, st.Reason, "backup "+st.Backup+": "+st.Message
	default:
		c.Reason, c.Message = st.Reason, "backup "+st.Backup+" could not be read: "+st.Message
	}
	c.Message = bounded(c.Message, 4000)
	return c
}
