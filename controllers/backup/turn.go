package backup

import (
	"cmp"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

// whoseTurn says what goes before a backup: another backup of its cluster that has begun, or that was asked for earlier; or a Job that holds the bucket. nil: it is this one's turn.
func whoseTurn(b *v1alpha1.RobustMQBackup, all []v1alpha1.RobustMQBackup, jobs []batchv1.Job) *wait {
	if busy := busyJob(b, jobs); busy != "" {
		return &wait{v1alpha1.ReasonWaitingForTurn, fmt.Sprintf("Job %s is at work for the same cluster", busy)}
	}
	before := slices.IndexFunc(all, func(o v1alpha1.RobustMQBackup) bool {
		if o.UID == b.UID || o.Spec.ClusterName != b.Spec.ClusterName || o.Ended() {
			return false
		}
		return o.Status.JobName != "" || o.DeletionTimestamp.IsZero() && compareAge(&o, b) < 0
	})
	if before < 0 {
		return nil
	}
	return &wait{v1alpha1.ReasonWaitingForTurn, fmt.Sprintf("backup %s of the same cluster goes first", all[before].Name)}
}

// compareAge orders backups by when they were asked for; the API server counts seconds, so names decide between equals.
func compareAge(a, b *v1alpha1.RobustMQBackup) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
}

// busyJob is a Job that has not ended and takes a backup, or deletes something, for the same cluster: the archive lets only one of them at its place at a time.
func busyJob(b *v1alpha1.RobustMQBackup, jobs []batchv1.Job) string {
	for i := range jobs {
		j := &jobs[i]
		if j.Labels[v1alpha1.LabelCluster] != b.Spec.ClusterName || outcome.Finished(j) || ours(j, b) {
			continue
		}
		switch manifests.JobKind(j.Labels[v1alpha1.LabelJob]) {
		case manifests.JobTake, manifests.JobCollect, manifests.JobDelete:
			return j.Name
		}
	}
	return ""
}
