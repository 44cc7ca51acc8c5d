package simulator

import (
	"context"
	"math"
	"strings"
	"sync"
	"time"
)

// readings are how far this broker has read the shards whose topics somebody here is subscribed to. RobustMQ's brokers read for their subscribers from the leader of each shard, and keep the offset
// (mqtt-broker/src/subscribe/directly_push.rs, 0.4.11). So a subscriber is served by a leader that does not know its broker, and misses what a new leader stores under an offset that it has read
// already (seen-lossless-stop.md, section 1).
type readings struct {
	n *Node

	mu sync.Mutex
	of map[string]*reading // by shard
}

// reading is how far one shard is read.
type reading struct {
	topic, shard string

	mu    sync.Mutex
	known bool   // next is
	next  uint64 // offset to be read next
	busy  bool   // the leader is being asked
	again bool   // and is to be asked once more
}

// readingPause is how soon a leader is asked that has said nothing. One that knows this broker hands it on what it stores; RobustMQ's brokers ask more often instead.
const readingPause = time.Second

func newReadings(n *Node) *readings { return &readings{n: n, of: map[string]*reading{}} }

// subscribed has what is stored from now on read for a filter.
func (r *readings) subscribed(filter string) {
	for _, topic := range r.topics(filter) {
		t, _ := r.n.cache.topic(defaultTenant, topic)
		for _, partition := range sortedKeys(t.StorageNameList) {
			r.read(r.at(topic, t.StorageNameList[partition]))
		}
	}
}

// topics are the existing ones that have a subscriber here because of a filter; with wildcards, or shared, any that has one.
func (r *readings) topics(filter string) []string {
	if !strings.ContainsAny(filter, "+#$") {
		return []string{filter}
	}
	var names []string
	for _, t := range decodeAll[topic](r.n.cache.each, kindTopic) {
		if t.Tenant == defaultTenant && r.n.mqtt.hasSubscriber(t.TopicName) {
			names = append(names, t.TopicName)
		}
	}
	return names
}

func (r *readings) at(topic, shard string) *reading {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.of[shard]
	if p == nil {
		p = &reading{topic: topic, shard: shard}
		r.of[shard] = p
	}
	return p
}

// arrived takes a message that the leader of a shard has handed on.
func (r *readings) arrived(shard string, m message) {
	if !r.n.mqtt.hasSubscriber(m.Topic) {
		if m.Retain {
			r.n.mqtt.deliver(m)
		}
		return
	}
	p := r.at(m.Topic, shard)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.known && p.busy:
		p.again = true
	case p.known && m.Offset > p.next: // what is between them was not handed on
		r.n.spawn(func() { r.read(p) })
	case !p.known || m.Offset == p.next:
		p.known = true
		r.deliver(p, m)
	}
}

// deliver needs the lock of p.
func (r *readings) deliver(p *reading, m message) {
	r.n.mqtt.deliver(m)
	p.next = m.Offset + 1
}

// look asks the leaders of all shards that are still read.
func (r *readings) look() {
	r.n.frozen.wait(r.n.ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	for shard, p := range r.of {
		if _, exists := r.n.cache.segment(shard); !exists || !r.n.mqtt.hasSubscriber(p.topic) {
			delete(r.of, shard)
			continue
		}
		r.n.spawn(func() { r.read(p) })
	}
}

// read asks the leader for what was not read yet, or, the first time, where its log ends.
func (r *readings) read(p *reading) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy {
		p.again = true
		return
	}
	p.busy = true
	defer func() { p.busy = false }()
	for more := true; more; {
		p.again = false
		from := uint64(math.MaxUint64)
		if p.known {
			from = p.next
		}
		p.mu.Unlock()
		rows, end, err := r.ask(p.shard, from)
		p.mu.Lock()
		if err != nil {
			return // until the next look
		}
		if !p.known {
			p.known, p.next = true, end
		}
		for _, m := range rows {
			r.deliver(p, m)
		}
		more = p.again || len(rows) == batchMessages
	}
}

func (r *readings) ask(shard string, from uint64) (rows []message, end uint64, err error) {
	ctx, cancel := context.WithTimeout(r.n.ctx, r.n.t.patience(3*time.Second, time.Second))
	defer cancel()
	return r.n.engine.rowsFrom(ctx, shard, from)
}
