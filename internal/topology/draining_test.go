package topology

import (
	"slices"
	"strings"
	"testing"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

const b5, b6 = "c-mqtt-broker-5", "c-mqtt-broker-6"

// sevenBrokers serve; five are wanted. One topic has copies on nodes 1006 and 1007, all in sync.
func sevenBrokers() *world {
	w := newWorld(3, 7).founded().form(1, 1, 2, 3).brokersUp(1001, 1002, 1003, 1004, 1005, 1006, 1007)
	w.s.Wanted.Decommission = true
	w.s.Wanted.Replicas[v1alpha1.RoleMQTTBroker] = 5
	w.s.Present = map[v1alpha1.Role]int32{v1alpha1.RolePlacementCenter: 3, v1alpha1.RoleMQTTBroker: 7}
	w.s.Drain = Drain{Complete: true, Segments: []Segment{segment("orders", 1007, 1006, 2)}}
	return w
}

func segment(topic string, replicas ...uint64) Segment {
	return Segment{Topic: topic, Shard: topic + "-0", Copies: len(replicas), Replicas: replicas, ISR: replicas, Leader: replicas[0], Status: "Write"}
}

// quiesced says that the broker's clients are elsewhere.
func (w *world) quiesced(id uint64) *world {
	w.member(id).Agent.Quiesced = true
	return w
}

// stoppedFor is what the agent of a drained node says after its stop, so long after it.
func (w *world) stoppedFor(id uint64, since time.Duration) *world {
	a := w.member(id).Agent
	a.Server, a.GateOpen, a.GateReason, a.MQTTOpen, a.Quiesced, a.StoppedFor, a.Nodes = ServerStopped, false, GateHeld, false, false, since, nil
	return w
}

// unlisted takes the node out of every list and registry.
func (w *world) unlisted(id uint64) *world {
	for i := range w.s.Members {
		if a := w.s.Members[i].Agent; a != nil {
			other := func(n uint64) bool { return n == id }
			a.Registry = slices.DeleteFunc(slices.Clone(a.Registry), other)
			a.Nodes = slices.DeleteFunc(slices.Clone(a.Nodes), other)
		}
	}
	return w
}

// empty is what the agent says once the volume was wiped.
func (w *world) empty(id uint64) *world {
	w.member(id).Agent = &Agent{VolumeEmpty: true, GateReason: GateAwaitsOrder, Server: ServerStopped}
	return w
}

func says(t *testing.T, p Plan, trouble bool, parts ...string) {
	t.Helper()
	if !slices.ContainsFunc(p.Waits, func(w Wait) bool {
		return w.Trouble == trouble && !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(w.Message, part) })
	}) {
		t.Errorf("no wait (trouble %t) says %q: %+v", trouble, parts, p.Waits)
	}
}

func TestABrokerLeavesInTheOnlyOrderThatLosesNothing(t *testing.T) {
	w := sevenBrokers()
	expect(t, w, "", "Quiesce "+b6)
	w.quiesced(1007).member(1007).Ready = true
	w.seen(SymptomQuiescing, 1007, time.Second)
	expect(t, w, v1alpha1.ReasonDraining)
	w.member(1007).Ready = false
	p := expect(t, w, "", "Drain "+b6, "Unregister "+b6)
	if p.Steps[1].Via != pc0 || p.Steps[1].NodeID != 1007 {
		t.Errorf("asked of %s for node %d: only the metadata leader may be asked", p.Steps[1].Via, p.Steps[1].NodeID)
	}
	w.stoppedFor(1007, time.Second).unlisted(1007)
	expect(t, w, v1alpha1.ReasonDraining) // a segment still names it
	moved := segment("orders", 1006, 2, 1001)
	moved.ISR = []uint64{1006, 2}
	w.s.Drain.Segments = []Segment{moved}
	says(t, expect(t, w, v1alpha1.ReasonReplicating), false, "orders", "volume is kept")
	w.s.Drain.Segments = []Segment{segment("orders", 1006, 2, 1001)}
	expect(t, w, "", "Wipe "+b6)
	if n := Sizes(w.s, assess(w.s))[v1alpha1.RoleMQTTBroker]; n != 7 {
		t.Errorf("the set shrinks to %d before the volume is empty", n)
	}
	w.empty(1007)
	if n := Sizes(w.s, assess(w.s))[v1alpha1.RoleMQTTBroker]; n != 6 {
		t.Errorf("the set keeps %d pods, want 6", n)
	}
	expect(t, w, "", "Quiesce "+b5)
}

