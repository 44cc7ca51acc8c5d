package topology

import (
	"slices"
	"strings"
	"testing"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// hosted gives every pod its host, and registers it there.
func (w *world) hosted() *world {
	w.s.Registrations = map[uint64]Registration{}
	for i := range w.s.Members {
		m := &w.s.Members[i]
		m.Host = m.Pod + ".svc"
		m.Agent.StartedFor = time.Hour
		w.s.Registrations[m.NodeID] = Registration{m.Host, 1000}
	}
	return w
}

func TestTwoProcessesOfOneNodeIDAreFoundAlthoughTheyTakeTurns(t *testing.T) {
	for name, c := range map[string]struct {
		every time.Duration // between two looks
		seen  func(w *world, look int) Registration
		want  string // host, or "same", or ""
	}{
		"all is well":    {10 * time.Second, func(w *world, _ int) Registration { return Registration{w.member(1001).Host, 1000} }, ""},
		"a foreign host": {10 * time.Second, func(*world, int) Registration { return Registration{"elsewhere", 2000} }, "elsewhere"},
		"a foreign host, seldom": {10 * time.Second, func(w *world, look int) Registration {
			if look == 1 {
				return Registration{"elsewhere", 2000}
			}
			return Registration{w.member(1001).Host, 1000}
		}, "elsewhere"},
		"a foreign host, long ago": {30 * time.Second, func(w *world, look int) Registration {
			if look == 1 {
				return Registration{"elsewhere", 2000}
			}
			return Registration{w.member(1001).Host, 1000}
		}, ""},
		"registered anew at every look": {6 * time.Second, func(w *world, look int) Registration {
			return Registration{w.member(1001).Host, 1000 + 6*uint64(look)}
		}, "same"},
		"registered anew every half minute": {30 * time.Second, func(w *world, look int) Registration {
			return Registration{w.member(1001).Host, 1000 + 30*uint64(look)}
		}, ""},
		"registered anew by restarts": {6 * time.Second, func(w *world, look int) Registration {
			w.member(1001).Agent.StartedFor = 3 * time.Second
			return Registration{w.member(1001).Host, 1000 + 6*uint64(look)}
		}, ""},
		"started with an older configuration": {10 * time.Second, func(w *world, _ int) Registration {
			w.member(1001).Agent.ConfigStale = true
			return Registration{"its.old.name", 1000}
		}, ""},
	} {
		w := newWorld(3, 1).founded().form(1, 1, 2, 3).brokersUp(1001).hosted()
		var sightings Sightings
		now := time.Unix(0, 0)
		for look := range 5 {
			now = now.Add(c.every)
			w.s.Registrations[1001] = c.seen(w, look)
			w.s.Duplicates = sightings.Observe(now, w.s)
		}
		got := ""
		if d, ok := w.s.Duplicates[1001]; ok {
			got = d.Host
			if got == "" {
				got = "same"
			}
		}
		if got != c.want || len(w.s.Duplicates) > 1 {
			t.Errorf("%s: %v, want %q", name, w.s.Duplicates, c.want)
		}
	}
}

func TestADuplicateIsNamedAndStoppedWhereItIsOurs(t *testing.T) {
	told := func(p Plan, words string) bool {
		return slices.ContainsFunc(p.Waits, func(x Wait) bool {
			return x.Trouble && x.Reason == v1alpha1.ReasonDuplicateNode && strings.Contains(x.Message, words)
		})
	}
	w := newWorld(3, 2).founded().form(1, 1, 2, 3).brokersUp(1001, 1002).hosted()
	w.s.Duplicates = map[uint64]Duplicate{1001: {Host: "elsewhere"}}
	if p := Decide(w.s); len(p.Steps) > 0 || !told(p, "elsewhere") {
		t.Errorf("%v %+v", steps(p), p.Waits)
	}
	if h := Assess(w.s); h.InService(*w.member(1001)) || !h.InService(*w.member(1002)) {
		t.Error("a node that two processes are counts as in service")
	}
	w.s.Duplicates = map[uint64]Duplicate{1001: {}}
	if p := Decide(w.s); len(p.Steps) > 0 || !told(p, "an older pod of that name") {
		t.Errorf("%v %+v", steps(p), p.Waits)
	}
	w.s.Duplicates = map[uint64]Duplicate{1001: {Host: w.member(1002).Host}}
	p := Decide(w.s)
	if got := steps(p); !slices.Equal(got, []string{"Stop c-mqtt-broker-1"}) || !told(p, "c-mqtt-broker-1 is registered as node 1001") {
		t.Errorf("%v %+v", got, p.Waits)
	}
	if got := Troubles(w.s); !slices.Contains(got, Trouble{RungDuplicateNode, "c-mqtt-broker-0"}) {
		t.Errorf("%v", got)
	}
	w.hold(1002)
	if p := Decide(w.s); slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Kind == StepStop }) {
		t.Errorf("stopped twice: %v", steps(p))
	}
}
