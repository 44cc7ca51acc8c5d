package messages

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/robustmq/robustmq-operator/internal/pause"
)

// Traffic publishes and receives until it is stopped, over outages: clients connect again, to the next broker, when a connection is lost.
type Traffic struct {
	topic, run string
	every      time.Duration
	brokers    []Endpoint

	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu            sync.Mutex
	acknowledged  map[string]time.Time
	acks          []Ack
	received      map[string]int
	sent          map[string]time.Time // first of all tries
	lastReceipt   time.Time
	lastNews      time.Time // receipt of a message that had not been received before
	newest        time.Time // when the newest of the received messages was sent
	away          []interval
	lastAck       time.Time
	longestGap    time.Duration
	reconnects    int
	refusals      []Refusal
	subscribeOnce sync.Once
	subscribed    chan struct{}
}

// interval whose messages nobody was subscribed for: from the last message that came to a subscriber whose connection ended, to the next subscription. What was under way to it is gone with it.
type interval struct{ from, to time.Time }

// Ack is one acknowledged message: when it came, and how long after the message was sent.
type Ack struct {
	At   time.Time
	Took time.Duration
}

// Refusal is a connect or a publish that failed, as the client was told.
type Refusal struct {
	At  time.Time
	Err error
}

// Figures of a traffic that has ended.
type Figures struct {
	Acknowledged int
	// Lost were acknowledged while somebody was subscribed, and never received; Missed were acknowledged while nobody was, or were under way to a subscriber when its connection ended, and not
	// received later either, which MQTT does not promise to a client without a session. Duplicates were received more than once.
	Lost, Missed, Duplicates int
	// LostNumbers are those of the lost messages, in the order in which they were sent.
	LostNumbers []int
	// LongestGap between two acknowledgements, at most the time it ran.
	LongestGap time.Duration
	// Reconnects of publisher and subscriber together; Refused are connects and publishes that failed.
	Reconnects, Refused int
	LastRefusal         string
}

func (f Figures) String() string {
	s := fmt.Sprintf("%d acknowledged, %d lost, %d sent while the subscriber was away, %d received again, longest gap between acknowledgements %.1f s, %d reconnects, %d refusals",
		f.Acknowledged, f.Lost, f.Missed, f.Duplicates, f.LongestGap.Seconds(), f.Reconnects, f.Refused)
	if f.Lost > 0 {
		s += " (lost: numbers " + ranges(f.LostNumbers) + ")"
	}
	if f.LastRefusal != "" {
		s += " (last: " + f.LastRefusal + ")"
	}
	return s
}

// Add counts another traffic's figures in; the longest gap is the longer one.
func (f Figures) Add(other Figures) Figures {
	f.Acknowledged += other.Acknowledged
	f.Lost += other.Lost
	f.Missed += other.Missed
	f.Duplicates += other.Duplicates
	f.LostNumbers = slices.Concat(f.LostNumbers, other.LostNumbers)
	f.LongestGap = max(f.LongestGap, other.LongestGap)
	f.Reconnects += other.Reconnects
	f.Refused += other.Refused
	if other.LastRefusal != "" {
		f.LastRefusal = other.LastRefusal
	}
	return f
}

// publishTimeout is how long an acknowledgement is awaited before the client connects anew. A client library's usual.
const publishTimeout = 10 * time.Second

const (
	// refusedPause is how soon a message is published again that a broker refused: the connection is as good as before.
	refusedPause = 100 * time.Millisecond
	// refusedPatience is how long a broker may refuse before another one is asked.
	refusedPatience = 5 * time.Second
)

// silence is how long a subscriber waits for the next of many messages before it takes its broker for dead. The ping of MQTT is no help: RobustMQ 0.4.11 takes nothing
// but a ping for a sign of life, and a client that sends other packets sends none.
const silence = 8 * time.Second

