package plan

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// makeDue makes the backups whose time has come, and keeps the rows of the schedules. Nothing is due before the cluster was founded: there is nothing to save.
func (r *Reconciler) makeDue(ctx context.Context, p *pass) error {
	if !p.cluster.Status.Founded || p.cluster.Status.ClusterUID == "" {
		return nil
	}
	var rows []v1alpha1.ScheduleStatus
	m := moment{cluster: p.cluster.Name, now: p.now, paused: p.cluster.Spec.Paused || p.cluster.Spec.Hibernated, running: p.running}
	for _, s := range p.cluster.Spec.Backup.Schedules {
		row := rowOf(p.next, s.Name)
		v := consider(s, row, m)
		if v.due != nil {
			problem, err := r.make(ctx, p, s.Name, v)
			if err != nil {
				return err
			}
			if problem != "" {
				row.Name, row.Line, row.Since, row.Note = v.row.Name, v.row.Line, v.row.Since, bounded(problem, 512)
				v.row = row
				p.wakeAt(p.now.Add(firstRetry))
			} else {
				m.running, p.wanted = "the backup "+v.due.Name, true
			}
		}
		p.wanted = p.wanted || v.waits
		if !v.wake.IsZero() {
			p.wakeAt(v.wake)
		}
		rows = append(rows, v.row)
	}
	p.next.Schedules = rows
	return nil
}

// make the backup of a tick. It says what is wrong where only a person can mend it.
func (r *Reconciler) make(ctx context.Context, p *pass, schedule string, v verdict) (problem string, err error) {
	b := scheduled(p.cluster, schedule, v.due.Name)
	var there v1alpha1.RobustMQBackup
	err = r.Get(ctx, client.ObjectKeyFromObject(b), &there)
	if apierrors.IsNotFound(err) {
		if err = r.Create(ctx, b, client.FieldOwner(FieldManager)); err == nil {
			r.event(ctx, p.cluster, b, corev1.EventTypeNormal, v1alpha1.ReasonBackupScheduled, fmt.Sprintf("schedule %s made backup %s for %s", schedule, b.Name, v.due.At.UTC().Format(time.RFC3339)))
			if v.missed > 0 {
				r.event(ctx, p.cluster, b, corev1.EventTypeWarning, v1alpha1.ReasonTicksMissed, fmt.Sprintf("schedule %s: %s", schedule, missedNote(v.missed)))
			}
			return "", nil
		}
	}
	if apierrors.IsAlreadyExists(err) { // the cache is behind
		err = r.Reader.Get(ctx, client.ObjectKeyFromObject(b), &there)
	}
	switch {
	case err == nil && (there.Spec.ClusterName != p.cluster.Name || scheduleOf(&there) != schedule):
		// The tick counts as dealt with, or it would be tried for ever.
		r.event(ctx, p.cluster, b, corev1.EventTypeWarning, v1alpha1.ReasonNameTaken, fmt.Sprintf("schedule %s: a RobustMQBackup %s exists that the schedule did not make, so that tick has no backup", schedule, b.Name))
		return "", nil
	case err == nil:
		return "", nil
	case apierrors.IsInvalid(err), apierrors.IsForbidden(err), apierrors.IsBadRequest(err):
		problem = fmt.Sprintf("backup %s cannot be made: %v", b.Name, err)
		r.event(ctx, p.cluster, nil, corev1.EventTypeWarning, v1alpha1.ReasonApplyFailed, fmt.Sprintf("schedule %s: %s", schedule, problem))
		return problem, nil
	}
	return "", fmt.Errorf("making backup %s of schedule %s: %w", b.Name, schedule, err)
}

// scheduled is the backup of a tick. Nothing owns it: it says where the data of a cluster can be had again, also, and above all, when that cluster was deleted; a garbage collector would
// delete it with its owner. For the same reason its deletion leaves the bucket alone: what is deleted there is the collection's business.
func scheduled(cluster *v1alpha1.RobustMQCluster, schedule, name string) *v1alpha1.RobustMQBackup {
	return &v1alpha1.RobustMQBackup{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: cluster.Namespace, Labels: map[string]string{
			v1alpha1.LabelCluster: cluster.Name, v1alpha1.LabelSchedule: schedule, v1alpha1.LabelManaged: v1alpha1.ManagedBy,
		}},
		Spec: v1alpha1.RobustMQBackupSpec{ClusterName: cluster.Name, DeletionPolicy: v1alpha1.BackupRetained},
	}
}

// dropStale bounds the failed backups of schedules.
func (r *Reconciler) dropStale(ctx context.Context, p *pass) error {
	if p.cluster.Spec.Paused {
		return nil
	}
	for _, b := range stale(p.own) {
		if err := r.drop(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// drop the object of a backup, if it is still the one that was seen.
func (r *Reconciler) drop(ctx context.Context, b *v1alpha1.RobustMQBackup) error {
	err := r.Delete(ctx, b, client.Preconditions{UID: &b.UID})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("deleting backup %s: %w", b.Name, err)
	}
	return nil
}
