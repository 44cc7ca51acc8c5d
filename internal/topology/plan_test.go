package topology

import (
	"slices"
	"strings"
	"testing"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

func expect(t *testing.T, w *world, reason string, want ...string) Plan {
	t.Helper()
	p := Decide(w.s)
	if got := steps(p); !slices.Equal(got, want) {
		t.Errorf("steps %q, want %q; waits %+v", got, want, p.Waits)
	}
	if reason != "" && !waits(p, reason) {
		t.Errorf("nothing waits with reason %s: %+v", reason, p.Waits)
	}
	return p
}

const pc0, pc1, pc2 = "c-placement-center-0", "c-placement-center-1", "c-placement-center-2"

func TestMemberZeroFoundsWhenEveryVolumeWasSeenEmpty(t *testing.T) {
	expect(t, newWorld(3, 2), "", "Found "+pc0)
}

func TestNothingIsFoundedWhileOneVolumeHasNotBeenSeen(t *testing.T) {
	w := newWorld(3, 2)
	w.member(3).Agent = nil
	expect(t, w, v1alpha1.ReasonFounding)
}

func TestNothingIsFoundedBesideAVolumeThatHoldsData(t *testing.T) {
	w := newWorld(3, 2)
	w.member(2).Agent.VolumeEmpty, w.member(2).Agent.VolumeInitialised, w.member(2).Agent.GateReason = false, true, GateForeign
	expect(t, w, v1alpha1.ReasonForeignVolume)
}

func TestARecordOfAFoundingForbidsAnother(t *testing.T) {
	w := newWorld(3, 2).founded()
	expect(t, w, v1alpha1.ReasonDataLost)
}

func TestOneMarkedVolumeClaimForbidsFounding(t *testing.T) {
	// The controller folds status and claims into Founded; a claim mark alone suffices.
	w := newWorld(3, 0)
	w.s.Wanted.Founded = true
	w.member(1).ClaimFounded = true
	p := Decide(w.s)
	if slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Kind == StepFound }) {
		t.Fatalf("founded again: %+v", p.Steps)
	}
}

func TestAVolumeOfThisClusterBringsTheRecordBackBeforeAnythingElse(t *testing.T) {
	w := newWorld(3, 2)
	w.start(2, OriginJoined)
	expect(t, w, "", "MarkFounded ")
}

func TestTheFounderIsRecordedOnceItLeadsEveryGroup(t *testing.T) {
	w := newWorld(3, 2)
	w.start(1, OriginFounded)
	expect(t, w, v1alpha1.ReasonFounding)
	w.form(1, 1)
	expect(t, w, "", "MarkFounded ")
}

func TestAFounderThatFoundedOnlySomeGroupsBeginsAgainBeforeAnybodyJoins(t *testing.T) {
	w := newWorld(3, 2)
	w.start(1, OriginFounded)
	w.seen(SymptomHalfFounded, 1, time.Minute)
	expect(t, w, "", "Stop "+pc0)
	a := w.member(1).Agent
	a.Server, a.GateOpen, a.GateReason = ServerStopped, false, GateHeld
	expect(t, w, "", "Wipe "+pc0)
	a.VolumeEmpty, a.VolumeInitialised, a.Marker = true, false, nil
	expect(t, w, "", "Start "+pc0)
}

func TestMembersJoinOneAtATimeLowestFirst(t *testing.T) {
	w := newWorld(3, 2).founded().form(1, 1)
	expect(t, w, "", "OrderJoin "+pc1)
	w.start(2, OriginJoined)
	expect(t, w, v1alpha1.ReasonJoiningMember)
	w.form(1, 1, 2)
	expect(t, w, "", "OrderJoin "+pc2)
}

