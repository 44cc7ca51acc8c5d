package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/robustmq/robustmq-operator/test/simulator/store"
)

// errGap is a follower's answer to a message that does not follow its last one: the leader sends its whole log then, as a real follower would fetch from where it ends.
const errGap = "gap"

// lag is how long after it was stored, and acknowledged, a message is fetched by followers.
func (e *engine) lag() time.Duration {
	return time.Duration(e.n.file.number("storage_runtime.replica_fetch_max_wait_ms")+e.n.file.number("storage_runtime.replica_fetch_backoff_ms")) * time.Millisecond
}

// follow stores what a leader sends. One that is not the leader any more and does not know it is refused: what it acknowledges is in a log that nobody reads.
func (e *engine) follow(f frame) frameReply {
	if s, ok := e.n.cache.segment(f.Shard); ok && (s.LeaderEpoch > f.Epoch || s.Leader == e.n.id) {
		return frameReply{Error: "fenced"}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.log(f.Shard)
	switch {
	case f.Op == "copy":
		e.drop(f.Shard)
		l = e.log(f.Shard)
		l.next = f.Next
		var batch []store.Record
		for _, m := range f.Rows {
			l.messages = append(l.messages, m)
			batch = append(batch, store.Record{Family: store.FamilyStorage, Key: messageKey(f.Shard, m.Offset), Value: mustJSON(m)})
		}
		_ = e.n.storage.Write(batch...)
	case f.Message.Offset > l.next:
		return frameReply{Error: errGap}
	default:
		e.store(f.Shard, f.Message, f.Limit)
	}
	return frameReply{Next: l.next}
}

// drop forgets what is stored of a shard; the lock is held.
func (e *engine) drop(name string) {
	var batch []store.Record
	if l := e.shards[name]; l != nil {
		for _, m := range l.messages {
			batch = append(batch, store.Record{Family: store.FamilyStorage, Key: messageKey(name, m.Offset), Delete: true})
		}
	}
	delete(e.shards, name)
	_ = e.n.storage.Write(batch...)
}

// forgetStrange drops, at the start, what is stored of segments that no longer count this node among their replicas.
func (e *engine) forgetStrange() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name := range e.shards {
		if s, ok := e.n.cache.segment(name); ok && !s.has(e.n.id) {
			e.drop(name)
		}
	}
}

// fillReplicas has every replica that is not in sync filled by the leader.
func (e *engine) fillReplicas() {
	if e.n.gen.islands {
		return
	}
	for _, s := range decodeAll[segment](e.n.cache.each, kindSegment) {
		if s.Leader != e.n.id || s.Status != "Write" || !s.has(e.n.id) {
			continue
		}
		for _, r := range s.Replicas {
			if _, known := e.n.cache.node(r.NodeID); !known || r.NodeID == e.n.id || slices.Contains(s.ISR, r.NodeID) {
				continue
			}
			key := s.ShardName + "/" + nodeKey(r.NodeID)
			e.mu.Lock()
			running := time.Now().Before(e.syncing[key])
			if !running {
				e.syncing[key] = time.Now().Add(e.n.t.patience(10*time.Second, 2*time.Second))
			}
			e.mu.Unlock()
			if !running {
				e.sender(r.NodeID).send(frame{Op: "sync", Shard: s.ShardName})
			}
		}
	}
}

// filled proposes a replica that was just filled for the ISR.
func (e *engine) filled(name string, node uint64) {
	e.mu.Lock()
	delete(e.syncing, name+"/"+nodeKey(node))
	e.mu.Unlock()
	s, ok := e.n.cache.segment(name)
	if !ok || s.Leader != e.n.id || !s.has(node) || slices.Contains(s.ISR, node) {
		return
	}
	epoch := s.SegmentEpoch
	s.ISR, s.SegmentEpoch = append(slices.Clone(s.ISR), node), epoch+1
	if _, err := dataCall[nothing](e.n.ctx, e.n, "UpdateSegmentIsr", true, isrRequest{s, epoch}); err != nil && e.n.ctx.Err() == nil {
		e.n.log.warn("storage_engine::isr::isr_manager", "ISR maintain propose failed for %s/%d: %v", s.ShardName, s.SegmentSeq, err)
		e.reconcile() // it may have missed a notification
	}
}

// reconcile asks for the segments as they are, every metadata_reconcile_interval_ms (30 s) and after a proposal that did not fit: who missed a notification learns here, at last, what it leads.
func (e *engine) reconcile() {
	if e.n.gen.islands {
		return
	}
	found, err := dataCall[map[string]json.RawMessage](e.n.ctx, e.n, "Load", false, loadRequest{Kinds: []string{kindSegment}})
	if err != nil {
		return
	}
	for key, raw := range found {
		var now, have segment
		old, known := e.n.cache.get(key)
		if json.Unmarshal(raw, &now) == nil && (!known || json.Unmarshal(old, &have) != nil || now.SegmentEpoch > have.SegmentEpoch) {
			e.n.cache.update(change{Key: key, Value: raw})
		}
	}
}

// deliver sends a frame and reads its answer. A copy is made at the moment when it is sent: whatever is stored later follows it in the queue.
func (s *sender) deliver(ctx context.Context, to *line, f frame) error {
	sync := f.Op == "sync"
	if sync {
		f = s.e.copyOf(f.Shard)
	}
	reply, err := to.exchange(f)
	if err == nil && reply.Error == errGap {
		f = s.e.copyOf(f.Shard)
		reply, err = to.exchange(f)
	}
	if err != nil || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	if sync && reply.Error == "" {
		s.e.n.spawn(func() { s.e.filled(f.Shard, s.node) })
	} else if sync {
		s.e.mu.Lock()
		delete(s.e.syncing, f.Shard+"/"+nodeKey(s.node))
		s.e.mu.Unlock()
	}
	return nil
}

func (e *engine) copyOf(name string) frame {
	s, _ := e.n.cache.segment(name)
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.log(name)
	return frame{Op: "copy", Shard: name, Epoch: s.LeaderEpoch, Rows: slices.Clone(l.messages), Next: l.next}
}

// close ends the engine in an orderly way, which takes so long: nothing is stored any more, and followers go on fetching. What they had not asked for by then is lost with its acknowledgement,
// as at the default lag of 1.5 s; with 10 ms each, nothing was.
func (e *engine) close(pause time.Duration) {
	e.mu.Lock()
	e.stopping = true
	e.mu.Unlock()
	e.n.t.sleep(e.n.ctx, pause)
	if e.lag() > pause {
		return
	}
	e.flushPending()
	deadline := time.Now().Add(time.Second)
	for e.sending() && time.Now().Before(deadline) && e.n.t.sleep(e.n.ctx, 10*time.Millisecond) {
	}
}

// sending reports whether anything is still on its way to a node that is known.
func (e *engine) sending() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, s := range e.senders {
		if _, known := e.n.cache.node(id); known && (s.busy.Load() || len(s.queue) > 0) {
			return true
		}
	}
	return false
}

// Payloads are the messages of a shard that this node has stored, in order. Tests look here for what was acknowledged.
func (n *Node) Payloads(shard string) []string {
	if n.engine == nil {
		return nil
	}
	n.engine.mu.Lock()
	defer n.engine.mu.Unlock()
	var out []string
	for _, m := range n.engine.log(shard).messages {
		out = append(out, string(m.Payload))
	}
	return out
}
