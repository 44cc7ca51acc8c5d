package topology

import (
	"strings"
	"testing"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// unled is a cluster of three of whom nobody leads: one member serves, the second holds an image that is not opened yet, and the third is gone with its machine. What the image had to hold is in Least.
func unled() (w *world, seed *Seed) {
	w = leaderless(3).lose(2)
	w.member(3).Agent, w.member(3).AgentError = nil, "no answer"
	seed = w.seeding(2, SeedPlaced)
	seed.Donor, seed.Least = 1, map[string]uint64{"metadata_0": 30, "offset_0": 28, "data_0": 30}
	return w, seed
}

func TestAVoterIsStartedOnItsImageWhileNobodyLeadsWhereTheLeadersSaidWhatItMustHold(t *testing.T) {
	w, _ := unled()
	expect(t, w, v1alpha1.ReasonQuorumLost, "OpenSeed "+pc1)
}

func TestAnImageThatMayLackWhatItsVoterConfirmedWaitsForALeader(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world, seed *Seed)
		said   string
	}{
		"nobody led anything when it was ordered": {func(_ *world, seed *Seed) { seed.Least = nil }, "nobody led raft group metadata_0"},
		"nobody led one group then":               {func(_ *world, seed *Seed) { delete(seed.Least, "data_0") }, "nobody led raft group data_0"},
		"another's log begins behind it": {func(w *world, _ *Seed) {
			group(w.member(1), "offset_0", func(g *Group) { g.Purged = 31 })
		}, pc0 + " no longer has what follows it in raft group offset_0"},
	} {
		w, seed := unled()
		c.change(w, seed)
		p := expect(t, w, v1alpha1.ReasonSeeding)
		if wait := p.Waits[0]; !wait.Trouble || !strings.Contains(p.Waits[0].Message+p.Waits[len(p.Waits)-1].Message, c.said) {
			t.Errorf("%s: %+v", name, p.Waits)
		}
		// With a leader it is opened, or begun anew, as ever.
		for _, m := range []uint64{1, 3} {
			if w.member(m).Agent == nil {
				w.start(m, OriginJoined)
			}
		}
		purged := w.member(1).Agent.Groups["offset_0"].Purged
		w.form(1, 1, 3)
		for _, m := range []uint64{1, 3} {
			for g := range w.member(m).Agent.Groups {
				group(w.member(m), g, func(g *Group) { g.Voters, g.Members = []uint64{1, 2, 3}, []uint64{1, 2, 3} })
			}
		}
		want := "OpenSeed " + pc1
		if purged > 30 {
			group(w.member(1), "offset_0", func(g *Group) { g.Purged = purged })
			want = "AbandonSeed " + pc1
		}
		for _, wait := range expect(t, w, "", want).Waits {
			if wait.Trouble {
				t.Errorf("%s, and a member leads: %+v", name, wait)
			}
		}
	}
}

func TestNothingElseIsDoneAboutASeedWhileNobodyLeads(t *testing.T) {
	for name, change := range map[string]func(w *world, seed *Seed){
		"its pod is being ended":            func(w *world, _ *Seed) { w.member(2).Agent.Terminating = true },
		"the image is still being received": func(_ *world, seed *Seed) { seed.Phase = SeedReceiving },
		"it failed":                         func(_ *world, seed *Seed) { seed.Phase = SeedFailed },
		"it is open":                        func(_ *world, seed *Seed) { seed.Phase = SeedOpen },
		"nobody counts it as a member": func(w *world, _ *Seed) {
			for g := range w.member(1).Agent.Groups {
				group(w.member(1), g, func(g *Group) { g.Voters, g.Members = []uint64{1, 3}, []uint64{1, 3} })
			}
		},
		"the cluster was never founded": func(w *world, _ *Seed) {
			w.s.Wanted.Founded = false
			for i := range w.s.Members {
				w.s.Members[i].ClaimFounded = false
			}
		},
	} {
		w, seed := unled()
		change(w, seed)
		if p := Decide(w.s); len(p.Steps) > 0 && p.Steps[0].Kind == StepOpenSeed {
			t.Errorf("%s: %+v", name, p.Steps)
		}
	}
}

// A purged log that ends with the image, or before it, has what follows.
func TestALogThatBeginsRightBehindTheImageIsNoHindrance(t *testing.T) {
	w, _ := unled()
	group(w.member(1), "offset_0", func(g *Group) { g.Purged = 30 })
	expect(t, w, v1alpha1.ReasonQuorumLost, "OpenSeed "+pc1)
	w.member(2).Agent.Seed.Applied, w.member(2).Agent.Seed.Least["offset_0"] = nil, 30
	expect(t, w, v1alpha1.ReasonQuorumLost, "OpenSeed "+pc1)
	// What a member says that does not serve is old.
	w.s.Members[0].Agent.Server = ServerExited
	if _, _, late := passedBy(w.s, *w.member(2)); late {
		t.Error("it is said of a server that does not run")
	}
}
