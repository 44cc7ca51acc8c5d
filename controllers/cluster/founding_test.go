package cluster

import (
	"testing"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

func TestAFounderWhoseStartIsNotOverHoldsTheNextMemberBack(t *testing.T) {
	p := formed(t)
	for name, state := range p.observed.states {
		switch state.NodeID {
		case 1:
			for group, g := range state.Raft {
				g.Configs = [][]uint64{{1}}
				state.Raft[group] = g
			}
			state.Volume.Marker.Origin, state.Volume.Marker.Member = protocol.OriginFounded, false
			state.Server.Founding, state.Nodes, state.Registry = true, []uint64{1}, []uint64{1}
		default:
			state = protocol.State{Pod: name, NodeID: state.NodeID, Role: state.Role, ClusterUID: testUID, Volume: protocol.VolumeState{Phase: protocol.VolumeEmpty}, Gate: protocol.GateState{Reason: protocol.GateAwaitsOrder}}
		}
		p.observed.states[name] = state
	}
	next := func() (waits bool, ordered string) {
		plan := topology.Decide(newSnapshot(p, topology.DefaultLimits()))
		for _, w := range plan.Waits {
			waits = waits || w.Reason == v1alpha1.ReasonFounding
		}
		for _, s := range plan.Steps {
			ordered += string(s.Kind) + " " + s.Pod
		}
		return waits, ordered
	}
	if waits, ordered := next(); !waits || ordered != "" {
		t.Errorf("waits %t, steps %q", waits, ordered)
	}
	founder := p.observed.states["c-placement-center-0"]
	founder.Server.Founding = false
	p.observed.states["c-placement-center-0"] = founder
	if waits, ordered := next(); waits || ordered != "OrderJoin c-placement-center-1" {
		t.Errorf("waits %t, steps %q", waits, ordered)
	}
}