// Start begins a traffic on a topic that exists, one message every so often, and returns when the subscriber is ready and the first message is acknowledged.
func Start(ctx context.Context, brokers []Endpoint, topic, run string, every time.Duration) (*Traffic, error) {
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t := &Traffic{
		topic: topic, run: run, every: every, brokers: brokers, cancel: cancel,
		acknowledged: map[string]time.Time{}, received: map[string]int{}, sent: map[string]time.Time{}, subscribed: make(chan struct{}), lastAck: time.Now(),
	}
	t.ended.Go(func() { t.receive(running) })
	select {
	case <-t.subscribed:
	case <-time.After(time.Minute):
		cancel()
		return nil, fmt.Errorf("no subscription within a minute: %w", t.refusal())
	case <-ctx.Done():
		cancel()
		return nil, ctx.Err()
	}
	first := make(chan struct{})
	t.ended.Go(func() { t.send(running, first) })
	select {
	case <-first:
		return t, nil
	case <-time.After(time.Minute):
		cancel()
		return nil, fmt.Errorf("nothing was acknowledged within a minute: %w", t.refusal())
	case <-ctx.Done():
		cancel()
		return nil, ctx.Err()
	}
}

func (t *Traffic) refusal() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.refusals) == 0 {
		return nil
	}
	return t.refusals[len(t.refusals)-1].Err
}

// Refusals are all so far, in order.
func (t *Traffic) Refusals() []Refusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.refusals)
}

// Acknowledged is how many messages were acknowledged so far.
func (t *Traffic) Acknowledged() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.acknowledged)
}

// Payloads are those of the messages that were acknowledged so far, in no order.
func (t *Traffic) Payloads() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.acknowledged))
}

// Acks are all acknowledgements so far, in order.
func (t *Traffic) Acks() []Ack {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.acks)
}

// Stop ends the publisher, waits for what is under way for as long as something new arrives within settle, and returns the figures: what is late is not lost.
func (t *Traffic) Stop(settle time.Duration) Figures {
	began := time.Now()
	t.mu.Lock()
	t.every = 0 // ends the publisher
	t.mu.Unlock()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for now := range tick.C {
		if f := t.figures(); f.Lost == 0 || now.Sub(t.news(began)) > settle {
			break
		}
	}
	t.cancel()
	t.ended.Wait()
	return t.figures()
}

// news is when something new arrived last, and not before a time.
func (t *Traffic) news(after time.Time) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lastNews.After(after) {
		return t.lastNews
	}
	return after
}

func (t *Traffic) figures() Figures {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := Figures{Acknowledged: len(t.acknowledged), LongestGap: t.longestGap, Reconnects: t.reconnects, Refused: len(t.refusals)}
	if t.every != 0 {
		f.LongestGap = max(f.LongestGap, time.Since(t.lastAck))
	}
	for payload, at := range t.acknowledged {
		switch {
		case t.received[payload] > 0:
		case slices.ContainsFunc(t.away, func(i interval) bool { return !at.Before(i.from) && !at.After(i.to) }):
			f.Missed++
		default:
			f.Lost++
			f.LostNumbers = append(f.LostNumbers, number(payload))
		}
	}
	slices.Sort(f.LostNumbers)
	for _, times := range t.received {
		f.Duplicates += max(times-1, 0)
	}
	if f.Refused > 0 {
		f.LastRefusal = t.refusals[f.Refused-1].Err.Error()
	}
	return f
}

func (t *Traffic) note(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refusals = append(t.refusals, Refusal{time.Now(), err})
}

// connected keeps a client up until the context ends, one broker after another, and runs use while it is. It keeps its id, as clients do: under it RobustMQ remembers how far it has read, and gives
// the whole topic to one that is new (test/contract has the case).
func (t *Traffic) connected(ctx context.Context, role string, use func(context.Context, *session) error) {
	for try := 0; ctx.Err() == nil; try++ {
		connected, cancel := context.WithCancel(ctx)
		s, err := t.brokers[try%len(t.brokers)].session(connected, role+"-"+t.run, t.take, func(error) { cancel() })
		if err == nil {
			if try > 0 {
				t.mu.Lock()
				t.reconnects++
				t.mu.Unlock()
			}
			err = use(connected, s)
			s.close()
		}
		cancel()
		if err != nil && ctx.Err() == nil {
			t.note(fmt.Errorf("%s: %w", role, err))
			_ = pause.For(ctx, 250*time.Millisecond)
		}
	}
}

