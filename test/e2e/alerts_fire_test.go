//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/test/e2e/live"
	"github.com/robustmq/robustmq-operator/test/e2e/watch"
)

// A cause is something that is really done to the cluster or to the operator, and the alerts that come of it.
type cause struct {
	// what is done, in words, for the table.
	what   string
	alerts []string
	// do it, and return what takes it back.
	do func(*watched) (undo func())
	// within is how long they may take to fire; two minutes if it is zero.
	within time.Duration
	// clears is how long they may take to end after undo; four minutes if it is zero.
	clears time.Duration
}

// An alert that looks back over a window goes on firing until the window has passed: its end is not waited for.
var looksBack = map[string]string{
	"RobustMQServerHung": "30 min", "RobustMQServerRestarts": "1 h", "RobustMQServerCrashLoop": "10 min", "RobustMQLeaderChanges": "1 h", "RobustMQAuthenticationFailures": "5 min",
	"RobustMQOperatorRestarts": "1 h", "RobustMQAdmissionDenials": "10 min", "RobustMQOperatorReconcileErrors": "10 min", "RobustMQOperatorWritesWhenIdle": "15 min", "RobustMQRestoreFailed": "1 h",
}

// TestEveryAlertHasACause: a new alert is not forgotten here, nor on the page.
func TestEveryAlertHasACause(t *testing.T) {
	names, err := allAlerts("ns", "c")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs/alerts.md"))
	if err != nil {
		t.Fatal(err)
	}
	caused := map[string]bool{}
	for _, c := range slices.Concat(slices.Concat(rounds...)...) {
		for _, name := range c.alerts {
			caused[name] = true
		}
	}
	for _, name := range names {
		if _, elsewhere := simulated[name]; caused[name] == elsewhere {
			t.Errorf("%s: caused here %t, by a test without a bed %t: one of the two", name, caused[name], elsewhere)
		}
		if !strings.Contains(string(page), "\n| "+name+" | ") {
			t.Errorf("docs/alerts.md does not say how %s was made to fire", name)
		}
	}
	for _, name := range slices.AppendSeq(slices.Collect(maps.Keys(caused)), maps.Keys(simulated)) {
		if !slices.Contains(names, name) {
			t.Errorf("%s is caused, and there is no such alert", name)
		}
	}
	for name, by := range simulated {
		if !by.fires(t, name) {
			t.Errorf("no test %s in %s has %s fire", by.name, by.folder, name)
		}
	}
}

// fires reports whether the test is there and judges an alert: the whole file is looked at, since tests share helpers.
func (o testOf) fires(t *testing.T, alert string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", o.folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+o.name+"(t *testing.T)") && strings.Contains(string(text), fmt.Sprintf(".Fires(%q, ", alert)) {
			return true
		}
	}
	return false
}

// fireAll causes all of them; of each it says how long its alerts took to fire and to end.
func (w *watched) fireAll() {
	for i, lanes := range rounds {
		w.Run(fmt.Sprintf("round %d", i+1), func(t *testing.T) {
			for j, causes := range lanes {
				t.Run(fmt.Sprintf("lane %d", j+1), func(t *testing.T) {
					t.Parallel()
					for _, c := range causes {
						t.Run(c.what, func(t *testing.T) { w.with(t).fire(c) })
					}
				})
			}
		})
	}
}

func (w *watched) fire(c cause) {
	w.Helper()
	within, clears := c.within, c.clears
	if within == 0 {
		within = 2 * time.Minute
	}
	if clears == 0 {
		clears = 4 * time.Minute
	}
	before, err := w.firing(w.Context())
	w.must(err)
	for name := range before {
		if slices.Contains(c.alerts, name) {
			w.Logf("%s fires before anything was done", name)
		}
	}
	begin := time.Now()
	undo := c.do(w)
	undone := false
	w.Cleanup(func() {
		if !undone {
			undo()
		}
	})
	fired, others := map[string]time.Duration{}, map[string]bool{}
	err = live.Until(w.Context(), "the alerts fire", time.Second, within, func(ctx context.Context) (bool, string, error) {
		var missing []string
		firing, err := w.firing(ctx)
		if err != nil {
			return false, err.Error(), nil
		}
		for name := range firing {
			if _, before := fired[name]; !before && slices.Contains(c.alerts, name) {
				fired[name] = time.Since(begin)
			} else if !slices.Contains(c.alerts, name) {
				others[name] = true
			}
		}
		for _, name := range c.alerts {
			if _, did := fired[name]; !did {
				missing = append(missing, name)
			}
		}
		return len(missing) == 0, "without " + strings.Join(missing, ", "), nil
	})
	if err != nil {
		w.Error(err)
	}
	w.Logf("besides: %s", strings.Join(slices.Sorted(maps.Keys(others)), ", "))

	undone = true
	undo()
	begin = time.Now()
	ended := map[string]time.Duration{}
	err = live.Until(w.Context(), "the alerts end", time.Second, clears, func(ctx context.Context) (bool, string, error) {
		firing, err := w.firing(ctx)
		if err != nil {
			return false, err.Error(), nil
		}
		var left []string
		for name := range fired {
			if _, before := ended[name]; before || looksBack[name] != "" {
				continue
			}
			if firing[name] {
				left = append(left, name)
			} else {
				ended[name] = time.Since(begin)
			}
		}
		return len(left) == 0, strings.Join(left, ", ") + " fire still", nil
	})
	if err != nil {
		w.Error(err)
	}
	for _, name := range c.alerts {
		at, did := fired[name]
		if !did {
			figures.add("alert "+name+": "+c.what, "did not fire")
			continue
		}
		end := fmt.Sprintf("ended %.0f s after", ended[name].Seconds())
		if back := looksBack[name]; back != "" {
			end = "looks back " + back
		} else if _, over := ended[name]; !over {
			end = "did not end"
		}
		figures.add("alert "+name+": "+c.what, "fires after %.0f s; %s", at.Seconds(), end)
	}
}

// firing are the alerts of the hurried copies that fire now. Of a Prometheus that does not answer nothing is known.
func (w *watched) firing(ctx context.Context) (map[string]bool, error) {
	w.Helper()
	found, err := w.prom.Firing(ctx, map[string]string{watch.HurriedLabel: "true"})
	names := map[string]bool{}
	for _, f := range found {
		names[string(f.Metric["alertname"])] = true
	}
	return names, err
}
