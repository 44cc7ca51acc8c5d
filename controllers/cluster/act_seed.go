package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// seedOrder carries out the steps by which a volume is filled with a living member's metadata. Each may be repeated.
func (r *Reconciler) seedOrder(ctx context.Context, p *pass, step topology.Step) error {
	ctx, cancel := context.WithTimeout(ctx, r.Timings.Order)
	defer cancel()
	agent, err := p.agent(step.Pod)
	if err != nil {
		return err
	}
	state := p.observed.states[step.Pod]
	switch step.Kind {
	case topology.StepSeed:
		_, err = agent.Seed(ctx, r.newSeed(p, step, state))
		return err
	case topology.StepOpenSeed:
		placement := state.Images.Placement
		if placement == nil {
			return errors.New("there is no image to open")
		}
		if _, err = agent.OpenPlacement(ctx, placement.ID); err == nil && state.Gate.Reason == protocol.GateHeld {
			_, err = agent.Server(ctx, protocol.ServerOrder{Action: protocol.ServerStart, Reason: step.Reason})
		}
		return err
	case topology.StepDiscardSeed:
		if err := endSeed(ctx, agent, state.Images); err != nil {
			return err
		}
		p.memory.seeds.Forget(step.Pod)
		return nil
	}
	if err := endSeed(ctx, agent, state.Images); err != nil {
		return err
	}
	p.memory.seeds.Failed(step.Pod, step.Reason, donorOf(state.Images.Seed), r.Now())
	return nil
}

// newSeed is an order of a seed. Its ID is new, unlike any that was used before a restart of the operator.
func (r *Reconciler) newSeed(p *pass, step topology.Step, state protocol.State) protocol.SeedOrder {
	health := topology.Assess(p.snapshot)
	order := protocol.SeedOrder{
		ID: fmt.Sprintf("seed-%d-%s", p.id.generation, r.NewUID()[:8]), ClusterUID: p.id.uid, NodeID: step.NodeID, Generation: p.id.generation, Least: map[string]uint64{}, Changing: step.Changing,
	}
	if state.Volume.Phase == protocol.VolumeInitialised {
		order.Marker = state.Volume.Marker
	}
	for _, m := range p.snapshot.Members {
		if m.Pod != step.Via {
			continue
		}
		order.DonorNodeID = m.NodeID
		if host, _, err := net.SplitHostPort(m.Addr); err == nil {
			order.Donor = net.JoinHostPort(host, strconv.Itoa(protocol.Port))
		}
	}
	for group, term := range step.Terms {
		if order.Votes == nil {
			order.Votes = map[string]protocol.RaftVote{}
		}
		order.Votes[group] = protocol.RaftVote{Term: term} // for nobody: topology.surviveMajority says why
	}
	for _, group := range p.snapshot.Wanted.Groups {
		if leader, ok := health.Leader(group); ok {
			order.Least[group] = leader.Agent.Groups[group].LastLog
		}
	}
	return order
}

// endSeed removes what a seed still keeps, however far it came: what is in force stays, what is not in force yet makes room for what was there before.
func endSeed(ctx context.Context, agent agentclient.Client, images protocol.ImagesState) error {
	seed, placement := images.Seed, images.Placement
	if placement != nil && seed != nil && placement.ID == seed.ID {
		switch placement.Phase {
		case protocol.PlacementOpen:
			return agent.DiscardPlacement(ctx, placement.ID)
		case protocol.PlacementPlaced, protocol.PlacementReverting:
			if _, err := agent.RevertPlacement(ctx, placement.ID); err != nil {
				return err
			}
			return agent.AbandonPlacement(ctx, placement.ID)
		case protocol.PlacementReverted:
			return agent.AbandonPlacement(ctx, placement.ID)
		}
	}
	if seed == nil {
		return nil
	}
	return agent.AbandonSeed(ctx, seed.ID)
}

// donorOf is the node id of a seed's donor; 0: there is no seed.
func donorOf(seed *protocol.Seed) uint64 {
	if seed == nil {
		return 0
	}
	return seed.DonorNodeID
}

// isSeedStep reports whether seedOrder carries the step out.
func isSeedStep(kind topology.StepKind) bool {
	_, _, ok := eventOfSeed(topology.Step{Kind: kind})
	return ok
}

// eventOfSeed names the event of a step of seeding: a volume that was lost is a warning, a newcomer is not.
func eventOfSeed(step topology.Step) (eventType, reason string, ok bool) {
	switch step.Kind {
	case topology.StepSeed:
		if step.Planned {
			return corev1.EventTypeNormal, v1alpha1.ReasonSeeding, true
		}
		return corev1.EventTypeWarning, v1alpha1.ReasonSeeding, true
	case topology.StepOpenSeed:
		return corev1.EventTypeNormal, v1alpha1.ReasonServerReleased, true
	case topology.StepDiscardSeed:
		return corev1.EventTypeNormal, v1alpha1.ReasonSeeded, true
	case topology.StepAbandonSeed:
		return corev1.EventTypeWarning, v1alpha1.ReasonSeedFailed, true
	}
	return "", "", false
}

// newTopologySeed is what an agent says of the seed that it was ordered.
func newTopologySeed(images protocol.ImagesState) *topology.Seed {
	s := images.Seed
	if s == nil {
		return nil
	}
	seed := &topology.Seed{
		ID: s.ID, Phase: topology.SeedPhase(s.Phase), Donor: s.DonorNodeID, Reason: s.Reason, Message: s.Message, Bytes: s.Bytes, Total: s.Total, Applied: s.Applied, Least: s.Least,
	}
	if placement := images.Placement; placement != nil && placement.ID == s.ID && placement.Phase == protocol.PlacementOpen {
		seed.Phase = topology.SeedOpen
	}
	return seed
}