func TestNobodyIsStartedBesideTheOnlyVoterBeforeItsStartHasComeToItsEnd(t *testing.T) {
	for _, test := range []struct {
		name             string
		members, brokers int32
		step             string
	}{{"a member", 3, 2, "OrderJoin " + pc1}, {"a broker", 1, 1, "OrderJoin c-mqtt-broker-0"}} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(test.members, test.brokers).founded().form(1, 1)
			founder := w.member(1).Agent
			founder.Founding, founder.StartedFor = true, 20*time.Second
			expect(t, w, v1alpha1.ReasonFounding)
			founder.StartedFor = 21 * time.Second // its users cannot be listed, say
			expect(t, w, "", test.step)
			founder.Founding, founder.StartedFor = false, time.Second
			expect(t, w, "", test.step)
		})
	}
	// It is whole again as soon as another votes.
	w := newWorld(3, 2).founded().form(1, 1, 2)
	w.member(1).Agent.Founding = true
	expect(t, w, "", "OrderJoin "+pc2)
}

func TestNobodyJoinsWhileTheLeadersAreApart(t *testing.T) {
	w := newWorld(3, 0).founded().form(1, 1, 2)
	leadersApart(w, "data_0", 2)
	expect(t, w, v1alpha1.ReasonLeadersApart)
}

func leadersApart(w *world, group string, to uint64) {
	for _, m := range w.s.of(v1alpha1.RolePlacementCenter) {
		if g, ok := m.Agent.Groups[group]; ok {
			g.Leads, g.Leader = m.NodeID == to, to
			m.Agent.Groups[group] = g
		}
	}
}

func TestWhileFormingTheMemberThatLeadsOnlySomeGroupsIsHeldUntilTheyAreLedElsewhere(t *testing.T) {
	w := newWorld(5, 2).founded().form(1, 1, 2, 3)
	leadersApart(w, "data_0", 2)
	w.s.TransferFailedAgo = time.Second // or whatever keeps leadership from being moved
	expect(t, w, v1alpha1.ReasonLeadersApart)
	w.s.Seen[Symptom{Kind: SymptomLeadersApart}] = 20 * time.Second
	expect(t, w, v1alpha1.ReasonLeadersApart, "Stop "+pc1)
	a := w.member(2).Agent
	a.Server, a.GateOpen, a.GateReason, a.Groups = ServerStopped, false, GateHeld, nil
	for _, id := range []uint64{1, 3} {
		w.group(id, "data_0", func(g *Group) { g.Leads, g.Leader = false, 0 })
	}
	w.seen(SymptomHeld, 2, 90*time.Second)
	expect(t, w, v1alpha1.ReasonLeadersApart)
	w.seen(SymptomHeld, 2, 2*time.Minute)
	expect(t, w, "", "Start "+pc1)
}

func TestWhileFormingNobodyIsHeldWhomTheQuorumCannotSpare(t *testing.T) {
	for members := uint64(2); members <= 3; members++ {
		w := newWorld(5, 0).founded().form(1, []uint64{1, 2, 3}[:members]...)
		leadersApart(w, "data_0", 2)
		w.s.Seen[Symptom{Kind: SymptomLeadersApart}] = time.Hour
		if members == 2 {
			w.s.TransferFailedAgo = time.Second
		} else {
			w.member(3).Agent.Server, w.member(3).Agent.Groups = ServerHung, nil
		}
		if p := Decide(w.s); slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Kind == StepStop }) {
			t.Errorf("of %d: %+v", members, p.Steps)
		}
	}
}

func TestTheMemberThatLeadsMostGroupsIsTheOneThatStays(t *testing.T) {
	w := newWorld(3, 0).founded().form(1, 1, 2)
	leadersApart(w, "data_0", 2)
	leadersApart(w, "offset_0", 2)
	w.s.Seen[Symptom{Kind: SymptomLeadersApart}] = 20 * time.Second
	expect(t, w, v1alpha1.ReasonLeadersApart, "Transfer "+pc1)
	w = newWorld(5, 0).founded().form(1, 1, 2, 3)
	leadersApart(w, "data_0", 2)
	leadersApart(w, "offset_0", 2)
	w.s.Seen[Symptom{Kind: SymptomLeadersApart}] = 20 * time.Second
	w.s.TransferFailedAgo = time.Second
	expect(t, w, v1alpha1.ReasonLeadersApart, "Stop "+pc0)
}

