package topology

import (
	"fmt"
	"slices"
	"testing"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/quorum"
)

// allKeys are the keys of a healthy member at a position.
func allKeys(position string) Census {
	return Census{Life: "1", Applied: position, Families: map[string]Family{"meta_data": {100, "d"}, "meta_metadata": {400, "m"}}}
}

// halfTheKeys lacks half of its metadata.
func halfTheKeys(position string) Census {
	return Census{Life: "1", Applied: position, Families: map[string]Family{"meta_data": {100, "d"}, "meta_metadata": {200, "half"}}}
}

// living is a formed cluster whose volumes have lives.
func living(members int32) *world {
	ids := make([]uint64, members)
	for i := range ids {
		ids[i] = uint64(i) + 1
	}
	w := newWorld(members, 0).founded().form(1, ids...)
	for _, id := range ids {
		w.member(id).Agent.Marker.Life = "1"
	}
	return w
}

// hold makes a member held, as StepStop does.
func (w *world) hold(id uint64) *Agent {
	a := w.member(id).Agent
	a.Server, a.GateOpen, a.GateReason, a.Groups, a.Nodes, a.Registry = ServerStopped, false, GateHeld, nil, nil, nil
	return a
}

// Seed 60609 of test/planner: a member that was to leave, and was held because it was faulty, was missing to the leaving of the one before it, and nobody mended it.
func TestAFaultyMemberThatIsTakenAwayIsMendedOnlyWhereAnotherCannotLeaveWithoutIt(t *testing.T) {
	w := shrinking(3, 1)
	w.s.Wanted.One.Allowed = true
	w.hold(2)
	w.s.Faults = []Fault{{NodeID: 2, Kind: FaultEmptySnapshot, Why: "it holds less than its position claims"}}
	expect(t, w, v1alpha1.ReasonFaultyMember, "Seed "+pc1)
	// The last one leaves as it is, and another one is not kept waiting for it.
	w = shrinking(3, 2)
	w.hold(3)
	w.s.Faults = []Fault{{NodeID: 3, Kind: FaultEmptySnapshot, Why: "it holds less than its position claims"}}
	if p := Decide(w.s); waits(p, v1alpha1.ReasonFaultyMember) || slices.Contains(steps(p), "Seed "+pc2) {
		t.Errorf("%v, %+v", steps(p), p.Waits)
	}
	w = shrinking(5, 4)
	w.s.Faults = []Fault{{NodeID: 2, Kind: FaultEmptySnapshot, Why: "it holds less than its position claims"}, {NodeID: 5, Kind: FaultEmptySnapshot, Why: "so does it"}}
	w.hold(5)
	expect(t, w, v1alpha1.ReasonFaultyMember, "Unregister c-placement-center-4")
}

func TestAMemberThatLacksKeysInTwoRoundsIsTakenOutAndGetsASoundMembersMetadata(t *testing.T) {
	w := living(3)
	w.s.Rounds = []Round{{1: allKeys("30"), 2: allKeys("30"), 3: halfTheKeys("30")}}
	expect(t, w, "")
	if got := Faults(w.s); len(got) > 0 {
		t.Errorf("after one round: %+v", got)
	}
	w.s.Rounds = append(w.s.Rounds, Round{1: allKeys("31"), 2: allKeys("31"), 3: halfTheKeys("31")})
	expect(t, w, v1alpha1.ReasonFaultyMember, "Stop "+pc2)
	if len(Faults(w.s)) != 1 || Faults(w.s)[0].Kind != FaultKeysDiffer || Faults(w.s)[0].Life != "1" {
		t.Fatalf("%+v", Faults(w.s))
	}
	w.s.Faults = Faults(w.s)
	a := w.hold(3)
	p := expect(t, w, v1alpha1.ReasonFaultyMember, "Seed "+pc2)
	if p.Steps[0].Via != pc1 {
		t.Errorf("seeded from %s: the follower spares the leader", p.Steps[0].Via)
	}
	a.GateReason, a.Seed = "Placing", &Seed{ID: "s", Phase: SeedReceiving, Donor: 2}
	expect(t, w, v1alpha1.ReasonFaultyMember)
	a.Seed = nil
	// It runs on a sound member's metadata: the old rounds accuse nobody.
	again := w.start(3, "Seeded").Agent
	again.Marker.Life, again.Marker.Member = "2", true
	w.form(1, 1, 2, 3)
	if p := expect(t, w, ""); !p.Settled() || len(Faults(w.s)) > 0 {
		t.Errorf("%+v", p)
	}
}

func TestAMemberThatTookAnEmptySnapshotIsTakenOutAtOnce(t *testing.T) {
	w := living(3)
	w.member(2).Agent.EmptySnapshot = []string{"metadata_0"}
	expect(t, w, v1alpha1.ReasonFaultyMember, "Stop "+pc1)
	if len(Faults(w.s)) != 1 || Faults(w.s)[0].Kind != FaultEmptySnapshot {
		t.Errorf("%+v", Faults(w.s))
	}
	// Its server took one that was no newer than what it had: the keys are there.
	w.s.Rounds = []Round{{1: allKeys("30"), 2: allKeys("30"), 3: allKeys("30")}}
	if p := expect(t, w, ""); !p.Settled() {
		t.Errorf("%+v", p.Waits)
	}
	// What was counted were the data that it had before: of these nothing is known.
	w.member(2).Agent.Marker.Life = "2"
	expect(t, w, v1alpha1.ReasonFaultyMember, "Stop "+pc1)
}

