package topology

import (
	"slices"
	"strings"
	"testing"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

const firstMember, secondMember = "c-placement-center-0", "c-placement-center-1"

// lastTwo are two whole voters of whom one is wanted, as the user allowed.
func lastTwo() *world {
	w := shrinking(2, 1)
	w.s.Wanted.One.Allowed = true
	w.s.Rounds = []Round{{1: count(w.member(1), "p", 7), 2: count(w.member(2), "p", 7)}}
	return w
}

// count is a member's present data as it was counted.
func count(m *Member, position string, keys uint64) Census {
	return Census{Life: m.Agent.Marker.Life, Applied: position, Families: map[string]Family{"meta_data": {Keys: keys, Digest: "d"}}}
}

// loneLeader is the first as the only voter of generation 2, and the second left behind.
func loneLeader() *world {
	w := lastTwo().stopped(2)
	w.s.Wanted.Generation = 2
	first, second := w.member(1).Agent, w.member(2).Agent
	first.Marker.Generation, first.Marker.Origin, first.Announced = 2, OriginAlone, true
	for _, g := range w.s.Wanted.Groups {
		first.Groups[g] = Group{Running: true, Voters: []uint64{1}, Members: []uint64{1}, Leader: 1, Leads: true, Term: 2, LastLog: 31, LastApplied: 31}
	}
	second.GateReason = GateOldGeneration
	return w
}

func TestACountOfItsOwnIsMadeOnlyForTheLastTwoOfWhomOneIsWanted(t *testing.T) {
	for what, c := range map[string]struct {
		change func(w *world)
		want   bool
	}{
		"they were counted a moment ago": {func(*world) {}, false},
		"they were not":                  {func(w *world) { w.s.Rounds = nil }, true},
		"they were long ago":             {func(w *world) { w.s.RoundAgo = time.Hour }, true},
		"it is not allowed":              {func(w *world) { w.s.Rounds, w.s.Wanted.One.Allowed = nil, false }, false},
	} {
		w := lastTwo()
		c.change(w)
		if got := AwaitsCount(w.s); got != c.want {
			t.Errorf("%s: %t", what, got)
		}
	}
	w := shrinking(3, 1)
	w.s.Wanted.One.Allowed = true
	if AwaitsCount(w.s) {
		t.Error("there are three")
	}
}

func TestThreeVotersBecomeTwoByTheOrdinaryWayOnlyWithTheEscape(t *testing.T) {
	w := shrinking(3, 1)
	if p := Decide(w.s); len(p.Steps) != 0 || !waits(p, v1alpha1.ReasonScaleInPending) {
		t.Errorf("without it: %+v", p)
	}
	w.s.Wanted.One.Allowed = true
	if p := Decide(w.s); !slices.Equal(steps(p), []string{"Drain c-placement-center-2", "Unregister c-placement-center-2"}) {
		t.Errorf("with it: %+v", p)
	}
}

func TestTheLastTwoBecomeOneOnlyWhenNothingIsAmiss(t *testing.T) {
	for what, c := range map[string]struct {
		change func(w *world)
		want   []string
	}{
		"nothing is":                          {func(*world) {}, []string{"Stop " + secondMember, "Alone " + firstMember}},
		"the one that goes leads":             {func(w *world) { w.form(2, 1, 2) }, []string{"Stop " + secondMember, "Alone " + firstMember}},
		"it is not allowed":                   {func(w *world) { w.s.Wanted.One.Allowed = false }, nil},
		"the one that stays is faulty":        {func(w *world) { w.member(1).Agent.EmptySnapshot = []string{"metadata_0"} }, nil},
		"an image is taken":                   {func(w *world) { w.member(1).Agent.Staging = true }, nil},
		"a restore is under way":              {func(w *world) { w.s.Wanted.Restore = Restore{Name: "r", Stage: v1alpha1.RestoreWaiting} }, nil},
		"the copies were not looked at":       {func(w *world) { w.s.Drain.Complete = false }, nil},
		"a broker is down":                    {func(w *world) { w.stopped(1001) }, nil},
		"it failed a minute ago":              {func(w *world) { w.s.Wanted.One.FailedAgo = time.Minute }, nil},
		"it failed ten minutes ago":           {func(w *world) { w.s.Wanted.One.FailedAgo = 10 * time.Minute }, []string{"Stop " + secondMember, "Alone " + firstMember}},
		"a backup is to be made first":        {func(w *world) { w.s.Wanted.One.Backup = "b" }, []string{"Save "}},
		"that backup is not ready":            {func(w *world) { w.s.Wanted.One.Backup, w.s.Wanted.One.Begun = "b", true }, nil},
		"that backup failed":                  {func(w *world) { w.s.Wanted.One = One{Allowed: true, Backup: "b", Begun: true, Failed: "no space"} }, nil},
		"that backup can be restored":         {func(w *world) { w.s.Wanted.One = One{Allowed: true, Backup: "b", Begun: true, Saved: true} }, []string{"Stop " + secondMember, "Alone " + firstMember}},
		"nobody has counted them":             {func(w *world) { w.s.Rounds = nil }, nil},
		"only one was counted":                {func(w *world) { delete(w.s.Rounds[0], 2) }, nil},
		"they hold different keys":            {func(w *world) { w.s.Rounds[0][1] = count(w.member(1), "p", 6) }, nil},
		"they were counted at two points":     {func(w *world) { w.s.Rounds[0][1] = count(w.member(1), "q", 7) }, nil},
		"other data of one was counted":       {func(w *world) { w.member(1).Agent.Marker.Life = "another" }, nil},
		"an older count was another":          {func(w *world) { w.s.Rounds = append([]Round{{1: count(w.member(1), "o", 1)}}, w.s.Rounds...) }, []string{"Stop " + secondMember, "Alone " + firstMember}},
		"they were counted half a minute ago": {func(w *world) { w.s.RoundAgo = w.s.Limits.Counted }, []string{"Stop " + secondMember, "Alone " + firstMember}},
		"they were counted before that":       {func(w *world) { w.s.RoundAgo = w.s.Limits.Counted + 1 }, nil},
		"the one that stays lags": {func(w *world) {
			w.group(2, "data_0", func(g *Group) { g.Leads = true; g.LastApplied += 201 })
			w.group(1, "data_0", func(g *Group) { g.Leads = false; g.Leader = 2 })
		}, nil},
		"the only copy is on a goer": {func(w *world) {
			w.s.Drain.Segments = []Segment{{Topic: "t", Copies: 1, Replicas: []uint64{2}, ISR: []uint64{2}, Leader: 2}}
		}, nil},
		"the membership is half changed": {func(w *world) {
			w.member(1).Agent.Groups["data_0"] = Group{Running: true, Changing: true, Members: []uint64{1, 2}}
		}, nil},
	} {
		w := lastTwo()
		c.change(w)
		p := Decide(w.s)
		got := slices.DeleteFunc(steps(p), func(s string) bool {
			return !slices.Contains([]string{"Stop", "Alone", "Save", "Drain"}, strings.SplitN(s, " ", 2)[0])
		})
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", what, got, c.want)
		}
	}
	p := Decide(lastTwo().s)
	if alone := p.Steps[1]; alone.NodeID != 1 || alone.Without != 2 || !strings.Contains(p.Steps[0].Reason, "no backup") {
		t.Errorf("%+v", p.Steps)
	}
}