func TestOnceBrokersServeNobodyIsStoppedToBringLeadersTogether(t *testing.T) {
	w := newWorld(5, 1).founded().form(1, 1, 2, 3).brokersUp(1001)
	leadersApart(w, "data_0", 2)
	w.s.Seen[Symptom{Kind: SymptomLeadersApart}] = time.Hour
	w.s.TransferFailedAgo = time.Second
	expect(t, w, v1alpha1.ReasonLeadersApart)
}

func TestANewcomerIsSeededOnceTheLogWasPurged(t *testing.T) {
	w := newWorld(3, 0).founded().form(1, 1, 2)
	for _, id := range []uint64{1, 2} {
		g := w.member(id).Agent.Groups["metadata_0"]
		g.Purged, g.LastLog = 930, 1951
		w.member(id).Agent.Groups["metadata_0"] = g
	}
	p := expect(t, w, "", "Seed "+pc2)
	if s := p.Steps[0]; s.Via != pc1 || !s.Planned {
		t.Errorf("%+v", s)
	}
}

func TestNobodyJoinsWhileAVoterIsDown(t *testing.T) {
	w := newWorld(5, 0).founded().form(1, 1, 2, 3)
	w.member(3).Agent = nil
	w.member(3).AgentError = "no route"
	expect(t, w, v1alpha1.ReasonMembersMissing)
}

// TestNobodyJoinsWhileAVoterLags: seed 61595 of test/planner. A voter that came back a moment ago answers and follows, and could not stand in for another yet.
func TestNobodyJoinsWhileAVoterLags(t *testing.T) {
	w := newWorld(5, 0).founded().form(1, 1, 2, 3)
	last := w.member(1).Agent.Groups["metadata_0"].LastApplied
	setGroup(w, 1, "metadata_0", func(g *Group) { g.LastApplied, g.LastLog = last+w.s.Limits.Lag+1, last+w.s.Limits.Lag+1 })
	setGroup(w, 2, "metadata_0", func(g *Group) { g.LastApplied, g.LastLog = last+w.s.Limits.Lag, last+w.s.Limits.Lag })
	p := expect(t, w, v1alpha1.ReasonMembersMissing)
	if len(p.Waits) == 0 || !strings.Contains(p.Waits[0].Message, "behind its leader: node 3") {
		t.Errorf("%+v", p.Waits)
	}
	setGroup(w, 3, "metadata_0", func(g *Group) { g.LastApplied, g.LastLog = last+w.s.Limits.Lag, last+w.s.Limits.Lag })
	expect(t, w, "", "OrderJoin c-placement-center-3")
}

func TestAWipedVoterIsSeededFromAFollowerAndNeverStartedEmpty(t *testing.T) {
	w := newWorld(3, 0).founded().form(1, 1, 2, 3)
	w.wipe(2)
	p := expect(t, w, "", "Seed "+pc1)
	if s := p.Steps[0]; s.Via != pc2 || s.Planned {
		t.Errorf("%+v", s)
	}
}

func TestAHalfJoinIsFinishedThroughTheLeaderOfAllGroups(t *testing.T) {
	w := newWorld(3, 0).founded().form(1, 1, 2)
	w.start(3, OriginJoined)
	for _, id := range []uint64{1, 2, 3} {
		g := w.member(id).Agent.Groups["metadata_0"]
		g.Running, g.Voters, g.Members, g.Leader = true, []uint64{1, 2, 3}, []uint64{1, 2, 3}, 1
		w.member(id).Agent.Groups["metadata_0"] = g
	}
	expect(t, w, v1alpha1.ReasonJoiningMember)
	w.seen(SymptomHalfJoined, 3, 30*time.Second)
	p := expect(t, w, "", "Join "+pc2)
	if p.Steps[0].Via != pc0 || p.Steps[0].NodeID != 3 {
		t.Errorf("the leader of all groups is not asked for node 3: %+v", p.Steps[0])
	}
	w.seen(SymptomHalfJoined, 3, 90*time.Second)
	expect(t, w, "", "Stop "+pc2)
	a := w.member(3).Agent
	a.Server, a.GateOpen, a.GateReason, a.Groups = ServerStopped, false, GateHeld, nil
	p = expect(t, w, "", "Leave "+pc2)
	if p.Steps[0].Via != pc0 {
		t.Errorf("the metadata leader is not asked: %+v", p.Steps[0])
	}
	w.form(1, 1, 2)
	expect(t, w, "", "Wipe "+pc2)
}

