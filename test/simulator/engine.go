package simulator

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/robustmq/robustmq-operator/test/simulator/store"
)

// engine is the storage of messages: the leader of a shard's segment stores and acknowledges alone, followers fetch later, and every broker is handed what was stored.
type engine struct {
	n *Node

	lines *lines // connections to other nodes

	mu      sync.Mutex
	shards  map[string]*shardLog
	senders map[uint64]*sender // what is on its way to other nodes, for which nobody waits
	pending map[uint64][]frame // what followers have not fetched yet
	flush   bool
	// stopping: nothing is stored any more.
	stopping bool
	// syncing are the replicas that are being filled, by shard and node, and until when nobody tries again.
	syncing map[string]time.Time
	// goodAt is when a round of heartbeats last went well.
	goodAt time.Time
}

type shardLog struct {
	next     uint64
	messages []message
}

// frame is one request between engines.
type frame struct {
	Op      string  `json:"op"` // append, replicate, copy, stored, state, read
	Shard   string  `json:"shard,omitempty"`
	Message message `json:"message"`
	Limit   int64   `json:"limit,omitempty"`
	// Epoch is the leader's as the sender believes; Rows are a leader's whole log, Next its end, or where to read from.
	Epoch uint64    `json:"epoch,omitempty"`
	Rows  []message `json:"rows,omitempty"`
	Next  uint64    `json:"next,omitempty"`
}

type frameReply struct {
	Offset uint64    `json:"offset"`
	Next   uint64    `json:"next"`
	Rows   []message `json:"rows,omitempty"`
	Error  string    `json:"error,omitempty"`
}

const engineKey = "/engine/"

func newEngine(n *Node) (*engine, error) {
	e := &engine{n: n, lines: newLines(n.ctx, n.o.Dial), shards: map[string]*shardLog{}, senders: map[uint64]*sender{}, pending: map[uint64][]frame{}, syncing: map[string]time.Time{}, goodAt: time.Now()}
	err := n.storage.Each(store.FamilyStorage, func(key, value []byte) error {
		name, m, ok := storedMessage(key, value)
		if !ok {
			return nil // of a real server's
		}
		l := e.log(name)
		l.messages = append(l.messages, m)
		l.next = m.Offset + 1
		return nil
	})
	return e, err
}

// log returns a shard's messages; the lock must be held, except while the engine is made.
func (e *engine) log(name string) *shardLog {
	l := e.shards[name]
	if l == nil {
		l = &shardLog{}
		e.shards[name] = l
	}
	return l
}

// storedMessage reads a message as store wrote it: under the shard and the offset, big endian, as JSON. RobustMQ's have other keys.
func storedMessage(key, value []byte) (shard string, m message, ok bool) {
	const offsetBytes = 8
	rest, ours := strings.CutPrefix(string(key), engineKey)
	end := len(rest) - offsetBytes - 1
	if !ours || end < 1 || rest[end] != '/' || json.Unmarshal(value, &m) != nil {
		return "", message{}, false
	}
	return rest[:end], m, true
}

func messageKey(shard string, offset uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(engineKey+shard+"/"), offset)
}

// startEngine opens the engine's port.
func (n *Node) startEngine() bool {
	if !n.file.role("engine") {
		return true
	}
	if !n.gen.islands && !n.t.sleep(n.ctx, 300*time.Millisecond) {
		return false
	}
	l, err := n.listen(n.file.number("storage_runtime.tcp_port"))
	if err != nil {
		n.die("storage_engine", "Engine server failed to start on port %d: %v", n.file.number("storage_runtime.tcp_port"), err)
		return false
	}
	n.spawn(func() { n.accept(l, n.engine.serve) })
	n.engine.forgetStrange()
	n.spawn(func() { n.t.every(n.ctx, time.Second, n.engine.proposeISR) })
	n.spawn(func() { n.t.every(n.ctx, time.Second, n.engine.fillReplicas) })
	n.spawn(func() { n.t.every(n.ctx, 30*time.Second, n.engine.reconcile) })
	n.log.info("storage_engine::isr::fetcher_manager", "replica fetcher started with %d threads", n.file.number("storage_runtime.num_replica_fetchers"))
	return true
}

// accept hands each connection to serve, and closes them all at the end of the process.
func (n *Node) accept(l net.Listener, serve func(net.Conn)) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		n.spawn(func() {
			stop := context.AfterFunc(n.ctx, func() { _ = conn.Close() })
			defer stop()
			defer conn.Close()
			n.frozen.wait(n.ctx)
			serve(conn)
		})
	}
}

func (e *engine) serve(conn net.Conn) {
	decoder, encoder := json.NewDecoder(conn), json.NewEncoder(conn)
	for {
		var f frame
		if decoder.Decode(&f) != nil {
			return
		}
		e.n.frozen.wait(e.n.ctx)
		e.n.metrics.add("handler_requests_total", 1, "Tcp") // engines and clients share the handlers
		reply := e.handle(f)
		if encoder.Encode(reply) != nil {
			return
		}
	}
}