func TestAClientThatKubernetesKeepsLeadingToABrokerHoldsItNoLongerThanTheLimit(t *testing.T) {
	w := sevenBrokers().quiesced(1007)
	w.member(1007).Ready = true
	w.seen(SymptomQuiescing, 1007, w.s.Limits.Quiesce+time.Second)
	expect(t, w, "", "Drain "+b6, "Unregister "+b6)
}

func TestWhatKeepsABrokerFromLeaving(t *testing.T) {
	lagging := segment("orders", 1007, 2)
	lagging.ISR = []uint64{1007}
	lost := segment("gone", 1007)
	lost.Status, lost.ISR, lost.LastISR = SegmentUnavailable, nil, []uint64{1007}
	for _, c := range []struct {
		name    string
		change  func(w *world)
		reason  string
		trouble bool
		parts   []string
	}{
		{"a topic with one copy on it", func(w *world) { w.s.Drain.Segments = append(w.s.Drain.Segments, segment("single", 1007)) },
			v1alpha1.ReasonNotDrainable, true, []string{"single", "2 copies"}},
		{"a topic with one copy on one that leaves later", func(w *world) { w.s.Drain.Segments = append(w.s.Drain.Segments, segment("later", 1006)) },
			v1alpha1.ReasonNotDrainable, true, []string{"later"}},
		{"a segment that cannot be read", func(w *world) { w.s.Drain.Segments = append(w.s.Drain.Segments, lost) },
			v1alpha1.ReasonNotDrainable, true, []string{"gone"}},
		{"more copies than nodes would stay", func(w *world) {
			w.s.Drain.Segments = append(w.s.Drain.Segments, segment("wide", 1, 2, 3, 1001, 1002, 1003, 1004, 1005, 1007))
		}, v1alpha1.ReasonNotDrainable, true, []string{"wide", "8 nodes"}},
		{"a copy that is not in sync", func(w *world) { w.s.Drain.Segments = []Segment{lagging} }, v1alpha1.ReasonReplicating, false, []string{"orders"}},
		{"a copy that has not been in sync for long", func(w *world) {
			w.s.Drain.Segments = []Segment{lagging}
			w.s.Seen[Symptom{Kind: SymptomCopiesMissing}] = 3 * time.Minute
		}, v1alpha1.ReasonReplicating, true, []string{"orders"}},
		{"segments that were not all looked at", func(w *world) { w.s.Drain = Drain{Problem: "7 of 9"} }, v1alpha1.ReasonScaleInPending, false, []string{"7 of 9"}},
		{"another broker that is down", func(w *world) { w.member(1002).Agent.Server = ServerExited }, v1alpha1.ReasonScaleInPending, false, []string{"c-mqtt-broker-1"}},
		{"another broker that does not know all", func(w *world) { w.member(1002).Agent.Nodes = []uint64{1, 2, 3, 1001, 1002, 1003, 1005, 1006, 1007} },
			v1alpha1.ReasonRegistryIncomplete, false, []string{"node 1004"}},
		{"a voter that is missing", func(w *world) { w.member(3).Agent.Server, w.member(3).Agent.Groups = ServerExited, nil }, v1alpha1.ReasonQuorumLost, false, nil},
		{"a version that cannot move messages", func(w *world) { w.s.Wanted.Decommission = false }, v1alpha1.ReasonNotDrainable, true, []string{"0.4.5"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := sevenBrokers()
			c.change(w)
			says(t, expect(t, w, c.reason), c.trouble, c.parts...)
			if n := Sizes(w.s, assess(w.s))[v1alpha1.RoleMQTTBroker]; n != 7 {
				t.Errorf("the set shrinks to %d", n)
			}
		})
	}
}

