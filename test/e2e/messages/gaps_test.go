package messages

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/pause"
)

func TestTheLongestGapIsTheOneThatTouchesTheTime(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(seconds ...float64) (all []time.Time) {
		for _, s := range seconds {
			all = append(all, start.Add(time.Duration(s*float64(time.Second))))
		}
		return all
	}
	for name, c := range map[string]struct {
		acks     []time.Time
		from, to float64
		want     time.Duration
	}{
		"within":                       {at(0, 1, 2, 5, 6, 10), 1.5, 6, 3 * time.Second},
		"begun before":                 {at(0, 4, 4.5, 5), 3, 5, 4 * time.Second},
		"ended after":                  {at(0, 1, 2, 9), 1, 3, 7 * time.Second},
		"none after it":                {at(0, 1), 1, 5, 4 * time.Second},
		"none at all":                  {nil, 1, 5, 4 * time.Second},
		"a longer one elsewhere":       {at(0, 8, 9, 10, 20), 8.5, 9.5, time.Second},
		"the first comes in the time":  {at(3, 4), 1, 4, 2 * time.Second},
		"between two acknowledgements": {at(0, 8), 3, 4, 8 * time.Second},
	} {
		if got := LongestGap(c.acks, at(c.from)[0], at(c.to)[0]); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestAClientThatNeverStopsTurnsToTheNextDoor(t *testing.T) {
	var first, second atomic.Int32
	w := StartWrites(t.Context(), "run",
		func(context.Context, string) error {
			if first.Add(1) > 3 {
				return errors.New("gone")
			}
			return nil
		},
		func(ctx context.Context, _ string) error {
			if second.Add(1) > 5 {
				<-ctx.Done()
			}
			return nil
		})
	deadline := time.Now().Add(10 * time.Second)
	for second.Load() < 5 && time.Now().Before(deadline) {
		_ = pause.For(t.Context(), time.Millisecond)
	}
	acks, refused, last := w.Stop()
	if len(acks) < 8 || refused == 0 || last == nil {
		t.Errorf("%d acknowledged, %d refused, %v", len(acks), refused, last)
	}
	text, longest := GapTable([]Gap{{"a", time.Second, 3 * time.Second}, {"b", 2 * time.Second, 0}})
	if longest != 3*time.Second || !strings.Contains(text, "2.00 s") {
		t.Errorf("%s %s", longest, text)
	}
}
