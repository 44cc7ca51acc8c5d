package backup

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// FieldManager owns the fields that the operator writes.
const FieldManager = "robustmq-operator"

// begin makes the Job of a backup. What the decision was made on may be old, so what must not happen twice is looked at again past the cache, by one pass at a time.
func (r *Reconciler) begin(ctx context.Context, o *observation) error {
	installation, err := r.installation(ctx)
	if err != nil {
		return err
	}
	j, err := takeJob(o.backup, o.cluster, o.source, installation, r.AgentImage)
	if err != nil {
		return fmt.Errorf("building the Job of backup %s: %w", o.backup.Name, err)
	}
	r.beginning.Lock()
	defer r.beginning.Unlock()
	var now v1alpha1.RobustMQBackup
	if err := r.Reader.Get(ctx, client.ObjectKeyFromObject(o.backup), &now); err != nil {
		return client.IgnoreNotFound(err)
	}
	if now.UID != o.backup.UID || now.Ended() || now.Status.JobName != "" || !now.DeletionTimestamp.IsZero() {
		return nil
	}
	jobs, err := r.jobsOfCluster(ctx, r.Reader, o.backup)
	if err != nil {
		return err
	}
	if busyJob(o.backup, jobs) != "" {
		return nil // the next pass says so
	}
	// Create, not apply: the Job that there is stands.
	if err := r.Create(ctx, j, client.FieldOwner(FieldManager)); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating Job %s: %w", j.Name, err)
	}
	return nil
}

// removeJob removes the very Job that was observed, and stays visible until its pods are gone: as long as one of them runs, it may write.
func (r *Reconciler) removeJob(ctx context.Context, j *batchv1.Job) error {
	if !j.DeletionTimestamp.IsZero() {
		return nil
	}
	err := r.Delete(ctx, j, client.Preconditions{UID: &j.UID}, client.PropagationPolicy(metav1.DeletePropagationForeground))
	if client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("removing Job %s: %w", j.Name, err)
	}
	return nil
}

// installation is the UID of the namespace kube-system, by which backups of Kubernetes clusters that are copies of one another are told apart. It is read once.
func (r *Reconciler) installation(ctx context.Context) (string, error) {
	r.mu.Lock()
	known := r.kubeSystem
	r.mu.Unlock()
	if known != "" {
		return known, nil
	}
	var ns corev1.Namespace
	if err := r.Reader.Get(ctx, types.NamespacedName{Name: metav1.NamespaceSystem}, &ns); err != nil {
		return "", fmt.Errorf("reading namespace %s, whose UID tells this Kubernetes from a copy of it (config/rbac/backups.yaml grants it): %w", metav1.NamespaceSystem, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kubeSystem = string(ns.UID)
	return r.kubeSystem, nil
}
