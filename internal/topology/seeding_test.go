package topology

import (
	"strings"
	"testing"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// wipe empties a member's volume: its pod is new, and waits at its gate.
func (w *world) wipe(id uint64) *Member {
	m := w.member(id)
	old := *m
	*m = freshPod(old.Role, strings.TrimSuffix(old.Pod, old.Pod[strings.LastIndexByte(old.Pod, '-')+1:]), old.Ordinal, old.NodeID-uint64(old.Ordinal))
	m.ClaimFounded = old.ClaimFounded
	return m
}

// seeding puts a seed into the agent of a member with an empty volume.
func (w *world) seeding(id uint64, phase SeedPhase) *Seed {
	a := w.member(id).Agent
	a.GateReason = GatePlacing
	a.Seed = &Seed{ID: "seed-1", Phase: phase, Donor: 3, Applied: map[string]uint64{"metadata_0": 30, "offset_0": 30, "data_0": 30}}
	if phase == SeedFailed {
		a.GateReason, a.Seed.Reason, a.Seed.Message = GateAwaitsOrder, "DonorLost", "the donor gave nothing"
	}
	return a.Seed
}

// opened starts a member on what it was seeded with.
func (w *world) opened(id uint64, voters ...uint64) *Member {
	m := w.start(id, OriginSeeded)
	m.Agent.Seed = &Seed{ID: "seed-1", Phase: SeedOpen, Donor: 3}
	for _, g := range w.s.Wanted.Groups {
		m.Agent.Groups[g] = Group{Running: true, Voters: voters, Members: voters, Leader: 1, Term: 1, LastLog: 30, LastApplied: 30}
	}
	w.register()
	return m
}

// purged makes the leaders' logs begin at an entry.
func (w *world) purged(to uint64) *world {
	for _, m := range w.s.of(v1alpha1.RolePlacementCenter) {
		for name, g := range m.Agent.Groups {
			if g.Leads {
				g.Purged = to
				m.Agent.Groups[name] = g
			}
		}
	}
	return w
}

func group(m *Member, name string, change func(*Group)) {
	g := m.Agent.Groups[name]
	change(&g)
	m.Agent.Groups[name] = g
}

func TestADonorIsALiveFollowerNearestToTheLeadersWhoseVoteNamesSomebodyElse(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world)
		want   string // pod, or a part of the reason
	}{
		"the first follower":             {func(*world) {}, pc1},
		"not one that is behind":         {func(w *world) { group(w.member(2), "data_0", func(g *Group) { g.LastApplied = 29 }) }, pc2},
		"not one whose agent is silent":  {func(w *world) { w.member(2).Agent = nil }, pc2},
		"not one whose server is down":   {func(w *world) { w.member(2).Agent.Server = ServerExited }, pc2},
		"not one that is being ended":    {func(w *world) { w.member(2).Agent.Terminating = true }, pc2},
		"not one that is cut off":        {func(w *world) { w.member(2).Agent.Fenced = true }, pc2},
		"not one with an image":          {func(w *world) { w.member(2).Agent.Streaming = true }, pc2},
		"not one that was just seeded":   {func(w *world) { w.member(2).Agent.Seed = &Seed{Phase: SeedOpen} }, pc2},
		"not one with a hole in it":      {func(w *world) { w.member(2).Agent.EmptySnapshot = []string{"metadata_0"} }, pc2},
		"not one that is known as wrong": {func(w *world) { w.s.Faults = []Fault{{NodeID: 2}} }, pc2},
		"not one that votes for it":      {func(w *world) { group(w.member(2), "offset_0", func(g *Group) { g.Vote = 5 }) }, pc2},
		"not one that follows it":        {func(w *world) { group(w.member(2), "offset_0", func(g *Group) { g.Leader = 5 }) }, pc2},
		"not one that failed before": {func(w *world) {
			w.s.SeedTries = map[string]SeedTries{"c-placement-center-4": {Failed: 1, Donors: map[uint64]int{2: 1}}}
		}, pc2},
		"the leader only if it must": {func(w *world) {
			for _, id := range []uint64{2, 3, 4} {
				w.member(id).Agent.Server = ServerExited
			}
		}, pc0},
		"nobody": {func(w *world) {
			for _, id := range []uint64{1, 2, 3, 4} {
				w.member(id).Agent.Streaming = true
			}
		}, "being taken or read"},
		"nobody whole": {func(w *world) {
			for _, id := range []uint64{1, 2, 3, 4} {
				w.member(id).Agent = nil
			}
		}, "no other member"},
	} {
		w := newWorld(5, 0).founded().form(1, 1, 2, 3, 4, 5)
		w.wipe(5)
		c.change(w)
		found, why := donor(w.s, assess(w.s), *w.member(5))
		if found.Pod != c.want && (why == "" || !strings.Contains(why, c.want)) {
			t.Errorf("%s: %q, %q, want %q", name, found.Pod, why, c.want)
		}
	}
}

