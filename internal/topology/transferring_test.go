package topology

import (
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
		if step, wait, ok := transferTo(w.s, h, heirs(w.s, h, 1), pc0, "test"); ok && step.Kind == StepTransfer && step.NodeID == 2 {
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
