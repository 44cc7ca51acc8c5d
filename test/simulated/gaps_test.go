package simulated

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/test/e2e/messages"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// inPlaceGap is the longest that clients may stand still at a planned step here, in real life. The design's bound is 5 s, which the bed measures; a simulated world on busy cores,
// whose seconds are hurried, is only told apart from an election, which takes 31 s at least.
const inPlaceGap = 20 * time.Second

func TestClientsThatNeverStopSeeNoElectionWhileEverythingIsRestartedAndMadeAnew(t *testing.T) {
	long(t)
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, templated(2, "a", ""))
	settle(t, w)
	l := &load{t: t, w: w}
	l.begin("gaps", 1, broker(0), broker(1))
	var doors []func(context.Context, string) error
	for _, pod := range []string{broker(0), broker(1)} {
		doors = append(doors, func(_ context.Context, name string) error {
			return w.Create(pod, "user", userNamed(name))
		})
	}
	writes := messages.StartWrites(w.Context(), "gap", doors...)
	seen := watchServers(w, w.AllPods(c))
	w.Apply(templated(2, "a", fmt.Sprintf(keepAlive, 200)))
	applied(t, w)
	steps := len(rollOrder(2))
	w.Apply(templated(2, "b", fmt.Sprintf(keepAlive, 200)))
	applied(t, w)
	seen.stop()
	end := time.Now()
	wrote, refused, last := writes.Stop()
	published := messages.Times(l.traffic[0].Acks())
	l.end()
	if len(seen.order) != 2*steps {
		t.Fatalf("servers went down: %q", seen.order)
	}
	var gaps []messages.Gap
	for i, pod := range seen.order {
		doing := "restarted in place: "
		if i >= steps {
			doing = "made anew: "
		}
		to := end
		if i+1 < len(seen.at) {
			to = seen.at[i+1]
		}
		inLife := func(d time.Duration) time.Duration { return time.Duration(float64(d) * w.Speed) }
		gaps = append(gaps, messages.Gap{
			Step: doing + pod[len("c-"):], Writes: inLife(messages.LongestGap(wrote, seen.at[i], to)), Publish: inLife(messages.LongestGap(published, seen.at[i], to)),
		})
	}
	text, _ := messages.GapTable(gaps)
	t.Logf("longest time without an acknowledgement while each pod was away, in real life (%d writes acknowledged, %d refused, last %v):\n%s", len(wrote), refused, last, text)
	for i, g := range gaps {
		// The MQTT client's own patience is not hurried: its 10 s are a minute here. What it waits for after a broker's pod went is printed, and judged on the bed.
		if g.Writes > inPlaceGap || i < steps && g.Publish > inPlaceGap {
			t.Errorf("%s: clients stood still: an election?", g.Step)
		}
	}
}