func TestWhatWasStoppedForItIsMadeSoInTimeOrBothGoOnAsTheyWere(t *testing.T) {
	half := func(stoppedFor time.Duration) *world {
		w := lastTwo().stopped(2)
		w.member(2).Agent.StoppedFor = stoppedFor
		for name, g := range w.member(1).Agent.Groups {
			g.Leads = false // its quorum is gone
			w.member(1).Agent.Groups[name] = g
		}
		return w
	}
	limit := DefaultLimits().Unregister
	for what, c := range map[string]struct {
		w    *world
		want string
	}{
		"at once":               {half(time.Second), "Alone " + firstMember},
		"at the last moment":    {half(limit), "Alone " + firstMember},
		"too late":              {half(limit + time.Second), "Start " + secondMember},
		"nobody knows how long": {half(0), "Start " + secondMember},
	} {
		if got := steps(Decide(c.w.s)); !slices.Equal(got, []string{c.want}) {
			t.Errorf("%s: %v, want %s", what, got, c.want)
		}
		if !GoingAlone(c.w.s) {
			t.Errorf("%s: it is not seen to be on its way", what)
		}
	}
	// The operator that had counted them and stopped one is gone, and the next goes on from there.
	forgotten := half(time.Second)
	forgotten.s.Rounds = nil
	if got := steps(Decide(forgotten.s)); !slices.Equal(got, []string{"Alone " + firstMember}) {
		t.Errorf("another operator: %v", got)
	}
	unlike := half(time.Second)
	unlike.s.Rounds[0][1] = count(unlike.member(1), "p", 6)
	if got := steps(Decide(unlike.s)); !slices.Equal(got, []string{"Start " + secondMember}) {
		t.Errorf("it was stopped for something else, and they differ: %v", got)
	}
	failed := half(time.Second)
	failed.s.Wanted.One.FailedAgo = time.Second
	if got := steps(Decide(failed.s)); !slices.Equal(got, []string{"Start " + secondMember}) {
		t.Errorf("it was refused: %v", got)
	}
}