func TestFiveTopicsAreNamedAndTheRestIsCounted(t *testing.T) {
	w := sevenBrokers()
	for _, topic := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		w.s.Drain.Segments = append(w.s.Drain.Segments, segment(topic, 1007))
	}
	says(t, expect(t, w, v1alpha1.ReasonNotDrainable), true, "a, b, c, d, e, and more")
}

func TestASegmentThatIsLostElsewhereOrBeingDeletedHoldsNobody(t *testing.T) {
	w := sevenBrokers().quiesced(1007)
	lost, going := segment("lost", 1001), segment("going", 1007)
	lost.Status, lost.ISR = SegmentUnavailable, nil
	going.Status = "Deleting"
	w.s.Drain.Segments = append(w.s.Drain.Segments, lost, going)
	expect(t, w, "", "Drain "+b6, "Unregister "+b6)
}

func TestAQuiescedBrokerThatCannotLeaveGetsItsClientsBack(t *testing.T) {
	w := sevenBrokers().quiesced(1007)
	w.s.Drain.Segments = append(w.s.Drain.Segments, segment("single", 1007))
	expect(t, w, v1alpha1.ReasonNotDrainable, "Start "+b6)
}

func TestAnOperatorThatDiedAfterTheStopUnregistersWhileThatStillWorks(t *testing.T) {
	w := sevenBrokers().stoppedFor(1007, 20*time.Second)
	expect(t, w, "", "Unregister "+b6)
	w.stoppedFor(1007, 26*time.Second)
	says(t, expect(t, w, v1alpha1.ReasonDraining), false, "not unregistered in time")
}

func TestANodeWhoseRegistrationExpiredBeforeItWasUnregisteredComesBackAndLeavesAgain(t *testing.T) {
	w := sevenBrokers().stoppedFor(1007, time.Minute).unlisted(1007)
	w.seen(SymptomStranded, 1007, time.Second)
	expect(t, w, v1alpha1.ReasonDraining) // the work behind UnRegisterNode would look the same
	if !slices.Contains(Symptoms(w.s), Symptom{SymptomStranded, b6}) {
		t.Error("nobody counts the time")
	}
	w.seen(SymptomStranded, 1007, w.s.Limits.Stranded+time.Second)
	expect(t, w, "", "Start "+b6)
}

func TestAStrandedNodeWhoseVolumeIsLostIsFilledFromTheOthersFirst(t *testing.T) {
	w := sevenBrokers().stoppedFor(1007, time.Minute).unlisted(1007).empty(1007)
	expect(t, w, v1alpha1.ReasonDraining)
	w.seen(SymptomStranded, 1007, w.s.Limits.Stranded+time.Second)
	expect(t, w, "", "OrderJoin "+b6)
	w.s.Drain.Segments = append(w.s.Drain.Segments, segment("single", 1007))
	says(t, expect(t, w, v1alpha1.ReasonNotDrainable), true, "single")
}

func TestABrokerThatIsWantedAgainWhileItIsStoppedStartsAsWhatItIsNow(t *testing.T) {
	held := func() *world {
		w := sevenBrokers().stoppedFor(1007, time.Second)
		w.s.Wanted.Replicas[v1alpha1.RoleMQTTBroker] = 7
		return w
	}
	expect(t, held(), "", "Start "+b6) // not unregistered yet
	w := held().unlisted(1007)
	expect(t, w, v1alpha1.ReasonStartingNode) // its copies are moving
	w.seen(SymptomStranded, 1007, w.s.Limits.Stranded+time.Second)
	expect(t, w, "", "Start "+b6) // they do not
	w = held().unlisted(1007)
	w.s.Drain.Segments = nil
	expect(t, w, "", "Wipe "+b6) // they have
	w.empty(1007)
	expect(t, w, "", "OrderJoin "+b6)
	w.member(1007).ClaimTerminating = true
	expect(t, w, "", "Replace "+b6)
}

