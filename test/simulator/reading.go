package simulator

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// readings are those of the subscribers of this broker. RobustMQ's brokers read for each of their subscribers from the leaders of the topic's shards, and keep how far they got under the client's id
// and the filter (mqtt-broker/src/subscribe/directly_push.rs, 0.4.11). So who subscribes for the first time gets the topic from its beginning, who comes back goes on, nobody has to be known to a
// leader, and what a new leader stores under an offset that was read before is missed (seen-lossless-stop.md, section 1).
type readings struct {
	n *Node

	mu sync.Mutex
	of map[readingKey]*reading
}

type readingKey struct {
	client *mqtt.Client // nil: of all that share the filter
	filter string
	shard  string
}

// reading reads one shard for one subscriber.
type reading struct {
	readingKey
	n     *Node
	topic string
	group string
	news  chan struct{}

	known bool   // next is
	next  uint64 // offset to be read next
}

// readingPause is how soon a leader is asked again that has said nothing. One that knows this broker says when it has stored something; RobustMQ's brokers ask more often instead.
const readingPause = time.Second

func newReadings(n *Node) *readings { return &readings{n: n, of: map[readingKey]*reading{}} }

// subscribed begins to read what exists of a filter.
func (r *readings) subscribed(filter string) {
	if !strings.ContainsAny(filter, "+#$") {
		r.begin(filter)
		return
	}
	for _, t := range decodeAll[topic](r.n.cache.each, kindTopic) {
		if t.Tenant == defaultTenant {
			r.begin(t.TopicName)
		}
	}
}

// begin has a topic read for every subscriber for whom it is not read yet, and tells the others that there may be something new.
func (r *readings) begin(topic string) {
	t, exists := r.n.cache.topic(defaultTenant, topic)
	if !exists || !r.n.file.role("broker") {
		return
	}
	subscribers := r.n.mqtt.server.Topics.Subscribers(topic)
	for _, shard := range t.StorageNameList {
		for id := range subscribers.Subscriptions {
			client, ok := r.n.mqtt.server.Clients.Get(id)
			if !ok {
				continue
			}
			for filter := range client.State.Subscriptions.GetAll() {
				if covers(filter, topic) {
					r.wake(readingKey{client, filter, shard}, topic, groupOfOne(id, filter, topic))
				}
			}
		}
		for filter := range subscribers.Shared {
			r.wake(readingKey{nil, filter, shard}, topic, groupOfShared(filter, topic))
		}
	}
}

// groupOfOne is under whose name it is kept how far a client's subscription was read.
func groupOfOne(client, filter, topic string) string {
	return groupKey(defaultTenant, fmt.Sprintf("directly_sub_%s_%s_%s", client, filter, topic))
}

// groupOfShared is the same of all that share a filter.
func groupOfShared(filter, topic string) string {
	return groupKey(defaultTenant, fmt.Sprintf("share_sub_%s_%s", filter, topic))
}

func (r *readings) wake(key readingKey, topic, group string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.of[key]
	if p == nil {
		p = &reading{readingKey: key, n: r.n, topic: topic, group: group, news: make(chan struct{}, 1)}
		r.of[key] = p
		r.n.spawn(func() { r.run(p) })
		return
	}
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// run ends with the subscription or the topic.
func (r *readings) run(p *reading) {
	tick := time.NewTicker(r.n.t.patience(readingPause, 100*time.Millisecond))
	defer tick.Stop()
	for !r.forgotten(p) {
		for p.readOn() {
		}
		select {
		case <-r.n.ctx.Done():
		case <-p.news:
		case <-tick.C:
		}
		r.n.frozen.wait(r.n.ctx)
	}
}

// forgotten takes a reading away that is not wanted any more. Who subscribes after that begins another one, and who did before is not overlooked.
func (r *readings) forgotten(p *reading) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.wanted() {
		return false
	}
	delete(r.of, p.readingKey)
	return true
}

func (p *reading) wanted() bool {
	_, exists := p.n.cache.topic(defaultTenant, p.topic)
	return exists && p.n.ctx.Err() == nil && len(p.subscribers()) > 0
}

// subscribers are the clients that the next message may be sent to, with what they have subscribed.
func (p *reading) subscribers() map[*mqtt.Client]packets.Subscription {
	all := map[*mqtt.Client]packets.Subscription{}
	if p.client != nil {
		if s, ok := p.client.State.Subscriptions.Get(p.filter); ok && !p.client.Closed() {
			all[p.client] = s
		}
		return all
	}
	for id, s := range p.n.mqtt.server.Topics.Subscribers(p.topic).Shared[p.filter] {
		if client, ok := p.n.mqtt.server.Clients.Get(id); ok && !client.Closed() {
			all[client] = s
		}
	}
	return all
}

// readOn sends what the leader has next, and reports whether there may be more.
func (p *reading) readOn() bool {
	ctx, cancel := context.WithTimeout(p.n.ctx, p.n.t.patience(10*time.Second, 2*time.Second))
	defer cancel()
	if !p.known {
		offsets, err := p.n.offsets.read(ctx, p.group)
		if err != nil {
			return false
		}
		p.known, p.next = true, offsets[p.shard]
	}
	rows, err := p.n.engine.rowsFrom(ctx, p.shard, p.next)
	if err != nil {
		return false
	}
	begin := p.next
	for _, m := range rows {
		if !p.send(m) {
			break
		}
		p.next = m.Offset + 1
	}
	if p.next != begin {
		p.n.offsets.commit(p.group, map[string]uint64{p.shard: p.next})
	}
	return len(rows) == batchMessages && p.next != begin
}

// send writes a message to one subscriber; false when there is none any more.
func (p *reading) send(m message) bool {
	for client, s := range p.subscribers() {
		if p.n.mqtt.send(client, s, m) == nil {
			return true
		}
	}
	return false
}

// send writes a stored message to a client. Its acknowledgement is not awaited: what is under way when the connection ends counts as sent (push_model.rs, 0.4.11).
func (b *mqttBroker) send(client *mqtt.Client, s packets.Subscription, m message) error {
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: min(m.QoS, s.Qos)}, TopicName: m.Topic, Payload: m.Payload, Created: time.Now().Unix()}
	if s.Identifier > 0 {
		pk.Properties.SubscriptionIdentifier = []int{s.Identifier}
	}
	if pk.FixedHeader.Qos > 0 {
		id, err := client.NextPacketID()
		if err != nil {
			return err
		}
		pk.PacketID = uint16(id)
		client.State.Inflight.Set(pk)
	}
	return client.WritePacket(pk)
}
