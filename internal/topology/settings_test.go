package topology

import (
	"testing"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

func TestRunningServersAreGivenSettingsOnceEveryPodHasThem(t *testing.T) {
	t.Parallel()
	const source = "new"
	for name, test := range map[string]struct {
		change func(*world)
		pod    string // that is asked; empty: none
		reason string // of the wait
	}{
		"nothing differs": {func(*world) {}, "", ""},
		"the leader of the metadata is asked first": {func(w *world) { pending(w, "K", 1, 2, 3, 1001) }, "c-placement-center-0", ""},
		"then who did not hear of it":               {func(w *world) { pending(w, "K", 1001) }, "c-mqtt-broker-0", ""},
		"a pod that has the old ones yet":           {func(w *world) { pending(w, "K", 1, 2); w.member(1002).Agent.Source = "old" }, "", v1alpha1.ReasonConfigPending},
		"a pod whose server is down is not waited for": {func(w *world) {
			pending(w, "K", 1)
			w.member(1002).Agent.Source, w.member(1002).Agent.Server = "old", ServerStopped
		}, "c-placement-center-0", ""},
		"refused in this configuration":                   {func(w *world) { pending(w, "K", 1); w.s.Wanted.Refused = map[string]string{"K": source} }, "", v1alpha1.ReasonConfigRefused},
		"refused in another configuration":                {func(w *world) { pending(w, "K", 1); w.s.Wanted.Refused = map[string]string{"K": "older"} }, "c-placement-center-0", ""},
		"another kind was refused":                        {func(w *world) { pending(w, "K", 1); w.s.Wanted.Refused = map[string]string{"L": source} }, "c-placement-center-0", ""},
		"no configuration is given out":                   {func(w *world) { pending(w, "K", 1); w.s.Wanted.Sources = nil }, "", ""},
		"no quorum that could store them":                 {func(w *world) { pending(w, "K", 1); w.form(0, 1, 2, 3) }, "", ""},
		"a pod beyond those that are wanted is not asked": {func(w *world) { pending(w, "K", 1002); w.s.Wanted.Replicas[v1alpha1.RoleMQTTBroker] = 1 }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(3, 2).founded().form(1, 1, 2, 3).brokersUp(1001, 1002)
			w.s.Wanted.Sources = map[v1alpha1.Role]string{v1alpha1.RolePlacementCenter: source, v1alpha1.RoleMQTTBroker: source}
			for i := range w.s.Members {
				w.s.Members[i].Agent.Source = source
			}
			test.change(w)
			var p Plan
			giveSettings(w.s, assess(w.s), &p)
			switch {
			case test.pod == "" && len(p.Steps) == 0:
			case len(p.Steps) == 1 && p.Steps[0].Kind == StepSettings && p.Steps[0].Pod == test.pod && p.Steps[0].Setting == "K":
			default:
				t.Errorf("steps %+v, want one for %q", p.Steps, test.pod)
			}
			if len(p.Waits) > 0 != (test.reason != "") || test.reason != "" && !waits(p, test.reason) {
				t.Errorf("waits %+v, want %q", p.Waits, test.reason)
			}
		})
	}
}

// pending: the servers of these nodes go by something else than what is mounted.
func pending(w *world, kind string, ids ...uint64) {
	for _, id := range ids {
		w.member(id).Agent.LivePending = []string{kind}
	}
}
