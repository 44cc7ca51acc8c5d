package messages

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// Endpoint is one broker's MQTT port and a user.
type Endpoint struct {
	Dial               Dial
	Username, Password string
}

// connectTimeout is how long a broker may take to accept a client.
const connectTimeout = 15 * time.Second

// maxClientID is the longest id that a server has to take from an MQTT 3.1.1 client; RobustMQ 0.4.11 refuses longer ones (identifier rejected).
const maxClientID = 23

// NewRun makes a name for one run, short enough for client ids.
func NewRun(now time.Time) string { return strconv.FormatInt(now.UnixNano(), 36) }

// client connects without retry: who wants several tries makes them. MQTT 3.1.1, which every version of RobustMQ speaks.
func (e Endpoint) client(ctx context.Context, id string, lost func(error)) (mqtt.Client, error) {
	o := mqtt.NewClientOptions().AddBroker("tcp://broker:1883").SetClientID(id).SetUsername(e.Username).SetPassword(e.Password).
		SetCleanSession(true).SetProtocolVersion(4).SetAutoReconnect(false).SetConnectRetry(false).SetConnectTimeout(connectTimeout).SetWriteTimeout(10 * time.Second).
		SetKeepAlive(time.Minute).SetPingTimeout(5 * time.Second).SetOrderMatters(false).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, connectTimeout)
			defer cancel()
			return e.Dial(ctx)
		}).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { lost(err) })
	if len(id) > maxClientID {
		return nil, fmt.Errorf("client id %q is longer than %d characters", id, maxClientID)
	}
	c := mqtt.NewClient(o)
	if err := done(ctx, c.Connect(), connectTimeout); err != nil {
		c.Disconnect(0)
		return nil, fmt.Errorf("connecting: %w", err)
	}
	return c, nil
}

// done waits for a token, the context, or the time.
func done(ctx context.Context, token mqtt.Token, timeout time.Duration) error {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-token.Done():
		return token.Error()
	case <-timer.C:
		return fmt.Errorf("no answer within %s", timeout)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Result is what became of the messages of one exchange.
type Result struct {
	Sent, Acknowledged, Received, Duplicates int
	// Took is the time from the first publish to the last receipt.
	Took time.Duration
}

// Exchange subscribes through one broker, publishes count messages with QoS 1 through another, and waits until all have come, at most timeout.
// Each payload carries run, so that messages of earlier runs are told apart (RobustMQ 0.3.0 sends a new subscriber all the old ones).
func Exchange(ctx context.Context, through, on Endpoint, topic, run string, count int, timeout time.Duration) (Result, error) {
	var r Result
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	var mu sync.Mutex
	seen := map[string]int{}
	all := make(chan struct{})
	lost := make(chan error, 2)
	onLost := func(err error) {
		select {
		case lost <- err:
		default:
		}
	}
	receiver, err := on.client(ctx, "sub-"+run, onLost)
	if err != nil {
		return r, fmt.Errorf("receiver: %w", err)
	}
	defer receiver.Disconnect(250)
	err = done(ctx, receiver.Subscribe(topic, 1, func(_ mqtt.Client, m mqtt.Message) {
		payload := string(m.Payload())
		if !strings.HasPrefix(payload, run+"/") {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		seen[payload]++
		if seen[payload] == 1 && len(seen) == count {
			close(all)
		}
	}), timeout)
	if err != nil {
		return r, fmt.Errorf("subscribing to %s: %w", topic, err)
	}
	sender, err := through.client(ctx, "pub-"+run, onLost)
	if err != nil {
		return r, fmt.Errorf("sender: %w", err)
	}
	defer sender.Disconnect(250)

	begin := time.Now()
	for i := range count {
		r.Sent++
		if err := done(ctx, sender.Publish(topic, 1, false, fmt.Sprintf("%s/%d", run, i)), timeout); err != nil {
			return r, fmt.Errorf("publishing message %d of %d to %s: %w", i+1, count, topic, err)
		}
		r.Acknowledged++
	}
	select {
	case <-all:
		err = nil
	case err = <-lost:
		err = fmt.Errorf("a connection was lost: %w", err)
	case <-ctx.Done():
		err = ctx.Err()
	}
	r.Took = time.Since(begin)
	mu.Lock()
	defer mu.Unlock()
	r.Received = len(seen)
	for _, times := range seen {
		r.Duplicates += times - 1
	}
	if err != nil && r.Received < count {
		return r, fmt.Errorf("%d of %d messages on %s were received: %w", r.Received, count, topic, err)
	}
	return r, nil
}
