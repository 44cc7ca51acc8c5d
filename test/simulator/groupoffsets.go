package simulator

import (
	"context"
	"encoding/json"
	"maps"
	"sync"
	"time"
)

// groupOffsets are where the readers of this node go on: connectors and subscribers, each a group of its own (common/group/src/manager.rs and storage.rs, 0.4.11).
type groupOffsets struct {
	n *Node

	mu sync.Mutex
	// of is what was read, by group and shard: of a reader that comes back to this node it counts, whatever another node has committed since.
	of      map[string]map[string]uint64
	changed map[string]bool // groups
	flush   chan struct{}
}

func newGroupOffsets(n *Node) *groupOffsets {
	return &groupOffsets{n: n, of: map[string]map[string]uint64{}, changed: map[string]bool{}, flush: make(chan struct{}, 1)}
}

// groupKey is where the offsets of a group are stored.
func groupKey(tenant, group string) string { return kindOffset + tenant + "/" + group }

// read returns the offsets that a group goes on from, by shard: where this node stopped, or what was committed. A shard that is not there is read from its beginning.
func (g *groupOffsets) read(ctx context.Context, group string) (map[string]uint64, error) {
	g.mu.Lock()
	have, known := g.of[group]
	offsets := maps.Clone(have)
	g.mu.Unlock()
	if known {
		return offsets, nil
	}
	all, err := dataCall[map[string]json.RawMessage](ctx, g.n, "Load", false, loadRequest{Kinds: []string{kindOffset}})
	if err != nil {
		return nil, err
	}
	offsets = map[string]uint64{}
	if raw, committed := all[group]; committed {
		if err := json.Unmarshal(raw, &offsets); err != nil {
			return nil, err
		}
	}
	return offsets, nil
}

// commit keeps offsets here; the members hear of them a moment later.
func (g *groupOffsets) commit(group string, offsets map[string]uint64) {
	g.mu.Lock()
	if g.of[group] == nil {
		g.of[group] = map[string]uint64{}
	}
	maps.Copy(g.of[group], offsets)
	g.changed[group] = true
	g.mu.Unlock()
	select {
	case g.flush <- struct{}{}:
	default:
	}
}

func (g *groupOffsets) commitInBackground() {
	n := g.n
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-g.flush:
		}
		if !n.t.sleep(n.ctx, 20*time.Millisecond) {
			return
		}
		g.mu.Lock()
		var requests []putRequest
		for group := range g.changed {
			requests = append(requests, putRequest{Key: group, Value: mustJSON(g.of[group])})
		}
		clear(g.changed)
		g.mu.Unlock()
		for _, r := range requests {
			if err := n.put(n.ctx, r); err != nil && n.ctx.Err() == nil {
				n.log.error("common_group::storage", "Failed to save group offset: %v", err)
			}
		}
	}
}
