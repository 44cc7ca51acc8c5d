package topology

import (
	"testing"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

func TestTheMQTTUserIsMadeAnewAtOneBrokerThatDoesNotAcceptIt(t *testing.T) {
	t.Parallel()
	refused := func(w *world, id uint64, d time.Duration) {
		w.member(id).Agent.LoginRefused = true
		w.seen(SymptomLoginRefused, id, d)
	}
	for name, test := range map[string]struct {
		change func(*world)
		pod    string
		waits  bool
	}{
		"every broker accepts it":            {func(*world) {}, "", false},
		"one does not, for a moment":         {func(w *world) { refused(w, 1002, 10*time.Second) }, "", true},
		"one does not":                       {func(w *world) { refused(w, 1002, 11*time.Second) }, "c-mqtt-broker-1", false},
		"none does":                          {func(w *world) { refused(w, 1001, time.Minute); refused(w, 1002, time.Minute) }, "c-mqtt-broker-0", false},
		"one that is not in service":         {func(w *world) { refused(w, 1002, time.Minute); w.member(1002).Agent.MQTTOpen = false }, "", false},
		"no quorum that could keep the user": {func(w *world) { refused(w, 1002, time.Minute); w.form(0, 1, 2, 3) }, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(3, 2).founded().form(1, 1, 2, 3).brokersUp(1001, 1002)
			test.change(w)
			var p Plan
			renewLogin(w.s, assess(w.s), &p)
			if test.pod == "" && len(p.Steps) > 0 || test.pod != "" && (len(p.Steps) != 1 || p.Steps[0].Kind != StepLogin || p.Steps[0].Pod != test.pod) {
				t.Errorf("steps %+v, want one for %q", p.Steps, test.pod)
			}
			if test.waits != waits(p, v1alpha1.ReasonLoginRefused) {
				t.Errorf("waits %+v", p.Waits)
			}
		})
	}
}
