package planner

import (
	"strings"
	"testing"
)

// While a restore has the members in its hands the planner lets everything go wrong; when it gives them back, whatever happened meanwhile is mended. PLANNER_RESTORE_SEED lives one life and prints its steps.
func TestAClusterOutlivesWhatGoesWrongWhileARestoreHasItsMembers(t *testing.T) {
	first, worlds := number(t, "PLANNER_RESTORE_SEED", 1), number(t, "PLANNER_RESTORE_WORLDS", 100)
	tracing := number(t, "PLANNER_RESTORE_SEED", 0) != 0
	if tracing {
		worlds = 1
	}
	restores := 0
	for seed := first; seed < first+worlds; seed++ {
		w := New(seed, tracing)
		w.restores = true
		end, err := w.Live()
		restores += w.Count.Changes["a restore that is taken back"]
		if tracing {
			t.Logf("%s\n%s\nit ends: %s", strings.Join(w.Trace, "\n"), w, end)
		}
		if err != nil {
			t.Errorf("seed %d (PLANNER_RESTORE_SEED=%d shows every step): %v", seed, seed, err)
		}
	}
	t.Logf("%d restores in %d worlds", restores, worlds)
	if !tracing && restores < int(worlds) { //nolint:gosec // small
		t.Errorf("only %d restores in %d worlds", restores, worlds)
	}
}
