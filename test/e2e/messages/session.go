package messages

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// A session is a client of MQTT 5, without retries: who wants several tries makes them. Measurements use it, because an older client cannot be told that its message was not stored:
// RobustMQ 0.4.11 acknowledges it all the same (test/contract has the case).
type session struct {
	client *paho.Client
}

// session connects; receive is given the payload of each message, lost is called once when the connection has ended by another's hand.
func (e Endpoint) session(ctx context.Context, id string, receive func(payload string), lost func(error)) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := e.Dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	s := &session{client: paho.NewClient(paho.ClientConfig{
		ClientID: id, Conn: conn, PacketTimeout: publishTimeout,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			receive(string(p.Packet.Payload))
			return true, nil
		}},
		OnClientError:      lost,
		OnServerDisconnect: func(d *paho.Disconnect) { lost(fmt.Errorf("the server disconnected: reason %#x", d.ReasonCode)) },
	})}
	_, err = s.client.Connect(ctx, &paho.Connect{
		ClientID: id, CleanStart: true, KeepAlive: 60, Username: e.Username, UsernameFlag: true, Password: []byte(e.Password), PasswordFlag: true,
	})
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("connecting: %w", err)
	}
	return s, nil
}

// subscribe with QoS 1.
func (s *session) subscribe(ctx context.Context, topic string) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if _, err := s.client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: topic, QoS: 1}}}); err != nil {
		return fmt.Errorf("subscribing: %w", err)
	}
	return nil
}

// publish with QoS 1, and wait for the acknowledgement. What the server refused (errRefused) may be published again, on the same connection.
func (s *session) publish(ctx context.Context, topic, payload string) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	answer, err := s.client.Publish(ctx, &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(payload)})
	switch {
	case err == nil:
		return nil
	case answer != nil && answer.ReasonCode >= 0x80:
		return fmt.Errorf("publishing: %w: reason %#x: %w", errRefused, answer.ReasonCode, err)
	}
	return fmt.Errorf("publishing: %w", err)
}

// errRefused: a server answered, and did not take the message.
var errRefused = errors.New("refused")

// close says goodbye, and waits until nothing of the session runs.
func (s *session) close() {
	_ = s.client.Disconnect(&paho.Disconnect{})
	select {
	case <-s.client.Done():
	case <-time.After(time.Second):
	}
}
