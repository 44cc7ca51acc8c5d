package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// freshBackup is how old the backup may be that a placement centre has before it becomes one of a single member: what was written since is in no backup.
const freshBackup = time.Hour

// wantOne tells the plan whether the placement centre may become one of a single member, and what became of the backup before it.
func (r *Reconciler) wantOne(ctx context.Context, p *pass) error {
	spec := p.desired.Spec
	if spec.PlacementCenter.Replicas != 1 || !spec.Allows(v1alpha1.AllowShrinkBelowQuorum) || p.snapshot.Present[v1alpha1.RolePlacementCenter] < 2 {
		return nil
	}
	one := topology.One{Allowed: true}
	if failed := p.memory.aloneFailed; !failed.IsZero() {
		one.FailedAgo = max(r.Now().Sub(failed), 1)
	}
	if spec.Backup != nil {
		one.Backup = savedBeforeOne(p)
		var made v1alpha1.RobustMQBackup
		err := r.Get(ctx, client.ObjectKey{Namespace: p.cluster.Namespace, Name: one.Backup}, &made)
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("reading the backup %s, which saves the cluster: %w", one.Backup, err)
		}
		if err == nil {
			one.Begun = true
			one.Saved, one.Failed = savedBy(&made, r.Now())
		}
	}
	p.snapshot.Wanted.One = one
	return nil
}

// savedBeforeOne is the name of that backup: one a generation.
func savedBeforeOne(p *pass) string {
	return fmt.Sprintf("%s-before-one-%d", p.cluster.Name, p.id.generation)
}

// savedBy says whether a backup can stand for the cluster as it is, or why it never will.
func savedBy(b *v1alpha1.RobustMQBackup, now time.Time) (saved bool, failed string) {
	switch {
	case b.Restorable() && now.Sub(b.CreationTimestamp.Time) > freshBackup:
		return false, fmt.Sprintf("it was asked for at %s, more than %s ago", b.CreationTimestamp.UTC().Format(time.RFC3339), freshBackup)
	case b.Restorable():
		return true, ""
	case b.Ended():
		return false, cmp.Or(b.WhyIncomplete(), "it failed")
	}
	return false, ""
}

// save makes the backup. It belongs to nobody, like those that restores make first: it outlives what it was made for.
func (r *Reconciler) save(ctx context.Context, p *pass, _ topology.Step) error {
	b := manifests.SafetyBackup(p.cluster.Namespace, p.cluster.Name, savedBeforeOne(p), nil)
	if err := r.Create(ctx, b, client.FieldOwner(FieldManager)); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating backup %s: %w", b.Name, err)
	}
	return nil
}

// goAlone has a member made the only voter. One that was marked already, and not rewritten, is of the generation that is recorded.
func (r *Reconciler) goAlone(ctx context.Context, p *pass, step topology.Step) error {
	ctx, cancel := context.WithTimeout(ctx, r.Timings.Order)
	defer cancel()
	agent, err := p.agent(step.Pod)
	if err != nil {
		return err
	}
	order := protocol.AloneOrder{ClusterUID: p.id.uid, NodeID: step.NodeID, Without: step.Without, Generation: p.id.generation + 1}
	if m := p.observed.states[step.Pod].Volume.Marker; m != nil && (m.Origin == protocol.OriginAlone || m.Origin == protocol.OriginAdopted) && m.Generation == p.id.generation && markedOnly(p, step) {
		order.Generation = p.id.generation
	}
	if _, err = agent.Alone(ctx, order); err != nil {
		p.memory.aloneFailed = r.Now()
		return err
	}
	p.memory.aloneFailed = time.Time{}
	return nil
}

// markedOnly reports whether the other voter's volume is of an older generation: then the step repeats one that stopped half way.
func markedOnly(p *pass, step topology.Step) bool {
	return slices.ContainsFunc(p.snapshot.Members, func(m topology.Member) bool {
		return m.NodeID == step.Without && m.Agent != nil && m.Agent.Marker != nil && m.Agent.Marker.Generation < p.id.generation
	})
}

// recordAlone records the generation that a member began when it was made the only voter, on its own claim first: all other records are older from then on, and follow (recordGeneration). Whoever
// ordered it may have died before it did. It returns whether there was something to record; then nothing is decided on what was read before.
func (r *Reconciler) recordAlone(ctx context.Context, p *pass) (bool, error) {
	for _, m := range p.snapshot.Members {
		state, answers := p.observed.states[m.Pod]
		marker, claim := state.Volume.Marker, p.observed.claims[m.Pod]
		if m.Role != v1alpha1.RolePlacementCenter || !answers || marker == nil || claim == nil || claim.DeletionTimestamp != nil {
			continue
		}
		if marker.Origin != protocol.OriginAlone || marker.ClusterUID != p.id.uid || marker.NodeID != m.NodeID || marker.Generation != p.id.generation+1 {
			continue
		}
		begun := claim.DeepCopy()
		metav1.SetMetaDataAnnotation(&begun.ObjectMeta, v1alpha1.AnnotationClusterUID, p.id.uid)
		metav1.SetMetaDataAnnotation(&begun.ObjectMeta, v1alpha1.AnnotationGeneration, strconv.FormatInt(marker.Generation, 10))
		metav1.SetMetaDataAnnotation(&begun.ObjectMeta, v1alpha1.AnnotationFounded, "true")
		if err := r.Patch(ctx, begun, client.MergeFromWithOptions(claim, client.MergeFromWithOptimisticLock{})); err != nil {
			return false, fmt.Errorf("recording on volume claim %s the generation that %s began: %w", claim.Name, m.Pod, err)
		}
		return true, nil
	}
	return false, nil
}