func (e *engine) handle(f frame) frameReply {
	switch f.Op {
	case "append":
		offset, err := e.appendHere(f.Shard, f.Message, f.Limit)
		if err != nil {
			return frameReply{Error: err.Error()}
		}
		return frameReply{Offset: offset}
	case "replicate", "copy":
		return e.follow(f)
	case "stored":
		e.n.mqtt.stored(f.Message)
	case "read":
		e.mu.Lock()
		defer e.mu.Unlock()
		e.n.metrics.operated("read_offset", time.Now(), nil)
		l := e.log(f.Shard)
		rows := l.messages[sort.Search(len(l.messages), func(i int) bool { return l.messages[i].Offset >= f.Next }):]
		return frameReply{Next: l.next, Rows: slices.Clone(rows[:min(len(rows), batchMessages)])}
	case "state":
		e.mu.Lock()
		defer e.mu.Unlock()
		l := e.log(f.Shard)
		e.n.metrics.operated("read_offset", time.Now(), nil)
		return frameReply{Next: l.next, Rows: slices.Clone(l.messages[:min(len(l.messages), 100)])}
	}
	return frameReply{}
}

// store keeps a message at its offset; the lock is held.
func (e *engine) store(name string, m message, limit int64) {
	l := e.log(name)
	if m.Offset < l.next {
		return
	}
	l.messages, l.next = append(l.messages, m), m.Offset+1
	batch := []store.Record{{Family: store.FamilyStorage, Key: messageKey(name, m.Offset), Value: mustJSON(m)}}
	if limit > 0 && int64(len(l.messages)) > limit {
		batch = append(batch, store.Record{Family: store.FamilyStorage, Key: messageKey(name, l.messages[0].Offset), Delete: true})
		l.messages = l.messages[1:]
	}
	_ = e.n.storage.Write(batch...)
}

// appendHere stores as the leader, and acknowledges before any follower has it.
func (e *engine) appendHere(name string, m message, limit int64) (uint64, error) {
	s, ok := e.n.cache.segment(name)
	if !ok {
		return 0, say("Shard %s does not exist", name)
	}
	if s.Status != "Write" {
		return 0, say("Segment %s/0 is %s", name, s.Status)
	}
	e.n.waitFor(&e.n.messages)
	e.mu.Lock()
	if e.stopping {
		e.mu.Unlock()
		return 0, say("Segment %s/0 is closed", name)
	}
	m.Offset = e.log(name).next
	e.store(name, m, limit)
	for _, r := range s.Replicas {
		if r.NodeID != e.n.id {
			e.pending[r.NodeID] = append(e.pending[r.NodeID], frame{Op: "replicate", Shard: name, Message: m, Limit: limit, Epoch: s.LeaderEpoch})
		}
	}
	scheduled := e.flush
	e.flush = true
	e.mu.Unlock()
	if !scheduled {
		lag := e.lag()
		e.n.spawn(func() {
			if e.n.t.sleep(e.n.ctx, lag) {
				e.flushPending()
			}
		})
	}
	e.distribute(m)
	return m.Offset, nil
}

func (e *engine) flushPending() {
	e.mu.Lock()
	pending := e.pending
	e.pending, e.flush = map[uint64][]frame{}, false
	e.mu.Unlock()
	for id, frames := range pending {
		for _, f := range frames {
			e.sender(id).send(f)
		}
	}
}

// distribute tells every broker that this node knows what was stored. Those that it does not know find it when they ask the next time.
func (e *engine) distribute(m message) {
	if !m.Retain {
		m.Payload = nil // is read
	}
	for _, node := range e.n.cache.nodes() {
		switch {
		case !slices.Contains(node.Roles, "broker"):
		case node.NodeID == e.n.id:
			e.n.mqtt.stored(m)
		default:
			e.sender(node.NodeID).send(frame{Op: "stored", Message: m})
		}
	}
}

// publish stores a message with the leader of its shard, wherever that is. It is counted here, where it was asked for (storage-engine/src/handler/adapter.rs, 0.4.11).
func (e *engine) publish(ctx context.Context, shard string, m message, limit int64) (offset uint64, err error) {
	begin := time.Now()
	defer func() { e.n.metrics.operated("write", begin, err) }()
	s, ok := e.n.cache.segment(shard)
	if !ok {
		return 0, say("Shard %s does not exist", shard)
	}
	if s.Leader == e.n.id && e.n.file.role("engine") {
		return e.appendHere(shard, m, limit)
	}
	reply, err := e.ask(ctx, s.Leader, frame{Op: "append", Shard: shard, Message: m, Limit: limit})
	return reply.Offset, err
}

