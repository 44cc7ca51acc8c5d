package topology

import (
	"strings"
	"testing"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// joining is a cluster of one that serves, and whose second member lost its volume while it joined: the membership of metadata_0 was being changed.
func joining() *world {
	w := newWorld(2, 0).founded().form(1, 1).lasting()
	for name, g := range w.member(1).Agent.Groups {
		g.Vote = 1
		w.member(1).Agent.Groups[name] = g
	}
	w.group(1, "metadata_0", func(g *Group) {
		g.Changing, g.Voters, g.Configs, g.Members, g.Leads, g.Claims = true, nil, [][]uint64{{1}, {1, 2}}, []uint64{1, 2}, false, true
	})
	return w
}

func TestTheFounderIsTheSourceWhenTheSecondMemberLosesItsVolumeWithinItsJoin(t *testing.T) {
	for what, change := range map[string]func(w *world){
		"it was being let in": func(*world) {},
		"it was let in to one group, and not to the others": func(w *world) {
			w.group(1, "metadata_0", func(g *Group) { g.Changing, g.Voters, g.Configs = false, []uint64{1, 2}, nil })
		},
		"its marker is left": func(w *world) {
			w.member(2).Agent.GateReason, w.member(2).Agent.Marker = GateDataLost, &Marker{ClusterUID: uid, NodeID: 2, Generation: 1, Origin: OriginJoined}
		},
	} {
		w := joining()
		change(w)
		if !sees(w.s, SymptomMajorityLost) {
			t.Errorf("%s: it is not timed", what)
		}
		w.s.Seen[Symptom{Kind: SymptomMajorityLost}] = 2 * time.Minute
		if p := expect(t, w, v1alpha1.ReasonMajorityLost); len(p.Steps) > 0 {
			t.Errorf("%s: before it has lasted", what)
		}
		p := expect(t, w.lasting(), v1alpha1.ReasonMajorityLost, "Seed "+pc1)
		if len(p.Steps) == 1 && (p.Steps[0].Via != pc0 || !p.Steps[0].Changing || len(p.Steps[0].Terms) > 0) {
			t.Errorf("%s: %+v", what, p.Steps[0])
		}
	}
	w := joining()
	a := w.member(2).Agent
	a.GateReason, a.Seed = GatePlacing, &Seed{ID: "s", Phase: SeedPlaced, Donor: 1}
	expect(t, w, v1alpha1.ReasonMajorityLost, "OpenSeed "+pc1)
	// It follows the survivor, which leads again, and its join is finished as ever.
	w.start(2, OriginSeeded).Agent.Seed = &Seed{ID: "s", Phase: SeedOpen, Donor: 1}
	for name, g := range w.member(1).Agent.Groups {
		w.member(2).Agent.Groups[name] = Group{Running: true, Configs: g.Configs, Changing: g.Changing, Voters: g.Voters, Members: g.Members, Leader: 1, Term: 1, LastLog: 30, LastApplied: 30}
	}
	expect(t, w, v1alpha1.ReasonQuorumLost)
	w.group(1, "metadata_0", func(g *Group) { g.Leads = true })
	w.seen(SymptomHalfJoined, 2, 30*time.Second)
	if p := expect(t, w, "", "Join "+pc1); len(p.Steps) == 1 && p.Steps[0].Via != pc0 {
		t.Errorf("%+v", p.Steps[0])
	}
}

func TestASurvivorThatVotedForTheLostMemberGivesItNoVoteOfItsOwn(t *testing.T) {
	w := joining()
	w.group(1, "metadata_0", func(g *Group) { g.Vote, g.Term = 2, 7 })
	if p := expect(t, w, v1alpha1.ReasonMajorityLost, "Seed "+pc1); len(p.Steps) == 1 && (len(p.Steps[0].Terms) != 1 || p.Steps[0].Terms["metadata_0"] != 8) {
		t.Errorf("%+v", p.Steps[0])
	}
}

// What was acknowledged may be on the volume that is lost, or where nobody looked.
func TestWhileAMembershipChangesNobodyIsASourceWithoutWhomSomethingMayHaveBeenAcknowledged(t *testing.T) {
	three := func(w *world) { // of a cluster of three that shrinks to two, or of one that grows at once to three
		w.s.Members = append(w.s.Members, freshPod(v1alpha1.RolePlacementCenter, "c-placement-center-", 2, 1))
	}
	const refused = "no member that is left was needed for everything"
	for what, c := range map[string]struct {
		change func(w *world)
		says   string // told of a loss for which there is no source; empty: no loss at all
	}{
		"the last membership has three voters": {func(w *world) {
			three(w)
			w.group(1, "metadata_0", func(g *Group) { g.Configs, g.Members = [][]uint64{{1}, {1, 2, 3}}, []uint64{1, 2, 3} })
		}, refused},
		"the first membership had three voters": {func(w *world) {
			three(w)
			w.group(1, "metadata_0", func(g *Group) { g.Configs, g.Members = [][]uint64{{1, 2, 3}, {1, 2}}, []uint64{1, 2, 3} })
		}, refused},
		"a group has three voters": {func(w *world) {
			three(w)
			w.group(1, "data_0", func(g *Group) { g.Voters, g.Members, g.Leads = []uint64{1, 2, 3}, []uint64{1, 2, 3}, false })
		}, refused},
		"it is the newcomer that is left": {func(w *world) {
			w.group(1, "metadata_0", func(g *Group) { g.Configs = [][]uint64{{2}, {1, 2}} })
		}, refused},
		"who is left runs a cluster of its own": {func(w *world) { w.member(1).Agent.Marker.Origin = OriginJoined }, ""},
		"who is left is faulty itself":          {func(w *world) { w.member(1).Agent.EmptySnapshot = []string{"data_0"} }, "is faulty itself"},
		"its agent does not answer":             {func(w *world) { w.member(2).Agent = nil }, ""},
		"its pod is being replaced":             {func(w *world) { w.member(2).State = PodTerminating }, ""},
		"its volume is somebody's": {func(w *world) {
			w.member(2).Agent = &Agent{VolumeInitialised: true, GateReason: GateForeign, Server: ServerStopped}
		}, ""},
		"a quorum leads the group": {func(w *world) { w.group(1, "metadata_0", func(g *Group) { g.Leads = true }) }, ""},
		"the server does not say one group": {func(w *world) {
			delete(w.member(1).Agent.Groups, "data_0")
		}, ""},
		"nobody ever founded it": {func(w *world) { w.s.Wanted.Founded = false }, ""},
	} {
		w := joining()
		c.change(w)
		p := Decide(w.s)
		for _, s := range p.Steps {
			if s.Kind == StepSeed {
				t.Errorf("%s: %+v", what, s)
			}
		}
		told := ""
		for _, x := range p.Waits {
			if x.Reason == v1alpha1.ReasonMajorityLost {
				told += x.Message
			}
		}
		if (c.says == "") != (told == "") || !strings.Contains(told, c.says) {
			t.Errorf("%s: %q, want %q", what, told, c.says)
		}
	}
}

func TestTheWordOfEverybodyWhoIsLeftCountsWhileMembershipsDiffer(t *testing.T) {
	w := leaderless(3).lose(2).lasting()
	w.group(3, "data_0", func(g *Group) { g.Configs, g.Changing, g.Voters = [][]uint64{{1, 2, 3}, {1, 2, 3, 4}}, true, nil })
	w.s.Members = append(w.s.Members, freshPod(v1alpha1.RolePlacementCenter, "c-placement-center-", 3, 1))
	for _, group := range w.s.Wanted.Groups {
		w.group(1, group, func(g *Group) { g.Voters, g.Members = []uint64{1, 2}, []uint64{1, 2} })
	}
	if p := expect(t, w, v1alpha1.ReasonMajorityLost); len(p.Steps) > 0 {
		t.Errorf("%+v", p.Steps)
	}
}

// A member that had left and was started again believes that it belongs, and stays wanted while a voter is missing: that voter must not wait for it.
func TestAMemberThatLeftAndIsCountedByNobodyKeepsNoVoterFromBeingMended(t *testing.T) {
	w := newWorld(4, 0).founded().form(1, 1, 2, 3)
	w.lose(3)
	m := w.start(4, OriginSeeded)
	m.Agent.Marker.Member = true
	for _, group := range w.s.Wanted.Groups {
		w.group(4, group, func(g *Group) { g.Voters, g.Members = []uint64{1, 2, 3, 4}, []uint64{1, 2, 3, 4} })
	}
	w.seen(SymptomHalfJoined, 4, time.Hour)
	expect(t, w, v1alpha1.ReasonHalfJoined, "Seed "+pc2)
	for _, id := range []uint64{1, 2} { // one that a group counts comes first
		w.group(id, "data_0", func(g *Group) { g.Voters, g.Members = []uint64{1, 2, 3, 4}, []uint64{1, 2, 3, 4} })
	}
	expect(t, w, v1alpha1.ReasonHalfJoined)
}
