package plan

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

// probeEvery is how often a destination that works is tried again.
const probeEvery = 24 * time.Hour

// destination is where backups go, as far as Kubernetes knows it.
type destination struct {
	// fingerprint changes when anything does that decides whether the bucket can be written to.
	fingerprint string
	// problem is what keeps a Job from starting, with its reason; empty if nothing does.
	reason, problem string
}

// reference is an object that the destination names, as it is now. Its version stands for its content: a hash of that, in a status that more people may read than the Secret, would let them guess.
type reference struct {
	Kind, Name, UID, Version string
}

// fingerprintOf a destination of a cluster and what it names.
func fingerprintOf(clusterUID string, d *v1alpha1.S3Destination, named []reference) (string, error) {
	content, err := json.Marshal(struct {
		ClusterUID  string
		Destination *v1alpha1.S3Destination
		Named       []reference
	}{clusterUID, d, named})
	if err != nil {
		return "", fmt.Errorf("describing the destination: %w", err)
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:16]), nil
}

// locate reads what the destination names, past the cache: the operator holds nobody else's Secrets in memory, and of these it only looks whether the keys are there.
func (r *Reconciler) locate(ctx context.Context, cluster *v1alpha1.RobustMQCluster) (destination, error) {
	d := &cluster.Spec.Backup.Destination
	var out destination
	var named []reference
	for _, want := range []struct {
		field, name string
		keys        []string
	}{
		{"credentialsSecretName", d.CredentialsSecretName, []string{manifests.KeyAccessKey, manifests.KeySecretKey}},
		{"caSecretName", d.CASecretName, []string{manifests.KeyS3CA}},
	} {
		if want.name == "" {
			continue
		}
		var secret corev1.Secret
		err := r.Reader.Get(ctx, client.ObjectKey{Namespace: cluster.Namespace, Name: want.name}, &secret)
		switch {
		case apierrors.IsNotFound(err):
			out.lacks(v1alpha1.ReasonWaitingForSecret, fmt.Sprintf("spec.backup.destination.%s names Secret %q, which does not exist in namespace %s: create it", want.field, want.name, cluster.Namespace))
			continue
		case err != nil:
			return out, fmt.Errorf("reading Secret %s (spec.backup.destination.%s): %w", want.name, want.field, err)
		}
		for _, key := range want.keys {
			if len(secret.Data[key]) == 0 {
				out.lacks(v1alpha1.ReasonWaitingForSecret, fmt.Sprintf("Secret %q (spec.backup.destination.%s) has no key %q: add it", want.name, want.field, key))
			}
		}
		named = append(named, reference{"Secret", want.name, string(secret.UID), secret.ResourceVersion})
	}
	if name := d.ServiceAccountName; name != "" {
		account := &metav1.PartialObjectMetadata{}
		account.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ServiceAccount"))
		err := r.Reader.Get(ctx, client.ObjectKey{Namespace: cluster.Namespace, Name: name}, account)
		switch {
		case apierrors.IsNotFound(err):
			out.lacks(v1alpha1.ReasonDestinationInvalid, fmt.Sprintf("spec.backup.destination.serviceAccountName names ServiceAccount %q, which does not exist in namespace %s: create it", name, cluster.Namespace))
		case err != nil:
			return out, fmt.Errorf("reading ServiceAccount %s (spec.backup.destination.serviceAccountName): %w", name, err)
		default:
			named = append(named, reference{"ServiceAccount", name, string(account.UID), account.ResourceVersion})
		}
	}
	fingerprint, err := fingerprintOf(cluster.Status.ClusterUID, d, named)
	out.fingerprint = fingerprint
	return out, err
}

// lacks notes the first thing that is missing.
func (d *destination) lacks(reason, problem string) {
	if d.problem == "" {
		d.reason, d.problem = reason, problem
	}
}

// probeDue is when the destination is to be tried: at once when it is another than the one that was tried, and when a backup failed for it since it was found to work.
func probeDue(st v1alpha1.StorageStatus, fingerprint string, failure v1alpha1.BackupFailure, now time.Time) time.Time {
	failed := st.Failures == 0 && st.Time.Before(&failure.Time) && !failure.Time.After(now) // not by a clock that runs ahead: the probe's end would be before it, again and again
	if st.Fingerprint != fingerprint || failed && job.Reason(failure.Reason).OfDestination() {
		return time.Time{}
	}
	return again(st.JobOutcome, probeEvery, now)
}

// storageReady is the condition. pending says what the probe's Job waits for, if it does.
func storageReady(cluster *v1alpha1.RobustMQCluster, st v1alpha1.StorageStatus, d destination, pending *outcome.Outcome) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionStorageReady, Status: metav1.ConditionUnknown, ObservedGeneration: cluster.Generation}
	place := placeOf(&cluster.Spec.Backup.Destination)
	switch {
	case cluster.Status.ClusterUID == "":
		c.Reason, c.Message = v1alpha1.ReasonPending, "the cluster has no identity yet, under which its backups are kept"
	case d.problem != "":
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, d.reason, d.problem
	case st.Fingerprint != d.fingerprint && cluster.Spec.Paused:
		c.Reason, c.Message = v1alpha1.ReasonPaused, place+" was not tried yet, and while the cluster is paused it is not"
	case st.Fingerprint != d.fingerprint && pending != nil && pending.Phase == outcome.Pending && pending.Reason != v1alpha1.ReasonWaitingForPods:
		c.Reason, c.Message = pending.Reason, place+" is to be tried, but "+pending.Message
	case st.Fingerprint != d.fingerprint:
		c.Reason, c.Message = v1alpha1.ReasonProbing, place+" is being tried: a small object is written, read, listed and deleted"
	case st.Failures > 0:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, st.Reason, st.Message
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, v1alpha1.ReasonDestinationWritable, "a small object was written to "+place+", read, listed and deleted with the credentials that backups have"
		if st.Message != "" {
			c.Message += ". To be known: " + st.Message
		}
	}
	c.Message = bounded(c.Message, 4000)
	if c.Message == "" {
		c.Message = "the Job left no message"
	}
	return c
}

// placeOf names a destination for people.
func placeOf(d *v1alpha1.S3Destination) string {
	place := "s3://" + d.Bucket
	if d.Prefix != "" {
		place += "/" + d.Prefix
	}
	if d.Endpoint != "" {
		place += " at " + d.Endpoint
	}
	return place
}