func TestABrokerThatIsWantedAgainBeforeItsStopGetsItsClientsBack(t *testing.T) {
	w := sevenBrokers().quiesced(1007)
	w.s.Wanted.Replicas[v1alpha1.RoleMQTTBroker] = 7
	expect(t, w, "", "Start "+b6)
}

func TestTheVolumeGoesWithThePodWhereTheUserSaidSo(t *testing.T) {
	w := sevenBrokers().unlisted(1007).empty(1007)
	w.s.Drain.Segments = nil
	w.s.Wanted.VolumesGo = true
	expect(t, w, "", "ReleaseVolume "+b6)
	if n := Sizes(w.s, assess(w.s))[v1alpha1.RoleMQTTBroker]; n != 7 {
		t.Errorf("the set shrinks to %d, and the claim would be left behind", n)
	}
	w.member(1007).ClaimTerminating = true
	expect(t, w, "", "Quiesce "+b5)
}

func TestNoProofWithoutEveryNodesOwnList(t *testing.T) {
	w := sevenBrokers().stoppedFor(1007, time.Minute).unlisted(1007)
	w.s.Drain.Segments = nil
	w.member(1003).Agent.Nodes = append(w.member(1003).Agent.Nodes, 1007)
	says(t, expect(t, w, v1alpha1.ReasonDraining), false, "c-mqtt-broker-2 still lists it")
}

func TestAPodThatNeverRanAndThatNothingNamesMayGo(t *testing.T) {
	w := sevenBrokers().unlisted(1007)
	w.s.Drain.Segments = nil
	m := w.member(1007)
	m.Agent, m.State, m.Reason = nil, PodPending, v1alpha1.ReasonUnschedulable
	if n := Sizes(w.s, assess(w.s))[v1alpha1.RoleMQTTBroker]; n != 6 {
		t.Errorf("the set keeps %d pods, want 6", n)
	}
	w.s.Drain.Segments = []Segment{segment("orders", 1007, 2)}
	says(t, expect(t, w, v1alpha1.ReasonScaleInPending), true, b6, "segments name it")
}

func TestABrokerThatCrashesIsTakenAwayOnlyWhenNothingCountsOnIt(t *testing.T) {
	w := sevenBrokers()
	w.member(1007).Agent.Server = ServerExited
	w.seen(SymptomStarting, 1007, time.Second)
	expect(t, w, v1alpha1.ReasonStartingNode)
	w.seen(SymptomStarting, 1007, w.s.Limits.NodeStart+time.Second).unlisted(1007)
	says(t, expect(t, w, v1alpha1.ReasonScaleInPending), true, b6, "delete its pod")
	w.s.Drain.Segments = nil
	expect(t, w, "", "Drain "+b6)
}

func TestJournalServersLeaveAfterTheBrokersWithoutClientsToBeLedAway(t *testing.T) {
	w := sevenBrokers()
	w.s.Wanted.Replicas[v1alpha1.RoleMQTTBroker] = 7
	w.s.Wanted.Replicas[v1alpha1.RoleJournalServer] = 1
	for o := range int32(2) {
		w.s.Members = append(w.s.Members, freshPod(v1alpha1.RoleJournalServer, "c-journal-server-", o, 2001))
	}
	w.start(2001, OriginJoined)
	w.start(2002, OriginJoined)
	w.register()
	w.s.Drain.Segments = []Segment{segment("orders", 2002, 1)}
	expect(t, w, "", "Drain c-journal-server-1", "Unregister c-journal-server-1")
}

func TestANodeThatIsStoppedIsFinishedBeforeAnotherBegins(t *testing.T) {
	w := sevenBrokers().stoppedFor(1006, time.Second)
	expect(t, w, "", "Unregister "+b5)
}
