package cluster

import (
	"context"
	"errors"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

var errNoSuchStep = errors.New("no such step")

// drainOrder carries out the steps by which a node is taken away. agent is the one that the step goes to.
func (r *Reconciler) drainOrder(ctx context.Context, p *pass, agent agentclient.Client, step topology.Step) error {
	var err error
	switch step.Kind {
	case topology.StepQuiesce:
		_, err = agent.Server(ctx, protocol.ServerOrder{Action: protocol.ServerQuiesce, Reason: step.Reason})
	case topology.StepDrain:
		_, err = agent.Server(ctx, protocol.ServerOrder{Action: protocol.ServerStop, Reason: step.Reason})
	case topology.StepUnregister:
		err = r.unregister(ctx, p, agent, step)
	default:
		err = errNoSuchStep
	}
	return err
}

// unregister takes a stopped node out of the cluster, once its own agent has confirmed, at this moment, that it is stopped and held: a node that runs would register again,
// and acknowledge meanwhile into a log that nobody reads.
func (r *Reconciler) unregister(ctx context.Context, p *pass, leader agentclient.Client, step topology.Step) error {
	own, err := p.agent(step.Pod)
	if err != nil {
		return err
	}
	state, err := own.State(ctx)
	if err != nil {
		return fmt.Errorf("whether its server is stopped: %w", err)
	}
	if state.Pod != step.Pod || state.NodeID != step.NodeID {
		return fmt.Errorf("its address answers as node %d of pod %s", state.NodeID, state.Pod)
	}
	if state.Server.Phase != protocol.ServerStopped || state.Gate.Open {
		return fmt.Errorf("its server is not stopped (%s, gate %s): a node that runs is never unregistered", state.Server.Phase, state.Gate.Reason)
	}
	_, err = leader.Unregister(ctx, protocol.MembershipOrder{NodeID: step.NodeID})
	return err
}

// releaseVolume deletes the very volume claim that was observed; Kubernetes keeps it until its pod is gone.
func (r *Reconciler) releaseVolume(ctx context.Context, p *pass, step topology.Step) error {
	claim := p.observed.claims[step.Pod]
	if claim == nil || claim.DeletionTimestamp != nil {
		return nil
	}
	if err := r.confirm(ctx, p, step); err != nil {
		return err
	}
	return client.IgnoreNotFound(r.Delete(ctx, claim, client.Preconditions{UID: &claim.UID}))
}
