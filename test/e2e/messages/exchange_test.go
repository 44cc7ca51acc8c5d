package messages

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	broker "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// forgetful drops every message whose payload ends with a suffix after it was acknowledged.
type forgetful struct {
	broker.HookBase
	suffix string
}

func (*forgetful) ID() string           { return "forgetful" }
func (*forgetful) Provides(b byte) bool { return b == broker.OnPublish }
func (f *forgetful) OnPublish(_ *broker.Client, p packets.Packet) (packets.Packet, error) {
	if bytes.HasSuffix(p.Payload, []byte(f.suffix)) {
		p.TopicName = "nowhere"
	}
	return p, nil
}

// doorkeeper lets one user in.
type doorkeeper struct{ broker.HookBase }

func (*doorkeeper) ID() string { return "doorkeeper" }
func (*doorkeeper) Provides(b byte) bool {
	return b == broker.OnConnectAuthenticate || b == broker.OnACLCheck
}
func (*doorkeeper) OnConnectAuthenticate(_ *broker.Client, p packets.Packet) bool {
	return string(p.Connect.Username) == "me" && string(p.Connect.Password) == "secret"
}
func (*doorkeeper) OnACLCheck(*broker.Client, string, bool) bool { return true }

// serve runs a broker until the test ends, or until stop.
func serve(t *testing.T, hooks ...broker.Hook) (e Endpoint, stop func()) {
	t.Helper()
	s := broker.New(&broker.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	for _, h := range append(hooks, &doorkeeper{}) {
		if err := s.AddHook(h, nil); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AddListener(listeners.NewNet("t", l)); err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() { _ = s.Close() })
	t.Cleanup(stop)
	return Endpoint{Username: "me", Password: "secret", Dial: func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", l.Addr().String())
	}}, stop
}

func TestAllMessagesOfAnExchangeAreCounted(t *testing.T) {
	e, _ := serve(t)
	r, err := Exchange(t.Context(), e, e, "a/b", "run", 10, 10*time.Second)
	if err != nil || r.Sent != 10 || r.Acknowledged != 10 || r.Received != 10 || r.Duplicates != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestAMessageThatIsAcknowledgedAndLostIsNoticed(t *testing.T) {
	e, _ := serve(t, &forgetful{suffix: "/7"})
	r, err := Exchange(t.Context(), e, e, "a/b", "run", 10, 2*time.Second)
	if err == nil || !strings.Contains(err.Error(), "9 of 10") || r.Acknowledged != 10 || r.Received != 9 {
		t.Errorf("%+v, %v", r, err)
	}
	traffic, err := Start(t.Context(), []Endpoint{e}, "a/b", "again", 5*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	awaitAcknowledged(t, traffic, 20) // /7 and /17
	if f := traffic.Stop(500 * time.Millisecond); f.Lost == 0 || f.Lost > f.Acknowledged/5 {
		t.Error(f)
	}
}

func TestAWrongPasswordIsAnError(t *testing.T) {
	e, _ := serve(t)
	e.Password = "other"
	_, err := Exchange(t.Context(), e, e, "a/b", "run", 1, 5*time.Second)
	if err == nil || strings.Contains(err.Error(), "other") {
		t.Errorf("%v", err)
	}
}

func TestTrafficGoesOnWhenItsBrokerEnds(t *testing.T) {
	// Both listen for the same subscribers only if they are one broker: messages sent to the second are not received from the first, so the subscriber must move too.
	first, stop := serve(t)
	second, _ := serve(t)
	traffic, err := Start(t.Context(), []Endpoint{first, second}, "a/b", "run", 5*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	awaitAcknowledged(t, traffic, 10)
	stop()
	awaitAcknowledged(t, traffic, traffic.Acknowledged()+20)
	f := traffic.Stop(time.Second)
	if f.Reconnects < 2 || f.LongestGap < 5*time.Millisecond || f.LongestGap > 20*time.Second {
		t.Error(f)
	}
}

// refusing answers that it does not take a message, so often for each payload.
type refusing struct {
	broker.HookBase
	times   int
	refused sync.Map // payload -> *atomic.Int64
}

func (*refusing) ID() string           { return "refusing" }
func (*refusing) Provides(b byte) bool { return b == broker.OnPublish }
func (r *refusing) OnPublish(_ *broker.Client, p packets.Packet) (packets.Packet, error) {
	count, _ := r.refused.LoadOrStore(string(p.Payload), &atomic.Int64{})
	if count.(*atomic.Int64).Add(1) <= int64(r.times) {
		return p, packets.ErrUnspecifiedError
	}
	return p, nil
}

func TestWhatABrokerRefusesIsPublishedAgainOnTheSameConnection(t *testing.T) {
	e, _ := serve(t, &refusing{times: 2})
	traffic, err := Start(t.Context(), []Endpoint{e}, "a/b", "run", 5*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	awaitAcknowledged(t, traffic, 4)
	if f := traffic.Stop(time.Second); f.Reconnects != 0 || f.Refused < 8 || f.Lost+f.Missed > 0 {
		t.Error(f)
	}
}

func TestABrokerThatGoesOnRefusingIsLeft(t *testing.T) {
	first, _ := serve(t, &refusing{times: 1000})
	second, _ := serve(t)
	traffic, err := Start(t.Context(), []Endpoint{first, second}, "a/b", "run", 5*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if f := traffic.Stop(0); f.Reconnects == 0 || f.Acknowledged == 0 {
		t.Error(f)
	}
}

func awaitAcknowledged(t *testing.T, traffic *Traffic, n int) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for traffic.Acknowledged() < n {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%d acknowledged, %d awaited: %v", traffic.Acknowledged(), n, traffic.refusal())
		}
	}
}
