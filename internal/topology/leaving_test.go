package topology

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

const pc3, pc4 = "c-placement-center-3", "c-placement-center-4"

// shrinking is a whole cluster of that many members and two brokers, of which so many are wanted; nothing is known to count on anybody.
func shrinking(members, wanted int32) *world {
	w := newWorld(members, 2).founded()
	var ids []uint64
	for o := range members {
		ids = append(ids, uint64(o)+1)
	}
	w.form(1, ids...).brokersUp(1001, 1002)
	w.s.Wanted.Replicas[v1alpha1.RolePlacementCenter] = wanted
	w.s.Wanted.Decommission = true
	w.s.Drain.Complete = true
	w.s.Present = map[v1alpha1.Role]int32{v1alpha1.RolePlacementCenter: members, v1alpha1.RoleMQTTBroker: 2}
	return w
}

// Seed 91293 of test/planner: its copies waited for a voter that had to be restarted, and that one's restart for the quorum that it was missing to.
func TestAMemberThatLeavesComesBackWhereTheQuorumNeedsItForTheRestartOfOneThatIsNotListed(t *testing.T) {
	w := shrinking(3, 1)
	w.s.Wanted.One.Allowed = true
	w.stopped(3).unregistered(3).unregistered(1)
	w.s.Drain.Segments = []Segment{{Topic: "t", Copies: 3, Replicas: []uint64{1, 2, 1001}, ISR: []uint64{2, 1001}, Leader: 2}}
	w.seen(SymptomUnregistered, 1, w.s.Limits.RegistryShort)
	expect(t, w, v1alpha1.ReasonReplicating)
	w.seen(SymptomUnregistered, 1, w.s.Limits.RegistryShort+time.Second)
	expect(t, w, "", "Start c-placement-center-2")
	// With voters enough the other one is restarted, and it stays stopped.
	w = shrinking(5, 3)
	w.stopped(5).unregistered(5).unregistered(2)
	w.s.Drain.Segments = []Segment{{Topic: "t", Copies: 3, Replicas: []uint64{1, 2, 1001}, ISR: []uint64{1, 1001}, Leader: 1}}
	w.seen(SymptomUnregistered, 2, time.Minute)
	expect(t, w, "", "Restart c-placement-center-1")
}

// stopped holds a member's server, as StepDrain does.
func (w *world) stopped(id uint64) *world {
	a := w.member(id).Agent
	a.Server, a.GateOpen, a.GateReason, a.Groups, a.Registry, a.Nodes = ServerStopped, false, GateHeld, nil, nil, nil
	return w
}

// unregistered takes a node out of every list.
func (w *world) unregistered(id uint64) *world {
	for i := range w.s.Members {
		if a := w.s.Members[i].Agent; a != nil {
			out := func(ids []uint64) []uint64 {
				return slices.DeleteFunc(slices.Clone(ids), func(v uint64) bool { return v == id })
			}
			a.Registry, a.Nodes = out(a.Registry), out(a.Nodes)
		}
	}
	return w
}

// left takes a node out of the first n groups, in every member's view but its own.
func (w *world) left(id uint64, n int) *world {
	for i, m := range w.s.Members {
		if m.Agent == nil || m.NodeID == id || len(m.Agent.Groups) == 0 {
			continue
		}
		groups := map[string]Group{}
		for k, name := range w.s.Wanted.Groups {
			g := m.Agent.Groups[name]
			if k < n {
				g.Voters = slices.DeleteFunc(slices.Clone(g.Voters), func(v uint64) bool { return v == id })
				g.Members = g.Voters
			}
			groups[name] = g
		}
		w.s.Members[i].Agent.Groups = groups
	}
	return w
}

func (w *world) wiped(id uint64) *world {
	w.member(id).Agent = &Agent{VolumeEmpty: true, GateReason: GateAwaitsOrder, Server: ServerStopped}
	return w
}

func sizeOf(w *world) int32 {
	return Sizes(w.s, Assess(w.s))[v1alpha1.RolePlacementCenter]
}

