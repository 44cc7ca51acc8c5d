package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// brokerHook is what RobustMQ does where the MQTT library leaves off: users, sessions in the data group, and messages in the engine.
type brokerHook struct {
	mqtt.HookBase
	b *mqttBroker

	connections sync.Map // *mqtt.Client -> *connection
	lastID      atomic.Uint64
}

// ID implements mqtt.Hook.
func (h *brokerHook) ID() string { return "robustmq" }

// Provides implements mqtt.Hook.
func (h *brokerHook) Provides(b byte) bool {
	switch b {
	case mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnPublish, mqtt.OnPacketEncode, mqtt.OnPacketSent, mqtt.OnSubscribed, mqtt.OnSessionEstablished, mqtt.OnUnsubscribed,
		mqtt.OnPacketRead, mqtt.OnPacketProcessed, mqtt.OnDisconnect:
		return true
	}
	return false
}

// errRefused ends a connection after its CONNACK was sent.
var errRefused = errors.New("connection refused")

// maxOldClientID is the length of a client id, in bytes, that MQTT before 5 asks every server to take; RobustMQ takes no longer one.
const maxOldClientID = 23

// OnConnect looks at the client id, authenticates, and then writes the session: while the data group has no leader nobody gets in, on any node (seen-api.md 0.4).
func (h *brokerHook) OnConnect(cl *mqtt.Client, pk packets.Packet) error {
	err := h.connect(cl, pk)
	h.handled(cl, packets.Connect)
	if err != nil {
		h.connections.Delete(cl)
	}
	return err
}

func (h *brokerHook) connect(cl *mqtt.Client, pk packets.Packet) error {
	b := h.b
	if cl.Properties.ProtocolVersion < 5 && len(cl.ID) > maxOldClientID && pk.Connect.ClientIdentifier != "" {
		b.count("mqtt_connection_failed", 1)
		_ = b.server.SendConnack(cl, packets.ErrClientIdentifierNotValid, false, nil)
		return errRefused
	}
	if !b.authenticate(string(pk.Connect.Username), string(pk.Connect.Password)) {
		b.count("mqtt_auth_failed", 1)
		b.count("mqtt_connection_failed", 1)
		b.n.metrics.add("mqtt_packets_connack_auth_error", 1, cl.Net.Listener)
		b.n.metrics.add("mqtt_packets_connack_error", 1, cl.Net.Listener)
		code := packets.ErrNotAuthorized
		if cl.Properties.ProtocolVersion < 5 {
			code = packets.ErrBadUsernameOrPassword // becomes "not authorized" of MQTT 3
		}
		_ = b.server.SendConnack(cl, code, false, nil)
		return errRefused
	}
	b.count("mqtt_auth_success", 1)
	if limit := b.n.admin.dynamic.number("mqtt_runtime.limit.cluster.max_connections_per_node"); int64(len(b.clients())) > limit {
		_ = b.server.SendConnack(cl, packets.ErrQuotaExceeded, false, nil)
		return errRefused
	}
	ctx, cancel := context.WithTimeout(b.n.ctx, b.n.t.patience(20*time.Second, 2*time.Second))
	defer cancel()
	session := map[string]any{"client_id": cl.ID, "broker_id": b.n.id, "session_expiry": cl.Properties.Props.SessionExpiryInterval, "create_time": b.n.now()}
	if err := b.n.put(ctx, putRequest{Key: kindSession + cl.ID, Value: mustJSON(session)}); err != nil {
		b.count("mqtt_connection_failed", 1)
		_ = b.server.SendConnack(cl, packets.ErrServerUnavailable, false, nil)
		return errRefused
	}
	b.count("mqtt_connection_success", 1)
	if lasts := cl.Properties.Props.SessionExpiryInterval > 0 || cl.Properties.ProtocolVersion < 5 && !cl.Properties.Clean; lasts {
		b.count("mqtt_session_created", 1)
	}
	return nil
}

// OnConnectAuthenticate implements mqtt.Hook: OnConnect has done it.
func (h *brokerHook) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

// OnACLCheck implements mqtt.Hook. The library ends the connection of a client of MQTT 3 that may not publish, which RobustMQ does not: OnPublish looks at that.
func (h *brokerHook) OnACLCheck(cl *mqtt.Client, filter string, write bool) bool {
	return write || cl.Net.Inline || h.b.mayRead(cl, filter)
}

// OnSubscribed counts, and begins to read.
func (h *brokerHook) OnSubscribed(_ *mqtt.Client, pk packets.Packet, reasons []byte) {
	h.b.count("mqtt_subscribe_success", 1)
	for i, s := range pk.Filters {
		if i < len(reasons) && reasons[i] <= packets.CodeGrantedQos2.Code {
			h.b.readings.subscribed(s.Filter)
		}
	}
}

