package cluster

import (
	"maps"
	"testing"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

func TestWhatASeedHadToHoldIsKnownToThePlanner(t *testing.T) {
	least := map[string]uint64{"metadata_0": 30}
	seed := newTopologySeed(protocol.ImagesState{Seed: &protocol.Seed{ID: "s", Phase: protocol.SeedPlaced, DonorNodeID: 3, Least: least, Applied: map[string]uint64{"metadata_0": 31}}})
	if seed.Phase != topology.SeedPlaced || seed.Donor != 3 || !maps.Equal(seed.Least, least) || seed.Applied["metadata_0"] != 31 {
		t.Errorf("%+v", seed)
	}
}

func TestTheVotesOfALostMajorityAreForNobodyAndAnOrdinarySeedHasNone(t *testing.T) {
	r := &Reconciler{NewUID: func() string { return "12345678-abcd" }}
	p := &pass{id: identity{uid: "uid", generation: 3}, snapshot: topology.Snapshot{
		Wanted:  topology.Wanted{Groups: []string{"metadata_0"}},
		Members: []topology.Member{{Role: v1alpha1.RolePlacementCenter, NodeID: 1, Pod: "c-0", Addr: "c-0.c.ns.svc:1228"}},
	}}
	step := topology.Step{Kind: topology.StepSeed, Pod: "c-1", NodeID: 2, Via: "c-0", Terms: map[string]uint64{"metadata_0": 7}}
	order := r.newSeed(p, step, protocol.State{})
	if len(order.Votes) != 1 || order.Votes["metadata_0"] != (protocol.RaftVote{Term: 7}) || order.DonorNodeID != 1 || order.Donor != "c-0.c.ns.svc:7443" || order.Marker != nil {
		t.Errorf("%+v", order)
	}
	step.Terms = nil
	if order := r.newSeed(p, step, protocol.State{}); order.Votes != nil || order.Changing {
		t.Errorf("%+v", order)
	}
	step.Changing = true
	if order := r.newSeed(p, step, protocol.State{}); !order.Changing {
		t.Errorf("%+v", order)
	}
}
