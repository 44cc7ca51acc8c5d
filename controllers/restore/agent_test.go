package restore

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/gate"
	"github.com/robustmq/robustmq-operator/internal/agent/images"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// fakeAgent is a pod of the cluster as the operator meets it: its volume outlives it, an order to hold the server does not. Its gate is the agent's own (gate.Decide), its placement follows
// the rules of internal/agent/images (fits, Place, Open, Revert, Delete, Discard).
type fakeAgent struct {
	agentclient.Client // what is not here is not called

	w      *world
	pod    string
	role   v1alpha1.Role
	nodeID uint64

	// The volume.
	data      string // what the metadata is: "" is none
	marker    *protocol.Marker
	placement *fakePlacement
	// The process.
	alive      bool
	held       bool
	running    bool
	started    time.Time
	generation int64 // of the mounted configuration
	lies       bool  // about the digest
	fails      string
	free       int64
}

// fakePlacement is a placement with what it would be reverted to.
type fakePlacement struct {
	protocol.Placement
	edits  protocol.PlacementEdits
	image  string // what is put in place
	before struct {
		data   string
		marker *protocol.Marker
		known  bool
	}
	placedAt int // passes until it is in place
}

// refusal is the answer of an agent that does not do what it is told.
func refusal(format string, args ...any) error {
	return &agentclient.Error{Status: 409, Reason: protocol.ReasonConflict, Message: fmt.Sprintf(format, args...)}
}

func (a *fakeAgent) gate() protocol.GateState {
	v := protocol.VolumeState{Phase: protocol.VolumeEmpty, Marker: a.marker}
	if a.data != "" {
		v.Phase = protocol.VolumeInitialised
	}
	p := a.placement
	return gate.Decide(gate.Input{
		Volume: v, ClusterUID: clusterUID, NodeID: a.nodeID, Role: string(a.role), Generation: a.generation, Held: a.held, Placing: p != nil && p.Phase == protocol.PlacementPlacing,
	})
}

// settle starts or lets run the server as the gate says; the lock is held.
func (a *fakeAgent) settle() {
	opens := a.alive && a.gate().Open
	switch {
	case opens && !a.running:
		a.running, a.started = true, a.w.now()
	case a.running && (!a.alive || a.held): // a running server is never stopped because its next start would be refused
		a.running = false
	}
}

func (a *fakeAgent) state() protocol.State {
	s := protocol.State{Pod: a.pod, NodeID: a.nodeID, Role: string(a.role), ClusterUID: clusterUID, Generation: a.generation, Gate: a.gate()}
	s.Volume = protocol.VolumeState{Phase: protocol.VolumeEmpty, FreeBytes: a.free}
	if a.data != "" {
		s.Volume.Phase = protocol.VolumeInitialised
	}
	if a.marker != nil {
		m := *a.marker
		s.Volume.Marker = &m
	}
	if a.placement != nil {
		p := a.placement.Placement
		if p.Phase != protocol.PlacementPlaced && p.Phase != protocol.PlacementOpen {
			p.SHA256 = ""
		}
		s.Images.Placement = &p
	}
	s.Server = protocol.ServerState{Phase: protocol.ServerStopped, Version: "0.4.11"}
	if a.running {
		started := a.started
		s.Server.Phase, s.Server.Started, s.Server.MQTTOpen = protocol.ServerRunning, &started, a.role == v1alpha1.RoleMQTTBroker
	}
	return s
}

// guard is what every call goes through: the operator may die before or after it.
func (a *fakeAgent) guard(what string, call func() error) error {
	if err := a.w.fault("before " + what + " " + a.pod); err != nil {
		return err
	}
	a.w.mu.Lock()
	if !a.alive {
		a.w.mu.Unlock()
		return fmt.Errorf("connection refused")
	}
	err := call()
	a.settle()
	a.w.check(what + " " + a.pod)
	a.w.mu.Unlock()
	if err == nil {
		err = a.w.fault("after " + what + " " + a.pod)
	}
	return err
}

// State see agentclient.Client.
func (a *fakeAgent) State(context.Context) (protocol.State, error) {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	if !a.alive {
		return protocol.State{}, fmt.Errorf("connection refused")
	}
	s := a.state()
	if a.running && a.role == v1alpha1.RolePlacementCenter {
		s.Raft = a.w.raft(a)
	}
	return s, nil
}

// Server see agentclient.Client.
func (a *fakeAgent) Server(_ context.Context, o protocol.ServerOrder) (protocol.State, error) {
	return protocol.State{}, a.guard(string(o.Action), func() error {
		a.held = o.Action == protocol.ServerStop
		return nil
	})
}

func (a *fakeAgent) find(id string) (*fakePlacement, error) {
	if a.placement == nil || a.placement.ID != id {
		return nil, &agentclient.Error{Status: 404, Reason: protocol.ReasonNotFound, Message: "no such placement"}
	}
	return a.placement, nil
}

