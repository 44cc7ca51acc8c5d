package planner

import (
	"fmt"
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/internal/topology"
)

// The same lives as all others, in which users take three members down to one, and up again. They have seeds of their own.
func TestPlacementCentresComeDownToOneMemberAndOutliveTheirFaults(t *testing.T) {
	worlds, first := number(t, "PLANNER_ONE_WORLDS", 500), number(t, "PLANNER_ONE_FIRST", 1)
	total := newCounts()
	failed, most := 0, int(number(t, "PLANNER_FAILURES", 3)) //nolint:gosec // small
	for seed := first; seed < first+worlds; seed++ {
		life := func(tracing bool) (*World, string, error) {
			w := New(seed, tracing)
			w.one = true
			w.spec.replicas[0] = 3
			end, err := w.Live()
			return w, end, err
		}
		w, end, err := life(false)
		total.add(w.Count)
		total.Ends[end]++
		if err == nil {
			continue
		}
		w, _, _ = life(true)
		t.Errorf("seed %d: %v\nthe last of its steps:\n%s", seed, err, strings.Join(w.Trace[max(0, len(w.Trace)-int(number(t, "PLANNER_TRACE", 60))):], "\n")) //nolint:gosec // small
		if failed++; failed >= most {
			return
		}
	}
	t.Logf("ends:\n%s\nfaults:\n%s\ndecisions:\n%s", table(total.Ends), table(total.Faults), table(total.Decisions))
	if n := total.Decisions[topology.StepAlone]; worlds >= 100 && n < 30 {
		t.Errorf("a member was made the only voter %d times: the worlds do not exercise it", n)
	}
	if n := fmt.Sprint(total.Faults["agent killed before it rewrote the database"]); worlds >= 100 && n == "0" {
		t.Error("no agent died between marker and database")
	}
}
