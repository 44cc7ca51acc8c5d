package topology

import (
	"slices"
	"strings"
	"testing"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

var (
	working  = Machine{Ready: true}
	absent   = Machine{Gone: true}
	silent   = Machine{}
	cordoned = Machine{Ready: true, Cordoned: true}
)

// spread puts every pod on a machine of its own, all of them working: m1 carries node 1.
func (w *world) spread() *world {
	w.s.Machines = map[string]Machine{}
	for i := range w.s.Members {
		m := &w.s.Members[i]
		m.Node = machineName(m.NodeID)
		w.s.Machines[m.Node] = working
	}
	return w
}

func machineName(id uint64) string { return "m" + string(rune('0'+id%1000)) }

// darken takes the agent of a node away, and makes its machine what is given.
func (w *world) darken(id uint64, at Machine) *Member {
	m := w.member(id)
	m.Agent, m.AgentError = nil, "no answer"
	w.s.Machines[m.Node] = at
	w.unlisted(id)
	return m
}

func TestAPodIsRemovedWithoutItsMachineOnlyWithAProofThatItDoesNotRun(t *testing.T) {
	const long = time.Hour
	for name, c := range map[string]struct {
		at      Machine
		pod     PodState
		agent   func(a *Agent)
		lasted  time.Duration
		step    StepKind
		trouble bool
	}{
		"its Node was deleted":                              {absent, PodRunning, nil, long, StepForceDelete, false},
		"its Node was deleted a moment ago":                 {absent, PodRunning, nil, 10 * time.Second, "", false},
		"its Node was deleted and the pod is being deleted": {absent, PodTerminating, nil, long, StepForceDelete, false},
		"out of service and not Ready":                      {Machine{OutOfService: true}, PodTerminating, nil, long, StepForceDelete, false},
		"out of service a moment ago":                       {Machine{OutOfService: true}, PodTerminating, nil, 0, "", false},
		"out of service and Ready all the same":             {Machine{OutOfService: true, Ready: true}, PodTerminating, nil, long, "", false},
		"only not Ready":                                    {silent, PodRunning, nil, long, "", true},
		"only not Ready while the pod is being deleted":     {silent, PodTerminating, nil, long, "", true},
		"Ready":                                                 {working, PodTerminating, nil, long, "", false},
		"gone, and its agent answers":                           {absent, PodRunning, func(*Agent) {}, long, "", true},
		"out of service, and its agent answers":                 {Machine{OutOfService: true}, PodTerminating, func(*Agent) {}, long, "", true},
		"not Ready, and its agent answers":                      {silent, PodRunning, func(*Agent) {}, long, "", false},
		"not Ready, being deleted, and its server runs":         {silent, PodTerminating, func(*Agent) {}, long, "", true},
		"not Ready, being deleted, and its server is held":      {silent, PodTerminating, holdAgent, long, StepForceDelete, false},
		"not Ready, being deleted, and its server was ended":    {silent, PodTerminating, func(a *Agent) { a.Server, a.Terminating = ServerStopped, true }, long, StepForceDelete, false},
		"not Ready, being deleted, its server is being ended":   {silent, PodTerminating, func(a *Agent) { a.Terminating = true }, long, "", true},
		"not Ready, being deleted, and its agent fenced itself": {silent, PodTerminating, func(a *Agent) { a.Server, a.Fenced = ServerStopped, true }, long, StepStop, false},
		"not Ready, not deleted, and its agent fenced itself":   {silent, PodRunning, func(a *Agent) { a.Server, a.Fenced = ServerStopped, true }, long, "", false},
	} {
		w := living(3).spread()
		m := w.member(3)
		m.State = c.pod
		w.s.Machines[m.Node] = c.at
		if c.agent == nil {
			w.darken(3, c.at)
		} else {
			c.agent(m.Agent)
		}
		w.seen(SymptomMachineLost, 3, c.lasted)
		var p Plan
		replaceLost(w.s, assess(w.s), &p)
		var got StepKind
		if len(p.Steps) > 0 {
			got = p.Steps[0].Kind
		}
		trouble := slices.ContainsFunc(p.Waits, func(x Wait) bool { return x.Trouble && x.Reason == v1alpha1.ReasonNodeLost })
		if got != c.step || len(p.Steps) > 1 || trouble != c.trouble {
			t.Errorf("%s: steps %v, trouble %t (%+v), want %q, %t", name, steps(p), trouble, p.Waits, c.step, c.trouble)
		}
		// Whatever is not lost long enough has a symptom that counts its time, or is never acted on.
		if c.step == StepForceDelete && !slices.Contains(Symptoms(w.s), Symptom{SymptomMachineLost, m.Pod}) {
			t.Errorf("%s: no time is kept", name)
		}
	}
}

func holdAgent(a *Agent) { a.Server, a.GateOpen, a.GateReason = ServerStopped, false, GateHeld }

func TestWhatCannotBeProvenNamesTheNodeAndWhatAPersonCanDo(t *testing.T) {
	w := living(3).spread()
	w.darken(3, silent)
	p := Decide(w.s)
	for _, x := range p.Waits {
		if x.Reason == v1alpha1.ReasonNodeLost && strings.Contains(x.Message, "kubectl delete node m3") && strings.Contains(x.Message, "kubectl taint nodes m3 node.kubernetes.io/out-of-service=") {
			if waits(p, v1alpha1.ReasonAgentUnreachable) {
				t.Error("told twice")
			}
			return
		}
	}
	t.Errorf("%+v", p.Waits)
}

func TestWithoutKnowingItsMachineAnUnreachablePodIsLeftAsItIs(t *testing.T) {
	w := living(3)
	w.member(3).Node = "m3"
	w.member(3).Agent = nil
	w.seen(SymptomMachineLost, 3, time.Hour)
	if p := Decide(w.s); len(p.Steps) > 0 || !waits(p, v1alpha1.ReasonAgentUnreachable) {
		t.Errorf("%v %+v", steps(p), p.Waits)
	}
}

func TestTheTimeOfALostNodeIsTold(t *testing.T) {
	w := living(3).spread()
	w.darken(3, silent)
	if got := Troubles(w.s); !slices.Contains(got, Trouble{RungNodeLost, pc2}) || slices.Contains(got, Trouble{RungAgentUnreached, pc2}) {
		t.Errorf("%v", got)
	}
	w = lostVolumeOf(3)
	if got := Troubles(w.s); !slices.Contains(got, Trouble{RungNodeLost, pc2}) {
		t.Errorf("its volume: %v", got)
	}
}

func TestALeaderOnACordonedNodeLeadsNoLonger(t *testing.T) {
	w := newWorld(3, 1).founded().form(1, 1, 2, 3).brokersUp(1001).spread()
	expect(t, w, "")
	w.s.Machines["m1"] = cordoned
	expect(t, w, "", "Transfer "+pc1)
	w.s.Machines["m2"] = cordoned
	expect(t, w, "", "Transfer "+pc2)
	w.s.Machines["m3"] = cordoned
	expect(t, w, "") // nothing is gained
}

func TestNobodyIsMovedOffACordonedNodeWhileAnythingIsAmiss(t *testing.T) {
	for name, change := range map[string]func(w *world){
		"a voter is down":           func(w *world) { w.member(3).Agent.Server, w.member(3).Agent.Groups = ServerExited, nil },
		"a broker does not answer":  func(w *world) { w.member(1001).Agent = nil },
		"the last try just failed":  func(w *world) { w.s.TransferFailedAgo = time.Second },
		"the version does not know": func(w *world) { w.s.Wanted.Static = true },
	} {
		w := newWorld(3, 1).founded().form(1, 1, 2, 3).brokersUp(1001).spread()
		w.s.Machines["m1"] = cordoned
		change(w)
		for _, step := range Decide(w.s).Steps {
			if step.Kind == StepTransfer {
				t.Errorf("%s: %+v", name, step)
			}
		}
	}
}

func TestLeadershipIsNotMovedToACordonedNodeWhenAnotherCanLeadNorBackToIt(t *testing.T) {
	w := moving().spread() // the user says that the second member shall lead
	w.s.Machines["m2"] = cordoned
	p := Decide(w.s)
	if len(p.Steps) > 0 || !waits(p, v1alpha1.ReasonTransferWaiting) || !p.Serves() {
		t.Errorf("%v %+v", steps(p), p.Waits)
	}
	w.s.Wanted.LeadOn = ""
	if first := heirs(w.s, assess(w.s), 1)[0]; first.NodeID != 3 {
		t.Errorf("%s is the first heir", first.Pod)
	}
	if heir, _ := heirOf(w.s, assess(w.s), *w.member(1)); heir.NodeID != 3 {
		t.Errorf("who leaves hands over to %s", heir.Pod)
	}
	// Of leaders that are apart the one that leads most is the target, but not on a node that is about to be drained.
	w.s.Machines["m2"] = working
	w.s.Machines["m1"] = cordoned
	for i := range w.s.Members {
		if a := w.s.Members[i].Agent; a != nil && a.Groups["offset_0"].Running {
			g := a.Groups["offset_0"]
			g.Leads, g.Leader = w.s.Members[i].NodeID == 3, 3
			a.Groups["offset_0"] = g
		}
	}
	step, wait, ok := transferTogether(w.s, assess(w.s), enoughVoters, "test")
	if !ok || step.NodeID != 2 {
		t.Errorf("%+v %+v", step, wait)
	}
}

func TestADonorOnACordonedNodeIsTheLastChoice(t *testing.T) {
	w := living(5).spread()
	target := w.wipe(5)
	target.Agent.GateReason = GateDataLost
	w.s.Machines["m2"] = cordoned
	if from, why := donor(w.s, assess(w.s), *target); from.NodeID != 3 {
		t.Errorf("%s gives (%s)", from.Pod, why)
	}
	for _, id := range []string{"m1", "m2", "m3", "m4"} {
		w.s.Machines[id] = cordoned
	}
	if from, why := donor(w.s, assess(w.s), *target); from.NodeID != 2 {
		t.Errorf("with every node cordoned %s gives (%s)", from.Pod, why)
	}
}