func TestAMemberLeavesStepByStepAndOnlyThenTheSetShrinks(t *testing.T) {
	w := shrinking(5, 3)
	for _, stage := range []struct {
		what, reason string
		then         func()
		size         int32
		want         []string
	}{
		{"whole", "", func() {}, 5, []string{"Drain " + pc4, "Unregister " + pc4}},
		{"stopped, registered", "", func() { w.stopped(5) }, 5, []string{"Unregister " + pc4}},
		{"unregistered", "", func() { w.unregistered(5) }, 5, []string{"Leave " + pc4}},
		{"out of one group", "", func() { w.left(5, 1) }, 5, []string{"Leave " + pc4}},
		{"out of all", "", func() { w.left(5, 3) }, 5, []string{"Wipe " + pc4}},
		{"empty", "", func() { w.wiped(5) }, 4, []string{"Drain " + pc3, "Unregister " + pc3}},
		{"its pod is being removed", v1alpha1.ReasonLeaving, func() { w.s.Present[v1alpha1.RolePlacementCenter] = 4 }, 4, nil},
		{"its pod is gone", "", func() { w.s.Members = slices.Delete(w.s.Members, 4, 5) }, 4, []string{"Drain " + pc3, "Unregister " + pc3}},
		{"the next is out, too", "", func() { w.stopped(4).unregistered(4).left(4, 3).wiped(4) }, 3, nil},
	} {
		stage.then()
		t.Run(stage.what, func(t *testing.T) {
			expect(t, w, stage.reason, stage.want...)
			if got := sizeOf(w); got != stage.size {
				t.Errorf("the set has %d pods, want %d", got, stage.size)
			}
		})
	}
}

func TestLeavingIsAskedOfTheMemberThatLeadsEveryGroup(t *testing.T) {
	w := shrinking(5, 3).form(2, 1, 2, 3, 4, 5).brokersUp(1001, 1002).stopped(5).unregistered(5)
	p := Decide(w.s)
	if len(p.Steps) != 1 || p.Steps[0].Kind != StepLeave || p.Steps[0].Via != pc1 || p.Steps[0].NodeID != 5 || !p.Steps[0].Planned {
		t.Errorf("%+v", p.Steps)
	}
}

func TestNobodyBeginsToLeaveWhileAnythingIsAmiss(t *testing.T) {
	for what, c := range map[string]struct {
		change func(w *world)
		reason string
	}{
		"a voter is down":             {func(w *world) { w.member(4).Agent.Server, w.member(4).Agent.Groups = ServerExited, nil }, v1alpha1.ReasonScaleInPending},
		"a voter that stays is down":  {func(w *world) { w.member(2).Agent.Server, w.member(2).Agent.Groups = ServerExited, nil }, v1alpha1.ReasonMembersMissing},
		"a voter is far behind":       {func(w *world) { behind(w, 2, 300) }, v1alpha1.ReasonScaleInPending},
		"another membership changes":  {func(w *world) { changing(w, []uint64{1, 2, 3, 4, 5}, []uint64{1, 2, 3, 5}) }, v1alpha1.ReasonScaleInPending},
		"a broker is not in service":  {func(w *world) { w.member(1002).Agent.MQTTOpen = false }, v1alpha1.ReasonScaleInPending},
		"its agent does not answer":   {func(w *world) { w.member(5).Agent = nil }, ""},
		"segments were not looked at": {func(w *world) { w.s.Drain.Complete = false }, v1alpha1.ReasonScaleInPending},
		"it has the only copy": {func(w *world) {
			w.s.Drain.Segments = []Segment{{Topic: "t", Copies: 1, Replicas: []uint64{5}, ISR: []uint64{5}, Leader: 5, Status: "Write"}}
		}, v1alpha1.ReasonNotDrainable},
		"the version cannot":           {func(w *world) { w.s.Wanted.Decommission = false }, v1alpha1.ReasonScaleInPending},
		"no quorum answers":            {func(w *world) { leadersApart(w, "metadata_0", 99) }, v1alpha1.ReasonQuorumLost},
		"one would be left out of two": {func(w *world) { w.s.Wanted.Replicas[v1alpha1.RolePlacementCenter] = 1; *w = *shrinking(3, 1) }, v1alpha1.ReasonScaleInPending},
	} {
		t.Run(what, func(t *testing.T) {
			w := shrinking(5, 3)
			c.change(w)
			expect(t, w, c.reason)
			if got, want := sizeOf(w), w.s.Present[v1alpha1.RolePlacementCenter]; got != want {
				t.Errorf("the set has %d pods, want %d", got, want)
			}
		})
	}
}