func (t *Traffic) receive(ctx context.Context) {
	t.connected(ctx, "sub", func(ctx context.Context, s *session) error {
		// A session without state: RobustMQ's restored sessions deliver nothing until the client subscribes again, so every client should.
		if err := s.subscribe(ctx, t.topic); err != nil {
			return err
		}
		t.arrive(time.Now())
		t.subscribeOnce.Do(func() { close(t.subscribed) })
		for ctx.Err() == nil && !t.silent(time.Now()) {
			_ = pause.For(ctx, 100*time.Millisecond)
		}
		return nil
	})
}

func (t *Traffic) take(payload string) {
	if !strings.HasPrefix(payload, t.run+"/") {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lastReceipt = time.Now()
	if t.received[payload]++; t.received[payload] == 1 {
		t.lastNews = t.lastReceipt
	}
	if sent := t.sent[payload]; sent.After(t.newest) {
		t.newest = sent
	}
}

// arrive notes that there is a subscription, and since when there was none.
func (t *Traffic) arrive(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.lastReceipt.IsZero():
	case t.newest.IsZero():
		t.away = append(t.away, interval{t.lastReceipt, now})
	default:
		t.away = append(t.away, interval{t.newest, now})
	}
	t.lastReceipt = now
}

func (t *Traffic) silent(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.every != 0 && now.Sub(t.lastReceipt) > silence
}

func (t *Traffic) send(ctx context.Context, first chan<- struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	number := 0
	t.connected(ctx, "pub", func(ctx context.Context, s *session) error {
		taken := time.Now() // by this broker, the last message
		for ctx.Err() == nil {
			t.mu.Lock()
			every := t.every
			t.mu.Unlock()
			if every == 0 {
				cancel() // the whole publisher
				return nil
			}
			payload := fmt.Sprintf("%s/%d", t.run, number)
			sent := t.begin(payload)
			err := s.publish(ctx, t.topic, payload)
			if errors.Is(err, errRefused) && time.Since(taken) < refusedPatience {
				t.note(fmt.Errorf("pub: %w", err))
				_ = pause.For(ctx, refusedPause)
				continue
			}
			if err != nil {
				return err
			}
			taken = time.Now()
			t.acknowledge(payload, sent)
			if number == 0 {
				close(first)
			}
			number++
			_ = pause.For(ctx, every)
		}
		return nil
	})
}

// begin a try to send a message.
func (t *Traffic) begin(payload string) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if _, again := t.sent[payload]; !again {
		t.sent[payload] = now
	}
	return now
}

// number of a message, which ends its payload.
func number(payload string) int {
	n, err := strconv.Atoi(payload[strings.LastIndexByte(payload, '/')+1:])
	if err != nil {
		return -1 // not ours, and only ours are counted
	}
	return n
}

// ranges are sorted numbers for people: the first of them.
func ranges(numbers []int) string {
	var parts []string
	for i := 0; i < len(numbers); {
		end := i
		for end+1 < len(numbers) && numbers[end+1] == numbers[end]+1 {
			end++
		}
		if len(parts) == 5 {
			return strings.Join(append(parts, "…"), ", ")
		}
		if part := strconv.Itoa(numbers[i]); end == i {
			parts = append(parts, part)
		} else {
			parts = append(parts, fmt.Sprintf("%s to %d", part, numbers[end]))
		}
		i = end + 1
	}
	return strings.Join(parts, ", ")
}

func (t *Traffic) acknowledge(payload string, sent time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.longestGap = max(t.longestGap, now.Sub(t.lastAck))
	t.lastAck = now
	t.acknowledged[payload] = now
	t.acks = append(t.acks, Ack{At: now, Took: now.Sub(sent)})
}