func TestASeedIsBroughtToItsEndStepByStep(t *testing.T) {
	w := newWorld(3, 0).founded().form(1, 1, 2, 3)
	w.wipe(2)
	expect(t, w, "", "Seed "+pc1)
	for _, phase := range []SeedPhase{SeedImaging, SeedReceiving, SeedPlacing} {
		w.seeding(2, phase)
		p := expect(t, w, v1alpha1.ReasonSeeding)
		for _, wait := range p.Waits {
			if wait.Trouble {
				t.Errorf("%s: %+v", phase, wait)
			}
		}
	}
	w.seeding(2, SeedPlaced)
	expect(t, w, "", "OpenSeed "+pc1)
	m := w.opened(2, 1, 2, 3)
	m.Agent.Server, m.Agent.Groups = ServerStarting, nil
	expect(t, w, v1alpha1.ReasonSeeding)
	m = w.opened(2, 1, 2, 3)
	group(w.member(1), "data_0", func(g *Group) { g.LastApplied = 1000 })
	expect(t, w, v1alpha1.ReasonSeeding)
	if h := assess(w.s); h.InService(*m) {
		t.Error("it counts as in service before it is proven whole")
	}
	group(w.member(1), "data_0", func(g *Group) { g.LastApplied = 31 })
	expect(t, w, "", "DiscardSeed "+pc1)
	m.Agent.Seed = nil
	if p := expect(t, w, ""); !p.Settled() || !assess(w.s).InService(*m) {
		t.Errorf("not settled: %+v", p.Waits)
	}
}

func TestAFailedSeedIsRemovedAndTriedAgainAfterAPauseThatGrows(t *testing.T) {
	w := newWorld(3, 0).founded().form(1, 1, 2, 3)
	w.wipe(2)
	w.seeding(2, SeedFailed)
	expect(t, w, "", "AbandonSeed "+pc1)
	w.member(2).Agent.Seed = nil
	for failed, pause := range map[int]time.Duration{1: 10 * time.Second, 2: 20 * time.Second, 5: 160 * time.Second, 6: 5 * time.Minute, 60: 5 * time.Minute} {
		w.s.SeedTries = map[string]SeedTries{pc1: {Failed: failed, Ago: pause - time.Second, Why: "the donor went away"}}
		p := expect(t, w, v1alpha1.ReasonSeedFailed)
		if wait := p.Waits[0]; wait.Trouble != (failed > 2) || !strings.Contains(wait.Message, "the donor went away") {
			t.Errorf("after %d: %+v", failed, wait)
		}
		w.s.SeedTries[pc1] = SeedTries{Failed: failed, Ago: pause}
		expect(t, w, "", "Seed "+pc1)
	}
}

func TestAnImageThatTheLeaderHasOvertakenIsNotStartedOn(t *testing.T) {
	w := newWorld(3, 0).founded().form(1, 1, 2, 3)
	w.wipe(2)
	w.seeding(2, SeedPlaced)
	w.purged(30)
	expect(t, w, "", "OpenSeed "+pc1)
	w.purged(31)
	expect(t, w, "", "AbandonSeed "+pc1)
}

func TestASeedThatStandsStillIsGivenUpWhereThatIsSafe(t *testing.T) {
	w := newWorld(3, 0).founded().form(1, 1, 2, 3)
	w.wipe(2)
	for phase, want := range map[SeedPhase]string{SeedImaging: "AbandonSeed " + pc1, SeedReceiving: "", SeedPlacing: ""} {
		w.seeding(2, phase)
		w.s.Seen = map[Symptom]time.Duration{{SymptomSeedStalled, pc1 + " seed-1 " + string(phase)}: time.Hour}
		if want == "" {
			expect(t, w, v1alpha1.ReasonSeeding)
			continue
		}
		expect(t, w, "", want)
	}
	found := false
	for _, s := range Symptoms(w.s) {
		found = found || s.Kind == SymptomSeedStalled
	}
	if !found {
		t.Error("nobody measures how long a seed takes")
	}
}

func TestOneMemberIsSeededAtATime(t *testing.T) {
	w := newWorld(5, 0).founded().form(1, 1, 2, 3, 4, 5)
	w.wipe(4)
	w.wipe(5)
	expect(t, w, "", "Seed c-placement-center-3")
	w.seeding(4, SeedReceiving)
	expect(t, w, v1alpha1.ReasonEmptyVolume)
	w.opened(4, 1, 2, 3, 4, 5)
	expect(t, w, "", "DiscardSeed c-placement-center-3")
	w.member(4).Agent.Seed = nil
	expect(t, w, "", "Seed c-placement-center-4")
}