func TestASecondClusterIsStoppedAndItsNeverMemberEmptied(t *testing.T) {
	w := newWorld(3, 2).founded().form(1, 1)
	m := w.start(2, OriginJoined)
	for _, g := range w.s.Wanted.Groups {
		m.Agent.Groups[g] = Group{Running: true, Voters: []uint64{2}, Members: []uint64{2}, Leads: true, Leader: 2, Term: 1}
	}
	expect(t, w, v1alpha1.ReasonRogueMember, "Stop "+pc1)
	m.Agent.Server, m.Agent.GateOpen, m.Agent.GateReason, m.Agent.Groups = ServerStopped, false, GateHeld, nil
	expect(t, w, "", "Wipe "+pc1)
}

func TestAHeldMemberWithDataIsNeverEmptiedOnceItWasWhole(t *testing.T) {
	w := newWorld(3, 0).founded().form(1, 1, 2, 3)
	a := w.member(3).Agent
	a.Server, a.GateOpen, a.GateReason, a.Groups = ServerStopped, false, GateHeld, nil
	expect(t, w, "", "Start "+pc2)
	// Even when the others no longer count it: that is for a person, or for scale-in, to say.
	w.form(1, 1, 2)
	if p := Decide(w.s); slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Kind == StepWipe }) {
		t.Fatalf("a whole member's volume is emptied: %+v", p.Steps)
	}
}

func TestBrokersWaitForTheQuorumAndStartOneAtATime(t *testing.T) {
	w := newWorld(3, 2).founded().form(1, 1, 2)
	expect(t, w, "", "OrderJoin "+pc2)
	w.form(1, 1, 2, 3)
	expect(t, w, "", "OrderJoin c-mqtt-broker-0")
	w.start(1001, OriginJoined)
	expect(t, w, v1alpha1.ReasonStartingNode)
	w.brokersUp(1001)
	expect(t, w, "", "OrderJoin c-mqtt-broker-1")
	w.brokersUp(1001, 1002)
	if p := expect(t, w, ""); !p.Settled() {
		t.Errorf("not settled: %+v", p.Waits)
	}
}

func TestABrokerThatDoesNotComeUpHoldsTheOthersBackOnlyForAWhile(t *testing.T) {
	w := newWorld(3, 2).founded().form(1, 1, 2, 3)
	w.start(1001, OriginJoined).Agent.Server = ServerExited
	expect(t, w, v1alpha1.ReasonStartingNode)
	w.seen(SymptomStarting, 1001, 2*time.Minute)
	expect(t, w, v1alpha1.ReasonServerCrashing, "OrderJoin c-mqtt-broker-1")
}

func TestAnEmptyBrokerWaitsUntilItsOldRegistrationHasExpired(t *testing.T) {
	w := newWorld(3, 1).founded().form(1, 1, 2, 3)
	w.member(1).Agent.Registry = []uint64{1, 2, 3, 1001}
	expect(t, w, v1alpha1.ReasonEmptyVolume)
}

func TestANodeThatDoesNotKnowTheOthersIsRestartedAloneAfterAWhile(t *testing.T) {
	w := newWorld(3, 2).founded().form(1, 1, 2, 3).brokersUp(1001, 1002)
	w.member(1001).Agent.Nodes = []uint64{1, 2, 3, 1001}
	expect(t, w, v1alpha1.ReasonRegistryIncomplete)
	w.seen(SymptomListIncomplete, 1001, 20*time.Second)
	expect(t, w, "", "Restart c-mqtt-broker-0")
}

