package cluster

import (
	"context"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// firstGeneration of a cluster's metadata. Brokers and journal servers, which have none, stay at it for ever.
const firstGeneration int64 = 1

// generationBy is the generation that the metadata shall have: the one on record, unless a restore is making a newer one, or is being taken back. In its stage Stopping a restore has chosen its
// number, and nothing of it is in any volume yet. onClaims is the highest that the claims have: where it is the one before the number of a restore that was taken back, the status is what is behind, as
// claims are written first.
func generationBy(recorded, onClaims int64, restores []v1alpha1.RobustMQRestore) int64 {
	raised, back := recorded, false
	for i := range restores {
		switch made := restores[i].Status.Generation; restores[i].Status.Stage {
		case v1alpha1.RestoreTransferring, v1alpha1.RestoreOpening, v1alpha1.RestoreVerifying, v1alpha1.RestoreStarting, v1alpha1.RestoreComplete:
			raised = max(raised, made)
		case v1alpha1.RestoreAborting:
			back = back || made == recorded && made > firstGeneration
		case v1alpha1.RestoreAborted, v1alpha1.RestoreFailed:
			back = back || made == recorded && made > firstGeneration && onClaims == made-1
		}
	}
	if back && raised == recorded {
		return recorded - 1
	}
	return raised
}

// generationOn is what a volume claim says.
func generationOn(claim *corev1.PersistentVolumeClaim) int64 {
	n, err := strconv.ParseInt(claim.Annotations[v1alpha1.AnnotationGeneration], 10, 64)
	if err != nil || n < firstGeneration {
		return firstGeneration // nothing was restored since it was made
	}
	return n
}

// generationIn is the one that a role's servers are given.
func (p *pass) generationIn(role v1alpha1.Role) int64 {
	if role == v1alpha1.RolePlacementCenter {
		return p.id.generation
	}
	return firstGeneration
}

// generationToTell is the one for the status. One that is taken back stays there until no claim says otherwise any more: whoever sees the lower one may rely on it, because the records only ever count
// by the highest of them.
func (p *pass) generationToTell() int64 {
	for _, claim := range p.metadataClaims() {
		if generationOn(claim) > p.id.generation {
			return p.id.recorded
		}
	}
	return p.id.generation
}

// generationOnClaims is the highest that the claims of the placement centre have.
func (p *pass) generationOnClaims() int64 {
	highest := firstGeneration
	for _, claim := range p.metadataClaims() {
		highest = max(highest, generationOn(claim))
	}
	return highest
}

// metadataClaims are those of the placement centre, by name, also those that no pod has.
func (p *pass) metadataClaims() []*corev1.PersistentVolumeClaim {
	return claimsOf(p, v1alpha1.RolePlacementCenter)
}

// recordGeneration writes the generation onto the claims of the placement centre, and with it whether the cluster was founded, before anything goes by it: a status can be lost.
func (r *Reconciler) recordGeneration(ctx context.Context, p *pass) error {
	for _, claim := range p.metadataClaims() {
		if claim.DeletionTimestamp != nil || generationOn(claim) == p.id.generation {
			continue
		}
		if err := r.mark(ctx, p, claim, p.id.founded); err != nil {
			return err
		}
	}
	return nil
}

// mark writes the record of the cluster's identity onto a volume claim.
func (r *Reconciler) mark(ctx context.Context, p *pass, claim *corev1.PersistentVolumeClaim, founded bool) error {
	marked := claim.DeepCopy()
	if marked.Annotations == nil {
		marked.Annotations = map[string]string{}
	}
	marked.Annotations[v1alpha1.AnnotationClusterUID] = p.id.uid
	if p.id.generation != firstGeneration || marked.Annotations[v1alpha1.AnnotationGeneration] != "" {
		marked.Annotations[v1alpha1.AnnotationGeneration] = strconv.FormatInt(p.id.generation, 10)
	}
	switch {
	case founded:
		marked.Annotations[v1alpha1.AnnotationFounded] = "true"
	case p.id.emptied:
		marked.Annotations[v1alpha1.AnnotationFounded] = notFounded
	}
	if err := r.Patch(ctx, marked, client.MergeFrom(claim)); err != nil {
		return fmt.Errorf("marking volume claim %s: %w", claim.Name, err)
	}
	return nil
}

// forgetLeft takes the mark of a member off the claims of those that left and were emptied, before their pods go: a claim that is marked and that no pod has may hold a copy of the metadata, and keeps
// a total loss from being acted upon.
func (r *Reconciler) forgetLeft(ctx context.Context, p *pass, health topology.Health) error {
	for _, m := range p.snapshot.Members {
		claim := p.observed.claims[m.Pod]
		if claim == nil || !m.ClaimFounded || claim.DeletionTimestamp != nil || !health.LeftEmpty(m) {
			continue
		}
		left := claim.DeepCopy()
		delete(left.Annotations, v1alpha1.AnnotationFounded)
		if err := r.Patch(ctx, left, client.MergeFrom(claim)); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("taking the mark off volume claim %s: %w", claim.Name, err)
		}
	}
	return nil
}

// hurryGeneration has the kubelets bring a new generation to the members' agents at once: of a mounted Secret that changed they take notice within a minute or two, and at once when their pod changes,
// be it by an annotation. It is done when the Secret itself is seen to have it, once a pod and generation, and where it cannot be done the kubelets do it in their own time.
func (r *Reconciler) hurryGeneration(ctx context.Context, p *pass) {
	late := p.latePods()
	if len(late) == 0 {
		return
	}
	var secret corev1.Secret
	if err := r.Get(ctx, client.ObjectKey{Namespace: p.cluster.Namespace, Name: manifests.ConfigSecretName(p.desired, v1alpha1.RolePlacementCenter)}, &secret); err != nil || manifests.GivesGeneration(&secret) != p.id.generation {
		return
	}
	for _, pod := range late {
		hurried := pod.DeepCopy()
		if hurried.Annotations == nil {
			hurried.Annotations = map[string]string{}
		}
		hurried.Annotations[v1alpha1.AnnotationGeneration] = strconv.FormatInt(p.id.generation, 10)
		if err := r.Patch(ctx, hurried, client.MergeFrom(pod)); client.IgnoreNotFound(err) != nil {
			p.log.Info("the kubelet of a pod is not hurried", "pod", pod.Name, "error", err.Error())
		}
	}
}

// latePods are the members' pods whose agents do not have the wanted configuration yet although its generation changed, and that were not touched for it, in their order.
func (p *pass) latePods() []*corev1.Pod {
	var late []*corev1.Pod
	wanted := strconv.FormatInt(p.id.generation, 10)
	for _, m := range p.snapshot.Members {
		pod := p.observed.pods[m.Pod]
		if m.Role != v1alpha1.RolePlacementCenter || m.Agent == nil || pod == nil || pod.DeletionTimestamp != nil {
			continue
		}
		has := pod.Annotations[v1alpha1.AnnotationGeneration]
		changed := has != "" || p.id.generation != firstGeneration
		source := p.snapshot.Wanted.Sources[m.Role]
		if changed && has != wanted && source != "" && m.Agent.Source != source {
			late = append(late, pod)
		}
	}
	return late
}
