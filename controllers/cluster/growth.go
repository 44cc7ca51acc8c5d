package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// growth is what the volumes of one role need to have the size that is wanted. A StatefulSet's claim template cannot change, so the set is deleted without its pods and claims
// and made anew with the larger template; its pods go on undisturbed, because the template of the pods is the same.
type growth struct {
	wanted resource.Quantity
	// claims ask for less than wanted.
	claims []*corev1.PersistentVolumeClaim
	// remake: every claim asks for enough, and the template of the claims to come does not.
	remake *appsv1.StatefulSet
	waits  []topology.Wait
}

// planGrowth decides what one role's volumes need. claims are those of its pods, by ordinal.
func planGrowth(wanted resource.Quantity, claims []*corev1.PersistentVolumeClaim, set *appsv1.StatefulSet) growth {
	g := growth{wanted: wanted}
	for _, claim := range claims {
		if claim.DeletionTimestamp != nil {
			continue
		}
		if asked := claim.Spec.Resources.Requests[corev1.ResourceStorage]; asked.Cmp(wanted) < 0 {
			g.claims = append(g.claims, claim)
			continue
		}
		if wait := awaitGrowth(claim); wait != nil {
			g.waits = append(g.waits, *wait)
		}
	}
	if set != nil && set.DeletionTimestamp == nil && len(g.claims) == 0 {
		for _, template := range set.Spec.VolumeClaimTemplates {
			if size := template.Spec.Resources.Requests[corev1.ResourceStorage]; size.Cmp(wanted) < 0 {
				g.remake = set
			}
		}
	}
	return g
}

// awaitGrowth says what a claim still waits for that was asked to grow, nil when its volume has the size.
func awaitGrowth(claim *corev1.PersistentVolumeClaim) *topology.Wait {
	asked, has := claim.Spec.Resources.Requests[corev1.ResourceStorage], claim.Status.Capacity[corev1.ResourceStorage]
	if claim.Status.Phase != corev1.ClaimBound || has.IsZero() || has.Cmp(asked) >= 0 {
		return nil // what is not bound yet is made in the right size
	}
	wait := &topology.Wait{Reason: v1alpha1.ReasonVolumeGrowing, Message: fmt.Sprintf("volume claim %s grows from %s to %s", claim.Name, has.String(), asked.String())}
	for _, c := range claim.Status.Conditions {
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Type {
		case corev1.PersistentVolumeClaimControllerResizeError, corev1.PersistentVolumeClaimNodeResizeError:
			wait.Trouble = true
			wait.Message += ", which failed: " + c.Message
		case corev1.PersistentVolumeClaimFileSystemResizePending:
			wait.Message += "; its node grows the file system"
		}
	}
	return wait
}

// growVolumes brings the data volumes to the size that the spec says: first every claim, then the template of those to come. It restarts nothing.
func (r *Reconciler) growVolumes(ctx context.Context, p *pass) error {
	for _, view := range p.desired.Spec.Roles() {
		if p.storageHeld[view.Role] {
			continue
		}
		g := planGrowth(manifests.Storage(view), claimsOf(p, view.Role), p.observed.sets[view.Role])
		for _, claim := range g.claims {
			wait, err := r.growClaim(ctx, claim, g.wanted)
			if err != nil {
				return err
			}
			g.waits = append(g.waits, *wait)
		}
		p.waits = append(p.waits, g.waits...)
		if g.remake == nil {
			continue
		}
		if err := r.Delete(ctx, g.remake, client.Preconditions{UID: &g.remake.UID}, client.PropagationPolicy(metav1.DeletePropagationOrphan)); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting StatefulSet %s without its pods, to make it anew for larger volumes: %w", g.remake.Name, err)
		}
		p.log.Info("StatefulSet is made anew for larger volumes, its pods go on", "statefulSet", g.remake.Name, "storage", g.wanted.String())
		p.remade = append(p.remade, g.remake.Name)
	}
	return nil
}

// growClaim asks for a larger volume. What the API server refuses (a storage class that cannot grow, a quota) is a wait with its words.
func (r *Reconciler) growClaim(ctx context.Context, claim *corev1.PersistentVolumeClaim, wanted resource.Quantity) (*topology.Wait, error) {
	from := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	grown := claim.DeepCopy()
	grown.Spec.Resources.Requests[corev1.ResourceStorage] = wanted
	err := r.Patch(ctx, grown, client.MergeFrom(claim))
	switch {
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err):
		return &topology.Wait{
			Reason: v1alpha1.ReasonVolumeNotExpandable, Trouble: true,
			Message: fmt.Sprintf("volume claim %s%s cannot grow from %s to %s: %v", claim.Name, className(claim), from.String(), wanted.String(), err),
		}, nil
	case apierrors.IsNotFound(err):
	case err != nil:
		return nil, fmt.Errorf("growing volume claim %s: %w", claim.Name, err)
	}
	return &topology.Wait{Reason: v1alpha1.ReasonVolumeGrowing, Message: fmt.Sprintf("volume claim %s grows from %s to %s", claim.Name, from.String(), wanted.String())}, nil
}

// claimsOf returns the claims of a role's pods, by name.
func claimsOf(p *pass, role v1alpha1.Role) []*corev1.PersistentVolumeClaim {
	base := manifests.WorkloadName(p.desired, role) + "-"
	var out []*corev1.PersistentVolumeClaim
	for pod, claim := range p.observed.claims {
		if _, ok := ordinalOf(pod, base); ok {
			out = append(out, claim)
		}
	}
	slices.SortFunc(out, func(a, b *corev1.PersistentVolumeClaim) int { return strings.Compare(a.Name, b.Name) })
	return out
}