func TestAMemberIsNotRestartedForAListWhileItsQuorumNeedsIt(t *testing.T) {
	w := newWorld(3, 0).founded().form(1, 1, 2, 3)
	w.member(3).Agent = nil
	w.member(2).Agent.Nodes = []uint64{2}
	w.seen(SymptomListIncomplete, 2, time.Hour)
	p := Decide(w.s)
	if len(p.Steps) != 0 {
		t.Fatalf("restarts a member that the quorum needs: %q", steps(p))
	}
}

func TestAPlanNeverHoldsTwoStepsThatChangeTheQuorum(t *testing.T) {
	// Every combination of three members being empty, running alone, joined, held, unreachable; founded or not; symptoms old or young.
	states := []func(w *world, id uint64){
		func(*world, uint64) {},
		func(w *world, id uint64) { w.member(id).Agent = nil },
		func(w *world, id uint64) { w.start(id, OriginJoined) },
		func(w *world, id uint64) { w.start(id, OriginFounded) },
		func(w *world, id uint64) {
			m := w.start(id, OriginJoined)
			for _, g := range w.s.Wanted.Groups {
				m.Agent.Groups[g] = Group{Running: true, Voters: []uint64{id}, Members: []uint64{id}, Leads: true, Leader: id}
			}
		},
		func(w *world, id uint64) {
			a := w.start(id, OriginJoined).Agent
			a.Server, a.GateOpen, a.GateReason, a.Groups = ServerStopped, false, GateHeld, nil
		},
		nil, // part of the formed cluster
	}
	worlds := 0
	n := len(states)
	for i := range n * n * n * 4 {
		w := newWorld(3, 2)
		if i/(n*n*n)&1 != 0 {
			w.founded()
		}
		pick := []int{i % n, i / n % n, i / n / n % n}
		var formed []uint64
		for m, s := range pick {
			if states[s] == nil {
				formed = append(formed, uint64(m+1))
			} else {
				states[s](w, uint64(m+1))
			}
		}
		if len(formed) > 0 {
			w.form(formed[0], formed...)
		}
		if i/(n*n*n)&2 != 0 {
			for _, id := range []uint64{1, 2, 3} {
				for _, kind := range []SymptomKind{SymptomHalfFounded, SymptomHalfJoined, SymptomStarting, SymptomListIncomplete, SymptomUnregistered, SymptomRaftDead} {
					w.seen(kind, id, 80*time.Second)
				}
			}
		}
		worlds++
		p := Decide(w.s)
		changing := 0
		for _, s := range p.Steps {
			switch s.Kind {
			case StepMarkFounded:
			case StepFound:
				changing++
				if w.s.Wanted.Founded {
					t.Fatalf("world %v founded=%v: founds again: %q", pick, w.s.Wanted.Founded, steps(p))
				}
				for id := uint64(1); id <= 3; id++ {
					if a := w.member(id).Agent; a == nil || !a.VolumeEmpty {
						t.Fatalf("world %v: founds beside node %d, whose volume is not known to be empty", pick, id)
					}
				}
			case StepWipe:
				changing++
				if a := w.member(s.NodeID).Agent; a.Marker.Member || a.Server != ServerStopped {
					t.Fatalf("world %v: wipes %s, which was a whole member or runs", pick, s.Pod)
				}
			default:
				changing++
			}
		}
		if changing > 1 {
			t.Fatalf("world %v: more than one change at once: %q", pick, steps(p))
		}
	}
	if worlds < 1000 {
		t.Fatalf("only %d worlds", worlds)
	}
}

