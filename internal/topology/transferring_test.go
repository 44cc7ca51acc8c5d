package topology

import (
	"slices"
	"strings"
	"testing"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// leads makes a member the leader of every group.
func (w *world) leads(id uint64) {
	for _, m := range w.s.Members {
		if m.Agent == nil {
			continue
		}
		for name, g := range m.Agent.Groups {
			g.Leads, g.Leader = m.NodeID == id, id
			m.Agent.Groups[name] = g
		}
	}
}

// moving is a whole cluster of three members led by the first, in which the second shall lead.
func moving() *world {
	w := newWorld(3, 1).founded().form(1, 1, 2, 3).brokersUp(1001)
	w.s.Wanted.LeadOn = pc1
	return w
}

func TestLeadershipMovesWhereTheUserSays(t *testing.T) {
	w := moving()
	expect(t, w, "", "Transfer "+pc1)
	w.leads(2)
	expect(t, w, "")
	w.s.Wanted.LeadOn = "nobody"
	expect(t, w, "")
}

func TestLeadershipIsNotMovedWhileAnythingIsAmiss(t *testing.T) {
	for what, change := range map[string]func(w *world){
		"a voter is down":                  func(w *world) { w.member(3).Agent.Server, w.member(3).Agent.Groups = ServerExited, nil },
		"a voter's agent does not answer":  func(w *world) { w.member(3).Agent = nil },
		"a voter lags":                     func(w *world) { behind(w, 3, 300) },
		"the target lags":                  func(w *world) { behind(w, 2, 300) },
		"a pod is being ended":             func(w *world) { w.member(3).Agent.Terminating = true },
		"the leader could not start again": func(w *world) { w.member(1).Agent.ConfigFault = "no such port" },
		"the target could not start":       func(w *world) { w.member(2).Agent.ConfigFault = "no such port" },
		"an image is being put in place":   func(w *world) { w.member(3).Agent.Placing = true },
		"an image is being taken":          func(w *world) { w.member(1).Agent.Staging = true },
		"the membership changes":           func(w *world) { changing(w, []uint64{1, 2, 3}, []uint64{1, 2}) },
		"a member is being started":        func(w *world) { w.member(3).Agent.Server = ServerStarting },
		"a voter was started just now":     func(w *world) { w.member(3).Agent.StartedFor = time.Second },
		"the last try failed just now":     func(w *world) { w.s.TransferFailedAgo = time.Second },
		"the version was never tried":      func(w *world) { w.s.Wanted.Static = true },
	} {
		w := moving()
		change(w)
		for _, s := range Decide(w.s).Steps {
			if s.Kind == StepTransfer {
				t.Errorf("%s: %+v", what, s)
			}
		}
		h := assess(w.s)
		if step, wait, ok := transferTo(w.s, h, enoughVoters, heirs(w.s, h, 1), pc0, "test"); ok && step.Kind == StepTransfer && step.NodeID == 2 {
			t.Errorf("%s: %+v", what, step)
		} else if !ok && (wait.Reason != v1alpha1.ReasonTransferWaiting || len(wait.Message) < 30) {
			t.Errorf("%s: %+v", what, wait)
		}
	}
	w := moving()
	w.s.TransferFailedAgo = 2 * time.Minute
	w.member(3).Agent.StartedFor = time.Minute
	expect(t, w, "", "Transfer "+pc1)
}

func TestTwoVotersCannotSpareALeader(t *testing.T) {
	w := newWorld(2, 0).founded().form(1, 1, 2)
	w.s.Wanted.LeadOn = pc1
	if p := Decide(w.s); len(p.Steps) > 0 || !waits(p, v1alpha1.ReasonTransferWaiting) || !p.Serves() {
		t.Errorf("%+v", p)
	}
}

func TestAWriteAheadLogThatIsTooLargeIsEmptiedFirst(t *testing.T) {
	for _, id := range []uint64{1, 2} {
		w := moving()
		w.member(id).Agent.WALBytes = walLimit + 1
		expect(t, w, "", "Restart "+w.member(id).Pod)
	}
	w := moving()
	w.member(3).Agent.WALBytes = walLimit + 1 // it is not stopped
	expect(t, w, "", "Transfer "+pc1)
}

func TestWhoLeadsIsStoppedOnlyAsFarAsTheQuorumCanSpare(t *testing.T) {
	w := newWorld(5, 0).founded().form(1, 1, 2, 3, 4, 5)
	leadersApart(w, "data_0", 3)
	leadersApart(w, "offset_0", 4)
	h := assess(w.s)
	var pods []string
	for _, m := range h.Stops(2, "") {
		pods = append(pods, m.Pod)
	}
	if len(pods) != 2 {
		t.Errorf("5 voters: %q", pods)
	}
	if got := h.Stops(2, pc0); len(got) != 2 || got[0].Pod != pc0 {
		t.Errorf("the one that is to go comes first: %+v", got)
	}
	three := newWorld(3, 0).founded().form(1, 1, 2, 3)
	leadersApart(three, "data_0", 2)
	if got := assess(three.s).Stops(3, ""); len(got) != 1 || got[0].NodeID != 2 {
		t.Errorf("3 voters: %+v", got)
	}
	if got := assess(three.s).Stops(1, ""); len(got) != 1 || got[0].NodeID != 2 {
		t.Errorf("who shall lead is not among them: %+v", got)
	}
}

func TestTheHeirIsMadeFromThePresentTemplateAndStays(t *testing.T) {
	w := newWorld(5, 0).founded().form(1, 1, 2, 3, 4, 5)
	w.s.Wanted.Replicas[v1alpha1.RolePlacementCenter] = 4
	w.member(2).TemplateStale = true
	w.member(3).Agent.ConfigStale = true
	step, _, ok := transferAway(w.s, assess(w.s), *w.member(1))
	if !ok || step.NodeID != 4 || step.Via != pc0 {
		t.Errorf("%+v", step)
	}
	if !strings.Contains(step.Reason, pc0+" leads metadata_0, offset_0, data_0") {
		t.Errorf("%q", step.Reason)
	}
}

func TestALeaderThatLeavesHandsOverFirst(t *testing.T) {
	w := shrinking(5, 3)
	w.form(5, 1, 2, 3, 4, 5).brokersUp(1001, 1002)
	expect(t, w, v1alpha1.ReasonLeadersApart, "Transfer "+pc0)
	w = shrinking(5, 3)
	leadersApart(w, "data_0", 2)
	expect(t, w, v1alpha1.ReasonLeadersApart, "Transfer "+pc0)
}

func TestLeadersThatAreApartAreBroughtTogetherWhileSomebodyWaitsToJoin(t *testing.T) {
	w := newWorld(5, 1).founded().form(1, 1, 2, 3).brokersUp(1001)
	leadersApart(w, "data_0", 2)
	w.s.Seen[Symptom{Kind: SymptomLeadersApart}] = time.Hour
	expect(t, w, v1alpha1.ReasonLeadersApart, "Transfer "+pc0)
}

func TestATransferThatAnOperatorLeftIsEndedBeforeAnythingElse(t *testing.T) {
	w := moving()
	w.member(1).Agent.Transfer = &Transfer{ID: "x", Target: 2}
	a := w.member(1).Agent
	a.Server, a.GateOpen, a.GateReason, a.Groups = ServerStopped, false, GateTransferring, nil
	p := Decide(w.s)
	if len(p.Steps) != 1 || p.Steps[0].Kind != StepEndTransfer || p.Steps[0].Pod != pc1 || p.Steps[0].Transfer != "x" {
		t.Errorf("%+v", p.Steps)
	}
	a.Transfer.Trouble = "the disk is full"
	if p := Decide(w.s); !waits(p, v1alpha1.ReasonTransferWaiting) {
		t.Errorf("%+v", p.Waits)
	}
	a.Transfer = &Transfer{Trouble: "the record cannot be read"}
	for _, s := range Decide(w.s).Steps {
		if s.Kind == StepEndTransfer {
			t.Errorf("%+v", s)
		}
	}
}

func TestATransferIsEndedOnlyWhereItsTargetIsKnownAndHoldsTheRestUpUnlessItIsInTrouble(t *testing.T) {
	w := moving()
	w.s.Wanted.LeadOn = ""
	w.s.Wanted.Replicas[v1alpha1.RoleMQTTBroker] = 2
	w.s.Members = append(w.s.Members, freshPod(v1alpha1.RoleMQTTBroker, "c-mqtt-broker-", 1, 1001))
	expect(t, w, "", "OrderJoin c-mqtt-broker-1")
	w.member(2).Agent.Transfer = &Transfer{ID: "x", Target: 2}
	expect(t, w, "", "EndTransfer "+pc1)
	w.member(2).Agent.Transfer.Trouble = "the disk is full"
	expect(t, w, v1alpha1.ReasonTransferWaiting, "EndTransfer "+pc1, "OrderJoin c-mqtt-broker-1")
	w.member(2).Agent.Transfer = &Transfer{ID: "x", Target: 99}
	expect(t, w, "", "OrderJoin c-mqtt-broker-1")
	w.member(2).Agent.Transfer = &Transfer{Target: 2}
	expect(t, w, "", "OrderJoin c-mqtt-broker-1")
}

func TestTheWriteAheadLogMayHave512MiB(t *testing.T) {
	w := moving()
	w.member(1).Agent.WALBytes = 512 << 20
	expect(t, w, "", "Transfer "+pc1)
	w.member(1).Agent.WALBytes++
	if p := expect(t, w, "", "Restart "+pc0); !strings.Contains(p.Steps[0].Reason, "log of 512 MiB") {
		t.Errorf("%+v", p.Steps)
	}
}

func TestWhoShallLeadAndWhoLeadsNothingIsNotStopped(t *testing.T) {
	w := newWorld(5, 0).founded().form(1, 1, 2, 3, 4, 5)
	leadersApart(w, "data_0", 3)
	leadersApart(w, "offset_0", 99)
	ids := func(members []Member) (out []uint64) {
		for _, m := range members {
			out = append(out, m.NodeID)
		}
		return out
	}
	h := assess(w.s)
	for to, want := range map[uint64][]uint64{1: {3}, 3: {1}} {
		if got := ids(h.Stops(to, "")); !slices.Equal(got, want) {
			t.Errorf("to %d: %v stop, want %v", to, got, want)
		}
	}
	w.s.Wanted.Groups = []string{"metadata_0"}
	if got := ids(assess(w.s).Stops(2, "")); !slices.Equal(got, []uint64{1}) {
		t.Errorf("one group: %v", got)
	}
	w.s.Wanted.Groups = nil
	if got := assess(w.s).Stops(2, ""); len(got) > 0 {
		t.Errorf("no group: %v", got)
	}
}

func TestAnHeirIsWantedAndNotWhoGoes(t *testing.T) {
	w := newWorld(5, 0).founded().form(1, 1, 2, 3, 4, 5)
	w.s.Wanted.Replicas[v1alpha1.RolePlacementCenter] = 3
	var got []uint64
	for _, m := range heirs(w.s, assess(w.s), 1) {
		got = append(got, m.NodeID)
	}
	if !slices.Equal(got, []uint64{2, 3}) {
		t.Errorf("%v", got)
	}
}

func TestWhatIsAmissIsSaidWhoeverShallLead(t *testing.T) {
	newcomer := func(change func(*Member)) func(w *world) {
		return func(w *world) {
			w.s.Wanted.Replicas[v1alpha1.RolePlacementCenter] = 4
			m := freshPod(v1alpha1.RolePlacementCenter, "c-placement-center-", 3, 1)
			change(&m)
			w.s.Members = append(w.s.Members, m)
		}
	}
	for what, c := range map[string]struct {
		change func(w *world)
		want   string
	}{
		"nothing":                                {func(*world) {}, ""},
		"a newcomer that does not answer":        {newcomer(func(m *Member) { m.Agent = nil }), ""},
		"a newcomer that is being ended":         {newcomer(func(m *Member) { m.Agent.Terminating = true }), ""},
		"a newcomer that is being started":       {newcomer(func(m *Member) { m.Agent.GateOpen, m.Agent.Server = true, ServerStarting }), pc3 + " is being started"},
		"a voter that does not answer":           {func(w *world) { w.member(3).Agent = nil }, pc2 + " does not answer"},
		"a voter of one group only, that is mum": {func(w *world) { w.left(3, 2); w.member(3).Agent = nil; w.s.Wanted.Groups = w.s.Wanted.Groups[2:] }, pc2 + " does not answer"},
		"groups with different voters":           {func(w *world) { w.left(3, 2) }, "other voters"},
		"two voters":                             {func(w *world) { w.left(3, 3) }, "it takes 3"},
		"a try that failed just now":             {func(w *world) { w.s.TransferFailedAgo = 1 }, "failed a moment ago"},
		"the end of its pause":                   {func(w *world) { w.s.TransferFailedAgo = w.s.Limits.TransferRetry }, "failed a moment ago"},
		"after its pause":                        {func(w *world) { w.s.TransferFailedAgo = w.s.Limits.TransferRetry + 1 }, ""},
		"a start just now":                       {func(w *world) { w.member(3).Agent.StartedFor = 1 }, "started a moment ago"},
		"the end of a start":                     {func(w *world) { w.member(3).Agent.StartedFor = w.s.Limits.StartSettle }, "started a moment ago"},
		"after a start":                          {func(w *world) { w.member(3).Agent.StartedFor = w.s.Limits.StartSettle + 1 }, ""},
	} {
		w := moving()
		c.change(w)
		if got := transferable(w.s, assess(w.s), enoughVoters); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}

func TestNobodyIsLedWhereTheUserSaysWhileAnythingElseIsToBeDoneOrItIsDone(t *testing.T) {
	w := moving()
	w.leads(2)
	if p := expect(t, w, ""); !p.Settled() {
		t.Errorf("it leads: %+v", p.Waits)
	}
	w.s.Wanted.LeadOn = pc0
	expect(t, w, "", "Transfer "+pc0)
	w.member(1001).Agent.ConfigStale = true
	expect(t, w, "", "Restart c-mqtt-broker-0")
}

// A placement centre that grows gets another list of members, so every server's configuration is out of date just while the leaders have to come together.
func TestLeadersComeTogetherAlthoughEveryConfigurationIsOutOfDateOneServerTryingItAtATime(t *testing.T) {
	w := newWorld(5, 1).founded().form(1, 1, 2, 3).brokersUp(1001)
	leadersApart(w, "data_0", 2)
	w.s.Seen[Symptom{Kind: SymptomLeadersApart}] = time.Hour
	for id := uint64(1); id <= 3; id++ {
		w.member(id).Agent.ConfigStale = true
	}
	for _, id := range []uint64{1, 2} {
		if p := expect(t, w, v1alpha1.ReasonLeadersApart, "Restart "+w.member(id).Pod); !strings.Contains(p.Steps[0].Reason, "its new configuration, before leadership moves") {
			t.Errorf("%+v", p.Steps)
		}
		w.member(id).Agent.ConfigStale = false
	}
	expect(t, w, v1alpha1.ReasonLeadersApart, "Transfer "+pc0)
}

func TestAMemberThatMayNotGoIsNotRestartedForATransfer(t *testing.T) {
	w := moving()
	w.member(2).Agent.ConfigStale = true
	h := assess(w.s)
	if step, _, ok := transferTo(w.s, h, enoughVoters, []Member{*w.member(2)}, pc0, "test"); !ok || step.Kind != StepRestart || step.Pod != pc1 {
		t.Errorf("%+v", step)
	}
	w.member(2).Agent.ConfigStale = false
	w.member(1).Agent.ConfigStale = true
	if step, _, ok := transferTo(w.s, h, enoughVoters, []Member{*w.member(2)}, pc0, "test"); !ok || step.Kind != StepTransfer {
		t.Errorf("who is to go anyway: %+v", step)
	}
	if step, _, ok := transferTo(w.s, assess(w.s), enoughVoters, []Member{*w.member(2)}, "", "test"); !ok || step.Kind != StepRestart || step.Pod != pc0 {
		t.Errorf("%+v", step)
	}
}

// twoApart is a cluster of two voters with brokers that serve, whose leaders are apart while a third member waits to join.
func twoApart() *world {
	w := newWorld(3, 1).founded().form(1, 1, 2).brokersUp(1001)
	leadersApart(w, "data_0", 2)
	w.s.Seen[Symptom{Kind: SymptomLeadersApart}] = time.Hour
	return w
}

func TestTwoVotersWhoseLeadersAreApartAreBroughtTogetherForTheThird(t *testing.T) {
	w := twoApart()
	expect(t, w, v1alpha1.ReasonLeadersApart, "Transfer "+pc0)
	if stops := assess(w.s).Stops(1, ""); len(stops) != 1 || stops[0].NodeID != 2 {
		t.Errorf("stopped beside who is to lead: %+v", stops)
	}
	w.leads(1)
	expect(t, w, "", "OrderJoin "+pc2)
}

func TestTwoVotersAreNotStoppedWhileAnythingIsAmissOrForAnythingElse(t *testing.T) {
	for what, change := range map[string]func(w *world){
		"nobody waits to join":          func(w *world) { w.s.Wanted.Replicas[v1alpha1.RolePlacementCenter] = 2 },
		"a voter is down":               func(w *world) { w.member(2).Agent.Server, w.member(2).Agent.Groups = ServerExited, nil },
		"a voter lags":                  func(w *world) { behind(w, 2, 300) },
		"a voter was started just now":  func(w *world) { w.member(2).Agent.StartedFor = time.Second },
		"a voter could not start again": func(w *world) { w.member(2).Agent.ConfigFault = "no such port" },
		"an image is being taken":       func(w *world) { w.member(1).Agent.Staging = true },
		"the last try failed just now":  func(w *world) { w.s.TransferFailedAgo = time.Second },
		"leaders are not apart for long": func(w *world) {
			w.s.Seen[Symptom{Kind: SymptomLeadersApart}] = time.Second
		},
		"a log is long":     func(w *world) { w.member(2).Agent.WALBytes = walLimit + 1 },
		"it is not founded": func(w *world) { w.s.Wanted.Founded = false },
		"a voter lacks data": func(w *world) {
			w.member(2).Agent.EmptySnapshot, w.member(1).Agent.EmptySnapshot = []string{"data_0"}, []string{"data_0"}
		},
		"a voter is fenced":                       func(w *world) { w.member(1).Agent.Fenced, w.member(2).Agent.Fenced = true, true },
		"the third is there and is being started": func(w *world) { w.start(3, OriginJoined).Agent.Server = ServerStarting },
	} {
		w := twoApart()
		change(w)
		for _, s := range Decide(w.s).Steps {
			if s.Kind == StepTransfer || s.Kind == StepStop || s.Kind == StepRestart {
				t.Errorf("%s: %+v", what, s)
			}
		}
	}
	w := twoApart()
	w.leads(1)
	if _, wait, ok := transferAway(w.s, assess(w.s), *w.member(1)); ok || !strings.Contains(wait.Message, "there are 2 voters, and it takes 3") {
		t.Errorf("%+v", wait)
	}
}

// The member that waits to join has made the list of members longer: both have a configuration to take, of two none can be restarted before, and each would cost the quorum alone as both do.
func TestTwoVotersTakeTheirNewConfigurationWithTheTransfer(t *testing.T) {
	for _, stale := range [][]uint64{{1}, {2}, {1, 2}} {
		w := twoApart()
		for _, id := range stale {
			w.member(id).Agent.ConfigStale = true
		}
		expect(t, w, v1alpha1.ReasonLeadersApart, "Transfer "+pc0)
		w.member(stale[0]).Agent.ConfigFault = "no such port"
		expect(t, w, v1alpha1.ReasonLeadersApart)
	}
}

func TestTwoVotersOfAClusterThatIsBeingFormedAreBroughtTogether(t *testing.T) {
	w := newWorld(3, 1).founded().form(1, 1, 2)
	leadersApart(w, "data_0", 2)
	w.s.Seen[Symptom{Kind: SymptomLeadersApart}] = time.Hour
	expect(t, w, v1alpha1.ReasonLeadersApart, "Transfer "+pc0)
}

// What a person reads where two voters cannot be stopped either: who has to be restarted, and why nobody does it.
func TestWhatKeepsTwoVotersApartIsSaid(t *testing.T) {
	w := twoApart()
	w.member(2).Agent.WALBytes = walLimit + 1<<20
	p := Decide(w.s)
	if !slices.ContainsFunc(p.Waits, func(x Wait) bool {
		return x.Reason == v1alpha1.ReasonTransferWaiting && strings.Contains(x.Message, pc1+" has to be restarted before (its write-ahead log of 513 MiB is emptied by it), and cannot be now")
	}) {
		t.Errorf("%+v", p.Waits)
	}
}
