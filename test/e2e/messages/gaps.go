package messages

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/robustmq/robustmq-operator/internal/pause"
)

// Writes makes something of a new name again and again, without a pause but after a refusal, through one door after another: a client that never stops, and that turns to the
// next door when one does not answer.
type Writes struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu      sync.Mutex
	acks    []time.Time
	refused int
	last    error
}

// writeTimeout is how long a door is given: RobustMQ's own client gives a call up after 5 s.
const writeTimeout = 5 * time.Second

// StartWrites begins; every door makes an object of the given name.
func StartWrites(ctx context.Context, run string, doors ...func(ctx context.Context, name string) error) *Writes {
	running, cancel := context.WithCancel(ctx)
	w := &Writes{cancel: cancel}
	w.ended.Go(func() {
		door := 0
		for n := 0; running.Err() == nil; n++ {
			err := w.try(running, doors[door], fmt.Sprintf("%s-%d", run, n))
			if err != nil && running.Err() == nil {
				door = (door + 1) % len(doors)
				_ = pause.For(running, 20*time.Millisecond)
			}
		}
	})
	return w
}

func (w *Writes) try(ctx context.Context, door func(context.Context, string) error, name string) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := door(ctx, name)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.refused++
		w.last = err
		return err
	}
	w.acks = append(w.acks, time.Now())
	return nil
}

// Stop ends it and returns when each write was acknowledged, how many were refused, and the last refusal.
func (w *Writes) Stop() (acks []time.Time, refused int, last error) {
	w.cancel()
	w.ended.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.acks), w.refused, w.last
}

// LongestGap is the longest time without an acknowledgement of which any part lies between from and to. What lies before the first and after the last counts to these ends only.
func LongestGap(acks []time.Time, from, to time.Time) time.Duration {
	longest, last := time.Duration(0), from
	for i, at := range acks {
		if at.Before(from) {
			last = at
			continue
		}
		if i > 0 && last.Equal(from) {
			last = acks[i-1]
		}
		longest = max(longest, at.Sub(last))
		last = at
		if !at.Before(to) {
			return longest
		}
	}
	return max(longest, to.Sub(last))
}

// Gap is a row of a table: the longest gaps of metadata writes and of publishes while one pod was away.
type Gap struct {
	Step            string
	Writes, Publish time.Duration
}

// GapTable is the rows as text, and the longest gap of all.
func GapTable(gaps []Gap) (text string, longest time.Duration) {
	var b strings.Builder
	fmt.Fprintf(&b, "%-34s %16s %16s\n", "step", "metadata writes", "MQTT publish")
	for _, g := range gaps {
		fmt.Fprintf(&b, "%-34s %14.2f s %14.2f s\n", g.Step, g.Writes.Seconds(), g.Publish.Seconds())
		longest = max(longest, g.Writes, g.Publish)
	}
	return b.String(), longest
}

// Times are when a traffic's messages were acknowledged.
func Times(acks []Ack) []time.Time {
	times := make([]time.Time, 0, len(acks))
	for _, a := range acks {
		times = append(times, a.At)
	}
	return times
}
