package restore

import (
	"cmp"
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

// observeBefore is about a restore that has not begun: in the order of whatIsAwaited, and no further than it will look.
func (r *Reconciler) observeBefore(ctx context.Context, o *observation) error {
	if o.whatIsAwaited() != nil || len(o.forbidden) > 0 {
		return nil
	}
	var all v1alpha1.RobustMQRestoreList
	if err := r.Reader.List(ctx, &all, client.InNamespace(o.restore.Namespace)); err != nil {
		return fmt.Errorf("listing restores: %w", err)
	}
	var jobs batchv1.JobList
	if err := r.Reader.List(ctx, &jobs, client.InNamespace(o.restore.Namespace), client.MatchingLabels{v1alpha1.LabelCluster: o.cluster.Name, v1alpha1.LabelManaged: v1alpha1.ManagedBy}); err != nil {
		return fmt.Errorf("listing the Jobs of cluster %s: %w", o.cluster.Name, err)
	}
	if o.turn = whoseTurn(o.restore, all.Items, jobs.Items); o.turn != nil {
		return nil
	}
	var err error
	if o.missing, err = r.missingSecret(ctx, o); err != nil || o.missing != nil {
		return err
	}
	around := &rules.Around{Clusters: []v1alpha1.RobustMQCluster{*o.cluster}}
	if o.named != nil {
		around.Backups = []v1alpha1.RobustMQBackup{*o.named}
	}
	for _, v := range rules.LiveRestore(o.restore, around) { // the other restores are waited for above: of two that see each other one has to begin
		o.forbidden = append(o.forbidden, v.Text())
	}
	return nil
}

// whoseTurn says what goes before a restore: another one of its cluster that has begun, or that was asked for earlier; or a Job that has the bucket. nil: it is this one's turn.
func whoseTurn(x *v1alpha1.RobustMQRestore, all []v1alpha1.RobustMQRestore, jobs []batchv1.Job) *wait {
	for i := range all {
		other := &all[i]
		if other.UID == x.UID || other.Spec.ClusterName != x.Spec.ClusterName || other.Ended() {
			continue
		}
		begun := other.Status.Stage != "" && other.Status.Stage != v1alpha1.RestoreWaiting
		if begun || other.DeletionTimestamp.IsZero() && compareAge(other, x) < 0 {
			return &wait{v1alpha1.ReasonRestoreRunning, fmt.Sprintf("restore %s of the same cluster goes first", other.Name)}
		}
	}
	for i := range jobs {
		j := &jobs[i]
		if outcome.Finished(j) {
			continue
		}
		switch manifests.JobKind(j.Labels[v1alpha1.LabelJob]) {
		case manifests.JobTake, manifests.JobCollect, manifests.JobDelete:
			return &wait{v1alpha1.ReasonWaitingForTurn, fmt.Sprintf("Job %s is at work for the same cluster", j.Name)}
		}
	}
	return nil
}

// compareAge orders restores by when they were asked for; the API server counts seconds, so names decide between equals.
func compareAge(a, b *v1alpha1.RobustMQRestore) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
}

// neededSecret is one that a Job mounts, and the keys that it must have. A pod whose Secret is missing would wait without a word in its status.
type neededSecret struct {
	field, name string
	keys        []string
}

func secretsOf(o *observation) []neededSecret {
	var out []neededSecret
	d := o.place
	if d.CredentialsSecretName != "" {
		out = append(out, neededSecret{"credentialsSecretName of the source", d.CredentialsSecretName, []string{manifests.KeyAccessKey, manifests.KeySecretKey}})
	}
	if d.CASecretName != "" {
		out = append(out, neededSecret{"caSecretName of the source", d.CASecretName, []string{manifests.KeyS3CA}})
	}
	if name := identitySecretOf(o); name != "" {
		out = append(out, neededSecret{"spec.identitySecretName, or spec.backup.encryption.identitySecretName of the cluster", name, []string{manifests.KeyIdentity}})
	}
	return append(out, neededSecret{"the operator makes it with the cluster's certificates", manifests.JobPKISecretName(o.cluster), []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey}})
}

// missingSecret reads past the cache: the operator holds nobody else's Secrets in memory. Nothing but whether a key is there is looked at.
func (r *Reconciler) missingSecret(ctx context.Context, o *observation) (*wait, error) {
	for _, need := range secretsOf(o) {
		var secret corev1.Secret
		err := r.Reader.Get(ctx, types.NamespacedName{Namespace: o.restore.Namespace, Name: need.name}, &secret)
		switch {
		case apierrors.IsNotFound(err):
			return &wait{v1alpha1.ReasonWaitingForSecret, fmt.Sprintf("Secret %q does not exist in namespace %s (%s)", need.name, o.restore.Namespace, need.field)}, nil
		case err != nil:
			return nil, fmt.Errorf("reading Secret %s (%s): %w", need.name, need.field, err)
		}
		for _, key := range need.keys {
			if len(secret.Data[key]) == 0 {
				return &wait{v1alpha1.ReasonWaitingForSecret, fmt.Sprintf("Secret %q has no key %q (%s)", need.name, key, need.field)}, nil
			}
		}
	}
	return nil, nil
}
