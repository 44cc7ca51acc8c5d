package backup

import (
	"context"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
	"github.com/robustmq/robustmq-operator/controllers/backup/removal"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

// leaving is what is seen of a backup that goes, and shall be removed from the bucket before (deletionPolicy Delete).
type leaving struct {
	now    time.Time
	backup *v1alpha1.RobustMQBackup
	// take is the Job that makes it, if that is still there; while it is, it may write.
	take *batchv1.Job
	// job removes it; foreign is one of that name for an earlier backup.
	job, foreign *batchv1.Job
	run          outcome.Outcome
	// busy is a Job of the cluster that has the bucket, restore one that may read this backup, missing a Secret of the destination.
	busy, restore string
	missing       *wait
}

// leave is what is done next.
type leave struct {
	removeTake, create, removeJob bool
	// release lets the object go. A warning says that the backup stays in the bucket, and why.
	release bool
	warning string
	// told is what became of it, when it is released without a warning.
	told string
}

// decideLeave never waits for ever: a bucket or credentials that are gone must not keep an object, and with it its namespace.
func decideLeave(l *leaving, t Timings) leave {
	b := l.backup
	waited := l.now.Sub(b.DeletionTimestamp.Time)
	switch {
	case l.take == nil && b.Status.JobName == "":
		return leave{release: true, told: "it was never begun"}
	case l.job != nil && l.run.Phase == outcome.Ended && gone(l.run):
		return leave{release: true, told: l.run.Message}
	case waited >= t.Deletion:
		return leave{release: true, warning: fmt.Sprintf("it could not be removed within %s: %s", t.Deletion, l.obstacle())}
	case l.take != nil:
		return leave{removeTake: l.take.DeletionTimestamp.IsZero()}
	case b.Status.Destination == nil || b.Status.ClusterUID == "":
		return leave{release: true, warning: "it is not known where it is: what its Job was asked to do could not be read"}
	case l.missing != nil:
		return leave{release: true, warning: l.missing.message}
	case l.restore != "" || l.job == nil && l.busy != "":
		return leave{}
	case l.foreign != nil:
		return leave{removeJob: outcome.Finished(l.foreign) && l.foreign.DeletionTimestamp.IsZero()}
	case l.job == nil:
		return leave{create: true}
	case l.run.Phase == outcome.Ended:
		return leave{removeJob: l.job.DeletionTimestamp.IsZero() && l.now.Sub(l.run.Since) >= t.Retry} // it failed: the next attempt has its name
	}
	return leave{}
}

// gone reports whether the Job says that there is nothing left.
func gone(o outcome.Outcome) bool {
	return o.OK() || o.Result != nil && (o.Result.Reason == job.BackupMissing || o.Result.Reason == job.BucketMissing)
}

// obstacle is what kept the backup from being removed, as far as it was seen.
func (l *leaving) obstacle() string {
	switch {
	case l.take != nil:
		return fmt.Sprintf("Job %s, which makes it, has not ended", l.take.Name)
	case l.restore != "":
		return fmt.Sprintf("restore %s reads it", l.restore)
	case l.foreign != nil:
		return fmt.Sprintf("Job %s for an earlier backup of its name has not ended", l.foreign.Name)
	case l.job == nil && l.busy != "":
		return fmt.Sprintf("Job %s is at work for the same cluster", l.busy)
	case l.run.Message != "":
		return fmt.Sprintf("%s: %s", l.run.Reason, l.run.Message)
	}
	return "its Job has not ended"
}

// finalize carries a deletion out.
func (r *Reconciler) finalize(ctx context.Context, b *v1alpha1.RobustMQBackup) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(b, v1alpha1.FinalizerBackup) {
		r.forget(client.ObjectKeyFromObject(b))
		return ctrl.Result{}, nil // the Job goes with the object that owns it; the backup stays
	}
	l, err := r.observeLeaving(ctx, b)
	if err != nil {
		return ctrl.Result{}, err
	}
	if l.take != nil && b.Status.JobName == "" {
		// The Job knows where the backup goes, and is about to be removed: that is written down first.
		next := *b.Status.DeepCopy()
		describe(&next, &observation{now: l.now, backup: b, job: l.take, record: readRecord(l.take)})
		return ctrl.Result{RequeueAfter: time.Millisecond}, r.writeStatus(ctx, b, next)
	}
	step := decideLeave(l, r.Timings)
	switch {
	case step.release:
		return ctrl.Result{}, r.release(ctx, b, step)
	case step.removeTake:
		err = removal.Job(ctx, r.Client, l.take)
	case step.removeJob && l.job != nil:
		err = removal.Job(ctx, r.Client, l.job)
	case step.removeJob:
		err = removal.Job(ctx, r.Client, l.foreign)
	case step.create:
		err = r.createDeletion(ctx, b)
	}
	return ctrl.Result{RequeueAfter: r.Timings.Waiting}, err
}

