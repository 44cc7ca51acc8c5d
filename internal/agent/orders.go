package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"syscall"
	"time"

	backupimage "github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/internal/agent/gate"
	"github.com/robustmq/robustmq-operator/internal/agent/images"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/volume"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
	"github.com/robustmq/robustmq-operator/internal/robustmq/metaclient"
)

// refusal is an error with its protocol reason.
type refusal struct {
	reason  string
	message string
}

func (r *refusal) Error() string { return r.message }

func conflict(format string, args ...any) error {
	return &refusal{protocol.ReasonConflict, fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) error {
	return &refusal{protocol.ReasonBadRequest, fmt.Sprintf(format, args...)}
}

// explain turns any error into the protocol's.
func explain(err error) (int, protocol.Error) {
	var refused *refusal
	var closed *gate.Refusal
	var image *images.Refusal
	var space *backupimage.NoSpaceError
	switch {
	case errors.As(err, &refused):
		return statusOf(refused.reason), protocol.Error{Reason: refused.reason, Message: refused.message}
	case errors.As(err, &closed):
		return statusOf(closed.Reason), protocol.Error{Reason: closed.Reason, Message: closed.Message}
	case errors.As(err, &image):
		return statusOf(image.Reason), protocol.Error{Reason: image.Reason, Message: image.Message}
	case errors.As(err, &space), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return statusOf(protocol.ReasonNoSpace), protocol.Error{Reason: protocol.ReasonNoSpace, Message: err.Error()}
	case errors.Is(err, errServerDown):
		return statusOf(protocol.ReasonServerDown), protocol.Error{Reason: protocol.ReasonServerDown, Message: err.Error()}
	}
	return http.StatusInternalServerError, protocol.Error{Reason: protocol.ReasonInternal, Message: err.Error()}
}

func statusOf(reason string) int {
	switch reason {
	case protocol.ReasonBadRequest:
		return http.StatusBadRequest
	case protocol.ReasonForbidden:
		return http.StatusForbidden
	case protocol.ReasonNotFound:
		return http.StatusNotFound
	case protocol.ReasonConflict, protocol.ReasonBusy:
		return http.StatusConflict
	case protocol.ReasonBadData:
		return http.StatusUnprocessableEntity
	case protocol.ReasonNoSpace:
		return http.StatusInsufficientStorage
	case protocol.ReasonServerDown:
		return http.StatusServiceUnavailable
	case protocol.ReasonServerFailed:
		return http.StatusBadGateway
	}
	return http.StatusInternalServerError
}

// orderGate writes the marker that an order stands for; the loop then opens the gate. Repeating an order that was carried out changes nothing.
func (a *Agent) orderGate(_ context.Context, order protocol.GateOrder) error {
	a.orders.Lock()
	defer a.orders.Unlock()
	a.marker.Lock()
	defer a.marker.Unlock()
	a.refreshVolume()
	a.mu.Lock()
	in, running := a.gateInput(), a.child != nil || a.attempt != nil
	a.mu.Unlock()
	marker, err := gate.Order(order, in)
	if err != nil || marker == nil {
		return err
	}
	if running {
		return conflict("the server runs on this volume")
	}
	marker.Written = a.o.Now().UTC().Truncate(time.Second)
	a.o.Log.Info("gate order", "action", order.Action, "generation", order.Generation)
	if err := a.volume.WriteMarker(*marker); err != nil {
		return err
	}
	a.remarked()
	return nil
}

// remarked looks at the volume anew, whose marker was written or removed: what was known of the server that ran on it, and its crashes, count no more. The lock of the marker is held.
func (a *Agent) remarked() {
	a.mu.Lock()
	a.known = known{}
	a.backoff.Reset()
	a.notBefore = time.Time{}
	a.mu.Unlock()
	a.refreshVolume()
	a.look()
}

// stopServer holds the server and waits, bounded, until it has ended. The lock of orders is held.
func (a *Agent) stopServer(ctx context.Context) error {
	a.update(func() { a.held, a.quiesced = true, false; a.decide() })
	return a.awaitGone(ctx, nil)
}

// orderServer carries a ServerOrder out and waits, bounded, until that shows.
func (a *Agent) orderServer(ctx context.Context, order protocol.ServerOrder) error {
	a.orders.Lock()
	defer a.orders.Unlock()
	a.o.Log.Info("server order", "action", order.Action, "reason", order.Reason)
	switch order.Action {
	case protocol.ServerStop:
		return a.stopServer(ctx)
	case protocol.ServerStart:
		a.update(a.startAgain)
		a.awaitStarted(ctx)
		return nil
	case protocol.ServerRestart:
		return a.orderRestart(ctx, order)
	case protocol.ServerQuiesce:
		return a.orderQuiesce()
	}
	return badRequest("action %q is none of Start, Stop, Restart, Quiesce", order.Action)
}

// orderQuiesce makes the pod unready while its server runs on.
func (a *Agent) orderQuiesce() error {
	a.mu.Lock()
	m, live := a.mounted, a.child != nil
	a.mu.Unlock()
	switch {
	case m.config.Role == config.RolePlacementCenter:
		return conflict("a member of the placement centre stays ready while its server runs: its name must resolve")
	case !live:
		return fmt.Errorf("there is nothing to quiesce: %w", errServerDown)
	}
	a.update(func() { a.quiesced = true })
	return nil
}

// startAgain lifts the hold and forgets the back-off; the lock is held.
func (a *Agent) startAgain() {
	a.held, a.quiesced = false, false
	a.backoff.Reset()
	a.notBefore = time.Time{}
	a.decide()
}

func (a *Agent) orderRestart(ctx context.Context, order protocol.ServerOrder) error {
	a.mu.Lock()
	c := a.child
	in := a.gateInput()
	in.Held = false
	next := gate.Decide(in)
	a.mu.Unlock()
	switch {
	case !next.Open:
		return conflict("the server would not start again: %s: %s", next.Reason, next.Message)
	case order.IfStarted != nil && (c == nil || !c.started.UTC().Truncate(time.Millisecond).Equal(*order.IfStarted)):
		return nil // the one that was meant is gone
	}
	a.update(func() {
		a.restart = order.Reason
		if a.restart == "" {
			a.restart = "ordered"
		}
		a.startAgain()
	})
	if err := a.awaitGone(ctx, c); err != nil {
		return err
	}
	a.awaitStarted(ctx)
	return nil
}

// awaitGone waits until the server (the given one, or any) is gone.
func (a *Agent) awaitGone(ctx context.Context, c *child) error {
	ctx, cancel := context.WithTimeout(ctx, a.o.Timings.OrderWait)
	defer cancel()
	gone := func() bool {
		if c != nil {
			return a.child != c
		}
		return a.child == nil && a.attempt == nil
	}
	if !a.until(ctx, gone) {
		return &refusal{protocol.ReasonInternal, "the server is being stopped and is not gone yet"}
	}
	return nil
}

// awaitStarted gives a start a few seconds to happen; what it waits for otherwise is in the state.
func (a *Agent) awaitStarted(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, a.o.Timings.StartWait)
	defer cancel()
	a.until(ctx, func() bool { return a.child != nil || !a.gate.Open || a.fenced || a.terminating })
}