func behind(w *world, id uint64, entries uint64) {
	for i := range w.s.Members {
		m := &w.s.Members[i]
		if m.Agent == nil || m.NodeID == id {
			continue
		}
		for name, g := range m.Agent.Groups {
			g.LastApplied, g.LastLog = g.LastApplied+entries, g.LastLog+entries
			m.Agent.Groups[name] = g
		}
	}
}

// changing puts a joint membership into the last group of every member.
func changing(w *world, configs ...[]uint64) {
	for i := range w.s.Members {
		if a := w.s.Members[i].Agent; a != nil && len(a.Groups) > 0 {
			g := a.Groups["data_0"]
			g.Changing, g.Voters, g.Configs, g.Members = true, nil, configs, []uint64{1, 2, 3, 4, 5}
			a.Groups["data_0"] = g
		}
	}
}

func TestALeavingThatWasInterruptedInTheMiddleOfAGroupIsFinished(t *testing.T) {
	w := shrinking(5, 3).stopped(5).unregistered(5).left(5, 2)
	changing(w, []uint64{1, 2, 3, 4, 5}, []uint64{1, 2, 3, 4})
	expect(t, w, "", "Leave "+pc4)
}

func TestAMemberThatLeftAndRunsAgainIsStoppedBeforeItsVolumeIsEmptied(t *testing.T) {
	w := shrinking(5, 3).left(5, 3)
	expect(t, w, "", "Drain "+pc4, "Unregister "+pc4)
	w.stopped(5).unregistered(5)
	expect(t, w, "", "Wipe "+pc4)
}

func TestAHalfMemberThatIsNoLongerWantedIsStoppedAndTakenOut(t *testing.T) {
	w := shrinking(5, 3).left(5, 1)
	expect(t, w, "", "Stop "+pc4)
	w.stopped(5).unregistered(5)
	expect(t, w, "", "Leave "+pc4)
}

func TestNoVolumeIsEmptiedBeforeEveryVoterSaysThatItsMemberLeft(t *testing.T) {
	w := shrinking(5, 3).stopped(5).unregistered(5).left(5, 3)
	late := w.member(3).Agent
	g := late.Groups["data_0"]
	g.Voters, g.Members = []uint64{1, 2, 3, 4, 5}, []uint64{1, 2, 3, 4, 5}
	late.Groups["data_0"] = g
	expect(t, w, v1alpha1.ReasonLeaving)
	w.member(3).Agent = nil
	expect(t, w, v1alpha1.ReasonLeaving)
}

func TestAMemberIsNotEmptiedWhileASegmentNamesIt(t *testing.T) {
	w := shrinking(5, 3).stopped(5).unregistered(5).left(5, 3)
	w.s.Drain.Segments = []Segment{{Topic: "t", Copies: 2, Replicas: []uint64{1, 5}, ISR: []uint64{1}, Leader: 1, Status: "Write"}}
	expect(t, w, v1alpha1.ReasonDraining)
	if got := sizeOf(w); got != 5 {
		t.Errorf("the set has %d pods", got)
	}
}

// An empty member is never let in for the sake of its segments: it would be voted in again.
func TestAnEmptyMemberThatSegmentsNameIsNotStartedToLeave(t *testing.T) {
	w := shrinking(5, 3).wiped(5).left(5, 3)
	w.s.Drain.Segments = []Segment{{Topic: "t", Copies: 2, Replicas: []uint64{1, 5}, ISR: []uint64{1}, Leader: 1, Status: "Write"}}
	expect(t, w, "", "Unregister "+pc4)
	w.unregistered(5).seen(SymptomStranded, 5, time.Hour)
	expect(t, w, v1alpha1.ReasonNotDrainable)
}

