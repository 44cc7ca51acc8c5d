package simulator

import (
	"context"
	"encoding/json"
	"time"

	"google.golang.org/grpc"
)

// change is one key that changed; no value: it is gone.
type change struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value,omitempty"`
}

// notifier tells one node of changes, in order. The address is the one that the node had when it was first told something.
type notifier struct {
	queue chan change
}

const queued = 1024 // changes waiting for one node; more are lost, and the node's cache stays wrong

// notify tells every node that is registered here. Who registers later has loaded its cache before, and misses what happened in between: two brokers that start
// within a moment never hear of each other (seen-lossless-stop.md, section 4).
func (m *metaService) notify(c change) {
	n := m.n
	if n.gen.islands {
		n.cache.update(c)
		return
	}
	for _, node := range m.nodes() {
		m.mu.Lock()
		w := m.workers[node.NodeID]
		if w == nil {
			w = &notifier{queue: make(chan change, queued)}
			m.workers[node.NodeID] = w
			n.spawn(func() { m.tell(w, node.GRPCAddr) })
		}
		m.mu.Unlock()
		select {
		case w.queue <- c:
		default:
		}
	}
}

// tell delivers, three times at most.
func (m *metaService) tell(w *notifier, addr string) {
	n := m.n
	for {
		var c change
		select {
		case <-n.ctx.Done():
			return
		case c = <-w.queue:
		}
		var err error
		for range 3 {
			begin := time.Now()
			ctx, cancel := context.WithTimeout(n.ctx, n.t.patience(callTimeout, time.Second))
			err = n.calls.once(ctx, addr, func(ctx context.Context, conn *grpc.ClientConn) error {
				_, err := invoke[nothing](ctx, conn, nodeService, "Update", c)
				return err
			})
			cancel()
			n.metrics.made("/"+nodeService+"/Update", nil, begin)
			if err == nil || n.ctx.Err() != nil {
				break
			}
			n.t.sleep(n.ctx, 100*time.Millisecond)
		}
		if err != nil && n.ctx.Err() == nil {
			n.log.error("node_call::handler", "Failed to update cache on broker %s after 3 attempts: %v", addr, err)
		}
	}
}
