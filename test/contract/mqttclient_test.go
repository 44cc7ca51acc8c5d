package contract

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/robustmq/robustmq-operator/test/contract/lab"
)

// client is an MQTT client of a few packets, which shows what others hide: reason codes and properties as they came.
type client struct {
	conn    net.Conn
	version byte
	connack packets.Packet
	raw     []byte // the CONNACK's bytes after the fixed header

	mu       sync.Mutex
	acks     map[uint16]byte
	messages []string
	closed   bool
	next     uint16
}

const clientPatience = 10 * time.Second

// connect opens a session. version is 4 (3.1.1) or 5. A refusal is an answer too: look at connack.ReasonCode.
func connect(n *lab.Node, version byte, id, username, password string) (*client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), clientPatience)
	defer cancel()
	conn, err := n.Dial(ctx, lab.MQTT)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, version: version, acks: map[uint16]byte{}}
	connectPacket := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connect}, ProtocolVersion: version, Connect: packets.ConnectParams{
		ProtocolName: []byte("MQTT"), ClientIdentifier: id, Clean: true, Keepalive: 60,
		UsernameFlag: username != "", Username: []byte(username), PasswordFlag: password != "", Password: []byte(password),
	}}
	var b bytes.Buffer
	if err := connectPacket.ConnectEncode(&b); err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(clientPatience))
	if _, err := conn.Write(b.Bytes()); err != nil {
		_ = conn.Close()
		return nil, err
	}
	r := bufio.NewReader(conn)
	header, body, err := readPacket(r)
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("no CONNACK: %w", err)
	}
	if header.Type != packets.Connack || len(body) < 2 {
		_ = conn.Close()
		return nil, fmt.Errorf("packet %d instead of a CONNACK", header.Type)
	}
	c.raw = body
	c.connack = packets.Packet{FixedHeader: header, ProtocolVersion: version, ReasonCode: body[1]}
	_ = conn.SetDeadline(time.Time{})
	if body[1] != 0 {
		_ = conn.Close()
		return c, nil
	}
	go c.read(r)
	return c, nil
}

func readPacket(r *bufio.Reader) (packets.FixedHeader, []byte, error) {
	var h packets.FixedHeader
	first, err := r.ReadByte()
	if err != nil {
		return h, nil, err
	}
	if err := h.Decode(first); err != nil {
		return h, nil, err
	}
	n, _, err := packets.DecodeLength(r)
	if err != nil {
		return h, nil, err
	}
	h.Remaining = n
	body := make([]byte, n)
	_, err = io.ReadFull(r, body)
	return h, body, err
}

func (c *client) read(r *bufio.Reader) {
	for {
		header, body, err := readPacket(r)
		if err != nil {
			c.mu.Lock()
			c.closed = true
			c.mu.Unlock()
			return
		}
		pk := packets.Packet{FixedHeader: header, ProtocolVersion: c.version}
		switch header.Type {
		case packets.Publish:
			if pk.PublishDecode(body) == nil {
				c.mu.Lock()
				c.messages = append(c.messages, string(pk.Payload))
				c.mu.Unlock()
				if header.Qos == 1 {
					ack := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Puback}, ProtocolVersion: c.version, PacketID: pk.PacketID}
					var b bytes.Buffer
					if ack.PubackEncode(&b) == nil {
						_, _ = c.conn.Write(b.Bytes())
					}
				}
			}
		case packets.Puback, packets.Suback:
			id := uint16(body[0])<<8 | uint16(body[1])
			code := byte(0)
			switch {
			case header.Type == packets.Puback && len(body) > 2:
				code = body[2]
			case header.Type == packets.Suback:
				code = body[len(body)-1] // of the last topic
			}
			c.mu.Lock()
			c.acks[id] = code
			c.mu.Unlock()
		}
	}
}

var errNoAck = errors.New("not acknowledged")

// acked waits for the acknowledgement of a packet.
func (c *client) acked(id uint16, within time.Duration) (byte, error) {
	end := time.Now().Add(within)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for time.Now().Before(end) {
		c.mu.Lock()
		code, ok := c.acks[id]
		closed := c.closed
		c.mu.Unlock()
		switch {
		case ok:
			return code, nil
		case closed:
			return 0, net.ErrClosed
		}
		<-ticker.C
	}
	return 0, errNoAck
}

// publish sends a message with QoS 1 and waits for its PUBACK.
func (c *client) publish(topic, payload string, within time.Duration) (byte, error) {
	c.mu.Lock()
	c.next++
	id := c.next
	c.mu.Unlock()
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1}, ProtocolVersion: c.version, TopicName: topic, PacketID: id, Payload: []byte(payload)}
	var b bytes.Buffer
	if err := pk.PublishEncode(&b); err != nil {
		return 0, err
	}
	if _, err := c.conn.Write(b.Bytes()); err != nil {
		return 0, err
	}
	return c.acked(id, within)
}

// subscribe asks for a topic with QoS 1.
func (c *client) subscribe(topic string) error {
	_, err := c.subscribed(topic)
	return err
}

// subscribed is the reason code that its SUBACK has for the topic.
func (c *client) subscribed(topic string) (byte, error) {
	c.mu.Lock()
	c.next++
	id := c.next
	c.mu.Unlock()
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Subscribe, Qos: 1}, ProtocolVersion: c.version, PacketID: id, Filters: packets.Subscriptions{{Filter: topic, Qos: 1}}}
	var b bytes.Buffer
	if err := pk.SubscribeEncode(&b); err != nil {
		return 0, err
	}
	if _, err := c.conn.Write(b.Bytes()); err != nil {
		return 0, err
	}
	return c.acked(id, clientPatience)
}

func (c *client) received() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.messages...)
}

// gets waits for a message.
func (c *client) gets(payload string, within time.Duration) bool {
	end := time.Now().Add(within)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for time.Now().Before(end) {
		if slices.Contains(c.received(), payload) {
			return true
		}
		<-ticker.C
	}
	return false
}

// leave ends the session as the standard wants.
func (c *client) leave() error {
	_, err := c.conn.Write([]byte{packets.Disconnect << 4, 0})
	return errors.Join(err, c.conn.Close())
}

func (c *client) close() { _ = c.conn.Close() }
