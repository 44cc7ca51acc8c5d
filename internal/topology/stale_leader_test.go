package topology

import (
	"testing"
	"time"
)

func TestALeaderThatNeitherLeadsNorStandsForElectionIsRestartedOnlyWhenAQuorumCouldElect(t *testing.T) {
	t.Parallel()
	stale := func(w *world, id uint64, group string) {
		g := w.member(id).Agent.Groups[group]
		g.Claims = true
		w.member(id).Agent.Groups[group] = g
	}
	for name, test := range map[string]struct {
		change func(*world)
		seen   bool
	}{
		"a leader that leads":          {func(w *world) { w.form(1, 1, 2, 3); stale(w, 1, "metadata_0") }, false},
		"one whose group nobody leads": {func(w *world) { stale(w, 1, "metadata_0") }, true},
		"of any group":                 {func(w *world) { stale(w, 2, "data_0") }, true},
		"while no quorum serves, it is the best there is": {func(w *world) {
			stale(w, 1, "metadata_0")
			w.member(2).Agent.Server = ServerStopped
			w.member(3).Agent.Server = ServerStopped
		}, false},
		"with one voter away":    {func(w *world) { stale(w, 1, "metadata_0"); w.member(3).Agent.Server = ServerStopped }, true},
		"nobody claims anything": {func(*world) {}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(3, 0).founded().form(0, 1, 2, 3)
			test.change(w)
			found := false
			for _, s := range Symptoms(w.s) {
				if s.Kind == SymptomStaleLeader {
					found = true
					w.s.Seen[s] = w.s.Limits.StaleLeader + time.Second
				}
			}
			if found != test.seen {
				t.Fatalf("seen: %v, want %v", found, test.seen)
			}
			plan := Decide(w.s)
			restarts := len(plan.Steps) == 1 && plan.Steps[0].Kind == StepRestart && plan.Steps[0].Cures == SymptomStaleLeader
			if restarts != test.seen {
				t.Errorf("steps %+v", plan.Steps)
			}
		})
	}
}