// fits is images.Target's.
func (a *fakeAgent) fits(generation int64, id string) error {
	m, g := a.marker, a.gate()
	switch {
	case a.running, g.Open:
		return refusal("the server runs")
	case generation < a.generation:
		return refusal("the image is for generation %d, the cluster is at %d", generation, a.generation)
	case m != nil && m.Generation > generation:
		return refusal("the volume is newer")
	case m != nil && m.Placement != "" && m.Placement != id:
		return refusal("the volume holds image %s", m.Placement)
	case m == nil && a.data != "":
		return refusal("data without a marker")
	}
	return nil
}

// begin and receive are what a Job does.
func (a *fakeAgent) begin(id string, generation, total int64, image string, edits protocol.PlacementEdits) error {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	if !a.alive {
		return fmt.Errorf("connection refused")
	}
	if p := a.placement; p != nil && p.ID == id {
		want, _ := images.Digest(nil, edits)
		if have, _ := images.Digest(nil, p.edits); have != want || p.Generation != generation {
			return refusal("placement %s was begun with another request", id)
		}
		return nil
	}
	if p := a.placement; p != nil && p.Phase != protocol.PlacementReverted {
		return refusal("placement %s is here", p.ID)
	}
	if err := a.fits(generation, id); err != nil {
		return err
	}
	a.placement = &fakePlacement{Placement: protocol.Placement{ID: id, Phase: protocol.PlacementReceiving, Origin: protocol.OriginRestored, Generation: generation, Total: total}, edits: edits, image: image}
	return nil
}

// receive takes bytes, and reports whether all of them are there.
func (a *fakeAgent) receive(id string, bytes int64) (bool, error) {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	p, err := a.find(id)
	if err != nil || !a.alive {
		return false, fmt.Errorf("receiving: %w", err)
	}
	if p.Phase != protocol.PlacementReceiving {
		return p.Phase != protocol.PlacementReverted && p.Phase != protocol.PlacementReverting, nil
	}
	if p.Received = min(p.Received+bytes, p.Total); p.Received == p.Total {
		p.Phase = protocol.PlacementReceived
	}
	return p.Received == p.Total, nil
}

// Place see agentclient.Client.
func (a *fakeAgent) Place(_ context.Context, id string) (protocol.Placement, error) {
	return protocol.Placement{}, a.guard("Place", func() error {
		p, err := a.find(id)
		if err != nil {
			return err
		}
		switch p.Phase {
		case protocol.PlacementPlaced, protocol.PlacementOpen:
			return nil
		case protocol.PlacementReceived, protocol.PlacementFailed:
		default:
			return refusal("placement %s is %s", id, p.Phase)
		}
		if err := a.fits(p.Generation, id); err != nil {
			return err
		}
		if !p.before.known {
			p.before.known, p.before.data, p.before.marker = true, a.data, a.marker
		}
		p.Phase, p.Reason, p.placedAt = protocol.PlacementPlacing, "", 1
		return nil
	})
}

// advance lets what an agent does by itself go on: an image is being put in place.
func (a *fakeAgent) advance() {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	defer a.settle()
	p := a.placement
	if !a.alive || p == nil || p.Phase != protocol.PlacementPlacing {
		return
	}
	if p.placedAt--; p.placedAt > 0 {
		return
	}
	if a.fails != "" {
		p.Phase, p.Reason, p.Message = protocol.PlacementFailed, a.fails, "as the test wants"
		return
	}
	a.marker = &protocol.Marker{ClusterUID: clusterUID, NodeID: a.nodeID, Role: string(a.role), Generation: p.Generation, Origin: protocol.OriginRestored, HasData: true, Placement: p.ID}
	a.data, p.Phase = p.image, protocol.PlacementPlaced
	p.SHA256, _ = images.Digest([]protocol.PlacementFile{{Name: p.image}}, p.edits)
	if a.lies {
		p.SHA256 = digits
	}
}

// OpenPlacement see agentclient.Client.
func (a *fakeAgent) OpenPlacement(_ context.Context, id string) (protocol.Placement, error) {
	return protocol.Placement{}, a.guard("Open", func() error {
		p, err := a.find(id)
		if err != nil {
			return err
		}
		if p.Phase != protocol.PlacementPlaced && p.Phase != protocol.PlacementOpen {
			return refusal("placement %s is %s", id, p.Phase)
		}
		m := *a.marker
		m.Placement = ""
		a.marker, p.Phase = &m, protocol.PlacementOpen
		return nil
	})
}

// RevertPlacement see agentclient.Client.
func (a *fakeAgent) RevertPlacement(_ context.Context, id string) (protocol.Placement, error) {
	return protocol.Placement{}, a.guard("Revert", func() error {
		p, err := a.find(id)
		switch {
		case err != nil:
			return err
		case p.Phase == protocol.PlacementReverted:
			return nil
		case p.Phase == protocol.PlacementReceiving, p.Phase == protocol.PlacementReceived, p.Phase == protocol.PlacementPlacing:
			return refusal("placement %s is %s", id, p.Phase)
		case a.running, a.gate().Open:
			return refusal("the server runs")
		}
		a.data, a.marker, p.Phase = p.before.data, p.before.marker, protocol.PlacementReverted
		return nil
	})
}

