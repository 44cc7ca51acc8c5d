package topology

import (
	"strings"
	"testing"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

func lacksACopy() []Segment {
	s := segment("orders", 1, 2)
	s.ISR = []uint64{1}
	return []Segment{s}
}

func TestAStepOfALeavingIsTakenOnlyWhen(t *testing.T) {
	for what, c := range map[string]struct {
		members, wanted int32
		change          func(w *world)
		reason          string
		want            []string
	}{
		"its pod is on its way out":       {5, 3, func(w *world) { w.member(5).State = PodTerminating }, v1alpha1.ReasonWaitingForPods, nil},
		"nobody ever founded":             {5, 3, func(w *world) { w.s.Wanted.Founded = false }, "", []string{"MarkFounded "}},
		"four of five go, down to three":  {4, 1, func(*world) {}, "", []string{"Drain " + pc3, "Unregister " + pc3}},
		"two shall stay of three":         {3, 2, func(*world) {}, "", []string{"Drain " + pc2, "Unregister " + pc2}},
		"one shall stay of three":         {3, 1, func(*world) {}, v1alpha1.ReasonScaleInPending, nil},
		"it was stopped for that already": {3, 1, func(w *world) { w.stopped(3).unregistered(3) }, "", []string{"Leave " + pc2}},
		"it is stopped, and copies elsewhere lack": {5, 3, func(w *world) {
			w.stopped(5).unregistered(5)
			w.s.Drain.Segments = lacksACopy()
		}, v1alpha1.ReasonReplicating, nil},
		"it is half out already, whatever copies lack": {5, 3, func(w *world) {
			w.stopped(5).unregistered(5).left(5, 1)
			w.s.Drain.Segments = lacksACopy()
		}, "", []string{"Leave " + pc4}},
		"it votes in some groups, and does not answer": {5, 3, func(w *world) { w.left(5, 1); w.member(5).Agent = nil }, v1alpha1.ReasonScaleInPending, nil},
		"it votes in some groups, and two others are down": {5, 3, func(w *world) {
			w.left(5, 1)
			for _, id := range []uint64{3, 4} {
				w.member(id).Agent.Server, w.member(id).Agent.Groups = ServerExited, nil
			}
		}, v1alpha1.ReasonScaleInPending, nil},
		"leaders are apart, and it is stopped by its agent, not by us": {5, 3, func(w *world) {
			w.stopped(5).unregistered(5).member(5).Agent.GateReason = GateForeign
			leadersApart(w, "data_0", 2)
		}, v1alpha1.ReasonLeadersApart, nil},
		"two voters are down beside it, which is stopped": {5, 3, func(w *world) {
			w.stopped(5).unregistered(5)
			w.member(4).Agent.Server, w.member(4).Agent.Groups = ServerExited, nil
		}, v1alpha1.ReasonLeaving, nil},
	} {
		t.Run(what, func(t *testing.T) {
			w := shrinking(c.members, c.wanted)
			c.change(w)
			expect(t, w, c.reason, c.want...)
		})
	}
}

func TestWithoutDecommissionNobodyIsGone(t *testing.T) {
	w := shrinking(5, 3).stopped(5).unregistered(5).left(5, 3).wiped(5)
	if got := sizeOf(w); got != 4 {
		t.Fatalf("%d pods", got)
	}
	w.s.Wanted.Decommission = false
	if got := sizeOf(w); got != 5 {
		t.Errorf("%d pods", got)
	}
}

func TestWhoIsOutsideIsSaidByEveryVoterInOneMembership(t *testing.T) {
	out := func() *world { return shrinking(5, 3).stopped(5).unregistered(5).left(5, 3) }
	for what, c := range map[string]struct {
		change func(w *world)
		want   bool
	}{
		"all say so":               {func(*world) {}, true},
		"nobody leads a group":     {func(w *world) { leadersApart(w, "data_0", 99) }, false},
		"a voter does not answer":  {func(w *world) { w.member(2).Agent = nil }, false},
		"a voter has no pod":       {func(w *world) { w.s.Members = append(w.s.Members[:1:1], w.s.Members[2:]...) }, false},
		"a voter still changes it": {func(w *world) { setGroup(w, 2, "data_0", func(g *Group) { g.Changing = true }) }, false},
		"a voter has it still":     {func(w *world) { setGroup(w, 2, "data_0", func(g *Group) { g.Members = []uint64{1, 2, 3, 4, 5} }) }, false},
		"the leader changes it": {func(w *world) {
			setGroup(w, 1, "data_0", func(g *Group) { g.Voters, g.Changing = nil, true })
		}, false},
	} {
		w := out()
		c.change(w)
		if got := assess(w.s).outside(5); got != c.want {
			t.Errorf("%s: %t", what, got)
		}
	}
}

func TestWhoIsTakenOutIsNotWantedAndDownOrCountedByNobody(t *testing.T) {
	w := shrinking(5, 3)
	if h := assess(w.left(5, 3).s); !h.TakenOut(*w.member(5)) || h.TakenOut(*w.member(4)) {
		t.Error("the last runs, and is out; the one before it is a voter")
	}
	w = shrinking(5, 3)
	w.stopped(4) // a voter
	w.stopped(2) // wanted
	w.s.Wanted.Replicas[v1alpha1.RoleMQTTBroker] = 1
	w.stopped(1002)
	h := assess(w.s)
	for id, want := range map[uint64]bool{1: false, 2: false, 3: false, 4: true, 5: false, 1002: false} {
		if got := h.TakenOut(*w.member(id)); got != want {
			t.Errorf("node %d: %t", id, got)
		}
	}
	going := w.member(4)
	going.Agent.Server = ServerRunning // its gate is shut, and it is not gone yet
	if h.TakenOut(*going) {
		t.Error("it still runs")
	}
	going.Agent = nil
	if h.TakenOut(*going) {
		t.Error("nobody knows")
	}
}

func TestASetReachesEveryVoterOfThePlacementCentreAndNoOther(t *testing.T) {
	w := newWorld(3, 0).founded().form(1, 1, 2, 3)
	for _, c := range []struct {
		voters []uint64
		want   int32
	}{{[]uint64{1}, 1}, {[]uint64{1, 2, 3}, 3}, {[]uint64{1, 7}, 7}, {[]uint64{1, 1001}, 1}, {[]uint64{1, 1000}, 1000}, {[]uint64{0, 2}, 2}} {
		setGroup(w, 1, "offset_0", func(g *Group) { g.Voters = c.voters })
		w.s.Wanted.Groups = []string{"offset_0"}
		if got := assess(w.s).reach(); got != c.want {
			t.Errorf("%v: %d", c.voters, got)
		}
	}
}

func TestTheHeirIsAnotherThatIsWantedAndWhole(t *testing.T) {
	for what, c := range map[string]struct {
		change func(w *world)
		want   uint64
	}{
		"the first":                        {func(*world) {}, 1},
		"not who leaves":                   {func(w *world) { w.s.Wanted.Replicas[v1alpha1.RolePlacementCenter] = 5 }, 1},
		"who leads most":                   {func(w *world) { w.leads(3) }, 3},
		"of equals the first":              {func(w *world) { w.leads(2); leadersApart(w, "data_0", 3); leadersApart(w, "offset_0", 4) }, 2},
		"not who leads most and goes":      {func(w *world) { w.leads(4) }, 1},
		"not who is no voter everywhere":   {func(w *world) { w.leads(2); setGroup(w, 1, "data_0", func(g *Group) { g.Running = false }) }, 2},
		"nobody, where none that stays is": {func(w *world) { w.leads(4); w.left(1, 3).left(2, 3).left(3, 3) }, 0},
	} {
		w := shrinking(5, 3)
		c.change(w)
		leaves := *w.member(5)
		heir, ok := heirOf(w.s, assess(w.s), leaves)
		if heir.NodeID != c.want || ok != (c.want != 0) {
			t.Errorf("%s: %d %t, want %d", what, heir.NodeID, ok, c.want)
		}
		if again, _ := heirOf(w.s, assess(w.s), heir); ok && again.NodeID == heir.NodeID {
			t.Errorf("%s: it is its own heir", what)
		}
	}
}

func TestNothingOfALeavingIsBegunBesideAnotherStep(t *testing.T) {
	w := shrinking(5, 3)
	p := &Plan{Steps: []Step{{Kind: StepMarkFounded}}}
	if goOn := beginLeaving(w.s, assess(w.s), *w.member(5), p); !goOn || len(p.Steps) != 1 {
		t.Errorf("%+v", p.Steps)
	}
}

func TestABrokersNextStepDependsOn(t *testing.T) {
	far := time.Hour
	stranded := func(w *world) { w.seen(SymptomStranded, 1007, far) }
	shut := func(w *world, gate string) *Agent {
		a := w.stoppedFor(1007, time.Minute).member(1007).Agent
		a.GateReason, a.GateMessage = gate, "the words of its gate"
		return a
	}
	ours := &Marker{ClusterUID: uid, NodeID: 1007, Generation: 1}
	for what, c := range map[string]struct {
		change  func(w *world)
		reason  string
		trouble string
		want    []string
	}{
		"nobody says who is registered": {func(w *world) {
			for id := uint64(1); id <= 3; id++ {
				w.member(id).Agent.Registry = nil
			}
		}, v1alpha1.ReasonQuorumLost, "", nil},
		"its pod ends": {func(w *world) { w.member(1007).State = PodTerminating }, v1alpha1.ReasonWaitingForPods, "", nil},
		"clients are elsewhere, but another is down": {func(w *world) { w.quiesced(1007).member(1002).Agent.Server = ServerExited }, v1alpha1.ReasonScaleInPending, "", nil},
		"its clients' time is just over": {func(w *world) {
			w.quiesced(1007).member(1007).Ready = true
			w.seen(SymptomQuiescing, 1007, w.s.Limits.Quiesce)
		}, v1alpha1.ReasonDraining, "", nil},
		"its port is shut, so no clients are led to it": {func(w *world) { w.member(1007).Agent.MQTTOpen = false }, "", "", []string{"Drain " + b6, "Unregister " + b6}},
		"unregistered in the last moment":               {func(w *world) { w.stoppedFor(1007, w.s.Limits.Unregister) }, "", "", []string{"Unregister " + b6}},
		"too late by a hair":                            {func(w *world) { w.stoppedFor(1007, w.s.Limits.Unregister+1) }, v1alpha1.ReasonDraining, "", nil},
		"stopped, and segments were not looked at": {func(w *world) {
			w.stoppedFor(1007, far).unlisted(1007)
			w.s.Drain = Drain{Problem: "7 of 9"}
		}, v1alpha1.ReasonDraining, "", nil},
		"stranded just now": {func(w *world) {
			w.stoppedFor(1007, far).unlisted(1007).seen(SymptomStranded, 1007, w.s.Limits.Stranded)
		}, v1alpha1.ReasonDraining, "", nil},

		"its gate is shut, and it is registered": {func(w *world) {
			shut(w, GateForeign)
			w.register()
			w.member(1).Agent.Registry = append(w.member(1).Agent.Registry, 1007)
		}, v1alpha1.ReasonScaleInPending, "", nil},
		"its gate is shut, and segments were not looked at": {func(w *world) {
			shut(w, GateForeign)
			w.unlisted(1007)
			w.s.Drain = Drain{Problem: "7 of 9"}
		}, v1alpha1.ReasonScaleInPending, "", nil},
		"its gate is shut, nothing names it, and the volume is ours": {func(w *world) {
			shut(w, GateDataLost).Marker = ours
			w.unlisted(1007)
			w.s.Drain.Segments = nil
		}, "", "", []string{"Wipe " + b6}},
		"the same, and copies elsewhere lack": {func(w *world) {
			shut(w, GateDataLost).Marker = ours
			w.unlisted(1007)
			w.s.Drain.Segments = lacksACopy()
		}, v1alpha1.ReasonReplicating, "", nil},
		"its gate is shut, and the only copy is behind it": {func(w *world) {
			shut(w, GateForeign)
			w.unlisted(1007)
			w.s.Drain.Segments = []Segment{segment("single", 1007)}
		}, v1alpha1.ReasonNotDrainable, "single", nil},
		"its gate is shut, and others have the copies": {func(w *world) { shut(w, GateForeign); w.unlisted(1007); stranded(w) }, v1alpha1.ReasonScaleInPending, "mend it", nil},
		"its volume is empty, just now": {func(w *world) {
			w.unlisted(1007).empty(1007).seen(SymptomStranded, 1007, w.s.Limits.Stranded)
		}, v1alpha1.ReasonDraining, "", nil},

		"it crashes, for as long as a start may take": {func(w *world) {
			w.member(1007).Agent.Server = ServerExited
			w.seen(SymptomStarting, 1007, w.s.Limits.NodeStart)
		}, v1alpha1.ReasonStartingNode, "", nil},
		"it crashes, and is registered": {func(w *world) {
			w.member(1007).Agent.Server = ServerExited
			w.s.Drain.Segments = nil
			w.seen(SymptomStarting, 1007, far)
		}, v1alpha1.ReasonScaleInPending, "mend it", nil},
		"it crashes, and segments were not looked at": {func(w *world) {
			w.unlisted(1007).member(1007).Agent.Server = ServerExited
			w.s.Drain = Drain{}
			w.seen(SymptomStarting, 1007, far)
		}, v1alpha1.ReasonScaleInPending, "mend it", nil},
		"it runs, and nobody lists it": {func(w *world) { w.unlisted(1007).seen(SymptomStarting, 1007, far) }, v1alpha1.ReasonScaleInPending, "mend it", nil},

		"its agent is mum, and it is registered": {func(w *world) { w.member(1007).Agent = nil }, v1alpha1.ReasonScaleInPending, "", nil},
		"its agent is mum, and segments were not looked at": {func(w *world) {
			w.unlisted(1007).member(1007).Agent = nil
			w.s.Drain = Drain{}
		}, v1alpha1.ReasonScaleInPending, "", nil},
		"its agent is mum, and its pod runs": {func(w *world) {
			w.unlisted(1007).member(1007).Agent = nil
			w.s.Drain.Segments = nil
		}, v1alpha1.ReasonScaleInPending, "does not answer", nil},
		"its agent is mum, and its pod does not run": {func(w *world) {
			m := w.unlisted(1007).member(1007)
			m.Agent, m.State = nil, PodPending
		}, v1alpha1.ReasonScaleInPending, "segments name it", nil},
		"nothing names its pod, which does not run, but somebody lists it": {func(w *world) {
			m := w.unlisted(1007).member(1007)
			m.Agent, m.State = nil, PodPending
			w.s.Drain.Segments = nil
			w.member(1001).Agent.Nodes = append(w.member(1001).Agent.Nodes, 1007)
		}, v1alpha1.ReasonScaleInPending, "", nil},
	} {
		t.Run(what, func(t *testing.T) {
			w := sevenBrokers()
			c.change(w)
			p := expect(t, w, c.reason, c.want...)
			if c.trouble != "" {
				says(t, p, true, b6, c.trouble)
				return
			}
			for _, x := range p.Waits {
				if x.Trouble && x.Reason == c.reason && strings.Contains(x.Message, b6) && c.reason != v1alpha1.ReasonScaleInPending {
					t.Errorf("a trouble: %+v", x)
				}
			}
		})
	}
}

func TestABrokerThatIsWantedAgainWaitsUntilItIsKnownWhatBecameOfItsMessages(t *testing.T) {
	held := func() *world {
		w := sevenBrokers().stoppedFor(1007, time.Second).unlisted(1007)
		w.s.Wanted.Replicas[v1alpha1.RoleMQTTBroker] = 7
		return w
	}
	w := held()
	w.s.Drain = Drain{Problem: "7 of 9"}
	says(t, expect(t, w, v1alpha1.ReasonStartingNode), false, "7 of 9")
	w = held()
	w.seen(SymptomStranded, 1007, w.s.Limits.Stranded)
	expect(t, w, v1alpha1.ReasonStartingNode)
	w = held()
	w.member(1007).Agent.Marker = nil // somebody emptied it
	expect(t, w, "", "Start "+b6)
}

func TestOneWhomNothingNamesIsNotStrandedHoweverLongItOnceWas(t *testing.T) {
	w := sevenBrokers().stoppedFor(1007, time.Hour).unlisted(1007).seen(SymptomStranded, 1007, time.Hour)
	w.member(1007).Agent.Marker = &Marker{ClusterUID: uid, NodeID: 1007, Generation: 1}
	w.s.Drain.Segments = nil
	expect(t, w, "", "Wipe "+b6)
	w.s.Wanted.Replicas[v1alpha1.RoleMQTTBroker] = 7
	expect(t, w, "", "Wipe "+b6)
}

func TestAPodThatNothingNamesAndSomebodyListsLeavesSoon(t *testing.T) {
	w := sevenBrokers()
	m := w.unlisted(1007).member(1007)
	m.Agent, m.State = nil, PodPending
	w.s.Drain.Segments = nil
	w.member(1001).Agent.Nodes = append(w.member(1001).Agent.Nodes, 1007)
	says(t, expect(t, w, v1alpha1.ReasonScaleInPending), false, b6+" leaves soon", "still lists it")
}

func TestASetKeepsWhatIsWantedAndMayBecomeEmpty(t *testing.T) {
	w := newWorld(3, 2).founded().form(1, 1, 2, 3).brokersUp(1001)
	w.s.Wanted.Decommission, w.s.Drain.Complete = true, true
	w.s.Present = map[v1alpha1.Role]int32{v1alpha1.RolePlacementCenter: 3, v1alpha1.RoleMQTTBroker: 2, v1alpha1.RoleJournalServer: 1}
	w.s.Wanted.Replicas[v1alpha1.RoleJournalServer] = 0
	w.s.Members = append(w.s.Members, freshPod(v1alpha1.RoleJournalServer, "c-journal-server-", 0, 2001))
	sizes := Sizes(w.s, assess(w.s))
	if sizes[v1alpha1.RoleMQTTBroker] != 2 || sizes[v1alpha1.RoleJournalServer] != 0 {
		t.Errorf("%v: a pod that never started is wanted, the journal server is not", sizes)
	}
}

func TestAMemberThatAnyMemberCountsIsNotOutside(t *testing.T) {
	w := shrinking(5, 3).stopped(5).unregistered(5).left(5, 3).left(4, 3)
	if !assess(w.s).outside(5) {
		t.Fatal("nobody counts it")
	}
	setGroup(w, 4, "data_0", func(g *Group) { g.Members = []uint64{1, 2, 3, 5} })
	if assess(w.s).outside(5) {
		t.Error("one that is no voter any more counts it")
	}
}

func TestWhoLeavesIsStoppedForTheTransferWhereItLeads(t *testing.T) {
	for what, c := range map[string]struct {
		change func(w *world)
		via    string
	}{
		"it leads all":     {func(w *world) { w.leads(5) }, pc4},
		"it leads one":     {func(w *world) { leadersApart(w, "data_0", 5) }, pc4},
		"it leads nothing": {func(w *world) { leadersApart(w, "data_0", 2) }, ""},
	} {
		w := shrinking(5, 3)
		c.change(w)
		if p := Decide(w.s); len(p.Steps) != 1 || p.Steps[0].Kind != StepTransfer || p.Steps[0].Via != c.via {
			t.Errorf("%s: %+v", what, p.Steps)
		}
	}
}

func TestAnEmptyMemberThatNothingNamesWaitsForItsRegistrationToExpire(t *testing.T) {
	expect(t, shrinking(5, 3).wiped(5).left(5, 3), v1alpha1.ReasonScaleInPending)
}
