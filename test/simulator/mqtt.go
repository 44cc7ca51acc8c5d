package simulator

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// mqttBroker is the broker role: MQTT over TCP, TLS and WebSocket, and ports that stand for the other protocols.
type mqttBroker struct {
	n      *Node
	server *mqtt.Server

	queues   []*queue
	readings *readings
	accepted atomic.Uint64 // connections

	mu    sync.Mutex
	perIP map[string]int64
}

func newMQTTBroker(n *Node) *mqttBroker {
	b := &mqttBroker{n: n, readings: newReadings(n), perIP: map[string]int64{}}
	capabilities := mqtt.NewDefaultServerCapabilities()
	b.server = mqtt.New(&mqtt.Options{InlineClient: true, Capabilities: capabilities, SysTopicResendInterval: 3600, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	_ = b.server.AddHook(&brokerHook{b: b}, nil)
	return b
}

func (b *mqttBroker) count(name string, by int) { b.n.metrics.add(name, float64(by)) }

// webSocketNetwork is the label of what comes over WebSocket; the series that are there from the start say "WebSocket" (seen on 0.4.11).
const webSocketNetwork = "Websocket"

// startProtocols opens the brokers' ports. A certificate that cannot be read is found after 1883 has opened, so that a probe can catch it ready (seen-api.md 7).
func (n *Node) startProtocols() bool {
	if !n.file.role("broker") {
		return true
	}
	f := n.file
	if err := n.mqtt.server.Serve(); err != nil {
		n.die("mqtt_broker::broker", "Failed to start MQTT broker server: %v", err)
		return false
	}
	n.onEnd(func() { _ = n.mqtt.server.Close() })
	n.mqtt.makeQueues()
	n.spawn(func() { n.t.every(n.ctx, 30*time.Second, n.countConnectors) })
	plain, err := n.listen(f.number("mqtt_runtime.server.tcp_port"))
	if err != nil {
		n.die("mqtt_broker::broker", "Failed to start MQTT broker server: %v", err)
		return false
	}
	n.log.info("network_server::tcp::server", "MQTT4 Tcp Server started successfully, listening port: %d", f.number("mqtt_runtime.server.tcp_port"))
	n.spawn(func() { n.accept(plain, func(c net.Conn) { n.mqtt.attach("Tcp", c) }) })
	certificate, err := n.certificate()
	if err != nil {
		n.t.sleep(n.ctx, 50*time.Millisecond)
		n.die("mqtt_broker::broker", "Failed to start MQTT broker server: %v", err)
		return false
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	type opener struct {
		path  string
		serve func(net.Listener)
	}
	overTLS := func(serve func(net.Listener)) func(net.Listener) {
		return func(l net.Listener) { serve(tls.NewListener(l, config)) }
	}
	open := []opener{
		{"mqtt_runtime.server.tls_port", n.serveTLS(config)},
		{"mqtt_runtime.server.websocket_port", n.mqtt.serveWebSocket},
		{"mqtt_runtime.server.websockets_port", overTLS(n.mqtt.serveWebSocket)},
	}
	if !n.gen.islands {
		for _, path := range []string{"kafka_runtime.tcp_port", "amqp_runtime.tcp_port", "nats_runtime.tcp_port", "nats_runtime.tls_port", "nats_runtime.ws_port", "nats_runtime.wss_port"} {
			open = append(open, opener{path, n.serveNothing})
		}
	}
	for _, o := range open {
		l, err := n.listen(f.number(o.path))
		if err != nil {
			n.die("mqtt_broker::broker", "Failed to start broker server on port %d: %v", f.number(o.path), err)
			return false
		}
		n.spawn(func() { o.serve(l) })
	}
	n.listenQUIC(f.number("mqtt_runtime.server.quic_port"))
	return true
}

// listenQUIC takes the UDP port; no QUIC is spoken on it.
func (n *Node) listenQUIC(port int64) {
	conn, err := net.ListenPacket("udp", net.JoinHostPort(n.o.ListenHost, fmt.Sprint(port)))
	if err == nil {
		n.onEnd(func() { _ = conn.Close() })
	}
}

// certificate reads the pair as rustls does: any PEM chain, any kind of key.
func (n *Node) certificate() (tls.Certificate, error) {
	var pem [2][]byte
	for i, path := range []string{"broker_network.tls_cert", "broker_network.tls_key"} {
		content, err := os.ReadFile(n.o.path(n.file.text(path)))
		if err != nil {
			return tls.Certificate{}, say("No such file or directory (os error 2)")
		}
		pem[i] = content
	}
	c, err := tls.X509KeyPair(pem[0], pem[1])
	switch {
	case err == nil:
		return c, nil
	case !strings.Contains(string(pem[0]), "BEGIN CERTIFICATE"):
		return c, fmt.Errorf("peer sent no certificates")
	default:
		return c, fmt.Errorf("no private key found")
	}
}

// serveNothing stands for a protocol that no test speaks: connections are taken and held.
func (n *Node) serveNothing(l net.Listener) {
	n.accept(l, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
}

// serveTLS speaks TLS; a handshake that fails (a plain TCP probe) is an ERROR line.
func (n *Node) serveTLS(config *tls.Config) func(net.Listener) {
	return func(l net.Listener) {
		n.accept(l, func(c net.Conn) {
			secure := tls.Server(c, config)
			limit, cancel := context.WithTimeout(n.ctx, 10*time.Second)
			err := secure.HandshakeContext(limit)
			cancel()
			if err != nil {
				n.log.error("network_server::common::tls_acceptor", "Tls Accepter failed to read Stream with error message :Custom { kind: UnexpectedEof, error: %q }", "tls handshake eof")
				return
			}
			n.mqtt.attach("Tls", secure)
		})
	}
}

// serveWebSocket takes MQTT on the path /mqtt only.
func (b *mqttBroker) serveWebSocket(l net.Listener) {
	upgrader := websocket.Upgrader{Subprotocols: []string{"mqtt"}, CheckOrigin: func(*http.Request) bool { return true }}
	mux := http.NewServeMux()
	mux.HandleFunc("/mqtt", func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		stop := context.AfterFunc(b.n.ctx, func() { _ = c.Close() })
		defer stop()
		b.attach(webSocketNetwork, &webSocketConn{Conn: c.UnderlyingConn(), messages: c})
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: quiet}
	b.n.onEnd(func() { _ = server.Close() })
	_ = server.Serve(l)
}

// webSocketConn reads and writes binary messages as a stream.
type webSocketConn struct {
	net.Conn
	messages *websocket.Conn
	rest     io.Reader
}

func (c *webSocketConn) Read(p []byte) (int, error) {
	for {
		if c.rest == nil {
			kind, r, err := c.messages.NextReader()
			if err != nil {
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				return 0, fmt.Errorf("websocket message of kind %d", kind)
			}
			c.rest = r
		}
		n, err := c.rest.Read(p)
		if err == io.EOF {
			c.rest = nil
			if n == 0 {
				continue
			}
			err = nil
		}
		return n, err
	}
}

func (c *webSocketConn) Write(p []byte) (int, error) {
	if err := c.messages.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// attach serves one client's connection. The limit of connections per address drops the surplus without a word, and lets one more in than it says.
func (b *mqttBroker) attach(network string, c net.Conn) {
	host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
	b.mu.Lock()
	b.perIP[host]++
	over := b.perIP[host] > b.n.admin.dynamic.number("cluster_limit.max_connection_per_ip")+1
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.perIP[host]--
		b.mu.Unlock()
	}()
	if over {
		return
	}
	if b.n.gen.islands {
		c = &illegalConnack{Conn: c}
	} else {
		c = b.queued(c)
		defer func() { _ = c.Close() }()
	}
	_ = b.server.EstablishConnection(network, c)
}

// illegalConnack adds Maximum QoS 2 to a CONNACK of MQTT 5, which 0.3.0 sends and the standard forbids.
type illegalConnack struct {
	net.Conn
	done bool
}

func (c *illegalConnack) Write(p []byte) (int, error) {
	// Fixed header, remaining length (one byte here), flags, reason, length of the properties (one byte here), properties.
	if !c.done && len(p) > 5 && p[0] == packets.Connack<<4 && p[1] < 0x70 && int(p[1]) == len(p)-2 && p[4] < 0x70 {
		c.done = true
		out := append([]byte{p[0], p[1] + 2, p[2], p[3], p[4] + 2, packets.PropMaximumQos, 2}, p[5:]...)
		if _, err := c.Conn.Write(out); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	c.done = true
	return c.Conn.Write(p)
}

// stored is told of a message that a leader has stored: it is read for who is subscribed, and kept for who will be if it is to be retained.
func (b *mqttBroker) stored(m message) {
	if m.Topic == "" || !b.n.file.role("broker") {
		return
	}
	if m.Retain {
		b.server.Topics.RetainMessage(packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: m.QoS, Retain: true}, TopicName: m.Topic, Payload: m.Payload, Created: time.Now().Unix(),
		})
	}
	b.readings.begin(m.Topic)
}

// clients are the connected MQTT clients, without the broker's own.
func (b *mqttBroker) clients() []*mqtt.Client {
	var all []*mqtt.Client
	for _, c := range b.server.Clients.GetAll() {
		if !c.Net.Inline && !c.Closed() {
			all = append(all, c)
		}
	}
	return all
}
