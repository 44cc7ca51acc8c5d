package planner

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/topology"
)

// kinds are all steps that the planner knows; the thousand lives have to take every one of them.
var kinds = []topology.StepKind{
	topology.StepFound, topology.StepMarkFounded, topology.StepOrderJoin, topology.StepAdopt, topology.StepJoin, topology.StepLeave, topology.StepStop, topology.StepStart, topology.StepRestart,
	topology.StepReplace, topology.StepChangeImage, topology.StepWipe, topology.StepQuiesce, topology.StepDrain, topology.StepUnregister, topology.StepReleaseVolume, topology.StepSettings, topology.StepLogin,
	topology.StepPull, topology.StepSeed, topology.StepOpenSeed, topology.StepAbandonSeed, topology.StepDiscardSeed, topology.StepTransfer, topology.StepEndTransfer,
}

func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// One seed is one life: `PLANNER_SEED=17 go test ./test/planner -v` lives it alone and prints every step of it. PLANNER_WORLDS says how many, PLANNER_FIRST with which seed they begin.
func TestEveryClusterOutlivesItsFaultsAndNothingThatMustNeverHappenHappens(t *testing.T) {
	if seed := number(t, "PLANNER_SEED", 0); seed != 0 {
		w := New(seed, true)
		end, err := w.Live()
		t.Logf("%s\n%s", strings.Join(w.Trace, "\n"), w)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("it ends: %s", end)
		return
	}
	worlds, first := number(t, "PLANNER_WORLDS", 1000), number(t, "PLANNER_FIRST", 1)
	total := newCounts()
	began := time.Now()
	failed, most := 0, int(number(t, "PLANNER_FAILURES", 3)) //nolint:gosec // small
	virtual := time.Duration(0)
	for seed := first; seed < first+worlds; seed++ {
		w := New(seed, false)
		end, err := w.Live()
		virtual += w.now
		total.add(w.Count)
		total.Ends[end]++
		if err == nil {
			continue
		}
		again := New(seed, true)
		_, second := again.Live()
		if fmt.Sprint(second) != fmt.Sprint(err) {
			t.Errorf("seed %d ends in two ways: %v; %v", seed, err, second)
		}
		t.Errorf("seed %d: %v\nthe last of its steps (all: PLANNER_SEED=%d):\n%s", seed, err, seed, strings.Join(again.Trace[max(0, len(again.Trace)-40):], "\n"))
		if failed++; failed >= most {
			break
		}
	}
	t.Logf("%d worlds, %v of their time in %v: %d passes, %d steps, %d acknowledged writes, %d plans judged", worlds, virtual.Round(time.Hour), time.Since(began).Round(time.Second), total.Passes, total.Steps, total.Writes, total.Checks)
	t.Logf("ends:\n%s", table(total.Ends))
	t.Logf("faults:\n%s", table(total.Faults))
	t.Logf("changes of the spec:\n%s", table(total.Changes))
	t.Logf("decisions:\n%s", table(total.Decisions))
	t.Logf("waits:\n%s", table(total.Waits))
	if worlds < 1000 || failed > 0 {
		return
	}
	for _, kind := range kinds {
		if total.Decisions[kind] == 0 {
			t.Errorf("step %s was never taken: the worlds do not exercise it", kind)
		}
	}
	if ready := total.Ends[EndReady]; uint64(ready) < worlds*9/10 { //nolint:gosec // not negative
		t.Errorf("only %d of %d came to be Ready", ready, worlds)
	}
}

func (c *Counts) add(o Counts) {
	c.Passes, c.Steps, c.Ticks, c.Writes, c.Checks = c.Passes+o.Passes, c.Steps+o.Steps, c.Ticks+o.Ticks, c.Writes+o.Writes, c.Checks+o.Checks
	sum(c.Faults, o.Faults)
	sum(c.Changes, o.Changes)
	sum(c.Ends, o.Ends)
	sum(c.Decisions, o.Decisions)
	sum(c.Waits, o.Waits)
}

func sum[K comparable](to, from map[K]int) {
	for k, n := range from {
		to[k] += n
	}
}

func table[K ~string](m map[K]int) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "  %8d  %s\n", m[k], k)
	}
	return b.String()
}
