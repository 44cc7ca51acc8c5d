package topology

import (
	"testing"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// leftOut is a cluster that was restored with three members, and a fourth and fifth with what they had before.
func leftOut() *world {
	w := newWorld(5, 0).founded().form(1, 1, 2, 3)
	w.s.Wanted.Generation, w.s.Wanted.Decommission = 2, true
	w.s.Drain.Complete = true
	for id := uint64(1); id <= 5; id++ {
		if id > 3 {
			m := w.start(id, OriginJoined)
			m.Agent.Marker.Member = true
			m.Agent.GateOpen, m.Agent.GateReason, m.Agent.Server, m.Agent.Groups = false, GateOldGeneration, ServerStopped, nil
			continue
		}
		w.member(id).Agent.Marker.Generation = 2
	}
	w.register()
	return w
}

func TestMembersThatARestoreLeftOutAreEmptiedOneAfterAnotherAndJoinAnew(t *testing.T) {
	w := leftOut()
	expect(t, w, v1alpha1.ReasonOldGeneration, "Wipe c-placement-center-3")
	w.lose(4)
	expect(t, w, v1alpha1.ReasonOldGeneration, "Wipe c-placement-center-4")
	w.lose(5)
	expect(t, w, "", "OrderJoin c-placement-center-3")
}

func TestAMemberOfAnOlderGenerationKeepsItsVolumeWhile(t *testing.T) {
	for what, change := range map[string]func(w *world){
		"somebody counts it": func(w *world) {
			g := w.member(2).Agent.Groups["data_0"]
			g.Voters, g.Members = []uint64{1, 2, 3, 4}, []uint64{1, 2, 3, 4}
			w.member(2).Agent.Groups["data_0"] = g
		},
		"a group has no leader": func(w *world) {
			g := w.member(1).Agent.Groups["data_0"]
			g.Leads = false
			w.member(1).Agent.Groups["data_0"] = g
		},
		"a voter does not answer":           func(w *world) { w.member(3).Agent = nil },
		"it is registered":                  func(w *world) { w.member(1).Agent.Registry = []uint64{1, 2, 3, 4} },
		"a topic names it":                  func(w *world) { w.s.Drain.Segments = []Segment{segment("orders", 1, 4)} },
		"not every topic was looked at":     func(w *world) { w.s.Drain.Complete = false },
		"its pod is being ended":            func(w *world) { w.member(4).State = PodTerminating },
		"its server runs":                   func(w *world) { w.member(4).Agent.Server = ServerRunning },
		"it is of the cluster's generation": func(w *world) { w.member(4).Agent.Marker.Generation, w.member(4).Agent.GateReason = 2, "ConfigInvalid" },
		"the cluster goes back to it":       func(w *world) { w.member(4).Agent.Marker.Generation = 2 }, // its configuration is still the one of a restore that is taken back
		"it belongs to another cluster": func(w *world) {
			w.member(4).Agent.Marker.ClusterUID, w.member(4).Agent.GateReason = "other", GateForeign
		},
		"an image is being put in its place": func(w *world) { w.member(4).Agent.Placing, w.member(4).Agent.GateReason = true, GatePlacing },
	} {
		w := leftOut()
		w.s.Wanted.Replicas[v1alpha1.RolePlacementCenter] = 4
		w.s.Members = w.s.Members[:4]
		change(w)
		for _, s := range Decide(w.s).Steps {
			if s.Pod == "c-placement-center-3" && (s.Kind == StepWipe || s.Kind == StepOrderJoin || s.Kind == StepSeed) {
				t.Errorf("%s: %+v", what, s)
			}
		}
	}
}

// Seed 61671 of test/planner: its registration had expired before its copies could be moved, and its server cannot start to be registered again.
func TestAMemberOfAnOlderGenerationIsEmptiedAlthoughTopicsNameItWhereOthersHaveAll(t *testing.T) {
	w := leftOut()
	w.s.Wanted.Replicas[v1alpha1.RolePlacementCenter] = 4
	w.s.Members = w.s.Members[:4]
	w.s.Drain.Segments = []Segment{{Topic: "orders", Copies: 2, Replicas: []uint64{1, 4}, ISR: []uint64{1}, Leader: 1}}
	expect(t, w, v1alpha1.ReasonOldGeneration)
	w.seen(SymptomStranded, 4, time.Minute)
	expect(t, w, "", "Wipe c-placement-center-3")
	w.s.Drain.Segments[0].ISR = []uint64{4}
	expect(t, w, v1alpha1.ReasonOldGeneration)
}

func TestAMemberOfAnOlderGenerationThatTopicsNameIsStranded(t *testing.T) {
	w := leftOut()
	w.s.Drain.Segments = []Segment{segment("orders", 1, 4)}
	if !stranded(w.s, assess(w.s), *w.member(4)) || stranded(w.s, assess(w.s), *w.member(5)) {
		t.Error("node 4 is named, and node 5 is not")
	}
}

func TestTheSegmentsOfMembersThatARestoreLeftOutAreGathered(t *testing.T) {
	if got := Leaving(leftOut().s); len(got) != 2 || got[0] != 4 || got[1] != 5 {
		t.Errorf("%v", got)
	}
}

func TestBrokersThatARestoreStoppedStartOneAfterAnotherWithWhatTheyHave(t *testing.T) {
	w := newWorld(3, 2).founded().form(1, 1, 2, 3).brokersUp(1001, 1002)
	w.s.Wanted.Decommission, w.s.Drain.Complete = true, true
	stop := func(id uint64) {
		a := w.member(id).Agent
		a.GateOpen, a.GateReason, a.Server, a.MQTTOpen, a.StoppedFor = false, GateHeld, ServerStopped, false, 5*time.Minute
	}
	stop(1001)
	stop(1002)
	w.register()
	w.s.Wanted.Restore = Restore{Name: "undo", Stage: v1alpha1.RestoreStarting}
	p := expect(t, w, "", "Start c-mqtt-broker-0")
	if !p.Steps[0].Planned {
		t.Error("it is told as a repair")
	}
	a := w.member(1001).Agent
	a.GateOpen, a.GateReason, a.Server = true, "Open", ServerStarting
	expect(t, w, v1alpha1.ReasonStartingNode)
	w.seen(SymptomStarting, 1001, 2*time.Minute) // it does not come: the others are not kept for it
	expect(t, w, "", "Start c-mqtt-broker-1")
	w.s.Seen = map[Symptom]time.Duration{}
	w.brokersUp(1001)
	expect(t, w, "", "Start c-mqtt-broker-1")
	w.member(2).Agent, w.member(3).Agent = nil, nil
	expect(t, w, v1alpha1.ReasonQuorumLost)
}

func TestABrokerThatARestoreLeftStoppedIsNoNodeThatWasDrained(t *testing.T) {
	for _, by := range []bool{false, true} {
		w := newWorld(3, 2).founded().form(1, 1, 2, 3).brokersUp(1001, 1002)
		w.s.Wanted.Decommission, w.s.Drain.Complete = true, true
		a := w.member(1002).Agent
		a.GateOpen, a.GateReason, a.Server, a.MQTTOpen, a.RestoreStopped = false, GateHeld, ServerStopped, false, by
		w.register()
		if by {
			expect(t, w, "", "Start c-mqtt-broker-1")
		} else {
			expect(t, w, "", "Wipe c-mqtt-broker-1")
		}
	}
}