func TestWhoIsWantedAgainInTheMiddleOfItsLeavingLeavesAndJoinsAnew(t *testing.T) {
	w := shrinking(5, 5).stopped(5).unregistered(5).left(5, 2)
	expect(t, w, "", "Leave "+pc4)
	w.left(5, 3)
	expect(t, w, "", "Wipe "+pc4)
	w.wiped(5)
	expect(t, w, "", "OrderJoin "+pc4)

	w = shrinking(5, 5).stopped(5).unregistered(5)
	expect(t, w, "", "Start "+pc4)
}

func TestLeadersThatComeApartInTheMiddleLetTheMemberGoUntilOneLeads(t *testing.T) {
	w := shrinking(5, 3).stopped(5).unregistered(5)
	leadersApart(w, "data_0", 2)
	expect(t, w, "", "Start "+pc4)
	w.left(5, 1)
	expect(t, w, v1alpha1.ReasonLeadersApart)
}

func TestWhoShallLeadInsteadOfAMemberThatLeavesIsNamed(t *testing.T) {
	for what, c := range map[string]struct {
		change func(w *world)
		want   string
	}{
		"it leads":                     {func(w *world) { w.form(5, 1, 2, 3, 4, 5).brokersUp(1001, 1002) }, "leads metadata_0, offset_0, data_0"},
		"the first stays and is whole": {func(w *world) { w.form(5, 1, 2, 3, 4, 5).brokersUp(1001, 1002) }, pc0 + " say"},
		"who leads the most": {func(w *world) {
			leadersApart(w, "metadata_0", 5)
			leadersApart(w, "data_0", 2)
			leadersApart(w, "offset_0", 2)
		}, pc1 + " say"},
		"a voter is behind": {func(w *world) { w.form(5, 1, 2, 3, 4, 5).brokersUp(1001, 1002); behind(w, 3, 300) }, pc0 + " cannot take over: leadership of group metadata_0 is not moved while a voter is not in service; behind its leader: node 3"},
	} {
		w := shrinking(5, 3)
		c.change(w)
		p := Decide(w.s)
		if !waits(p, v1alpha1.ReasonLeadersApart) || !slices.ContainsFunc(p.Waits, func(x Wait) bool { return strings.Contains(x.Message, c.want) }) {
			t.Errorf("%s: %+v, want %q", what, p.Waits, c.want)
		}
	}
}

func TestTheSetKeepsAVoterThatLostItsVolumeUntilItIsOutOfEveryGroup(t *testing.T) {
	w := shrinking(5, 3).wiped(5).unregistered(5)
	expect(t, w, "", "Leave "+pc4)
	for groups, want := range map[int]int32{0: 5, 2: 5, 3: 4} {
		if got := sizeOf(shrinking(5, 3).wiped(5).unregistered(5).left(5, groups)); got != want {
			t.Errorf("out of %d groups: the set has %d pods, want %d", groups, got, want)
		}
	}
}

// Leaders come together only with every voter up, and who leaves needs one that leads every group: an empty voter is filled although it is no longer wanted.
func TestAnEmptyVoterThatIsNoLongerWantedIsFilledWhereNobodyCouldLeaveWithoutIt(t *testing.T) {
	w := shrinking(5, 3).wiped(4)
	leadersApart(w, "data_0", 2)
	p := Decide(w.s)
	if len(p.Steps) != 1 || p.Steps[0].Kind != StepSeed || p.Steps[0].Pod != pc3 {
		t.Fatalf("%+v %+v", p.Steps, p.Waits)
	}
	w.seeding(4, SeedPlaced)
	expect(t, w, "", "OpenSeed "+pc3)
	// It is missing to the leaving of the one above.
	for what, w := range map[string]*world{"begins": shrinking(5, 3).wiped(4), "is stopped": shrinking(5, 3).wiped(4).stopped(5).unregistered(5), "left": shrinking(5, 3).wiped(4).stopped(5).unregistered(5).left(5, 3)} {
		if p := Decide(w.s); len(p.Steps) != 1 || p.Steps[0].Kind != StepSeed || p.Steps[0].Pod != pc3 {
			t.Errorf("the one above %s: %+v %+v", what, p.Steps, p.Waits)
		}
	}
	// So is one that is stopped: it is started.
	expect(t, shrinking(5, 3).stopped(4).unregistered(4).stopped(5).unregistered(5).left(5, 3), "", "Start "+pc3)
	// The highest is taken out as it is.
	expect(t, shrinking(5, 3).wiped(5).unregistered(5), "", "Leave "+pc4)
}

