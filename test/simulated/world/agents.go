package world

import (
	"context"
	"encoding/json"
	"fmt"

	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// Call is a call of an operator to the agent of a pod, by its name in agentclient.Client.
type Call struct{ Pod, Name string }

func (c Call) String() string { return c.Name + " " + c.Pod }

// Interfere has f called before an operator's calls to agents that stop, start and fill servers, or ask how these are. What it returns is what the operator gets instead; it may wait until its context
// ends. Nil ends it.
func (w *World) Interfere(f func(ctx context.Context, c Call) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.interfere = f
}

// Amend has f change what agents say of themselves, before an operator hears it. Nil ends it.
func (w *World) Amend(f func(pod string, s *protocol.State)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.amend = f
}

// pool gives an operator clients whose calls can be interfered with, and are remembered.
type pool struct {
	*agentclient.Pool
	o *Operator
}

// Client implements the controllers' AgentPool.
func (p *pool) Client(key string, identity agentclient.Identity, podIP string) (agentclient.Client, error) {
	c, err := p.Pool.Client(key, identity, podIP)
	if err != nil {
		return nil, err
	}
	return &agentOf{Client: c, o: p.o, pod: p.o.w.Network.NameOf(podIP)}, nil
}

// agentOf is a client with the calls of a restore in between; the others pass as they are.
type agentOf struct {
	agentclient.Client
	o   *Operator
	pod string
}

// called makes a call, unless somebody interferes. One that changes something is counted, and the operator may die of it: it was carried out, and nobody hears its answer.
func called[T any](ctx context.Context, a *agentOf, name string, changes bool, call func() (T, error)) (T, error) {
	w := a.o.w
	w.mu.Lock()
	interfere := w.interfere
	w.mu.Unlock()
	var nothing T
	if interfere != nil {
		if err := interfere(ctx, Call{a.pod, name}); err != nil {
			return nothing, fmt.Errorf("%s of %s: %w", name, a.pod, err)
		}
	}
	answer, err := call()
	if changes && a.o.ordered(Call{a.pod, name}) {
		return nothing, fmt.Errorf("after %s of %s: %w", name, a.pod, errDead)
	}
	return answer, err
}

// amended is a state as the operator hears it.
func (a *agentOf) amended(s protocol.State, err error) (protocol.State, error) {
	a.o.w.mu.Lock()
	amend := a.o.w.amend
	a.o.w.mu.Unlock()
	if err == nil && amend != nil {
		amend(a.pod, &s)
	}
	return s, err
}

// said is a placement as the operator hears it: a liar lies in every answer.
func (a *agentOf) said(p protocol.Placement, err error) (protocol.Placement, error) {
	s, err := a.amended(protocol.State{Images: protocol.ImagesState{Placement: &p}}, err)
	if s.Images.Placement == nil {
		return p, err
	}
	return *s.Images.Placement, err
}

// State implements agentclient.Client.
func (a *agentOf) State(ctx context.Context) (protocol.State, error) {
	return a.amended(called(ctx, a, "State", false, func() (protocol.State, error) { return a.Client.State(ctx) }))
}

// Server implements agentclient.Client.
func (a *agentOf) Server(ctx context.Context, order protocol.ServerOrder) (protocol.State, error) {
	return a.amended(called(ctx, a, string(order.Action), true, func() (protocol.State, error) { return a.Client.Server(ctx, order) }))
}

// Wipe implements agentclient.Client.
func (a *agentOf) Wipe(ctx context.Context, order protocol.WipeOrder) (protocol.State, error) {
	return a.amended(called(ctx, a, "Wipe", true, func() (protocol.State, error) { return a.Client.Wipe(ctx, order) }))
}

// Alone implements agentclient.Client.
func (a *agentOf) Alone(ctx context.Context, order protocol.AloneOrder) (protocol.State, error) {
	return a.amended(called(ctx, a, "Alone", true, func() (protocol.State, error) { return a.Client.Alone(ctx, order) }))
}

// Transfer implements agentclient.Client. That operators die between the calls of a transfer is the business of its own tests.
func (a *agentOf) Transfer(ctx context.Context, order protocol.TransferOrder) (protocol.Transfer, error) {
	return called(ctx, a, "Transfer", false, func() (protocol.Transfer, error) { return a.Client.Transfer(ctx, order) })
}

// Admin implements agentclient.Client.
func (a *agentOf) Admin(ctx context.Context, method, path string, body any) (json.RawMessage, error) {
	return called(ctx, a, "Admin", false, func() (json.RawMessage, error) { return a.Client.Admin(ctx, method, path, body) })
}

// Census implements agentclient.Client.
func (a *agentOf) Census(ctx context.Context, id string) (protocol.Census, error) {
	return called(ctx, a, "Census", false, func() (protocol.Census, error) { return a.Client.Census(ctx, id) })
}

// Placement implements agentclient.Client.
func (a *agentOf) Placement(ctx context.Context, id string) (protocol.Placement, error) {
	return a.said(called(ctx, a, "Placement", false, func() (protocol.Placement, error) { return a.Client.Placement(ctx, id) }))
}

// AbandonPlacement implements agentclient.Client.
func (a *agentOf) AbandonPlacement(ctx context.Context, id string) error {
	_, err := called(ctx, a, "AbandonPlacement", true, func() (struct{}, error) { return struct{}{}, a.Client.AbandonPlacement(ctx, id) })
	return err
}

// Place implements agentclient.Client.
func (a *agentOf) Place(ctx context.Context, id string) (protocol.Placement, error) {
	return a.said(called(ctx, a, "Place", true, func() (protocol.Placement, error) { return a.Client.Place(ctx, id) }))
}

// OpenPlacement implements agentclient.Client.
func (a *agentOf) OpenPlacement(ctx context.Context, id string) (protocol.Placement, error) {
	return a.said(called(ctx, a, "OpenPlacement", true, func() (protocol.Placement, error) { return a.Client.OpenPlacement(ctx, id) }))
}

// RevertPlacement implements agentclient.Client.
func (a *agentOf) RevertPlacement(ctx context.Context, id string) (protocol.Placement, error) {
	return a.said(called(ctx, a, "RevertPlacement", true, func() (protocol.Placement, error) { return a.Client.RevertPlacement(ctx, id) }))
}

// DiscardPlacement implements agentclient.Client.
func (a *agentOf) DiscardPlacement(ctx context.Context, id string) error {
	_, err := called(ctx, a, "DiscardPlacement", true, func() (struct{}, error) { return struct{}{}, a.Client.DiscardPlacement(ctx, id) })
	return err
}