func TestTheOnlyVoterStartsWhenNoOtherMemberCan(t *testing.T) {
	for what, c := range map[string]struct {
		change func(other *Member)
		want   []string
	}{
		"the other has been told":         {func(*Member) {}, []string{"Start " + firstMember}},
		"its pod is gone":                 {func(m *Member) { m.State, m.Agent = PodMissing, nil }, []string{"Start " + firstMember}},
		"it was not told yet":             {func(m *Member) { m.Agent.GateReason = GateHeld }, nil},
		"its agent does not answer":       {func(m *Member) { m.Agent = nil }, nil},
		"it runs":                         {func(m *Member) { m.Agent.Server, m.Agent.GateOpen = ServerRunning, true }, []string{"Stop " + secondMember}},
		"it is starting":                  {func(m *Member) { m.Agent.Server, m.Agent.GateOpen = ServerStarting, true }, []string{"Stop " + secondMember}},
		"its gate is open, and it is not": {func(m *Member) { m.Agent.GateOpen = true }, []string{"Stop " + secondMember}},
	} {
		w := loneLeader().stopped(1)
		c.change(w.member(2))
		if got := steps(Decide(w.s)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", what, got, c.want)
		}
	}
}

// Seed 80012 of test/planner: the placement centre had come down to one, and grown again; when its first member was held for another reason, the others were stopped as if they were of before.
func TestNobodyIsStoppedForAnOnlyVoterThatOthersHaveJoinedSince(t *testing.T) {
	w := newWorld(3, 0).founded().form(2, 1, 2, 3)
	w.s.Wanted.Generation, w.s.Wanted.Decommission = 2, true
	for id := uint64(1); id <= 3; id++ {
		w.member(id).Agent.Marker.Generation = 2
	}
	first := w.member(1)
	first.Agent.Marker.Origin = OriginAlone
	first.Agent.GateOpen, first.Agent.GateReason, first.Agent.Server, first.Agent.Groups = false, GateHeld, ServerStopped, nil
	if GoingAlone(w.s) {
		t.Error("it is said to be on its way to one member")
	}
	expect(t, w, "", "Start "+firstMember)
	w.s.Faults = []Fault{{NodeID: 1, Kind: FaultEmptySnapshot, Why: "it holds less than its position claims"}}
	expect(t, w, "", "Seed "+firstMember)
	// One of the others is enough to know it.
	w.member(2).Agent, w.s.Faults = nil, nil
	for _, s := range Decide(w.s).Steps {
		if s.Kind == StepStop {
			t.Errorf("%+v", s)
		}
	}
}

func TestAMemberThatWasMarkedAndNotRewrittenIsMadeTheOnlyVoterOnceMore(t *testing.T) {
	w := loneLeader()
	for _, g := range w.s.Wanted.Groups {
		w.member(1).Agent.Groups[g] = Group{Running: true, Voters: []uint64{1, 2}, Members: []uint64{1, 2}}
	}
	if got := steps(Decide(w.s)); !slices.Equal(got, []string{"Alone " + firstMember}) {
		t.Error(got)
	}
	// One that the second has joined since is no such case.
	w.member(2).Agent.Marker.Generation = 2
	if got := steps(Decide(w.s)); slices.Contains(got, "Alone "+firstMember) {
		t.Error(got)
	}
}

func TestWhoWasLeftBehindIsUnregisteredWhenTheLeaderCanTellAndThenEmptied(t *testing.T) {
	w := loneLeader()
	w.member(1).Agent.Announced = false
	if got := Decide(w.s); len(got.Steps) != 0 {
		t.Errorf("before it has registered itself: %v", steps(got))
	}
	w.member(1).Agent.Announced = true
	if got := steps(Decide(w.s)); !slices.Equal(got, []string{"Unregister " + secondMember}) {
		t.Error(got)
	}
	w.unregistered(2)
	w.s.Drain.Segments = []Segment{{Topic: "t", Copies: 2, Replicas: []uint64{2, 1001}, ISR: []uint64{1001}, Leader: 1001}}
	if got := Decide(w.s); len(got.Steps) != 0 || !waits(got, v1alpha1.ReasonDraining) {
		t.Errorf("its copies are moving: %+v", got)
	}
	w.seen(SymptomStranded, 2, time.Minute)
	if got := steps(Decide(w.s)); !slices.Equal(got, []string{"Wipe " + secondMember}) {
		t.Errorf("its registration had expired, and another node has all: %v", got)
	}
	w.s.Drain.Segments[0].ISR = []uint64{2}
	if got := steps(Decide(w.s)); len(got) != 0 {
		t.Errorf("the last copy in sync: %v", got)
	}
	w.s.Drain.Segments = nil
	if got := steps(Decide(w.s)); !slices.Equal(got, []string{"Wipe " + secondMember}) {
		t.Errorf("nothing names it: %v", got)
	}
}
