package restore

import (
	"context"
	"errors"
	"fmt"
	"sync"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/agents"
	"github.com/robustmq/robustmq-operator/controllers/backup/removal"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/monitoring"
)

// act carries a verdict out, after its status was written.
func (r *Reconciler) act(ctx context.Context, o *observation, v verdict) error {
	var errs []error
	do := func(wanted bool, work func() error) {
		if wanted {
			errs = append(errs, work())
		}
	}
	do(v.removeInspect && o.inspect.job != nil, func() error { return removal.Job(ctx, r.Client, o.inspect.job) })
	do(v.removePush && o.push.job != nil, func() error { return removal.Job(ctx, r.Client, o.push.job) })
	do(v.inspect, func() error { return r.createInspect(ctx, o) })
	do(v.save, func() error { return r.createSafety(ctx, o) })
	do(v.push, func() error { return r.createPush(ctx, o) })
	do(len(v.orders) > 0, func() error { return r.order(ctx, o, v) })
	do(v.release, func() error { return r.release(ctx, o.restore, v.left) })
	return errors.Join(errs...)
}

// order tells the agents, all at once. What was read is read once more right before, past the cache: a person's word, or another operator's work, may have come while the agents were asked.
func (r *Reconciler) order(ctx context.Context, o *observation, v verdict) error {
	if fresh, err := r.fresh(ctx, o, v); err != nil || !fresh {
		return err
	}
	identity, err := agents.Identity(ctx, r.Client, o.cluster)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, r.Timings.Order)
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	told := map[string]error{}
	for _, m := range append(append([]member{}, o.members...), o.nodes...) {
		var mine []order
		for _, x := range v.orders {
			if x.pod == m.pod {
				mine = append(mine, x)
			}
		}
		if len(mine) == 0 || m.address == "" {
			continue
		}
		all.Go(func() {
			err := r.tellAgent(ctx, o, identity, m, mine)
			mu.Lock()
			defer mu.Unlock()
			told[m.pod] = err
		})
	}
	all.Wait()
	for pod, err := range told {
		if err == nil {
			monitoring.Changed(ctx)
		} else {
			// The next pass sees what came of it, and gives the order again where it is still wanted.
			r.tell(ctx, o.restore, corev1.EventTypeWarning, v1alpha1.ReasonStepFailed, fmt.Sprintf("%s: %s: %v", v.stage, pod, err))
		}
	}
	return nil
}

// fresh reports whether restore and cluster are still those of the decision.
func (r *Reconciler) fresh(ctx context.Context, o *observation, v verdict) (bool, error) {
	var x v1alpha1.RobustMQRestore
	if err := r.Reader.Get(ctx, client.ObjectKeyFromObject(o.restore), &x); err != nil {
		return false, client.IgnoreNotFound(fmt.Errorf("reading restore %s: %w", o.restore.Name, err))
	}
	was := o.restore
	if x.UID != was.UID || x.Status.Stage != v.stage || x.DeletionTimestamp.IsZero() != was.DeletionTimestamp.IsZero() || x.Annotations[v1alpha1.AnnotationAbort] != was.Annotations[v1alpha1.AnnotationAbort] {
		return false, nil
	}
	if o.cluster == nil {
		return false, nil
	}
	var c v1alpha1.RobustMQCluster
	if err := r.Reader.Get(ctx, client.ObjectKeyFromObject(o.cluster), &c); err != nil {
		return false, client.IgnoreNotFound(fmt.Errorf("reading cluster %s: %w", o.cluster.Name, err))
	}
	return c.UID == o.cluster.UID && c.Status.ClusterUID == o.cluster.Status.ClusterUID, nil
}

// tellAgent gives a pod's agent its orders, one after the other.
func (r *Reconciler) tellAgent(ctx context.Context, o *observation, identity agentclient.Identity, m member, orders []order) error {
	agent, err := r.Agents.Client(client.ObjectKeyFromObject(o.cluster).String(), identity, m.address)
	if err != nil {
		return err
	}
	for _, x := range orders {
		if err := tell(ctx, agent, o.restore, x); err != nil {
			return fmt.Errorf("%s: %w", x.do, err)
		}
	}
	return nil
}

func tell(ctx context.Context, agent agentclient.Client, x *v1alpha1.RobustMQRestore, o order) error {
	var err error
	why := "restore " + x.Name
	switch o.do {
	case stop:
		_, err = agent.Server(ctx, protocol.ServerOrder{Action: protocol.ServerStop, Reason: why})
	case start:
		_, err = agent.Server(ctx, protocol.ServerOrder{Action: protocol.ServerStart, Reason: why})
	case abandon:
		err = agent.AbandonPlacement(ctx, o.id)
	case abandonSeed:
		err = agent.AbandonSeed(ctx, o.id)
	case place:
		_, err = agent.Place(ctx, o.id)
	case open:
		_, err = agent.OpenPlacement(ctx, o.id)
	case revert:
		_, err = agent.RevertPlacement(ctx, o.id)
	case discard:
		err = agent.DiscardPlacement(ctx, o.id)
	}
	return err
}

func (r *Reconciler) createInspect(ctx context.Context, o *observation) error {
	j, err := r.inspectJob(ctx, o)
	if err != nil {
		return fmt.Errorf("building the Job that looks at the backup of restore %s: %w", o.restore.Name, err)
	}
	return r.createJob(ctx, j)
}

func (r *Reconciler) createPush(ctx context.Context, o *observation) error {
	if fresh, err := r.fresh(ctx, o, verdict{stage: v1alpha1.RestoreTransferring}); err != nil || !fresh {
		return err
	}
	j, err := r.pushJob(ctx, o)
	if err != nil {
		return fmt.Errorf("building the Job that sends the backup of restore %s: %w", o.restore.Name, err)
	}
	return r.createJob(ctx, j)
}

// createJob creates, and does not apply: the Job that there is stands.
func (r *Reconciler) createJob(ctx context.Context, j *batchv1.Job) error {
	if err := r.Create(ctx, j, client.FieldOwner(FieldManager)); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating Job %s: %w", j.Name, err)
	}
	return nil
}

// createSafety has the cluster saved. The backup belongs to nobody: it outlives the restore.
func (r *Reconciler) createSafety(ctx context.Context, o *observation) error {
	b := manifests.SafetyBackup(o.restore.Namespace, o.cluster.Name, safetyName(o.restore), map[string]string{v1alpha1.LabelRestore: o.restore.Name})
	if err := r.Create(ctx, b, client.FieldOwner(FieldManager)); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating backup %s: %w", b.Name, err)
	}
	return nil
}