// AbandonPlacement see agentclient.Client.
func (a *fakeAgent) AbandonPlacement(_ context.Context, id string) error {
	return a.guard("Abandon", func() error {
		p, err := a.find(id)
		if err != nil {
			return nil // gone
		}
		switch p.Phase {
		case protocol.PlacementReceiving, protocol.PlacementReceived, protocol.PlacementReverted:
			a.placement = nil
			return nil
		}
		return refusal("placement %s is %s", id, p.Phase)
	})
}

// DiscardPlacement see agentclient.Client.
func (a *fakeAgent) DiscardPlacement(_ context.Context, id string) error {
	return a.guard("Discard", func() error {
		p, err := a.find(id)
		if err != nil {
			return nil // gone
		}
		if p.Phase != protocol.PlacementOpen && p.Phase != protocol.PlacementReverted {
			return refusal("placement %s is %s", id, p.Phase)
		}
		a.placement = nil
		return nil
	})
}

// AbandonSeed see agentclient.Client.
func (a *fakeAgent) AbandonSeed(context.Context, string) error { return nil }

// Admin see agentclient.Client: the lists of a cluster whose old data knows a topic more.
func (a *fakeAgent) Admin(_ context.Context, _, path string, _ any) (json.RawMessage, error) {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	if !a.alive || !a.running {
		return nil, &agentclient.Error{Status: 503, Reason: protocol.ReasonServerDown, Message: "the server does not run"}
	}
	if !strings.HasPrefix(path, protocol.CountPaths["topics"]) {
		return json.RawMessage(`{"data":[],"total_count":7}`), nil
	}
	if a.w.agents[0].data == "old" {
		return json.RawMessage(`{"data":[{"topic_id":"1","topic_name":"a","tenant":"default"},{"topic_id":"2","topic_name":"late","tenant":"x"}],"total_count":2}`), nil
	}
	return json.RawMessage(`{"data":[{"topic_id":"1","topic_name":"a","tenant":"default"}],"total_count":1}`), nil
}

// Census see agentclient.Client.
func (a *fakeAgent) Census(_ context.Context, id string) (protocol.Census, error) {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	if !a.alive || !a.running {
		return protocol.Census{}, &agentclient.Error{Status: 503, Reason: protocol.ReasonServerDown, Message: "the server does not run"}
	}
	return protocol.Census{
		ID: id, Phase: protocol.CensusReady, Applied: map[string]robustmq.LogID{robustmq.GroupMetadata: {Term: 9, NodeID: 1, Index: 50}},
		Families: map[string]protocol.FamilyCensus{"meta_data": {Keys: 3, KeyDigest: a.data}},
	}, nil
}

// die ends the pod; wake brings it, or its next, back.
func (a *fakeAgent) die() {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	a.alive, a.held, a.running = false, false, false
	if p := a.placement; p != nil && p.Phase == protocol.PlacementPlacing {
		p.Phase, p.Reason = protocol.PlacementFailed, protocol.ImageInterrupted
	}
}

func (a *fakeAgent) wake(generation int64) {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	a.alive, a.generation = true, 1 // brokers and journal servers have no metadata, and one generation for ever
	if a.role == v1alpha1.RolePlacementCenter {
		a.generation = max(generation, 1)
	}
	a.settle()
}

// raft is a member's view: those that run make up the cluster, and the lowest of them leads it while they are a quorum. The lock is held.
func (w *world) raft(of *fakeAgent) robustmq.ClusterStatus {
	voters, term, running := []uint64{}, uint64(3), []uint64{}
	for _, a := range w.agents {
		if a.role != v1alpha1.RolePlacementCenter {
			continue
		}
		voters = append(voters, a.nodeID)
		if a.running {
			running = append(running, a.nodeID)
		}
	}
	if p := of.placement; p != nil && p.Phase == protocol.PlacementOpen {
		term, voters = p.edits.Votes[robustmq.GroupData].Term, p.edits.Memberships[robustmq.GroupData].Voters
	}
	status := robustmq.ClusterStatus{}
	for _, group := range robustmq.Groups {
		g := robustmq.GroupState{Running: true, ID: of.nodeID, Term: term, State: "Follower", LastApplied: &robustmq.LogID{Term: term, NodeID: 1, Index: 50}, Configs: [][]uint64{voters}}
		if len(running) > len(voters)/2 {
			g.CurrentLeader = running[0]
			if running[0] == of.nodeID {
				fresh := uint64(5)
				g.State, g.MillisSinceQuorumAck = "Leader", &fresh
			}
		}
		status[group] = g
	}
	return status
}
