package topology

import (
	"slices"
	"testing"
	"time"
)

func TestATroubleIsOverWhenWhatItStruckIsInServiceAgain(t *testing.T) {
	var watch Watch
	now := time.Unix(0, 0)
	pass := func(w *world, after time.Duration) []Ended {
		now = now.Add(after)
		return watch.Observe(now, w.s)
	}
	w := living(3)
	if over := pass(w, 0); len(over) > 0 || len(Troubles(w.s)) > 0 {
		t.Fatalf("%v %v", over, Troubles(w.s))
	}
	a := w.member(3).Agent
	groups := a.Groups
	a.Server, a.Groups = ServerHung, nil
	if got := Troubles(w.s); !slices.Equal(got, []Trouble{{RungServerHung, pc2}}) {
		t.Fatalf("%v", got)
	}
	pass(w, time.Second)
	a.Server = ServerStarting // the agent restarts it: the trouble lasts
	if over := pass(w, 10*time.Second); len(over) > 0 {
		t.Errorf("%v", over)
	}
	a.Server, a.Groups = ServerRunning, groups
	if over := pass(w, 5*time.Second); !slices.Equal(over, []Ended{{Trouble{RungServerHung, pc2}, 15 * time.Second}}) {
		t.Errorf("%v", over)
	}
	if over := pass(w, time.Second); len(over) > 0 {
		t.Errorf("told twice: %v", over)
	}
}

func TestEveryTroubleIsOfAKindThatHasWords(t *testing.T) {
	w := living(3)
	w.member(2).Agent.EmptySnapshot = []string{"metadata_0"}
	w.s.Faults = Faults(w.s)
	w.member(3).Agent = nil
	w.member(3).State = PodMissing
	got := Troubles(w.s)
	if want := []Trouble{{RungFaultyMember, pc1}, {RungPodGone, pc2}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	w = leaderless(3).lose(1, 2)
	got = Troubles(w.s)
	for _, want := range []Trouble{{RungLeaderLost, ""}, {RungMajorityLost, ""}, {RungVolumeEmpty, pc0}, {RungVolumeEmpty, pc1}} {
		if !slices.Contains(got, want) {
			t.Errorf("%v lacks %v", got, want)
		}
	}
	for _, trouble := range got {
		if trouble.Rung.Words() == "" {
			t.Errorf("%s has no words", trouble.Rung)
		}
	}
	w.s.Wanted.Founded = false
	if got := Troubles(w.s); got != nil {
		t.Errorf("while it is being founded: %v", got)
	}
}
