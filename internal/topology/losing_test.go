package topology

import (
	"slices"
	"strings"
	"testing"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// lostAll is a cluster that was founded and whose volumes are all empty, for as long as it takes.
func lostAll() *world {
	w := newWorld(3, 2).founded().brokersUp(1001, 1002)
	w.s.Seen[Symptom{Kind: SymptomTotalLoss}] = 3 * time.Minute
	w.s.Wanted.Rescue.Restore.Name = "c-loss-1"
	return w
}

func lossWait(t *testing.T, p Plan) Wait {
	t.Helper()
	if len(p.Waits) == 0 || p.Waits[0].Reason != v1alpha1.ReasonDataLost || !p.Waits[0].Trouble {
		t.Fatalf("that everything is lost is not told first, or not as trouble: %+v", p.Waits)
	}
	return p.Waits[0]
}

func sees(s Snapshot, kind SymptomKind) bool {
	return slices.ContainsFunc(Symptoms(s), func(x Symptom) bool { return x.Kind == kind })
}

func TestAVolumeThatNobodyHasSeenEmptyIsNeverLost(t *testing.T) {
	for what, change := range map[string]func(w *world, m *Member){
		"its pod is pending": func(_ *world, m *Member) { m.State, m.Agent = PodPending, nil },
		"its pod is missing": func(_ *world, m *Member) { m.State, m.Agent = PodMissing, nil },
		"its pod cannot be scheduled": func(_ *world, m *Member) {
			m.State, m.Agent, m.Local = PodPending, nil, &LocalVolume{Name: "pv", Machine: "gone"}
		},
		"its agent is slow": func(_ *world, m *Member) { m.Agent, m.AgentError = nil, "context deadline exceeded" },
		"its machine is gone": func(w *world, m *Member) {
			m.Agent, m.Node = nil, "m"
			w.s.Machines = map[string]Machine{"m": {Gone: true}}
		},
		"its volume cannot be read": func(_ *world, m *Member) { m.Agent = &Agent{GateReason: "VolumeUnusable", Server: ServerStopped} },
		"its volume holds data": func(_ *world, m *Member) {
			m.Agent = &Agent{VolumeInitialised: true, GateReason: GateForeign, Server: ServerStopped}
		},
		"its volume is of an older generation": func(w *world, m *Member) {
			w.start(m.NodeID, OriginJoined)
			m.Agent.GateOpen, m.Agent.GateReason = false, GateOldGeneration
		},
		"it is a member more than is wanted": func(w *world, m *Member) {
			w.s.Wanted.Replicas[v1alpha1.RolePlacementCenter] = 2
			m.State, m.Agent = PodPending, nil
		},
	} {
		for _, starting := range []bool{false, true} {
			w := lostAll()
			w.s.Wanted.Rescue.StartEmpty = starting
			change(w, w.member(3))
			p := Decide(w.s)
			for _, s := range p.Steps {
				if s.Kind != StepForceDelete {
					t.Errorf("%s: %+v", what, s)
				}
			}
			if sees(w.s, SymptomTotalLoss) || waits(p, v1alpha1.ReasonDataLost) {
				t.Errorf("%s: it counts as lost: %+v", what, p.Waits)
			}
		}
	}
}

func TestWhatSpeaksAgainstALossKeepsItFromBeingActedUpon(t *testing.T) {
	for what, c := range map[string]struct {
		change func(w *world, m *Member)
		says   string
	}{
		"a pod that ends":          {func(_ *world, m *Member) { m.State = PodTerminating }, "is being replaced"},
		"an agent that ends":       {func(_ *world, m *Member) { m.Agent.Terminating = true }, "is being replaced"},
		"a server that was let go": {func(_ *world, m *Member) { m.Agent.GateOpen = true }, "is not stopped"},
		"a server that runs":       {func(_ *world, m *Member) { m.Agent.Server = ServerRunning }, "is not stopped"},
		"an image that arrives":    {func(_ *world, m *Member) { m.Agent.Placing, m.Agent.GateReason = true, GatePlacing }, "is being filled"},
		"a seed": {func(_ *world, m *Member) {
			m.Agent.Seed, m.Agent.GateReason = &Seed{ID: "s", Phase: SeedFailed}, GatePlacing
		}, "is being filled"},
		"a claim that no pod has":     {func(w *world, _ *Member) { w.s.OtherVolumes = []string{"data-c-placement-center-4"} }, "data-c-placement-center-4"},
		"it has not been so for long": {func(w *world, _ *Member) { w.s.Seen[Symptom{Kind: SymptomTotalLoss}] = 2 * time.Minute }, "before it has been so for 2m0s"},
		"a restore that looks for one": {func(w *world, _ *Member) {
			w.s.Wanted.Restore = Restore{Name: "mine", Stage: v1alpha1.RestoreValidating}
		}, "restore mine is Validating"},
	} {
		for _, starting := range []bool{false, true} {
			w := lostAll()
			w.s.Wanted.Rescue.StartEmpty = starting
			c.change(w, w.member(2))
			p := Decide(w.s)
			if len(p.Steps) != 0 {
				t.Errorf("%s: %+v", what, p.Steps)
			}
			if text := lossWait(t, p).Message; !strings.Contains(text, c.says) {
				t.Errorf("%s: %q", what, text)
			}
		}
	}
}

func TestOnlyALossThatNothingSpeaksAgainstIsTimed(t *testing.T) {
	w := lostAll()
	if !sees(w.s, SymptomTotalLoss) {
		t.Error("a total loss is not timed")
	}
	w.member(2).Agent.GateOpen = true
	if sees(w.s, SymptomTotalLoss) {
		t.Error("one that is not certain is timed")
	}
	w = lostAll()
	w.s.Wanted.Founded = false
	if sees(w.s, SymptomTotalLoss) {
		t.Error("a cluster that was never founded has lost something")
	}
	if sees(newWorld(3, 0).founded().form(1, 1, 2, 3).s, SymptomTotalLoss) {
		t.Error("a cluster that lives has lost everything")
	}
}

func TestALossIsAnsweredByOneRestoreOfTheNewestGoodBackup(t *testing.T) {
	w := lostAll()
	p := expect(t, w, v1alpha1.ReasonDataLost, "Restore ")
	if s := p.Steps[0]; s.Trigger != v1alpha1.RestoreTotalLoss || s.Symptom() != (Symptom{Kind: SymptomTotalLoss}) || !strings.Contains(s.Reason, "c-loss-1") {
		t.Errorf("%+v", s)
	}
	lossWait(t, p)
	for _, m := range w.s.of(v1alpha1.RolePlacementCenter) { // what they are marked with was left, and the data is gone
		m.Agent.GateReason, m.Agent.Marker = GateDataLost, &Marker{ClusterUID: uid, NodeID: m.NodeID, Generation: 1, Origin: OriginJoined, Member: true}
	}
	lossWait(t, expect(t, w, v1alpha1.ReasonDataLost, "Restore "))
	for _, stage := range []v1alpha1.RestoreStage{v1alpha1.RestoreComplete, v1alpha1.RestoreFailed, v1alpha1.RestoreAborted} {
		w.s.Wanted.Rescue.Restore = Restore{Name: "c-loss-1", Stage: stage, Message: "the bucket is gone"}
		text := lossWait(t, expect(t, w, v1alpha1.ReasonDataLost)).Message
		for _, word := range []string{"c-loss-1", string(stage), "the bucket is gone", "RobustMQRestore", v1alpha1.AnnotationStartEmpty + `: "1"`} {
			if !strings.Contains(text, word) {
				t.Errorf("%s: %q does not say %q", stage, text, word)
			}
		}
	}
}

func TestARestoreThatTheAPIServerRefusesIsTriedAgainAndSaysWhy(t *testing.T) {
	w := lostAll()
	w.s.Wanted.Rescue.Refused = "no rights"
	if text := lossWait(t, expect(t, w, v1alpha1.ReasonDataLost, "Restore ")).Message; !strings.Contains(text, "no rights") {
		t.Error(text)
	}
}

func TestWithoutABackupALossWaitsForAPersonAndNamesBothWaysOut(t *testing.T) {
	w := lostAll()
	w.s.Wanted.Rescue.Hindrance = "spec.backup names no destination"
	text := lossWait(t, expect(t, w, v1alpha1.ReasonDataLost)).Message
	for _, word := range []string{"spec.backup names no destination", "RobustMQRestore", v1alpha1.AnnotationStartEmpty + `: "1"`} {
		if !strings.Contains(text, word) {
			t.Errorf("%q does not say %q", text, word)
		}
	}
}

func TestAPersonsWordToBeginEmptyCountsBeforeWhatWasPlanned(t *testing.T) {
	for what, rescue := range map[string]Rescue{
		"a backup is there":      {},
		"no backup is there":     {Hindrance: "spec.backup names no destination"},
		"its restore has failed": {Restore: Restore{Name: "c-loss-1", Stage: v1alpha1.RestoreFailed}},
	} {
		w := lostAll()
		w.s.Wanted.Rescue = rescue
		w.s.Wanted.Rescue.StartEmpty = true
		p := expect(t, w, v1alpha1.ReasonDataLost, "StartEmpty ")
		if len(p.Steps) == 1 && p.Steps[0].Symptom() != (Symptom{Kind: SymptomTotalLoss}) {
			t.Errorf("%s: %+v", what, p.Steps[0])
		}
	}
	w := newWorld(3, 0).founded().form(1, 1, 2, 3)
	w.s.Wanted.Rescue.StartEmpty = true
	expect(t, w, "")
}

func TestAClusterThatBeginsEmptyIsFoundedAsOneOfItsNewGeneration(t *testing.T) {
	w := lostAll()
	w.s.Wanted.Founded, w.s.Wanted.Generation = false, 2
	for _, id := range []uint64{1, 3} { // of two, what they were marked with is still there
		a := w.member(id).Agent
		a.GateReason, a.Marker = GateOldGeneration, &Marker{ClusterUID: uid, NodeID: id, Generation: 1, Origin: OriginJoined, Member: true}
	}
	expect(t, w, "", "Wipe "+pc0)
	w.lose(1)
	expect(t, w, "", "Wipe "+pc2)
	w.lose(3)
	expect(t, w, "", "Found "+pc0)
	// What was ordered for this generation is no leftover of the one before.
	first := w.member(1).Agent
	first.GateReason, first.Marker = "ConfigInvalid", &Marker{ClusterUID: uid, NodeID: 1, Generation: 2, Origin: OriginFounded}
	expect(t, w, v1alpha1.ReasonFounding)
	w.lose(1)
	w.s.Wanted.Static = true
	w.member(3).Agent.GateReason, w.member(3).Agent.Marker = GateOldGeneration, &Marker{ClusterUID: uid, NodeID: 3, Generation: 1, Origin: OriginFounded}
	expect(t, w, "", "Wipe "+pc2)
}

func TestAVolumeThatTurnsUpWithWhatWasGivenUpKeepsTheClusterFromBeingFounded(t *testing.T) {
	for id, reason := range map[uint64]string{1: v1alpha1.ReasonOldGeneration, 2: v1alpha1.ReasonForeignVolume} {
		w := newWorld(3, 0)
		w.s.Wanted.Generation = 2
		m := w.start(id, OriginJoined)
		m.Agent.GateOpen, m.Agent.GateReason, m.Agent.Server, m.Agent.Groups = false, GateOldGeneration, ServerStopped, nil
		if p := expect(t, w, reason); !slices.ContainsFunc(p.Waits, func(x Wait) bool {
			return x.Reason == reason && x.Trouble && strings.HasPrefix(x.Message, "nothing is founded")
		}) {
			t.Errorf("%+v", p.Waits)
		}
	}
}

func TestEveryMembersClaimIsMarkedAndNoOthers(t *testing.T) {
	w := newWorld(4, 1).founded().form(1, 1, 2, 3)
	for i := range w.s.Members {
		w.s.Members[i].ClaimFounded = w.s.Members[i].NodeID == 1
	}
	w.s.Wanted.Replicas[v1alpha1.RolePlacementCenter] = 3
	w.s.Wanted.Decommission = true
	lacks := func() (out []uint64) {
		for _, m := range w.s.Members {
			if w.s.LacksMark(m) {
				out = append(out, m.NodeID)
			}
		}
		return out
	}
	if got := lacks(); !slices.Equal(got, []uint64{2, 3}) { // 4 is not wanted, and empty
		t.Errorf("%v", got)
	}
	w.start(4, OriginJoined)
	w.member(3).ClaimExists = false
	if got := lacks(); !slices.Equal(got, []uint64{2, 4}) {
		t.Errorf("%v", got)
	}
	w.member(4).Agent = nil
	if got := lacks(); !slices.Equal(got, []uint64{2, 4}) {
		t.Errorf("of one that cannot be asked: %v", got)
	}
}

func TestTotalLossIsTroubleUntilTheClusterServesAgain(t *testing.T) {
	at := time.Unix(1000, 0)
	w := lostAll()
	var watch Watch
	if over := watch.Observe(at, w.s); len(over) != 0 {
		t.Fatalf("%+v", over)
	}
	if !slices.Contains(Troubles(w.s), Trouble{Rung: RungDataLost}) {
		t.Errorf("%+v", Troubles(w.s))
	}
	w.s.Wanted.Founded = false // it begins empty
	if over := watch.Observe(at.Add(time.Minute), w.s); len(over) != 0 {
		t.Errorf("over before it was founded: %+v", over)
	}
	again := newWorld(3, 0).founded().form(1, 1, 2, 3)
	over := watch.Observe(at.Add(3*time.Minute), again.s)
	if !slices.Contains(over, Ended{Trouble{Rung: RungDataLost}, 3 * time.Minute}) {
		t.Errorf("%+v", over)
	}
}