func TestATotalLossIsNeverAnsweredBySeeding(t *testing.T) {
	w := newWorld(3, 0).founded().form(1, 1, 2, 3)
	for _, id := range []uint64{1, 2, 3} {
		w.wipe(id)
	}
	expect(t, w, v1alpha1.ReasonDataLost)
}

func TestNobodyIsSeededWithoutAQuorumThatSaysWhatIsTrue(t *testing.T) {
	w := newWorld(3, 0).founded().form(1, 1, 2, 3)
	w.wipe(2)
	w.wipe(3)
	for _, g := range w.s.Wanted.Groups {
		group(w.member(1), g, func(g *Group) { g.Leads = false })
	}
	expect(t, w, v1alpha1.ReasonMajorityLost)
}

func TestANewcomerIsSeededStartedAndJoinedThroughTheLeader(t *testing.T) {
	w := newWorld(4, 0).founded().form(1, 1, 2, 3).purged(20)
	pc3 := w.member(4).Pod
	expect(t, w, "", "Seed "+pc3)
	w.seeding(4, SeedPlaced)
	expect(t, w, "", "OpenSeed "+pc3)
	m := w.opened(4, 1, 2, 3) // it is no member, and knows the membership of the image
	for _, g := range w.s.Wanted.Groups {
		group(m, g, func(g *Group) { g.Leader = 0 })
	}
	m.Agent.Server = ServerStarting
	expect(t, w, v1alpha1.ReasonJoiningMember)
	m.Agent.Server = ServerRunning
	told := m.Agent.Groups
	m.Agent.Groups = nil
	expect(t, w, v1alpha1.ReasonJoiningMember) // not late: it has said nothing yet
	w.seen(SymptomHalfJoined, 4, 2*time.Minute)
	expect(t, w, "", "Restart "+pc3)
	w.s.Seen = map[Symptom]time.Duration{}
	m.Agent.Groups = told
	p := expect(t, w, "", "Join "+pc3)
	if s := p.Steps[0]; s.Via != pc0 || !s.Planned {
		t.Errorf("%+v", s)
	}
	leadersApart(w, "data_0", 2)
	expect(t, w, v1alpha1.ReasonLeadersApart)
	leadersApart(w, "data_0", 1)
	w.member(3).Agent.Server = ServerExited
	expect(t, w, v1alpha1.ReasonJoiningMember)
	w.member(3).Agent.Server = ServerRunning
	// Half way in: it is left alone for a while, and then asked for again.
	for _, id := range []uint64{1, 2, 3, 4} {
		group(w.member(id), "metadata_0", func(g *Group) { g.Voters, g.Members = []uint64{1, 2, 3, 4}, []uint64{1, 2, 3, 4} })
	}
	group(m, "metadata_0", func(g *Group) { g.Leader = 1 })
	expect(t, w, v1alpha1.ReasonJoiningMember)
	w.seen(SymptomHalfJoined, 4, time.Minute)
	expect(t, w, "", "Join "+pc3)
	w.form(1, 1, 2, 3, 4)
	expect(t, w, "", "DiscardSeed "+pc3)
}

func TestANewcomerThatTheLeaderHasOvertakenIsEmptiedAndSeededOnceMore(t *testing.T) {
	for name, spoil := range map[string]func(w *world, m *Member){
		"purged":         func(w *world, _ *Member) { w.purged(31) },
		"empty snapshot": func(_ *world, m *Member) { m.Agent.EmptySnapshot = []string{"metadata_0"} },
	} {
		w := newWorld(4, 0).founded().form(1, 1, 2, 3).purged(20)
		m := w.opened(4, 1, 2, 3)
		spoil(w, m)
		pc3 := m.Pod
		expect(t, w, "", "Stop "+pc3)
		m.Agent.Server, m.Agent.GateOpen, m.Agent.GateReason, m.Agent.Groups = ServerStopped, false, GateHeld, nil
		expect(t, w, "", "Wipe "+pc3)
		if name == "purged" {
			w.wipe(4)
			expect(t, w, "", "Seed "+pc3)
		}
	}
}

func TestALostVolumeOfANodeThatNobodyCountsIsCleared(t *testing.T) {
	w := newWorld(4, 0).founded().form(1, 1, 2, 3)
	m := w.wipe(4)
	m.Agent.GateReason, m.Agent.Marker = GateDataLost, &Marker{ClusterUID: uid, NodeID: 4, Generation: 1, Origin: OriginJoined}
	expect(t, w, v1alpha1.ReasonEmptyVolume, "Wipe "+m.Pod)
}

func TestAVoterThatWasSeededAndGotAnEmptySnapshotIsLeftToTheCureOfFaults(t *testing.T) {
	w := newWorld(3, 0).founded().form(1, 1, 2, 3)
	m := w.opened(2, 1, 2, 3)
	m.Agent.EmptySnapshot = []string{"metadata_0"}
	expect(t, w, "", "AbandonSeed "+pc1)
}
