package agent

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/robustmq/robustmq-operator/internal/pause"
	"github.com/robustmq/robustmq-operator/internal/robustmq/metaclient"
)

// relay tells every member that this pod's server lives, as long as it answers. The server does so itself, to one member after another within 3 s in all: one address that
// hangs and comes first makes the leader expire every node (seen 5 of 5 without the relay; with it only the dead node, seen-formation and seen-scale-in in the design notes).
func (a *Agent) relay(ctx context.Context) {
	var spent time.Duration // by the last round, whose slowest member must not slow the others down
	for {
		if pause.For(ctx, max(0, a.o.Timings.Relay-spent)) != nil {
			return
		}
		spent = 0
		a.mu.Lock()
		m, live := a.mounted, a.live()
		a.mu.Unlock()
		if !live || m.config.DisableRelay || m.islands() {
			continue
		}
		begin := a.o.Now()
		var all sync.WaitGroup
		for _, member := range m.config.Members {
			all.Go(func() {
				a.guarded("relay", func() { a.vouch(ctx, hostPort(member.Host, m.config.Ports.GRPC), member.NodeID, m.nodeID()) })
			})
		}
		all.Wait()
		spent = a.o.Now().Sub(begin)
	}
}

// vouch sends one heartbeat.
func (a *Agent) vouch(ctx context.Context, addr string, member, self uint64) {
	ctx, cancel := context.WithTimeout(ctx, a.o.Timings.RelayTimeout)
	defer cancel()
	meta, err := a.peers.metaAt(addr)
	if err == nil {
		err = meta.Heartbeat(ctx, self)
	}
	label := strconv.FormatUint(member, 10)
	if err == nil {
		a.metrics.relayed.WithLabelValues(label).Inc()
		return
	}
	// A member that does not know the node refuses; the node registers itself.
	a.metrics.relayFailed.WithLabelValues(label).Inc()
	if metaclient.IsUnreachable(err) && meta != nil {
		a.peers.drop(addr, meta)
	}
}