// The one that is down for it is missing to the other, and would be for ever.
func TestOfTwoFaultyMembersTheOneThatIsStoppedAlreadyIsMendedFirst(t *testing.T) {
	w := living(5)
	w.member(2).Agent.EmptySnapshot, w.member(5).Agent.EmptySnapshot = []string{"data_0"}, []string{"metadata_0"}
	w.s.Faults = Faults(w.s)
	w.hold(5)
	p := Decide(w.s)
	if len(p.Steps) != 1 || p.Steps[0].Kind != StepSeed || p.Steps[0].NodeID != 5 {
		t.Errorf("%+v %+v", p.Steps, p.Waits)
	}
}

func TestAFaultyMemberIsLeftAloneWhereTakingItOutWouldHarm(t *testing.T) {
	faulty := func(members int32, id uint64) *world {
		w := living(members)
		w.member(id).Agent.EmptySnapshot = []string{"metadata_0"}
		return w
	}
	t.Run("it leads, and leadership cannot be moved", func(t *testing.T) {
		w := faulty(3, 1)
		w.s.TransferFailedAgo = time.Second
		expect(t, w, v1alpha1.ReasonFaultyMember)
	})
	t.Run("another voter is down", func(t *testing.T) {
		w := faulty(5, 2)
		w.member(4).Agent.Server, w.member(4).Agent.Groups = ServerExited, nil
		p := Decide(w.s)
		if slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Kind == StepStop }) || !waits(p, v1alpha1.ReasonFaultyMember) {
			t.Errorf("%+v %+v", p.Steps, p.Waits)
		}
	})
	t.Run("two are faulty: one after the other", func(t *testing.T) {
		w := faulty(5, 2)
		w.member(3).Agent.EmptySnapshot = []string{"data_0"}
		expect(t, w, v1alpha1.ReasonFaultyMember, "Stop "+pc1)
		w.s.Faults = []Fault{{NodeID: 2, Kind: FaultEmptySnapshot, Life: "1"}, {NodeID: 3, Kind: FaultEmptySnapshot, Life: "1"}}
		w.hold(2)
		p := expect(t, w, v1alpha1.ReasonFaultyMember, "Seed "+pc1)
		if p.Steps[0].Via == pc2 {
			t.Error("seeded from a faulty member")
		}
	})
	t.Run("the only voter", func(t *testing.T) { expect(t, faulty(1, 1), v1alpha1.ReasonFaultyMember) })
	t.Run("one of two", func(t *testing.T) { expect(t, faulty(2, 2), v1alpha1.ReasonFaultyMember) })
	t.Run("nobody is sound", func(t *testing.T) {
		w := faulty(3, 2)
		w.s.Faults = []Fault{{NodeID: 2, Kind: FaultEmptySnapshot, Life: "1"}, {NodeID: 1, Life: "1"}, {NodeID: 3, Life: "1"}}
		w.hold(2)
		p := Decide(w.s)
		if len(p.Steps) > 0 || !waits(p, v1alpha1.ReasonFaultyMember) {
			t.Errorf("%+v", p.Steps)
		}
	})
}

// Where nobody can be named, two rounds are told and nothing is done.
func TestWhoIsRightIsNeverGuessed(t *testing.T) {
	for name, c := range map[string]struct {
		members int32
		round   Round
		told    bool
	}{
		"two members differ":                          {2, Round{1: allKeys("30"), 2: halfTheKeys("30")}, true},
		"the third could not be counted":              {3, Round{1: allKeys("30"), 3: halfTheKeys("30")}, true},
		"the majority is not with the leader":         {3, Round{1: allKeys("30"), 2: halfTheKeys("30"), 3: halfTheKeys("30")}, true},
		"at another position everything is different": {3, Round{1: allKeys("30"), 2: allKeys("30"), 3: halfTheKeys("29")}, false},
		"nobody was counted":                          {3, Round{}, false},
		"three of five, two at another position":      {5, Round{1: allKeys("30"), 2: allKeys("30"), 3: halfTheKeys("30"), 4: allKeys("31"), 5: allKeys("31")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := living(c.members)
			w.s.Rounds = []Round{c.round, c.round}
			p := Decide(w.s)
			if len(p.Steps) > 0 || len(Faults(w.s)) > 0 {
				t.Errorf("%+v %+v", p.Steps, Faults(w.s))
			}
			if waits(p, v1alpha1.ReasonDataDiffers) != c.told {
				t.Errorf("told: %+v", p.Waits)
			}
		})
	}
}

