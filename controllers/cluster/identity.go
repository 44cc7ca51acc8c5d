package cluster

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

// identity is what makes this cluster's data this cluster's: it outlives the RobustMQCluster object when the volumes are retained.
type identity struct {
	uid string
	// generation of the metadata, recorded the newest one that status and claims have: a restore raises it, or takes it back.
	generation, recorded int64
	founded              bool
	// emptied: this generation was begun empty, after every copy of the one before it was lost, and was not founded yet.
	emptied bool
}

// notFounded on a volume claim: its generation was begun empty, and is yet to be founded.
const notFounded = "false"

// record is what one of the places says in which the identity is kept.
type record struct {
	generation       int64
	founded, emptied bool
}

// newest puts the records together: those of the highest generation count, as all that are older were written before it began.
func newest(records []record) (out record) {
	for _, r := range records {
		if r.generation > out.generation {
			out = record{generation: r.generation}
		}
		if r.generation == out.generation {
			out.founded, out.emptied = out.founded || r.founded, out.emptied || r.emptied
		}
	}
	out.emptied = out.emptied && !out.founded
	return out
}

// identify finds the cluster's identity: on the volume claims of its name first (an object that was deleted and applied again adopts what it left), then in the status.
// Only when neither has one is a new one made, by newUID; the caller writes it to the status before anything else is made.
// Of the records of the generation the highest counts, as any of them may be lost and found again, and whether it was founded is what those of that generation say.
func identify(cluster *v1alpha1.RobustMQCluster, o *observation, newUID func() string) (id identity, fresh bool, err error) {
	id.uid = cluster.Status.ClusterUID
	records := []record{{generation: max(cluster.Status.Generation, firstGeneration), founded: cluster.Status.Founded}}
	var onClaims []string
	for pod, claim := range o.claims {
		uid := claim.Annotations[v1alpha1.AnnotationClusterUID]
		if uid == "" || !isPlacementCenter(cluster, pod) {
			continue
		}
		if !slices.Contains(onClaims, uid) {
			onClaims = append(onClaims, uid)
		}
		mark := claim.Annotations[v1alpha1.AnnotationFounded]
		records = append(records, record{generation: generationOn(claim), founded: mark == "true", emptied: mark == notFounded})
	}
	counts := newest(records)
	id.recorded, id.generation, id.founded, id.emptied = counts.generation, counts.generation, counts.founded, counts.emptied
	slices.Sort(onClaims)
	switch {
	case len(onClaims) > 1:
		return id, false, fmt.Errorf("the volume claims of the placement centre belong to different clusters (%v): remove those that are not meant, or give this cluster another name", onClaims)
	case len(onClaims) == 1 && id.uid != "" && id.uid != onClaims[0]:
		return id, false, fmt.Errorf("the volume claims of the placement centre belong to cluster %s and the status says %s: remove the claims that are not meant, or give this cluster another name", onClaims[0], id.uid)
	case len(onClaims) == 1:
		id.uid = onClaims[0]
	}
	if id.uid == "" {
		id.uid = newUID()
		return id, true, nil
	}
	return id, id.uid != cluster.Status.ClusterUID, nil
}

// neverFounded asks the API server itself, right before a cluster is founded, whether any record says that it was. The cache may be behind what was written a moment ago, by this operator or by the one
// before it; and a volume that lost its data since looks as empty as a new one.
func (r *Reconciler) neverFounded(ctx context.Context, p *pass) error {
	var cluster v1alpha1.RobustMQCluster
	if err := r.Reader.Get(ctx, client.ObjectKeyFromObject(p.cluster), &cluster); err != nil {
		return fmt.Errorf("whether it was founded before is not known: %w", err)
	}
	var claims corev1.PersistentVolumeClaimList
	if err := r.Reader.List(ctx, &claims, client.InNamespace(cluster.Namespace), client.MatchingLabels{v1alpha1.LabelCluster: cluster.Name}); err != nil {
		return fmt.Errorf("whether it was founded before is not known: listing its volume claims: %w", err)
	}
	now := &observation{claims: map[string]*corev1.PersistentVolumeClaim{}}
	for i := range claims.Items {
		if pod, ok := manifests.PodOfVolumeClaim(claims.Items[i].Name); ok {
			now.claims[pod] = &claims.Items[i]
		}
	}
	switch id, _, err := identify(&cluster, now, func() string { return p.id.uid }); {
	case err != nil:
		return err
	case id.founded || id.uid != p.id.uid || id.generation > p.id.generation:
		return fmt.Errorf("it is not founded: the API server has a newer record than this look at it (cluster %s, generation %d, founded: %t)", id.uid, id.generation, id.founded)
	}
	return nil
}

func isPlacementCenter(cluster *v1alpha1.RobustMQCluster, pod string) bool {
	base := manifests.WorkloadName(cluster, v1alpha1.RolePlacementCenter) + "-"
	return len(pod) > len(base) && pod[:len(base)] == base
}

// recordIdentity writes a new identity to the status at once: what is made later carries it, and a second pass must find the same.
func (r *Reconciler) recordIdentity(ctx context.Context, cluster *v1alpha1.RobustMQCluster, id identity) error {
	before := cluster.DeepCopy()
	cluster.Status.ClusterUID, cluster.Status.Generation, cluster.Status.Founded = id.uid, id.generation, id.founded
	// The resource version is part of the patch: of two passes that make an identity at once, one loses and starts again.
	if err := r.Status().Patch(ctx, cluster, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("recording the identity of cluster %s: %w", cluster.Name, err)
	}
	return nil
}
