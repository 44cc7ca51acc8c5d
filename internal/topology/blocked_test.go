package topology

import (
	"testing"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// What the worlds of test/planner found: repairs that waited for one another, and steps that counted on a quorum without asking.

// group changes one group of one member.
func (w *world) group(id uint64, name string, change func(*Group)) *world {
	g := w.member(id).Agent.Groups[name]
	change(&g)
	w.member(id).Agent.Groups[name] = g
	return w
}

// dies stops a raft core, and with it the member's part in its group.
func (w *world) dies(id uint64, name string) *world {
	w.seen(SymptomRaftDead, id, time.Minute)
	return w.group(id, name, func(g *Group) { g.Running, g.Leads, g.Leader = false, false, 0 })
}

func TestACoreThatStoppedIsCuredAlsoWhileItsGroupHasNoLeader(t *testing.T) {
	w := newWorld(3, 1).founded().form(1, 1, 2, 3)
	w.member(3).Agent, w.member(3).AgentError = nil, "no route"
	for _, id := range []uint64{1, 2} {
		w.group(id, "data_0", func(g *Group) { g.Leads, g.Leader = false, 0 })
	}
	expect(t, w.dies(2, "data_0"), "", "Restart "+pc1)
}

func TestACoreThatStoppedIsCuredBeforeANewcomerIsWaitedFor(t *testing.T) {
	w := newWorld(5, 0).founded().form(1, 1, 2, 3)
	leadersApart(w, "offset_0", 2)
	expect(t, w.dies(3, "data_0"), "", "Restart "+pc2)
}

func TestOfTwoMembersWhoseCoresStoppedInDifferentGroupsOneIsRestarted(t *testing.T) {
	w := newWorld(3, 1).founded().form(1, 1, 2, 3).dies(2, "metadata_0").dies(3, "data_0")
	expect(t, w, "", "Restart "+pc1)
	w.member(2).Agent, w.member(2).AgentError = nil, "no route" // and this one comes back by itself
	expect(t, w, v1alpha1.ReasonServerHung)
}

func TestAFaultyMemberIsMendedWhileANewcomerWaitsForIt(t *testing.T) {
	w := newWorld(4, 0).founded().form(1, 1, 2, 3)
	w.member(2).Agent.EmptySnapshot = []string{"metadata_0"}
	expect(t, w, v1alpha1.ReasonFaultyMember, "Stop "+pc1)
	w.s.Faults = Faults(w.s)
	w.hold(2)
	expect(t, w, v1alpha1.ReasonFaultyMember, "Seed "+pc1)
}

func TestAFaultyLeaderHandsTheLeadershipToASoundMember(t *testing.T) {
	w := newWorld(3, 0).founded().form(1, 1, 2, 3)
	w.member(1).Agent.EmptySnapshot = []string{"metadata_0"}
	w.s.Faults = Faults(w.s)
	p := expect(t, w, v1alpha1.ReasonFaultyMember, "Transfer "+pc1)
	if p.Steps[0].Via != pc0 {
		t.Errorf("%+v: who is to be mended goes on leading", p.Steps[0])
	}
	w.s.TransferFailedAgo = time.Second
	expect(t, w, v1alpha1.ReasonFaultyMember)
}

func TestNobodyWhoLacksDataIsMadeTheLeader(t *testing.T) {
	w := newWorld(3, 0).founded().form(1, 1, 2, 3)
	w.member(2).Agent.EmptySnapshot = []string{"data_0"}
	for _, m := range heirs(w.s, assess(w.s), 1) {
		if m.NodeID == 2 {
			t.Errorf("%s may lead although it took a snapshot without entries", m.Pod)
		}
	}
	w = newWorld(3, 0).founded().form(1, 1, 2, 3)
	w.s.Faults = []Fault{{NodeID: 3, Kind: FaultKeysDiffer}}
	if got := heirs(w.s, assess(w.s), 1); len(got) != 1 || got[0].NodeID != 2 {
		t.Errorf("%+v", got)
	}
}

func TestNoLeaderIsHeldToBringTheLeadersTogetherWhileTheQuorumNeedsIt(t *testing.T) {
	w := newWorld(4, 0).founded().form(1, 1, 2, 3)
	leadersApart(w, "data_0", 2)
	w.s.Seen[Symptom{Kind: SymptomLeadersApart}] = time.Minute
	w.s.TransferFailedAgo = time.Second
	expect(t, w, v1alpha1.ReasonLeadersApart, "Stop "+pc1)
	w.member(3).Agent, w.member(3).AgentError = nil, "no route"
	expect(t, w, v1alpha1.ReasonLeadersApart)
}

func TestAHalfJoinIsNotRolledBackWhileTheQuorumNeedsItsVote(t *testing.T) {
	w := newWorld(4, 0).founded().form(1, 1, 2, 3)
	w.start(4, OriginJoined)
	for _, id := range []uint64{1, 2, 3, 4} {
		w.group(id, "metadata_0", func(g *Group) {
			*g = Group{Running: true, Voters: []uint64{1, 2, 3, 4}, Members: []uint64{1, 2, 3, 4}, Leader: 1, Leads: id == 1, Term: 1, LastLog: 30, LastApplied: 30}
		})
	}
	w.seen(SymptomHalfJoined, 4, 2*time.Minute)
	expect(t, w, "", "Stop c-placement-center-3")
	w.member(3).Agent, w.member(3).AgentError = nil, "no route"
	expect(t, w, v1alpha1.ReasonHalfJoined)
}

func TestAHalfMemberThatLostItsVolumeIsTakenOutSinceNoImageFitsIt(t *testing.T) {
	w := newWorld(4, 0).founded().form(1, 1, 2, 3)
	for _, id := range []uint64{1, 2, 3} {
		w.group(id, "metadata_0", func(g *Group) { g.Voters, g.Members = []uint64{1, 2, 3, 4}, []uint64{1, 2, 3, 4} })
	}
	p := expect(t, w, "", "Leave c-placement-center-3")
	if p.Steps[0].Via != pc0 {
		t.Errorf("%+v", p.Steps[0])
	}
	leadersApart(w, "data_0", 3)
	expect(t, w, v1alpha1.ReasonHalfJoined)
}

// Seed 120884 of test/planner: the whole member that had lost its volume too was looked at first, found no donor while the memberships differed, and kept the half member waiting for ever.
func TestAHalfMemberWithoutItsVolumeIsTakenOutBeforeAWholeOneIsSeeded(t *testing.T) {
	w := newWorld(5, 0).founded().form(2, 1, 2, 3, 4)
	all, older := []uint64{1, 2, 3, 4, 5}, []uint64{1, 2, 3, 4}
	for _, id := range []uint64{2, 3, 4} {
		w.group(id, "metadata_0", func(g *Group) { g.Voters, g.Members = all, all })
		w.group(id, "offset_0", func(g *Group) { g.Voters, g.Members, g.Changing, g.Configs = nil, all, true, [][]uint64{older, all} })
	}
	w.wipe(1)
	if p := expect(t, w, "", "Leave c-placement-center-4"); len(p.Steps) == 1 && p.Steps[0].Via != pc1 {
		t.Errorf("%+v", p.Steps[0])
	}
	w.form(2, 2, 3, 4)
	for _, id := range []uint64{2, 3, 4} {
		for _, name := range w.s.Wanted.Groups {
			w.group(id, name, func(g *Group) { g.Voters, g.Members = older, older })
		}
	}
	expect(t, w, "", "Seed "+pc0)
}

// Seed 60025 of test/planner: the newcomer waited for the voter to be whole, and nobody's image fitted the voter while the newcomer was half in.
func TestASeededNewcomerThatIsHalfInIsTakenOutAgainWhenAVoterHasToBeSeeded(t *testing.T) {
	w := newWorld(5, 0).founded().form(1, 1, 2, 3, 5)
	all, older := []uint64{1, 2, 3, 4, 5}, []uint64{1, 2, 3, 5}
	w.opened(4)
	for _, id := range []uint64{1, 3, 4, 5} {
		for _, name := range []string{"metadata_0", "offset_0"} {
			w.group(id, name, func(g *Group) { g.Voters, g.Members, g.Leader = all, all, 1 })
		}
		w.group(id, "data_0", func(g *Group) {
			g.Voters, g.Members, g.Changing, g.Configs, g.Leader = nil, all, true, [][]uint64{older, all}, 1
		})
	}
	w.wipe(2)
	w.seen(SymptomHalfJoined, 4, time.Minute)
	expect(t, w, v1alpha1.ReasonJoiningMember)
	w.seen(SymptomHalfJoined, 4, time.Minute+time.Second)
	if p := expect(t, w, "", "Stop c-placement-center-3"); len(p.Steps) == 1 && p.Steps[0].Cures != SymptomHalfJoined {
		t.Errorf("%+v", p.Steps[0])
	}
	// Where the quorum needs it, or no one leads all groups, it stays.
	w.member(3).Agent, w.member(3).AgentError = nil, "no route"
	expect(t, w, v1alpha1.ReasonJoiningMember)
}

func TestAStaleLeaderIsSeenAlsoWhileTheMembershipChanges(t *testing.T) {
	w := newWorld(3, 0).founded().form(0, 1, 2, 3)
	w.group(1, "metadata_0", func(g *Group) {
		g.Claims, g.Changing, g.Voters, g.Configs = true, true, nil, [][]uint64{{1, 2}, {1, 2, 3}}
	})
	if !staleLeader(w.s, assess(w.s), *w.member(1)) {
		t.Error("it is not seen")
	}
	w.member(2).Agent.Server = ServerStopped
	if staleLeader(w.s, assess(w.s), *w.member(1)) {
		t.Error("without node 2 one of the two configurations has no quorum: nobody could be elected")
	}
}

func TestAHalfMemberThatLedIsHeldUntilAnotherLeads(t *testing.T) {
	w := newWorld(4, 0).founded().form(1, 1, 2, 3)
	w.start(4, OriginJoined)
	for _, id := range []uint64{1, 2, 3} {
		w.group(id, "metadata_0", func(g *Group) {
			g.Voters, g.Members, g.Leads, g.Leader = []uint64{1, 2, 3, 4}, []uint64{1, 2, 3, 4}, false, 0
		})
	}
	w.hold(4)
	w.seen(SymptomHeld, 4, 20*time.Second)
	expect(t, w, v1alpha1.ReasonLeadersApart)
	w.seen(SymptomHeld, 4, 2*time.Minute)
	expect(t, w, "", "Start c-placement-center-3")
}

func TestAHalfMemberIsNotAskedOutOfTheWrongLeaderForEver(t *testing.T) {
	w := newWorld(4, 0).founded().form(1, 1, 2, 3)
	w.start(4, OriginJoined)
	for _, id := range []uint64{1, 2, 3} {
		w.group(id, "data_0", func(g *Group) {
			g.Voters, g.Members = []uint64{1, 2, 3, 4}, []uint64{1, 2, 3, 4}
		})
	}
	w.hold(4)
	expect(t, w, "", "Leave c-placement-center-3")
	leadersApart(w, "data_0", 2)
	expect(t, w, v1alpha1.ReasonHalfJoined)
}

func TestAFaultyHalfMemberIsRolledBackAndNotSeeded(t *testing.T) {
	w := newWorld(4, 0).founded().form(1, 1, 2, 3)
	m := w.start(4, OriginJoined)
	m.Agent.EmptySnapshot = []string{"metadata_0"}
	for _, id := range []uint64{1, 2, 3} {
		w.group(id, "metadata_0", func(g *Group) {
			g.Voters, g.Members = []uint64{1, 2, 3, 4}, []uint64{1, 2, 3, 4}
		})
	}
	w.s.Faults = Faults(w.s)
	w.hold(4)
	expect(t, w, "", "Leave c-placement-center-3")
}

func TestANodeThatIsEmptyAlreadyDoesNotKeepAnotherFromLeaving(t *testing.T) {
	w := newWorld(5, 0).founded().form(1, 1, 2, 3, 5)
	w.s.Wanted.Decommission, w.s.Wanted.VolumesGo, w.s.Drain = true, true, Drain{Complete: true}
	w.s.Wanted.Replicas[v1alpha1.RolePlacementCenter] = 3
	w.s.Present = map[v1alpha1.Role]int32{v1alpha1.RolePlacementCenter: 5}
	expect(t, w, "", "Drain c-placement-center-4", "Unregister c-placement-center-4")
}
