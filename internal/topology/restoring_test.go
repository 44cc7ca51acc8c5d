package topology

import (
	"slices"
	"strings"
	"testing"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

var allStages = []v1alpha1.RestoreStage{
	v1alpha1.RestoreWaiting, v1alpha1.RestoreValidating, v1alpha1.RestoreSaving, v1alpha1.RestoreStopping, v1alpha1.RestoreTransferring, v1alpha1.RestoreOpening, v1alpha1.RestoreVerifying,
	v1alpha1.RestoreStarting, v1alpha1.RestoreAborting, v1alpha1.RestoreComplete, v1alpha1.RestoreFailed, v1alpha1.RestoreAborted,
}

// busyWorlds are snapshots in each of which a step is due, by what is wrong.
func busyWorlds() map[string]*world {
	rogue := newWorld(3, 2).founded().form(1, 1)
	m := rogue.start(2, OriginJoined)
	for _, g := range rogue.s.Wanted.Groups {
		m.Agent.Groups[g] = Group{Running: true, Voters: []uint64{2}, Members: []uint64{2}, Leads: true, Leader: 2, Term: 1}
	}
	held := newWorld(3, 0).founded().form(1, 1, 2, 3)
	a := held.member(3).Agent
	a.Server, a.GateOpen, a.GateReason, a.Groups = ServerStopped, false, GateHeld, nil
	gone := newWorld(3, 2).founded().form(1, 1, 2, 3).brokersUp(1001, 1002)
	gone.s.Machines = map[string]Machine{"m": {Gone: true}}
	gone.member(1002).Node, gone.member(1002).Agent = "m", nil
	gone.seen(SymptomMachineLost, 1002, time.Hour)
	stale := newWorld(3, 0).founded().form(1, 1, 2, 3)
	stale.member(2).Agent.ConfigStale = true
	broken := newWorld(3, 0)
	broken.member(1).State, broken.member(1).TemplateStale, broken.member(1).Agent = PodPending, true, nil
	wiped := newWorld(3, 0).founded().form(1, 1, 2, 3)
	wiped.wipe(2)
	adopt := newWorld(3, 0).founded().form(1, 1, 2)
	adopt.member(3).Agent = &Agent{VolumeInitialised: true, GateReason: GateForeign, Server: ServerStopped}
	adopt.s.Wanted.Adopt = []string{pc2}
	return map[string]*world{
		"a founding": newWorld(3, 2), "a record": newWorld(3, 2).founded().form(1, 1).unmarked(), "a join": newWorld(3, 0).founded().form(1, 1), "a node": newWorld(3, 1).founded().form(1, 1, 2, 3),
		"a rogue": rogue, "a held member": held, "a lost machine": gone, "a roll": stale, "a stuck pod": broken, "a seed": wiped, "a lost majority": leaderless(3).lose(1, 2).lasting(), "an adoption": adopt,
	}
}

func (w *world) unmarked() *world {
	for i := range w.s.Members {
		w.s.Members[i].ClaimFounded = false
	}
	return w
}

func TestNothingAtAllIsDoneWhileARestoreHasTheMembersInItsHands(t *testing.T) {
	for what, w := range busyWorlds() {
		if len(Decide(w.s).Steps) == 0 {
			t.Errorf("%s: no step is due without a restore, so the case proves nothing", what)
		}
		for _, stage := range allStages {
			w.s.Wanted.Restore = Restore{Name: "undo", Stage: stage, Message: "c-placement-center-1"}
			p := Decide(w.s)
			if !w.s.Wanted.Restore.HasMembers() {
				if waits(p, v1alpha1.ReasonRestoring) {
					t.Errorf("%s, %s: %+v", what, stage, p.Waits)
				}
				continue
			}
			if len(p.Steps) != 0 || p.AskSegments || len(p.Waits) != 1 || p.Waits[0].Reason != v1alpha1.ReasonRestoring || p.Waits[0].Trouble || p.Waits[0].Background {
				t.Errorf("%s, %s: %+v", what, stage, p)
				continue
			}
			for _, word := range []string{"undo", string(stage), "c-placement-center-1"} {
				if !strings.Contains(p.Waits[0].Message, word) {
					t.Errorf("%s, %s: %q does not say %s", what, stage, p.Waits[0].Message, word)
				}
			}
		}
	}
}

func TestARestoreHasTheMembersFromTheirStoppingUntilTheyAreVerifiedOrGoneBack(t *testing.T) {
	has := []v1alpha1.RestoreStage{v1alpha1.RestoreStopping, v1alpha1.RestoreTransferring, v1alpha1.RestoreOpening, v1alpha1.RestoreVerifying, v1alpha1.RestoreAborting}
	ended := []v1alpha1.RestoreStage{v1alpha1.RestoreComplete, v1alpha1.RestoreFailed, v1alpha1.RestoreAborted}
	for _, stage := range append(allStages, "") {
		r := Restore{Name: "undo", Stage: stage}
		if want := slices.Contains(has, stage); r.HasMembers() != want {
			t.Errorf("%q has the members: %t", stage, !want)
		}
		if want := stage != "" && !slices.Contains(ended, stage); r.UnderWay() != want {
			t.Errorf("%q is under way: %t", stage, !want)
		}
	}
}
