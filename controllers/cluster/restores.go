package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// observeRestores reads the restores of one cluster. They go on, each with its own controller; what this one does follows from their status alone.
func (r *Reconciler) observeRestores(ctx context.Context, cluster *v1alpha1.RobustMQCluster) ([]v1alpha1.RobustMQRestore, error) {
	if r.Restores == nil {
		return nil, nil
	}
	all, err := r.Restores(ctx, cluster.Namespace)
	if err != nil {
		return nil, fmt.Errorf("listing the restores of cluster %s: %w", cluster.Name, err)
	}
	var own []v1alpha1.RobustMQRestore
	for i := range all {
		if all[i].Spec.ClusterName == cluster.Name {
			own = append(own, all[i])
		}
	}
	return own, nil
}

// underWay is the restore that has not ended; of several the one that has the members in its hands. The zero value: there is none.
func underWay(restores []v1alpha1.RobustMQRestore) topology.Restore {
	var found topology.Restore
	for i := range restores {
		if r := restoreOf(&restores[i]); r.HasMembers() || r.UnderWay() && found.Name == "" {
			found = r
			if r.HasMembers() {
				break
			}
		}
	}
	return found
}

// restoreOf is what decisions are made on of a restore.
func restoreOf(r *v1alpha1.RobustMQRestore) topology.Restore {
	out := topology.Restore{Name: r.Name, Stage: r.Status.Stage, Message: r.Status.Awaits}
	if out.Stage == "" {
		out.Stage = v1alpha1.RestoreWaiting
	}
	if c := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionComplete); c != nil {
		out.Reason = c.Reason
		if out.Message == "" {
			out.Message = c.Message
		}
	}
	return out
}

// handedOver reports whether a restore has taken the members into its hands since the pass began: what is still to be done in it was decided before.
func (r *Reconciler) handedOver(ctx context.Context, p *pass) (topology.Restore, bool, error) {
	restores, err := r.observeRestores(ctx, p.cluster)
	if err != nil {
		return topology.Restore{}, false, err
	}
	now := underWay(restores)
	return now, now.HasMembers(), nil
}

// aside reports whether a restore has the members in its hands, so that this pass only watches, and brings objects to their form.
func (p *pass) aside() bool { return p.snapshot.Wanted.Restore.HasMembers() }

// stoppedByRestore reports whether a held server ended before a restore did that stopped servers. A hold does not outlive its agent, so one whose end is not known was down when it was held.
func stoppedByRestore(exit *protocol.Exit, restores []v1alpha1.RobustMQRestore) bool {
	return slices.ContainsFunc(restores, func(r v1alpha1.RobustMQRestore) bool {
		if r.Status.Generation == 0 || !r.Ended() { // it never came to stopping anything, or starts what it stopped
			return false
		}
		return exit == nil || !exit.At.After(r.Status.CompletionTime.Time)
	})
}

// keepSizes leaves every StatefulSet as large, and as asleep, as it is: a restore counts on the pods that are there. One that was deleted is made again in the size of the spec.
func (p *pass) keepSizes() {
	p.inputs.Replicas, p.inputs.Asleep = maps.Clone(p.inputs.Replicas), map[v1alpha1.Role]int32{}
	for role, set := range p.observed.sets {
		present := manifests.Present(set)
		p.inputs.Replicas[role] = present
		if manifests.Asleep(set) {
			p.inputs.Replicas[role], p.inputs.Asleep[role] = 0, present
		}
		if role == v1alpha1.RolePlacementCenter {
			p.inputs.Members = present
		}
	}
}

// clusterOfRestore maps a restore to its cluster.
func clusterOfRestore(_ context.Context, object client.Object) []reconcile.Request {
	restore, ok := object.(*v1alpha1.RobustMQRestore)
	if !ok || restore.Spec.ClusterName == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: restore.Namespace, Name: restore.Spec.ClusterName}}}
}

// restoreSteps lets through what the cluster's controller goes by: a restore that comes, goes, or reaches another stage. While bytes move its status is written every few seconds.
func restoreSteps() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		was, ok := e.ObjectOld.(*v1alpha1.RobustMQRestore)
		is, also := e.ObjectNew.(*v1alpha1.RobustMQRestore)
		return ok && also && (was.Status.Stage != is.Status.Stage || was.Status.Generation != is.Status.Generation)
	}}
}