// orderWipe empties the volume whose marker is the one named. An empty volume without a marker is what a repeated order finds.
func (a *Agent) orderWipe(_ context.Context, order protocol.WipeOrder) error {
	a.orders.Lock()
	defer a.orders.Unlock()
	a.marker.Lock()
	defer a.marker.Unlock()
	a.refreshVolume()
	a.mu.Lock()
	vol, running, moving := a.vol, a.child != nil || a.attempt != nil, a.transfer.record.Active()
	a.mu.Unlock()
	switch {
	case vol.Phase == protocol.VolumeUnusable:
		return conflict("the volume is unusable: %s", vol.Message)
	case running:
		return conflict("the server runs: stop it first")
	case moving:
		return conflict("the leadership of raft groups is being moved: in a few seconds")
	case vol.Marker == nil && vol.Phase == protocol.VolumeEmpty:
		return nil
	case vol.Marker == nil:
		return conflict("the volume holds data without a marker: nobody knows whose it is")
	case !volume.SameVolume(*vol.Marker, order.Marker):
		return conflict("the volume's marker (%s, cluster %s, node %d, generation %d) is not the one named", vol.Marker.Origin, vol.Marker.ClusterUID, vol.Marker.NodeID, vol.Marker.Generation)
	}
	if err := errors.Join(a.source.Drop("the volume is wiped"), a.seeds.Forget(), a.target.Forget()); err != nil {
		return err
	}
	a.o.Log.Warn("wiping the volume", "reason", order.Reason, "origin", vol.Marker.Origin, "generation", vol.Marker.Generation)
	if err := a.volume.Wipe(); err != nil {
		return err
	}
	a.mu.Lock()
	a.known = known{}
	a.transfer = transferring{}
	a.held = false // an empty volume keeps the gate shut by itself
	a.mu.Unlock()
	a.refreshVolume()
	a.look()
	return nil
}

// membershipCall is one of the meta service's calls that change who belongs to the cluster.
type membershipCall func(ctx context.Context, c *metaclient.Client, order protocol.MembershipOrder) error

func join(ctx context.Context, c *metaclient.Client, order protocol.MembershipOrder) error {
	if order.Addr == "" {
		return badRequest("addr is missing: a member joins with host:port")
	}
	return c.Join(ctx, order.NodeID, order.Addr)
}

func leave(ctx context.Context, c *metaclient.Client, order protocol.MembershipOrder) error {
	return c.Leave(ctx, order.NodeID)
}

func unregister(ctx context.Context, c *metaclient.Client, order protocol.MembershipOrder) error {
	return c.Unregister(ctx, order.NodeID)
}

// orderMembership makes the call on this pod's server. An error does not mean that nothing changed: the state afterwards tells.
func (a *Agent) orderMembership(ctx context.Context, call membershipCall, order protocol.MembershipOrder) error {
	if order.NodeID == 0 {
		return badRequest("nodeID is missing")
	}
	a.orders.Lock()
	defer a.orders.Unlock()
	a.mu.Lock()
	c, m, live := a.child, a.mounted, a.live()
	a.mu.Unlock()
	if !live || !c.meta {
		return fmt.Errorf("membership of node %d: %w", order.NodeID, errServerDown)
	}
	meta, err := metaclient.New(hostPort(a.o.Loopback, m.config.Ports.GRPC), a.o.Dial)
	if err != nil {
		return err
	}
	defer meta.Close() //nolint:errcheck // nothing to lose
	ctx, cancel := context.WithTimeout(ctx, a.o.Timings.OrderWait/2)
	defer cancel()
	err = call(ctx, meta, order)
	var refused *refusal
	if err != nil && !errors.As(err, &refused) {
		return &refusal{protocol.ReasonServerFailed, err.Error()}
	}
	return err
}
