package topology

import (
	"slices"
	"testing"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

func TestAnotherNodeThatLeavesAsWellHasToBeInServiceUntilItIsItsTurn(t *testing.T) {
	w := sevenBrokers()
	w.member(1006).Agent.MQTTOpen = false
	says(t, expect(t, w, v1alpha1.ReasonScaleInPending), false, b6+" leaves when every other node is in service", b5)
}

func TestAsManyCopiesAsNodesStayAreNotTooMany(t *testing.T) {
	const stay = 3 + 5
	w := sevenBrokers()
	w.s.Drain.Segments = []Segment{segment("wide", 1007, 1, 2, 3, 1001, 1002, 1003, 1004)}
	if n := len(w.s.Drain.Segments[0].Replicas); n != stay {
		t.Fatal(n)
	}
	expect(t, w, "", "Quiesce "+b6)
	w.s.Drain.Segments = []Segment{segment("wide", 1007, 1)}
	w.s.Drain.Segments[0].Copies = stay + 1 // what it wants counts, however few it has
	says(t, expect(t, w, v1alpha1.ReasonNotDrainable), true, "wide")
}

func TestCopiesThatAreMissingAreATroubleOnlyAfterTheLimit(t *testing.T) {
	lagging := segment("orders", 1006, 2)
	lagging.ISR = []uint64{1006}
	for what, w := range map[string]*world{"before the stop": sevenBrokers(), "after it": sevenBrokers().stoppedFor(1007, time.Second).unlisted(1007)} {
		w.s.Drain.Segments = []Segment{lagging}
		for _, c := range []struct {
			lasts   time.Duration
			trouble bool
		}{{w.s.Limits.CopiesMissing, false}, {w.s.Limits.CopiesMissing + 1, true}} {
			w.s.Seen[Symptom{Kind: SymptomCopiesMissing}] = c.lasts
			t.Log(what)
			says(t, expect(t, w, v1alpha1.ReasonReplicating), c.trouble, "orders")
		}
	}
}

func TestTheListsOfNodesThatDoNotRunProveNothing(t *testing.T) {
	w := sevenBrokers().unlisted(1007)
	w.s.Drain.Segments = nil
	dead := w.member(1003)
	dead.Agent.Server, dead.Agent.Nodes = ServerExited, []uint64{1007}
	w.member(1007).Agent.Nodes = []uint64{1007} // its own neither
	w.member(1002).Agent = nil
	if proven, why := evacuated(w.s, assess(w.s), *w.member(1007)); !proven {
		t.Error(why)
	}
	w.member(1001).Agent.Nodes = append(w.member(1001).Agent.Nodes, 1007)
	if proven, _ := evacuated(w.s, assess(w.s), *w.member(1007)); proven {
		t.Error("a node that runs lists it")
	}
}

func TestAPodMayGoOnlyWhileItsServerIsStoppedAndStaysSoAndItsVolumeHoldsNothing(t *testing.T) {
	for what, c := range map[string]struct {
		change func(m *Member)
		gone   bool
	}{
		"stopped, empty":          {func(*Member) {}, true},
		"about to start":          {func(m *Member) { m.Agent.GateOpen = true }, false},
		"its server not gone yet": {func(m *Member) { m.Agent.Server = ServerRunning }, false},
		"its agent does not say":  {func(m *Member) { m.Agent = nil }, false},
		"on its way out":          {func(m *Member) { m.State = PodTerminating }, false},
		"with data": {func(m *Member) {
			m.Agent.VolumeEmpty, m.Agent.Marker = false, &Marker{ClusterUID: uid, NodeID: 1007, Generation: 1}
		}, false},
		"missing": {func(m *Member) { m.Agent, m.State = nil, PodMissing }, true},
	} {
		w := sevenBrokers().unlisted(1007).empty(1007)
		w.s.Drain.Segments = nil
		c.change(w.member(1007))
		if got := drained(w.s, assess(w.s), *w.member(1007)); got != c.gone {
			t.Errorf("%s: may go %t", what, got)
		}
	}
}

func TestAVolumeThatHoldsWhatIsNotOursIsNeverDeleted(t *testing.T) {
	for what, c := range map[string]struct {
		change func(m *Member)
		kept   bool
	}{
		"empty":                          {func(*Member) {}, false},
		"another cluster's":              {func(m *Member) { m.Agent.VolumeEmpty, m.Agent.Marker = false, &Marker{ClusterUID: "other"} }, true},
		"without a marker":               {func(m *Member) { m.Agent.VolumeEmpty = false }, true},
		"of a pod that is not there":     {func(m *Member) { m.Agent, m.State = nil, PodMissing }, false},
		"of nobody: there is no claim":   {func(m *Member) { m.ClaimExists = false }, true},
		"its claim is deleted already":   {func(m *Member) { m.ClaimTerminating = true }, true},
		"another's, whose pod is not up": {func(m *Member) { m.State, m.Agent.VolumeEmpty = PodPending, false }, true},
	} {
		w := sevenBrokers().unlisted(1007).empty(1007)
		w.s.Drain.Segments = nil
		w.s.Wanted.VolumesGo = true
		c.change(w.member(1007))
		released := slices.Contains(steps(Decide(w.s)), "ReleaseVolume "+b6)
		if released == c.kept || emptied(w.s, assess(w.s), *w.member(1007)) == c.kept {
			t.Errorf("%s: released %t", what, released)
		}
	}
}

func TestOnlyAStoppedNodeThatNobodyListsAndSegmentsNameIsStranded(t *testing.T) {
	for what, c := range map[string]struct {
		change func(w *world)
		want   bool
	}{
		"held":                        {func(*world) {}, true},
		"with an empty volume":        {func(w *world) { w.empty(1007) }, true},
		"running":                     {func(w *world) { a := w.member(1007).Agent; a.GateOpen, a.Server = true, ServerRunning }, false},
		"its agent does not answer":   {func(w *world) { w.member(1007).Agent = nil }, false},
		"its gate shut otherwise":     {func(w *world) { w.member(1007).Agent.GateReason = GateForeign }, false},
		"registered":                  {func(w *world) { w.member(1).Agent.Registry = append(w.member(1).Agent.Registry, 1007) }, false},
		"nobody says who is":          {func(w *world) { leadersApart(w, "metadata_0", 99) }, false},
		"no segment names it":         {func(w *world) { w.s.Drain.Segments = nil }, false},
		"segments were not looked at": {func(w *world) { w.s.Drain.Complete = false }, false},
	} {
		w := sevenBrokers().stoppedFor(1007, time.Minute).unlisted(1007)
		c.change(w)
		if got := stranded(w.s, assess(w.s), *w.member(1007)); got != c.want {
			t.Errorf("%s: stranded %t", what, got)
		}
	}
}
