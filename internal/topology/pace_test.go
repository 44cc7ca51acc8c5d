package topology

import (
	"strings"
	"testing"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// written moves a group's log on at every member.
func (w *world) written(group string, entries uint64) *world {
	for id := uint64(1); id <= 3; id++ {
		setGroup(w, id, group, func(g *Group) { g.LastLog, g.LastApplied = g.LastLog+entries, g.LastApplied+entries })
	}
	return w
}

func TestThePaceIsMeasuredOverAWindowAndOfEveryGroup(t *testing.T) {
	w := newWorld(3, 0).founded().form(1, 1, 2, 3)
	var pace Pace
	now := time.Unix(1000, 0)
	at := func(after time.Duration) map[string]float64 {
		now = now.Add(after)
		return pace.Observe(now, w.s)
	}
	if got := at(0); got != nil {
		t.Errorf("measured at the first look: %v", got)
	}
	w.written("metadata_0", 700)
	if got := at(w.s.Limits.Pace - time.Millisecond); got != nil {
		t.Errorf("measured over less than the window: %v", got)
	}
	if got := at(2*w.s.Limits.Pace - (w.s.Limits.Pace - time.Millisecond)); got["metadata_0"] != 700/(2*w.s.Limits.Pace).Seconds() || got["data_0"] != 0 {
		t.Errorf("%v", got)
	}
	w.written("data_0", 100)
	if got := at(time.Second); got["metadata_0"] == 0 || got["data_0"] != 0 {
		t.Errorf("within the next window the last measurement counts: %v", got)
	}
	if got := at(w.s.Limits.Pace - time.Second); got["metadata_0"] != 0 || got["data_0"] != 100/w.s.Limits.Pace.Seconds() {
		t.Errorf("%v", got)
	}
	setGroup(w, 1, "data_0", func(g *Group) { g.LastLog = 1 })
	if got := at(w.s.Limits.Pace); got["data_0"] != 0 {
		t.Errorf("a log that became shorter grows by %v", got["data_0"])
	}
	w.leads(99)
	if got := at(w.s.Limits.Pace); len(got) != 0 {
		t.Errorf("nobody leads: %v", got)
	}
	w.leads(1)
	if got := at(w.s.Limits.Pace); len(got) != 0 {
		t.Errorf("what was not known before is compared with nothing: %v", got)
	}
}

func TestAMemberIsNotRestartedWhileMetadataIsWrittenSoFastThatItWouldComeBackBehindTheLog(t *testing.T) {
	limits := DefaultLimits()
	inPlace, anew := 800/limits.RestartAway.Seconds(), 800/limits.ReplaceAway.Seconds()
	for what, c := range map[string]struct {
		stale  func(*Member)
		pace   map[string]float64
		seen   time.Duration
		change func(w *world)
		waits  bool
	}{
		"as fast as the log bears, in place":    {stale: restartAll, pace: map[string]float64{"metadata_0": inPlace}},
		"faster, in place":                      {stale: restartAll, pace: map[string]float64{"metadata_0": inPlace + 0.01}, waits: true},
		"faster, in any group":                  {stale: restartAll, pace: map[string]float64{"metadata_0": 1, "offset_0": inPlace + 1}, waits: true},
		"as fast as the log bears, made anew":   {stale: replaceAll, pace: map[string]float64{"data_0": anew}},
		"faster, made anew":                     {stale: replaceAll, pace: map[string]float64{"data_0": anew + 0.01}, waits: true},
		"still, at the end of patience":         {stale: restartAll, pace: map[string]float64{"metadata_0": 500}, seen: limits.Calm, waits: true},
		"and after it":                          {stale: restartAll, pace: map[string]float64{"metadata_0": 500}, seen: limits.Calm + 1},
		"not measured yet":                      {stale: restartAll, change: func(w *world) { w.s.PaceUnknown = true }, waits: true},
		"nobody follows who leads all":          {stale: restartAll, pace: map[string]float64{"metadata_0": 500}, change: only1},
		"nor is anything measured for it":       {stale: restartAll, change: func(w *world) { only1(w); w.s.PaceUnknown = true }},
		"a group that it leads does not grow":   {stale: restartAll, pace: map[string]float64{"data_0": 500}, change: func(w *world) { only1(w); leadersApart(w, "metadata_0", 2) }},
		"but one that it does not lead does":    {stale: restartAll, pace: map[string]float64{"metadata_0": 500}, change: func(w *world) { only1(w); leadersApart(w, "metadata_0", 2) }, waits: true},
		"brokers have no log that leaves them":  {stale: restartAll, pace: map[string]float64{"metadata_0": 500}, change: onlyBrokers},
		"nor is anything measured for a broker": {stale: restartAll, change: func(w *world) { onlyBrokers(w); w.s.PaceUnknown = true }},
	} {
		t.Run(what, func(t *testing.T) {
			w := whole(c.stale)
			w.s.Pace = c.pace
			w.s.Seen[Symptom{Kind: SymptomWritesFast}] = c.seen
			if c.change != nil {
				c.change(w)
			}
			p := Decide(w.s)
			if waits := len(p.Steps) == 0; waits != c.waits {
				t.Fatalf("steps %+v, waits %+v", p.Steps, p.Waits)
			}
			if c.waits && (!p.Serves() || len(p.Waits) != 1 || p.Waits[0].Reason != v1alpha1.ReasonRestarting && p.Waits[0].Reason != v1alpha1.ReasonReplacing) {
				t.Errorf("%+v", p.Waits)
			}
		})
	}
}

// only1 and onlyBrokers leave a change to be done at the first member, or at the brokers, only.
func only1(w *world) { onlyAt(w, func(m Member) bool { return m.NodeID == 1 }) }
func onlyBrokers(w *world) {
	onlyAt(w, func(m Member) bool { return m.Role == v1alpha1.RoleMQTTBroker })
}

func onlyAt(w *world, stale func(Member) bool) {
	for i := range w.s.Members {
		m := &w.s.Members[i]
		m.Agent.ConfigStale = m.Agent.ConfigStale && stale(*m)
	}
}

func TestHowLongAChangeHasWaitedForACalmerMomentIsCounted(t *testing.T) {
	fast := Symptom{Kind: SymptomWritesFast}
	counted := func(w *world) bool {
		for _, s := range Symptoms(w.s) {
			if s == fast {
				return true
			}
		}
		return false
	}
	w := whole(restartAll)
	w.s.Pace = map[string]float64{"metadata_0": 500}
	if !counted(w) {
		t.Error("a change waits, and nobody counts the time")
	}
	if w.s.Pace = map[string]float64{"metadata_0": 50}; counted(w) {
		t.Error("it is calm")
	}
	w = whole(nil)
	if w.s.Pace = map[string]float64{"metadata_0": 500}; counted(w) {
		t.Error("nothing waits")
	}
}

func TestARestartThatTheLogWillOutrunSaysSo(t *testing.T) {
	w := whole(restartAll)
	w.s.Pace = map[string]float64{"metadata_0": 500}
	w.s.Seen[Symptom{Kind: SymptomWritesFast}] = time.Hour
	if p := Decide(w.s); len(p.Steps) != 1 || !strings.Contains(p.Steps[0].Reason, "500 entries/s") || !strings.Contains(p.Steps[0].Reason, "filled from another member") {
		t.Errorf("%+v", p.Steps)
	}
	w.s.Pace = map[string]float64{"metadata_0": 5}
	if p := Decide(w.s); len(p.Steps) != 1 || strings.Contains(p.Steps[0].Reason, "entries/s") {
		t.Errorf("%+v", p.Steps)
	}
}