func TestAReadingOfEarlierDataAccusesNobody(t *testing.T) {
	w := living(3)
	w.s.Rounds = []Round{{1: allKeys("30"), 2: allKeys("30"), 3: halfTheKeys("30")}, {1: allKeys("31"), 2: allKeys("31"), 3: halfTheKeys("31")}}
	w.member(3).Agent.Marker.Life = "2"
	expect(t, w, "")
	if got := Faults(w.s); len(got) > 0 {
		t.Errorf("%+v", got)
	}
}

func TestALeaderWhoseLogIsShorterThanItsFollowersIsStopped(t *testing.T) {
	w := living(3)
	for _, id := range []uint64{2, 3} {
		g := w.member(id).Agent.Groups["metadata_0"]
		g.LastLog = 400
		w.member(id).Agent.Groups["metadata_0"] = g
	}
	if got := Symptoms(w.s); !slices.Contains(got, Symptom{SymptomDiverged, pc0}) {
		t.Fatalf("%+v", got)
	}
	if p := Decide(w.s); len(p.Steps) > 0 {
		t.Errorf("at first sight: %+v", p.Steps)
	}
	w.seen(SymptomDiverged, 1, time.Minute)
	expect(t, w, v1alpha1.ReasonFaultyMember, "Stop "+pc0)
	w.s.Faults = Faults(w.s)
	w.s.Seen = map[Symptom]time.Duration{}
	w.hold(1)
	w.form(2, 2, 3)
	for _, id := range []uint64{2, 3} { // it still counts the stopped one
		for name, g := range w.member(id).Agent.Groups {
			g.Voters, g.Members, g.Term = []uint64{1, 2, 3}, []uint64{1, 2, 3}, 2
			w.member(id).Agent.Groups[name] = g
		}
	}
	p := expect(t, w, v1alpha1.ReasonFaultyMember, "Seed "+pc0)
	if p.Steps[0].Via != pc2 {
		t.Errorf("seeded from %s, the leader, although a follower is there", p.Steps[0].Via)
	}
}

func TestAFollowerThatWasAskedALittleLaterIsNoSign(t *testing.T) {
	w := living(3)
	g := w.member(2).Agent.Groups["metadata_0"]
	g.LastLog += w.s.Limits.Lag
	w.member(2).Agent.Groups["metadata_0"] = g
	if got := Symptoms(w.s); slices.Contains(got, Symptom{SymptomDiverged, pc0}) {
		t.Errorf("%+v", got)
	}
}

// Every world of up to five voters, each counted as one of: whole, emptied, emptied in another way, at another position, not counted; every leader.
// Nobody is named whose keys are a majority's, nor where the leader is not with the majority; and who is named differs from a majority of all voters at his own position.
func TestInEverySmallWorldOnlyAMinorityAtTheSamePositionIsNamed(t *testing.T) {
	worlds := 0
	kinds := []func() (Census, bool){
		func() (Census, bool) { return allKeys("30"), true },
		func() (Census, bool) { return halfTheKeys("30"), true },
		func() (Census, bool) {
			c := halfTheKeys("30")
			c.Families["meta_data"] = Family{1, "other"}
			return c, true
		},
		func() (Census, bool) { return allKeys("31"), true },
		func() (Census, bool) { return Census{}, false },
	}
	for n := 1; n <= 5; n++ {
		voters := []uint64{}
		total := 1
		for i := range n {
			voters = append(voters, uint64(i)+1)
			total *= len(kinds)
		}
		for world := range total {
			r := Round{}
			for i, rest := 0, world; i < n; i, rest = i+1, rest/len(kinds) {
				if c, counted := kinds[rest%len(kinds)](); counted {
					r[voters[i]] = c
				}
			}
			for _, leader := range voters {
				worlds++
				checkVerdict(t, r, voters, leader)
			}
		}
	}
	t.Logf("%d worlds", worlds)
}

func checkVerdict(t *testing.T, r Round, voters []uint64, leader uint64) {
	t.Helper()
	v := judge(r, voters, leader)
	for odd := range v.odd {
		agree := 0 // voters that hold what the leader holds, where the accused stands
		for _, id := range voters {
			if c, ok := r[id]; ok && c.Applied == r[odd].Applied && digest(c) == digest(r[leader]) {
				agree++
			}
		}
		if agree < quorum.Of(len(voters)) || digest(r[odd]) == digest(r[leader]) || odd == leader {
			t.Fatalf("node %d is named: %s", odd, fmt.Sprint(r, voters, leader))
		}
	}
	if len(v.odd) > quorum.Tolerates(len(voters)) {
		t.Fatalf("%d of %d are named", len(v.odd), len(voters))
	}
	// Completeness: whoever differs at the position of a majority that the leader is in is named.
	for _, id := range voters {
		c, counted := r[id]
		if !counted || c.Applied != r[leader].Applied {
			continue
		}
		same := 0
		for _, other := range voters {
			if o, ok := r[other]; ok && o.Applied == c.Applied && digest(o) == digest(r[leader]) {
				same++
			}
		}
		if _, named := v.odd[id]; same >= quorum.Of(len(voters)) && digest(c) != digest(r[leader]) && !named {
			t.Fatalf("node %d is not named: %s", id, fmt.Sprint(r, voters, leader))
		}
	}
}
