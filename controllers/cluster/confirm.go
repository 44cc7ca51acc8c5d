package cluster

import (
	"context"
	"errors"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// confirm asks the API server itself and every agent once more, right before a volume is emptied or deleted, and makes the plan anew: the step is done only where it is still in it, and the spec is the
// one that it follows from. What a pass acts on is some seconds old by then, and the cache may be further behind: a pod that is said not to run may run, and serve, on the very volume that would go.
// What takes long to learn (the segments, how long something has lasted) is as it was in the pass: it was enough for the step, and new copies go to registered nodes only.
func (r *Reconciler) confirm(ctx context.Context, p *pass, step topology.Step) error {
	var cluster v1alpha1.RobustMQCluster
	if err := r.Reader.Get(ctx, client.ObjectKeyFromObject(p.cluster), &cluster); err != nil {
		return fmt.Errorf("whether the spec still wants it: %w", err)
	}
	if cluster.UID != p.cluster.UID || cluster.Generation != p.cluster.Generation || !cluster.DeletionTimestamp.IsZero() {
		return fmt.Errorf("the spec was changed since it was decided (generation %d, now %d)", p.cluster.Generation, cluster.Generation)
	}
	o, err := observeKubernetes(ctx, r.Reader, p.cluster, livingOf(p.cluster))
	if err != nil {
		return fmt.Errorf("whether anything has changed since it was decided: %w", err)
	}
	o.machines, o.local = p.observed.machines, p.observed.local
	r.observeAgents(ctx, p.dial, o)
	now := *p
	now.observed = o
	now.snapshot = newSnapshot(&now, r.Limits)
	now.noteTimes(r.Now())
	again := p.snapshot
	again.Members, again.Present, again.Registrations = now.snapshot.Members, now.snapshot.Present, now.snapshot.Registrations
	if !topology.Decide(again).Takes(step) {
		return errors.New("what it was decided on has changed since: nobody would decide on it now")
	}
	return nil
}
