package backup

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

// neededSecret is one that a Job mounts, and the keys that it must have. A pod whose Secret is missing would wait without a word in its status.
type neededSecret struct {
	field, name string
	keys        []string
}

func secretsOfDestination(field string, d v1alpha1.S3Destination) []neededSecret {
	var out []neededSecret
	if d.CredentialsSecretName != "" {
		out = append(out, neededSecret{field + ".credentialsSecretName", d.CredentialsSecretName, []string{manifests.KeyAccessKey, manifests.KeySecretKey}})
	}
	if d.CASecretName != "" {
		out = append(out, neededSecret{field + ".caSecretName", d.CASecretName, []string{manifests.KeyS3CA}})
	}
	return out
}

func secretsOfBackup(cluster *v1alpha1.RobustMQCluster, verification v1alpha1.VerificationMode) []neededSecret {
	plan := cluster.Spec.Backup
	out := secretsOfDestination("spec.backup.destination", plan.Destination)
	if e := plan.Encryption; e != nil && e.IdentitySecretName != "" && verification == v1alpha1.VerificationFull {
		out = append(out, neededSecret{"spec.backup.encryption.identitySecretName", e.IdentitySecretName, []string{manifests.KeyIdentity}})
	}
	return append(out, neededSecret{"the operator makes it with the cluster's certificates", manifests.JobPKISecretName(cluster), []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey}})
}

// missingSecret reads past the cache: the operator holds nobody else's Secrets in memory. Nothing but whether a key is there is looked at.
func (r *Reconciler) missingSecret(ctx context.Context, cluster *v1alpha1.RobustMQCluster, verification v1alpha1.VerificationMode) (*wait, error) {
	return r.firstMissing(ctx, cluster.Namespace, secretsOfBackup(cluster, verification))
}

func (r *Reconciler) firstMissing(ctx context.Context, namespace string, needed []neededSecret) (*wait, error) {
	for _, need := range needed {
		var secret corev1.Secret
		err := r.Reader.Get(ctx, types.NamespacedName{Namespace: namespace, Name: need.name}, &secret)
		switch {
		case apierrors.IsNotFound(err):
			return &wait{v1alpha1.ReasonWaitingForSecret, fmt.Sprintf("Secret %q does not exist in namespace %s (%s)", need.name, namespace, need.field)}, nil
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