func (r *Reconciler) observeLeaving(ctx context.Context, b *v1alpha1.RobustMQBackup) (*leaving, error) {
	l := &leaving{now: r.Now(), backup: b}
	// Past the cache: a Job that was made a moment ago may still write what nobody would remove.
	var take batchv1.Job
	err := r.Reader.Get(ctx, types.NamespacedName{Namespace: b.Namespace, Name: manifests.BackupJobName(b.Name)}, &take)
	switch {
	case client.IgnoreNotFound(err) != nil:
		return nil, fmt.Errorf("reading Job %s: %w", manifests.BackupJobName(b.Name), err)
	case err == nil && ours(&take, b):
		l.take = &take
	}
	j, err := r.findJob(ctx, b, manifests.BackupDeletionJobName(b.Name))
	switch {
	case err != nil:
		return nil, err
	case j != nil && j.Annotations[v1alpha1.AnnotationBackupUID] != string(b.UID):
		l.foreign = j
	case j != nil:
		pods, err := r.podsOf(ctx, r.Client, j)
		if err != nil {
			return nil, err
		}
		l.job, l.run = j, outcome.Of(job.Delete, j, pods, l.now)
	}
	jobs, err := r.jobsOfCluster(ctx, r.Client, b)
	if err != nil {
		return nil, err
	}
	l.busy = busyJob(b, jobs)
	if r.Restores != nil {
		restores, err := r.Restores(ctx, b.Namespace)
		if err != nil {
			return nil, fmt.Errorf("listing the restores of cluster %s: %w", b.Spec.ClusterName, err)
		}
		for i := range restores {
			if x := &restores[i]; x.Spec.Source.BackupName == b.Name && !x.Ended() {
				l.restore = x.Name
			}
		}
	}
	if b.Status.Destination != nil {
		l.missing, err = r.firstMissing(ctx, b.Namespace, secretsOfDestination("status.destination", *b.Status.Destination))
	}
	return l, err
}

func (r *Reconciler) createDeletion(ctx context.Context, b *v1alpha1.RobustMQBackup) error {
	cluster, err := r.cluster(ctx, b)
	if err != nil {
		return err
	}
	installation, err := r.installation.Get(ctx, r.Reader)
	if err != nil {
		return err
	}
	j, err := deletionJob(b, cluster, installation, r.AgentImage)
	if err != nil {
		return r.release(ctx, b, leave{release: true, warning: err.Error()})
	}
	err = r.Create(ctx, j, client.FieldOwner(FieldManager))
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return r.release(ctx, b, leave{release: true, warning: "its namespace is being deleted, where no Job can be made any more"})
	case apierrors.IsAlreadyExists(err):
		return nil
	case err != nil:
		return fmt.Errorf("creating Job %s: %w", j.Name, err)
	}
	r.tell(ctx, b, corev1.EventTypeNormal, v1alpha1.ReasonDeletingBackup, fmt.Sprintf("Job %s removes %s from the bucket", j.Name, placeOf(b)))
	return nil
}

// release takes the finalizer off, and says what became of the backup.
func (r *Reconciler) release(ctx context.Context, b *v1alpha1.RobustMQBackup, step leave) error {
	after := b.DeepCopy()
	controllerutil.RemoveFinalizer(after, v1alpha1.FinalizerBackup)
	if err := r.Patch(ctx, after, client.MergeFromWithOptions(b, client.MergeFromWithOptimisticLock{}), client.FieldOwner(FieldManager)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("letting backup %s go: %w", b.Name, err)
	}
	r.forget(client.ObjectKeyFromObject(b))
	if step.warning != "" {
		r.tell(ctx, b, corev1.EventTypeWarning, v1alpha1.ReasonBackupLeft, fmt.Sprintf("%s is still in the bucket: %s", placeOf(b), step.warning))
		return nil
	}
	r.tell(ctx, b, corev1.EventTypeNormal, v1alpha1.ReasonBackupDeleted, step.told)
	return nil
}

// placeOf is the manifest of a backup in words: bucket and key.
func placeOf(b *v1alpha1.RobustMQBackup) string {
	d := b.Status.Destination
	if d == nil || b.Status.ClusterUID == "" {
		return "the backup " + b.Name
	}
	return fmt.Sprintf("%s of bucket %s", manifestKey(d.Prefix, b.Status.ClusterUID, idOf(b)), d.Bucket)
}
