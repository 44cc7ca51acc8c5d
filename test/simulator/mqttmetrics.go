package simulator

import (
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// packetName is how a kind of packet is named in metrics: in families, in those without labels, and as a label.
type packetName struct{ family, total, label string }

var (
	receivedNames = map[byte]packetName{
		packets.Connect: {"connect_received", "connect", "Connect"}, packets.Publish: {"publish_received", "publish_received", "Publish"},
		packets.Puback: {"puback_received", "puback_received", "PubAck"}, packets.Pubrec: {"pubrec_received", "pubrec_received", "PubRec"},
		packets.Pubrel: {"pubrel_received", "pubrel_received", "PubRel"}, packets.Pubcomp: {"pubcomp_received", "pubcomp_received", "PubComp"},
		packets.Subscribe: {"subscribe_received", "subscribe", "Subscribe"}, packets.Unsubscribe: {"unsubscribe_received", "unsubscribe", "Unsubscribe"},
		packets.Pingreq: {"pingreq_received", "pingreq", "PingReq"}, packets.Disconnect: {"disconnect_received", "disconnect_received", "Disconnect"},
		packets.Auth: {"auth_received", "auth", "Auth"},
	}
	sentNames = map[byte]packetName{
		packets.Connack: {"connack_sent", "connack", "ConnAck"}, packets.Publish: {"publish_sent", "publish_sent", "Publish"},
		packets.Puback: {"puback_sent", "puback_sent", "PubAck"}, packets.Pubrec: {"pubrec_sent", "pubrec_sent", "PubRec"},
		packets.Pubrel: {"pubrel_sent", "pubrel_sent", "PubRel"}, packets.Pubcomp: {"pubcomp_sent", "pubcomp_sent", "PubComp"},
		packets.Suback: {"suback_sent", "suback", "SubAck"}, packets.Unsuback: {"unsuback_sent", "unsuback", "UnsubAck"},
		packets.Pingresp: {"pingresp_sent", "pingresp", "PingResp"}, packets.Disconnect: {"disconnect_sent", "disconnect_sent", "Disconnect"},
	}
)

// connection is one client's, for the metrics.
type connection struct {
	id    string
	begin atomic.Pointer[time.Time] // of the packet that is being handled
}

// handlers are the threads that packets are spread over.
const handlers = 20

func (h *brokerHook) connection(cl *mqtt.Client) *connection {
	if c, ok := h.connections.Load(cl); ok {
		return c.(*connection)
	}
	c, _ := h.connections.LoadOrStore(cl, &connection{id: strconv.FormatUint(h.lastID.Add(1), 10)})
	return c.(*connection)
}

// OnPacketRead counts what clients send. Of WebSocket no packets, and of all but TCP no bytes are counted (seen on 0.4.11).
func (h *brokerHook) OnPacketRead(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	if cl.Net.Inline {
		return pk, nil
	}
	m, network := h.b.n.metrics, cl.Net.Listener
	now := time.Now()
	h.connection(cl).begin.Store(&now)
	m.add("handler_requests_total", 1, network)
	name, known := receivedNames[pk.FixedHeader.Type]
	if !known || network == webSocketNetwork {
		return pk, nil
	}
	m.add("mqtt_packets_received", 1, network)
	m.add("mqtt_packets_"+name.family, 1, network)
	m.add("mqtt_total_packets_received", 1)
	m.add("mqtt_total_packets_"+name.total, 1)
	if network == "Tcp" {
		size := float64(wireSize(pk.FixedHeader.Remaining))
		m.add("mqtt_bytes_received", size, network)
		m.add("mqtt_total_bytes_received", size)
	}
	if pk.FixedHeader.Type == packets.Publish && pk.FixedHeader.Retain {
		m.add("mqtt_retain_packets_received", 1, strconv.Itoa(int(pk.FixedHeader.Qos)))
	}
	return pk, nil
}

// wireSize is the length of a packet with its fixed header.
func wireSize(remaining int) int {
	size := 2 + remaining
	for n := remaining >> 7; n > 0; n >>= 7 {
		size++
	}
	return size
}

// OnPacketProcessed observes how long a packet has taken.
func (h *brokerHook) OnPacketProcessed(cl *mqtt.Client, pk packets.Packet, _ error) {
	h.handled(cl, pk.FixedHeader.Type)
}

func (h *brokerHook) handled(cl *mqtt.Client, kind byte) {
	if cl.Net.Inline {
		return
	}
	m, c, network := h.b.n.metrics, h.connection(cl), cl.Net.Listener
	begin := c.begin.Swap(nil)
	name, known := receivedNames[kind]
	if begin == nil || !known {
		return
	}
	m.took("handler_queue_wait_ms", time.Now(), network)
	m.took("handler_apply_ms", *begin, network)
	m.took("handler_total_ms", *begin, network)
	m.took("mqtt_packet_process_duration_ms", *begin, network, name.label)
	id, err := strconv.Atoi(c.id)
	if err == nil {
		handler := strconv.Itoa(id % handlers)
		m.add("handler_instance_requests_total", 1, handler)
		m.took("handler_instance_apply_ms", *begin, handler)
	}
}

// OnPacketSent counts what clients are sent. What goes to subscribers has a network label of its own, as a Rust Option is shown.
func (h *brokerHook) OnPacketSent(cl *mqtt.Client, pk packets.Packet, b []byte) {
	if cl.Net.Inline {
		return
	}
	m, now := h.b.n.metrics, time.Now()
	name, known := sentNames[pk.FixedHeader.Type]
	if !known {
		return
	}
	network, qos := cl.Net.Listener, "-1"
	switch pk.FixedHeader.Type {
	case packets.Publish:
		network, qos = "Some("+network+")", strconv.Itoa(int(pk.FixedHeader.Qos))
		m.took("mqtt_packet_send_duration_ms", now, cl.Net.Listener, name.label)
		h.delivered(cl, pk)
	case packets.Pubrel:
		network = "Some(" + network + ")"
		m.took("mqtt_packet_send_duration_ms", now, cl.Net.Listener, name.label)
	default:
		m.took("handler_write_ms", now, network)
	}
	m.took("write_client_ms", now, cl.Net.Listener)
	m.add("mqtt_packets_sent", 1, network, qos)
	m.add("mqtt_packets_"+name.family, 1, network, qos)
	m.add("mqtt_bytes_sent", float64(len(b)), network, qos)
	m.add("mqtt_total_packets_sent", 1)
	m.add("mqtt_total_packets_"+name.total, 1)
	m.add("mqtt_total_bytes_sent", float64(len(b)))
}

// delivered counts a message that a subscriber was sent.
func (h *brokerHook) delivered(cl *mqtt.Client, pk packets.Packet) {
	m, bytes := h.b.n.metrics, float64(len(pk.Payload))
	m.add("mqtt_messages_sent", 1)
	m.add("mqtt_message_bytes_sent", bytes)
	m.add("topic_messages_sent", 1, defaultTenant, pk.TopicName)
	m.add("topic_bytes_sent", bytes, defaultTenant, pk.TopicName)
	m.add("session_messages_out", 1, defaultTenant, cl.ID)
	m.add("connection_messages_out", 1, h.connection(cl).id)
	path := pk.TopicName
	for filter := range cl.State.Subscriptions.GetAll() {
		if covers(filter, pk.TopicName) {
			path = filter
		}
	}
	m.add("subscribe_messages_sent", 1, defaultTenant, cl.ID, path, "success")
	m.add("subscribe_bytes_sent", bytes, defaultTenant, cl.ID, path, "success")
	m.add("subscribe_topic_messages_sent", 1, defaultTenant, cl.ID, path, pk.TopicName, "success")
	m.add("subscribe_topic_bytes_sent", bytes, defaultTenant, cl.ID, path, pk.TopicName, "success")
}

// received counts a message that a client has published and that was stored.
func (h *brokerHook) received(cl *mqtt.Client, m message) {
	metrics, bytes := h.b.n.metrics, float64(len(m.Payload))
	metrics.add("topic_messages_written", 1, m.Tenant, m.Topic)
	metrics.add("topic_bytes_written", bytes, m.Tenant, m.Topic)
	metrics.add("session_messages_in", 1, m.Tenant, cl.ID)
	metrics.add("connection_messages_in", 1, h.connection(cl).id)
}

// covers reports whether a filter takes a topic.
func covers(filter, topic string) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, level := range f {
		if level == "#" {
			return true
		}
		if i >= len(t) || level != "+" && level != t[i] {
			return false
		}
	}
	return len(f) == len(t)
}

// OnUnsubscribed counts.
func (h *brokerHook) OnUnsubscribed(*mqtt.Client, packets.Packet) {
	h.b.count("mqtt_unsubscribe_success", 1)
}

// OnDisconnect forgets the connection. RobustMQ's counter of disconnections stays 0.
func (h *brokerHook) OnDisconnect(cl *mqtt.Client, _ error, _ bool) { h.connections.Delete(cl) }