// OnSessionEstablished goes on reading for the subscriptions of a session that its client has come back to.
func (h *brokerHook) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	for filter := range cl.State.Subscriptions.GetAll() {
		h.b.readings.subscribed(filter)
	}
}

// authenticate looks in this node's cache; passwords are stored in clear.
func (b *mqttBroker) authenticate(name, password string) bool {
	if b.n.file.flag("mqtt_runtime.auth.secret_free_login") {
		return true
	}
	tenant := defaultTenant
	if t, rest, ok := strings.Cut(name, "@"); ok {
		tenant, name = t, rest
	}
	raw, ok := b.n.cache.get(userKey(tenant, name))
	var u user
	return ok && json.Unmarshal(raw, &u) == nil && u.Password == password
}

// OnPacketEncode puts the dynamic limits into the CONNACK.
func (h *brokerHook) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	if pk.FixedHeader.Type == packets.Connack && cl.Properties.ProtocolVersion == 5 {
		pk.Properties.MaximumPacketSize = uint32(h.b.n.admin.dynamic.number("mqtt_runtime.protocol.max_packet_size"))
	}
	return pk
}

// OnPublish stores the message with its topic's leader and acknowledges then; subscribers get it from there, on every node.
func (h *brokerHook) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	if cl.Net.Inline {
		return pk, nil
	}
	b := h.b
	b.count("mqtt_messages_received", 1)
	b.count("mqtt_message_bytes_received", len(pk.Payload))
	if !b.mayPublish(cl, pk.TopicName) {
		if cl.Properties.ProtocolVersion == 5 && pk.FixedHeader.Qos > 0 {
			return pk, packets.ErrNotAuthorized
		}
		return pk, packets.CodeSuccessIgnore // acknowledged all the same
	}
	m := message{Payload: pk.Payload, Timestamp: b.n.now(), QoS: pk.FixedHeader.Qos, Retain: pk.FixedHeader.Retain, Topic: pk.TopicName, Tenant: defaultTenant}
	if err := h.handle(cl, func(ctx context.Context) error { _, err := b.n.storeMessage(ctx, m); return err }); errors.Is(err, errGivenUp) {
		return pk, packets.ErrRejectPacket // without an answer
	} else if err != nil {
		b.n.log.warn("mqtt_broker::mqtt::publish", "publish to %s: %v", pk.TopicName, err)
		if cl.Properties.ProtocolVersion == 5 && pk.FixedHeader.Qos > 0 {
			return pk, packets.ErrUnspecifiedError
		}
		// Before MQTT 5 an acknowledgement has no reason: the server sends it all the same (seen on 0.4.11), and the message is lost.
		return pk, packets.CodeSuccessIgnore
	}
	h.received(cl, m)
	return pk, packets.CodeSuccessIgnore
}

// handlerLimit is how long a packet may be handled.
const handlerLimit = 30 * time.Second

var errGivenUp = errors.New("given up")

// handle does what a packet asks for. When it takes too long it is given up: its client gets no answer, and the next packet has its turn (common/network-server/src/common/handler.rs, 0.4.11).
func (h *brokerHook) handle(cl *mqtt.Client, do func(context.Context) error) error {
	n := h.b.n
	ctx, cancel := context.WithTimeout(n.ctx, n.t.patience(handlerLimit, 2*time.Second))
	defer cancel()
	done := make(chan error, 1)
	n.spawn(func() { done <- do(ctx) })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	if n.ctx.Err() == nil {
		n.metrics.add("handler_timeout_total", 1, cl.Net.Listener)
		n.log.error("network_server::common::handler", "Handler apply timeout: packet processing exceeded %ds", handlerLimit/time.Second)
	}
	return errGivenUp
}

// storeMessage finds, or makes, the topic, and stores.
func (n *Node) storeMessage(ctx context.Context, m message) (uint64, error) {
	t, exists := n.cache.topic(m.Tenant, m.Topic)
	if !exists {
		created, err := n.createTopic(ctx, topicRequest{Tenant: m.Tenant, Name: m.Topic, StorageType: "EngineRocksDB", Source: "MQTT", Partition: 1, Replication: n.defaultReplicas(), records: &systemRows})
		if err != nil {
			return 0, err
		}
		if !n.awaitCache(topicKey(m.Tenant, m.Topic), 5*time.Second) || !n.awaitCache(kindSegment+created.StorageNameList["0"]+"/0", 5*time.Second) {
			return 0, say("Timeout waiting for topic to be created")
		}
		t, _ = n.cache.topic(m.Tenant, m.Topic)
	}
	limit := int64(0)
	if t.Config.MaxRecordNum != nil {
		limit = *t.Config.MaxRecordNum
	}
	return n.engine.publish(ctx, t.StorageNameList["0"], m, limit)
}
