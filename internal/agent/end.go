package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/pause"
)

const (
	// endedFile lies in the run directory, which the containers of one pod share one after another, and no other pod has.
	endedFile = "ended"
	// ordersEnd is how long an agent that ends waits for an order that is being carried out: those that waited for the server's end are over in a moment.
	ordersEnd = 500 * time.Millisecond
)

// ending tells those who wait for it that the pod has ended (protocol.PathEnd).
type ending struct {
	over chan struct{} // closed when fault says whether that is so

	mu      sync.Mutex
	waiting int
	closed  bool // whoever asks now comes too late
	fault   error
}

// awaitEnd answers a call of protocol.PathEnd. The end of ctx is that of the call, or of the agent: then the answer is near.
func (a *Agent) awaitEnd(ctx context.Context) (protocol.End, error) {
	e := &a.last
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return protocol.End{}, conflict("the agent ends, and nobody had asked before what it leaves behind")
	}
	e.waiting++
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.waiting--
	}()
	limit := time.NewTimer(protocol.EndWait)
	defer limit.Stop()
	calling := ctx.Done()
	for {
		select {
		case <-e.over:
			if e.fault != nil {
				return protocol.End{}, conflict("the pod's end is not certain: %v", e.fault)
			}
			return protocol.End{Pod: a.o.PodName, BootID: a.o.BootID}, nil
		case <-calling:
			select {
			case <-a.over:
				calling = nil
			default:
				return protocol.End{}, ctx.Err()
			}
		case <-limit.C:
			return protocol.End{}, conflict("the pod has not ended")
		}
	}
}

// end tells whoever waits for it that nothing of this agent works on the volume any more; false when nobody waits.
func (a *Agent) end(ctx context.Context) bool {
	e := &a.last
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	if e.waiting > 0 {
		if e.fault = a.endForGood(ctx); e.fault != nil {
			a.o.Log.Warn("the pod's end is not told: its kubelet will", "because", e.fault)
		}
	}
	close(e.over)
	return e.waiting > 0
}

// endForGood sees to it that no container of this pod starts a server again. SIGTERM alone does not say that: the kubelet sends it too before it starts a container again, for a probe that failed or another
// image, and may not have heard yet that the pod is being deleted.
func (a *Agent) endForGood(ctx context.Context) error {
	a.mu.Lock()
	ended := a.child == nil && a.attempt == nil
	a.mu.Unlock()
	if !ended {
		return errors.New("the agent was broken off")
	}
	ctx, cancel := context.WithTimeout(ctx, ordersEnd)
	defer cancel()
	for !a.orders.TryLock() { // and never given back
		if pause.For(ctx, waitFloor) != nil {
			return errors.New("an order is being carried out")
		}
	}
	return os.WriteFile(filepath.Join(a.o.Paths.RunDir, endedFile), nil, 0o600)
}

// endedForGood reports that an earlier container of this pod has said that the pod has ended.
func (a *Agent) endedForGood() bool {
	_, err := os.Stat(filepath.Join(a.o.Paths.RunDir, endedFile))
	return err == nil
}