// Nobody counts it any more, and a voter that lost its volume cannot say so: asking once more to take it out would go on for ever, and keep that voter from being filled.
func TestAMemberThatLeftIsNotAskedToLeaveAgainWhileAVoterCannotSay(t *testing.T) {
	w := shrinking(5, 5).stopped(5).unregistered(5).left(5, 3).wiped(2)
	p := Decide(w.s)
	if len(p.Steps) != 1 || p.Steps[0].Kind != StepSeed || p.Steps[0].Pod != pc1 || !waits(p, v1alpha1.ReasonLeaving) {
		t.Errorf("%+v %+v", p.Steps, p.Waits)
	}
}

func TestASetDoesNotShrinkUnderAVolumeThatIsBeingTakenOver(t *testing.T) {
	w := shrinking(5, 3).stopped(5).unregistered(5).left(5, 3)
	w.member(5).Agent.Marker.ClusterUID, w.member(5).Agent.GateReason = "another", GateForeign
	if got := sizeOf(w); got != 4 {
		t.Errorf("the set has %d pods", got)
	}
	w.s.Wanted.Adopt = []string{pc4}
	expect(t, w, "", "Adopt "+pc4)
	if got := sizeOf(w); got != 5 {
		t.Errorf("the set has %d pods while the volume is being taken over", got)
	}
}

func TestAVoterBeyondTheSetIsReachedBeforeItLeaves(t *testing.T) {
	w := shrinking(5, 3)
	w.s.Present = map[v1alpha1.Role]int32{}
	w.s.Members = append(w.s.Members[:3:3], w.s.Members[5:]...)
	if got := sizeOf(w); got != 5 {
		t.Errorf("voters 4 and 5 have no pods, and the set gets %d", got)
	}
}

func TestANewcomerThatNeverJoinedIsTakenBackAtOnce(t *testing.T) {
	w := shrinking(3, 3)
	for o := range int32(2) {
		fresh := freshPod(v1alpha1.RolePlacementCenter, "c-placement-center-", 3+o, 1)
		fresh.ClaimFounded = true
		w.s.Members = slices.Insert(w.s.Members, 3+int(o), fresh)
	}
	w.s.Present[v1alpha1.RolePlacementCenter] = 5
	expect(t, w, "")
	if got := sizeOf(w); got != 3 {
		t.Errorf("the set has %d pods, want 3", got)
	}
}

func TestNoOtherMemberMayBeEvictedWhileOneIsStoppedToLeave(t *testing.T) {
	w := shrinking(5, 3)
	if !Assess(w.s).EveryVoterWhole() {
		t.Error("all are whole")
	}
	w.stopped(5)
	if h := Assess(w.s); h.EveryVoterWhole() || h.QuorumProblem() != "" {
		t.Errorf("whole %v, problem %q: the stopped one is a voter, and none that is missed", h.EveryVoterWhole(), h.QuorumProblem())
	}
	if h := Assess(w.s); !h.TakenOut(*w.member(5)) || h.TakenOut(*w.member(4)) || h.TakenOut(*w.member(3)) {
		t.Error("only the stopped one is on its way out")
	}
	if h := Assess(w.unregistered(5).left(5, 3).s); !h.EveryVoterWhole() {
		t.Error("it is out, and the rest is whole")
	}
}

// Whatever is amiss and however far a leaving is: no plan stops more voters than the quorum can bear, and none empties a voter.
func TestInNoStateOfALeavingAreMoreVotersDownThanTheQuorumCanBear(t *testing.T) {
	worlds := 0
	for down := range 1 << 5 {
		for stage := range 6 {
			for _, wanted := range []int32{3, 5} {
				for leader := uint64(1); leader <= 5; leader++ {
					w := shrinking(5, wanted).form(leader, 1, 2, 3, 4, 5).brokersUp(1001, 1002)
					if stage > 0 {
						w.stopped(5)
					}
					if stage > 1 {
						w.unregistered(5)
					}
					w.left(5, max(0, stage-2))
					for id := uint64(1); id <= 5; id++ {
						if down&(1<<(id-1)) != 0 && (id != 5 || stage == 0) {
							w.member(id).Agent.Server, w.member(id).Agent.Groups = ServerExited, nil
						}
					}
					worlds++
					check(t, w, fmt.Sprintf("down %05b stage %d wanted %d leader %d", down, stage, wanted, leader))
				}
			}
		}
	}
	t.Logf("%d worlds", worlds)
}