func TestAStaticPlacementCentreStartsAllItsMembersTogetherAndNeverAWipedOne(t *testing.T) {
	w := newWorld(3, 0)
	w.s.Wanted.Static, w.s.Wanted.Islands, w.s.Wanted.Groups = true, true, []string{"metadata"}
	expect(t, w, "", "Found "+pc0, "Found "+pc1, "Found "+pc2)
	for _, id := range []uint64{1, 2, 3} {
		w.start(id, OriginFounded)
	}
	w.form(2, 1, 2, 3)
	expect(t, w, "", "MarkFounded ")
	w.founded()
	w.wipe(3)
	w.s.Wanted.NoSeeds = "this version tells too little"
	expect(t, w, v1alpha1.ReasonEmptyVolume)
	w.s.Wanted.NoSeeds = ""
	expect(t, w, "", "Seed "+pc2)
}

func TestIslandsStartWhenThePlacementCentreStands(t *testing.T) {
	w := newWorld(3, 2)
	w.s.Wanted.Static, w.s.Wanted.Islands, w.s.Wanted.Groups = true, true, []string{"metadata"}
	w.founded().form(2, 1, 2, 3)
	expect(t, w, "", "OrderJoin c-mqtt-broker-0", "OrderJoin c-mqtt-broker-1")
	w.brokersUp(1001, 1002)
	// Islands list nobody but themselves.
	w.member(1001).Agent.Nodes, w.member(1002).Agent.Nodes = []uint64{1001}, []uint64{1002}
	if p := expect(t, w, ""); !p.Settled() {
		t.Errorf("not settled: %+v", p.Waits)
	}
}

func TestAVolumeWhoseMarkerSawDataThatIsGoneIsNeverStarted(t *testing.T) {
	w := newWorld(3, 0).founded().form(1, 1, 2, 3)
	a := w.member(2).Agent
	a.VolumeEmpty, a.VolumeInitialised, a.GateOpen, a.GateReason, a.Server, a.Groups = true, false, false, "DataLost", ServerStopped, nil
	expect(t, w, v1alpha1.ReasonEmptyVolume, "Seed "+pc1)
}

func TestAPodThatNeverRanIsMadeAnewWhenItsTemplateWasCorrected(t *testing.T) {
	w := newWorld(3, 0)
	m := w.member(3)
	m.State, m.Agent, m.Reason, m.Message = PodPending, nil, v1alpha1.ReasonImagePullFailed, "image x cannot be pulled"
	expect(t, w, v1alpha1.ReasonImagePullFailed)
	m.TemplateStale = true
	expect(t, w, v1alpha1.ReasonImagePullFailed, "Replace "+pc2)
	// One that runs is left alone: whether its server may go is another question.
	*m = freshPod(v1alpha1.RolePlacementCenter, "c-placement-center-", 2, 1)
	m.TemplateStale = true
	expect(t, w, "", "Found "+pc0)
}

func TestWhatSomebodyHasToMendIsToldFirst(t *testing.T) {
	w := newWorld(3, 0)
	for id := uint64(1); id <= 3; id++ {
		m := w.member(id)
		m.State, m.Agent, m.Reason = PodPending, nil, v1alpha1.ReasonWaitingForPods
	}
	w.member(3).Reason, w.member(3).Message = v1alpha1.ReasonImagePullFailed, "image x cannot be pulled"
	if p := Decide(w.s); p.Waits[0].Reason != v1alpha1.ReasonWaitingForPods {
		t.Errorf("a failure of a moment comes first: %+v", p.Waits[0])
	}
	w.seen(SymptomPodPending, 3, time.Minute)
	if p := Decide(w.s); p.Waits[0].Reason != v1alpha1.ReasonImagePullFailed || !p.Waits[0].Trouble {
		t.Errorf("the failing image does not come first: %+v", p.Waits)
	}
}

func TestALeaderIsHeldUntilEvenAMemberThatSawALongerLogHasStoodForElection(t *testing.T) {
	const lease, timer, longerLog = 20 * time.Second, 20 * time.Second, 40 * time.Second // RobustMQ's raft at its longest
	if hold := DefaultLimits().Hold; hold <= lease+timer+longerLog {
		t.Errorf("a leader is released after %v, before the other of two voters stands for election after %v", hold, lease+timer+longerLog)
	}
}
