package backup

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// FieldManager owns the fields that the operator writes.
const FieldManager = "robustmq-operator"

// begin makes the Job of a backup. What the decision was made on may be old, so what must not happen twice is looked at again past the cache, by one pass at a time.
func (r *Reconciler) begin(ctx context.Context, o *observation) error {
	installation, err := r.installation.Get(ctx, r.Reader)
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