func check(t *testing.T, w *world, what string) {
	t.Helper()
	h := Assess(w.s)
	for _, s := range Decide(w.s).Steps {
		for _, g := range h.Groups() {
			up := 0
			for _, v := range g.Voters {
				if slices.Contains(g.InService, v) && v != s.NodeID {
					up++
				}
			}
			voter := slices.Contains(g.Voters, s.NodeID)
			switch s.Kind {
			case StepStop, StepDrain, StepRestart:
				if voter && 2*up <= len(g.Voters) {
					t.Errorf("%s: %s %s leaves %d of %d voters of %s", what, s.Kind, s.Pod, up, len(g.Voters), g.Name)
				}
			case StepWipe:
				if voter || !h.ledAll() {
					t.Errorf("%s: %s empties a voter of %s", what, s.Pod, g.Name)
				}
			case StepLeave:
				if voter && (2*up <= len(g.Voters) || g.Leader == s.NodeID) {
					t.Errorf("%s: %s leaves %s with %d of %d others up", what, s.Pod, g.Name, up, len(g.Voters))
				}
			}
		}
	}
}

// lackingCopies is a cluster of five whose last member is stopped, unregistered and out of every group, while a topic lacks its copies on members that run and that the leader does not list.
func lackingCopies() *world {
	w := shrinking(5, 3).stopped(5).unregistered(5).left(5, 3)
	for _, id := range []uint64{2, 3} {
		for i := range w.s.Members {
			if a := w.s.Members[i].Agent; a != nil {
				a.Registry = slices.DeleteFunc(slices.Clone(a.Registry), func(v uint64) bool { return v == id })
			}
		}
		w.seen(SymptomUnregistered, id, time.Hour)
	}
	w.s.Drain.Segments = []Segment{{Topic: "$retain-message", Copies: 3, Replicas: []uint64{1, 2, 3}, ISR: []uint64{1}, Leader: 1, Status: "Write"}}
	return w
}

func TestWhoLacksItsCopiesIsMendedWhileAStoppedMemberWaitsForThem(t *testing.T) {
	w := lackingCopies()
	expect(t, w, v1alpha1.ReasonReplicating, "Restart "+pc1)
	w.s.Seen[Symptom{SymptomUnregistered, pc1}] = time.Second
	w.member(2).Agent.Server = ServerStarting
	w.seen(SymptomStarting, 2, time.Second)
	expect(t, w, v1alpha1.ReasonReplicating) // one at a time
	w = lackingCopies()
	for _, id := range []uint64{2, 3} { // nothing is amiss but the copies: they are waited for
		delete(w.s.Seen, Symptom{SymptomUnregistered, w.member(id).Pod})
	}
	expect(t, w, v1alpha1.ReasonReplicating)
	w = lackingCopies() // of four voters a second may not be missing
	behind(w, 4, 300)
	expect(t, w, v1alpha1.ReasonReplicating)
	w = lackingCopies() // it is not even known yet whether a segment names the member that leaves
	w.s.Drain.Complete = false
	expect(t, w, v1alpha1.ReasonDraining)
}

func TestANodeWithAnEmptyVolumeIsLetInForItsCopiesWhileAStoppedMemberWaitsForThem(t *testing.T) {
	w := shrinking(5, 3).stopped(5).unregistered(5).left(5, 3).wiped(1002).unregistered(1002)
	w.s.Drain.Segments = []Segment{{Topic: "t", Copies: 2, Replicas: []uint64{1, 1002}, ISR: []uint64{1}, Leader: 1, Status: "Write"}}
	expect(t, w, v1alpha1.ReasonReplicating, "OrderJoin c-mqtt-broker-1")
}