// ask sends one request to another engine. A node that is unknown here, or refuses, costs a second (10 tries) and fails; an address that answers nobody costs as long as a connection hangs, 30 s at most.
func (e *engine) ask(ctx context.Context, node uint64, f frame) (frameReply, error) {
	if node == e.n.id {
		return e.handle(f), nil
	}
	limit, cancel := context.WithTimeout(ctx, e.n.t.patience(30*time.Second, time.Second))
	defer cancel()
	var reply frameReply
	for range 10 {
		if record, known := e.n.cache.node(node); known {
			var err error
			if reply, err = e.roundTrip(limit, record.EngineAddr, f); err == nil {
				if reply.Error != "" {
					return reply, errors.New(reply.Error)
				}
				return reply, nil
			}
		}
		if !e.n.t.sleep(limit, 100*time.Millisecond) {
			break
		}
	}
	return reply, say("Failed to send request to node %d with error message :exceeded max retry times (10)", node)
}

func (e *engine) roundTrip(ctx context.Context, addr string, f frame) (frameReply, error) {
	l, err := e.lines.take(ctx, addr)
	if err != nil {
		return frameReply{}, err
	}
	stop := context.AfterFunc(ctx, l.close)
	reply, err := l.exchange(f)
	if !stop() || err != nil {
		l.close()
		return reply, errors.Join(err, ctx.Err())
	}
	e.lines.give(addr, l)
	return reply, nil
}

// rows are the first 100 messages of a shard; the offset that was asked for is ignored, as RobustMQ ignores it.
func (e *engine) rows(ctx context.Context, shard string) ([]message, error) {
	s, ok := e.n.cache.segment(shard)
	if !ok {
		return nil, say("Shard %s does not exist", shard)
	}
	reply, err := e.ask(ctx, s.Leader, frame{Op: "state", Shard: shard})
	return reply.Rows, err
}

// rowsFrom are the next messages of a shard from an offset on, a batch at most.
func (e *engine) rowsFrom(ctx context.Context, shard string, offset uint64) ([]message, error) {
	s, ok := e.n.cache.segment(shard)
	if !ok {
		return nil, say("Shard %s does not exist", shard)
	}
	reply, err := e.ask(ctx, s.Leader, frame{Op: "read", Shard: shard, Next: offset})
	return reply.Rows, err
}

// sound tells the engine how the last heartbeats went.
func (e *engine) sound(ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if ok {
		e.goodAt = time.Now()
	}
}

// proposeISR is the write storm: an engine that the leader has deleted is not told of anything any more, believes in an old state of its segments, and proposes to
// correct it every second, through the log (seen-formation.md 9).
func (e *engine) proposeISR() {
	n := e.n
	e.mu.Lock()
	lost := time.Since(e.goodAt) > n.t.of(time.Duration(n.file.number("meta_runtime.heartbeat_timeout_ms"))*time.Millisecond)
	e.mu.Unlock()
	if !lost || n.gen.islands {
		return
	}
	var proposals sync.WaitGroup
	for _, s := range decodeAll[segment](n.cache.each, kindSegment) {
		if !s.has(n.id) {
			continue
		}
		proposals.Go(func() {
			// The leader has moved on: no epoch that this node could name fits.
			_, err := dataCall[nothing](n.ctx, n, "UpdateSegmentIsr", true, isrRequest{s, s.SegmentEpoch + 1<<32})
			if err != nil && n.ctx.Err() == nil {
				n.log.warn("storage_engine::isr::isr_manager", "ISR maintain propose failed for %s/%d: %v", s.ShardName, s.SegmentSeq, err)
			}
		})
	}
	proposals.Wait()
}

// sender keeps the order of what goes to one node, and tries until the node is not listed any more.
type sender struct {
	e     *engine
	node  uint64
	queue chan frame
	// busy: a frame is under way.
	busy atomic.Bool
}

func (e *engine) sender(node uint64) *sender {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.senders[node]
	if s == nil {
		s = &sender{e: e, node: node, queue: make(chan frame, 10000)}
		e.senders[node] = s
		e.n.spawn(s.run)
	}
	return s
}

func (s *sender) send(f frame) {
	select {
	case s.queue <- f:
	default:
	}
}

func (s *sender) run() {
	n := s.e.n
	var to *line
	drop := func() {
		if to != nil {
			to.close()
			to = nil
		}
	}
	defer drop()
	for {
		var f frame
		select {
		case <-n.ctx.Done():
			return
		case f = <-s.queue:
		}
		s.busy.Store(true)
		for {
			record, known := n.cache.node(s.node)
			if !known {
				break // it is gone, and what was meant for it with it
			}
			err := func() error {
				limit, cancel := context.WithTimeout(n.ctx, n.t.patience(5*time.Second, time.Second))
				defer cancel()
				if to == nil {
					made, err := s.e.lines.open(limit, record.EngineAddr)
					if err != nil {
						return err
					}
					to = made
				}
				broken := context.AfterFunc(limit, to.close)
				defer broken()
				return s.deliver(limit, to, f)
			}()
			if err == nil {
				break
			}
			drop()
			if !n.t.sleep(n.ctx, 300*time.Millisecond) {
				return
			}
		}
		s.busy.Store(false)
	}
}
