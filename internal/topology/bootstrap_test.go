package topology

import (
	"strings"
	"testing"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

func bootstrapped() *world {
	w := newWorld(3, 2)
	w.s.Wanted.Bootstrap = &Bootstrap{Restore: Restore{Name: "c-bootstrap"}}
	return w
}

func TestAClusterThatBeginsWithABackupIsNotFoundedEmpty(t *testing.T) {
	for _, static := range []bool{false, true} {
		w := bootstrapped()
		w.s.Wanted.Static = static
		p := expect(t, w, "", "Restore ")
		if s := p.Steps[0]; s.Trigger != v1alpha1.RestoreBootstrap || !s.Planned || !strings.Contains(s.Reason, "c-bootstrap") {
			t.Errorf("%+v", s)
		}
		w.s.Wanted.Bootstrap.Restore.Stage = v1alpha1.RestoreValidating
		w.s.Wanted.Restore = w.s.Wanted.Bootstrap.Restore
		p = expect(t, w, v1alpha1.ReasonRestoring)
		if p.Waits[0].Trouble || !strings.Contains(p.Waits[0].Message, "c-bootstrap is Validating") {
			t.Errorf("%+v", p.Waits)
		}
	}
}

func TestBeforeABackupIsPutIntoThemEveryVolumeIsSeenEmpty(t *testing.T) {
	w := bootstrapped()
	w.member(2).Agent = nil
	expect(t, w, v1alpha1.ReasonRestoring)
	w = bootstrapped()
	w.member(2).Agent.VolumeEmpty, w.member(2).Agent.VolumeInitialised, w.member(2).Agent.GateReason = false, true, GateForeign
	expect(t, w, v1alpha1.ReasonForeignVolume)
}

func TestABackupThatCannotBeRestoredKeepsTheClusterFromBeingFoundedAndSaysWhatToDo(t *testing.T) {
	for what, c := range map[string]struct {
		change func(b *Bootstrap)
		reason string
		says   []string
	}{
		"refused": {func(b *Bootstrap) {
			b.Restore.Stage, b.Restore.Reason, b.Restore.Message = v1alpha1.RestoreFailed, v1alpha1.ReasonRestoreRefused, "the backup has five nodes"
		}, v1alpha1.ReasonRestoreRefused, []string{"the backup has five nodes", "spec.bootstrap.restoreFrom", "delete the RobustMQRestore c-bootstrap"}},
		"aborted": {func(b *Bootstrap) { b.Restore.Stage = v1alpha1.RestoreAborted }, v1alpha1.ReasonRestoring, []string{"Aborted", "delete the RobustMQRestore c-bootstrap"}},
		"consumed": {func(b *Bootstrap) {
			b.Restore.Stage, b.Restore.Reason = v1alpha1.RestoreComplete, v1alpha1.ReasonRestoreComplete
		}, v1alpha1.ReasonDataLost, []string{"not restored again by itself"}},
		"no kind": {func(b *Bootstrap) { b.Hindrance = "there is no RobustMQRestore" }, v1alpha1.ReasonRestoring, []string{"there is no RobustMQRestore"}},
	} {
		w := bootstrapped()
		c.change(w.s.Wanted.Bootstrap)
		p := expect(t, w, c.reason)
		if len(p.Waits) == 0 || !p.Waits[0].Trouble {
			t.Fatalf("%s: %+v", what, p.Waits)
		}
		for _, word := range c.says {
			if !strings.Contains(p.Waits[0].Message, word) {
				t.Errorf("%s: %q does not say %q", what, p.Waits[0].Message, word)
			}
		}
	}
	w := bootstrapped()
	w.s.Wanted.Bootstrap.Refused = "too long a name"
	if p := expect(t, w, v1alpha1.ReasonRestoring, "Restore "); !strings.Contains(p.Waits[0].Message, "too long a name") {
		t.Errorf("%+v", p.Waits)
	}
}

func TestTheFoundingOfARestoredClusterIsRecordedByWhatItsMembersAreMarkedWith(t *testing.T) {
	for _, static := range []bool{false, true} {
		w := bootstrapped()
		w.s.Wanted.Static, w.s.Wanted.Generation = static, 2
		w.s.Wanted.Restore = Restore{Name: "c-bootstrap", Stage: v1alpha1.RestoreStarting}
		for id := range uint64(3) {
			m := w.start(id+1, OriginRestored)
			m.Agent.Marker.Generation, m.Agent.GateOpen, m.Agent.GateReason, m.Agent.Server = 2, false, GatePlacing, ServerStopped
		}
		p := expect(t, w, v1alpha1.ReasonRestoring) // an image that is not in force may yet be taken back
		if waits(p, v1alpha1.ReasonForeignVolume) || waits(p, v1alpha1.ReasonFounding) {
			t.Errorf("static %t: it is taken for a founding: %+v", static, p.Waits)
		}
		for id := range uint64(3) {
			m := w.start(id+1, OriginRestored)
			m.Agent.Marker.Generation = 2
		}
		expect(t, w, "", "MarkFounded ")
	}
}

func TestAConsumedSourceAndWipedVolumesAreATotalLossAndNoBootstrap(t *testing.T) {
	w := bootstrapped().founded()
	w.s.Wanted.Rescue.Hindrance = "spec.backup names no destination"
	expect(t, w, v1alpha1.ReasonDataLost)
}

func TestAFoundingThatWasBegunBeforeTheSpecNamedABackupGoesOn(t *testing.T) {
	w := bootstrapped()
	w.start(1, OriginFounded)
	w.form(1, 1)
	expect(t, w, "", "MarkFounded ")
}
