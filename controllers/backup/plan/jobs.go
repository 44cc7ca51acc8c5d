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
	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

// keepProbing begins a probe when one is due. One that tries another destination than that of now is of no use to anybody.
func (r *Reconciler) keepProbing(ctx context.Context, p *pass) error {
	w := p.probe
	if w.active() {
		if w.job.Annotations[annotationFingerprint] != p.place.fingerprint {
			return r.remove(ctx, w)
		}
		return nil
	}
	if p.place.problem != "" {
		return nil
	}
	if due := probeDue(p.next.Storage, p.place.fingerprint, p.next.LastFailure, p.now); due.After(p.now) {
		p.wakeAt(due)
		return nil
	}
	request, err := r.request(ctx, p.cluster)
	if err != nil {
		return err
	}
	request.ProgressDeadlineSeconds = 120
	_, err = r.start(ctx, p, w, request, manifests.JobOptions{
		Deadline: 5 * time.Minute, Annotations: map[string]string{annotationFingerprint: p.place.fingerprint},
	})
	return err
}

// keepCollecting begins a collection when one is due and nothing else is at work: the lock in the bucket is what keeps them apart, this keeps them from meeting there.
func (r *Reconciler) keepCollecting(ctx context.Context, p *pass, ready metav1.Condition) error {
	w, key := p.collection, client.ObjectKeyFromObject(p.cluster)
	if w.active() {
		// Backups go first. What a collection has deleted is deleted; the next one goes on there.
		if wait := p.now.Sub(w.state.Since); p.wanted && (w.state.Phase == outcome.Pending || wait >= r.Timings.Yield) {
			return r.remove(ctx, w)
		} else if p.wanted {
			p.wakeAt(p.now.Add(r.Timings.Yield - wait))
		}
		return nil
	}
	newest, some := newestScheduled(p.own)
	if p.reading.active() { // it holds the bucket's other lock; neither begins while the other is at work
		return nil
	}
	due, is := collectDue(collecting{last: p.next.Collection, newest: newest, some: some, deleted: r.wasDeleted(key)}, p.now)
	if !is || p.wanted || p.running != "" || ready.Status != metav1.ConditionTrue {
		return nil
	}
	if due.After(p.now) {
		p.wakeAt(due)
		return nil
	}
	request, err := r.request(ctx, p.cluster)
	if err != nil {
		return err
	}
	request.Collect = collectRequest(p.cluster.Spec.Backup.Schedules, p.next.Verification.Damaged)
	begun, err := r.start(ctx, p, w, request, manifests.JobOptions{Deadline: time.Hour})
	if begun {
		r.setDeleted(key, false)
	}
	return err
}

// keepVerifying begins a verification when one is due. It reads beside a backup that is being made, and not beside a collection, which would wait for it.
func (r *Reconciler) keepVerifying(ctx context.Context, p *pass, ready metav1.Condition) error {
	w, plan := p.reading, p.cluster.Spec.Backup
	if w.active() {
		return nil
	}
	var newest *v1alpha1.RobustMQBackup
	for _, b := range heldIn(p.own, &plan.Destination) {
		if newest == nil || newest.Status.RecoveryPoint.Time.Before(&b.Status.RecoveryPoint.Time) {
			newest = b
		}
	}
	due, is := verifyDue(p.next.Verification, plan.VerifyEvery, newest, p.now)
	if !is || p.collection.active() || ready.Status != metav1.ConditionTrue {
		return nil
	}
	if due.After(p.now) {
		p.wakeAt(due)
		return nil
	}
	request, err := r.request(ctx, p.cluster)
	if err != nil {
		return err
	}
	request.Verify = &job.VerifyRequest{ID: idOf(newest), Mode: archive.Full}
	identity, err := r.identity(ctx, p.cluster, newest)
	if err != nil {
		return err
	}
	_, err = r.start(ctx, p, w, request, manifests.JobOptions{
		Deadline: 24 * time.Hour, IdentitySecretName: identity, Annotations: map[string]string{annotationBackup: newest.Name},
	})
	return err
}

// identity names the Secret with which an encrypted backup can be opened; empty where there is none: what lies in the bucket is compared all the same.
func (r *Reconciler) identity(ctx context.Context, cluster *v1alpha1.RobustMQCluster, b *v1alpha1.RobustMQBackup) (string, error) {
	e := cluster.Spec.Backup.Encryption
	if !b.Status.Encrypted || e == nil || e.IdentitySecretName == "" {
		return "", nil
	}
	var secret corev1.Secret
	if err := r.Reader.Get(ctx, client.ObjectKey{Namespace: cluster.Namespace, Name: e.IdentitySecretName}, &secret); err != nil {
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		return "", fmt.Errorf("reading Secret %s (spec.backup.encryption.identitySecretName): %w", e.IdentitySecretName, err)
	}
	if len(secret.Data[manifests.KeyIdentity]) == 0 {
		return "", nil
	}
	return e.IdentitySecretName, nil
}

// pendingOf is how a Job is going that has not ended; nil when there is none.
func pendingOf(w *work) *outcome.Outcome {
	if !w.active() {
		return nil
	}
	return &w.state
}
