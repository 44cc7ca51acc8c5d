package topology

import (
	"testing"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/quorum"
)

// leaderless is a formed cluster of which nobody leads.
func leaderless(members int32) *world {
	w := living(members)
	for _, m := range w.s.of(v1alpha1.RolePlacementCenter) {
		for name, g := range m.Agent.Groups {
			g.Leads, g.Leader = false, 0
			m.Agent.Groups[name] = g
		}
	}
	return w
}

func (w *world) lose(ids ...uint64) *world {
	for _, id := range ids {
		w.member(id).Agent = &Agent{VolumeEmpty: true, GateReason: GateAwaitsOrder, Server: ServerStopped}
	}
	return w
}

func (w *world) lasting() *world {
	w.s.Seen[Symptom{Kind: SymptomMajorityLost}] = 3 * time.Minute
	return w
}

func TestASurvivorsMetadataIsPutIntoTheEmptyVolumesOfALostMajority(t *testing.T) {
	w := leaderless(3).lose(1, 2)
	if p := expect(t, w, v1alpha1.ReasonMajorityLost); len(p.Steps) > 0 {
		t.Error("before it has lasted")
	}
	p := expect(t, w.lasting(), v1alpha1.ReasonMajorityLost, "Seed "+pc0)
	if s := p.Steps[0]; s.Via != pc2 || len(s.Terms) != 3 || s.Terms["metadata_0"] != 2 {
		t.Errorf("%+v", s)
	}
	a := w.member(1).Agent
	a.GateReason, a.Seed = "Placing", &Seed{ID: "s", Phase: SeedReceiving, Donor: 3}
	expect(t, w, v1alpha1.ReasonMajorityLost)
	a.Seed.Phase = SeedPlaced
	expect(t, w, v1alpha1.ReasonMajorityLost, "OpenSeed "+pc0)
	// It runs, and two of three hold the data: from here on raft does it, and then the ordinary rung seeds the third.
	again := w.start(1, OriginSeeded).Agent
	again.Seed = &Seed{ID: "s", Phase: SeedOpen, Donor: 3}
	expect(t, w, v1alpha1.ReasonQuorumLost)
	w.s.Seen = map[Symptom]time.Duration{}
	w.form(3, 1, 3)
	for _, id := range []uint64{1, 3} {
		for name, g := range w.member(id).Agent.Groups {
			g.Voters, g.Members = []uint64{1, 2, 3}, []uint64{1, 2, 3}
			w.member(id).Agent.Groups[name] = g
		}
	}
	expect(t, w, "", "DiscardSeed "+pc0)
	again.Seed = nil
	expect(t, w, "", "Seed "+pc1)
}

func TestOfTwoSurvivorsTheLongerLogIsTakenAndNoneWhereNoneIsLongerEverywhere(t *testing.T) {
	w := leaderless(5).lose(1, 2, 5).lasting()
	g := w.member(4).Agent.Groups["data_0"]
	g.LastLog += 5
	w.member(4).Agent.Groups["data_0"] = g
	if p := expect(t, w, v1alpha1.ReasonMajorityLost, "Seed "+pc0); p.Steps[0].Via != "c-placement-center-3" {
		t.Errorf("%+v", p.Steps[0])
	}
	g = w.member(3).Agent.Groups["metadata_0"]
	g.LastLog++
	w.member(3).Agent.Groups["metadata_0"] = g
	expect(t, w, v1alpha1.ReasonMajorityLost)
}

func TestASurvivorThatHoldsLessThanItClaimsIsNoSource(t *testing.T) {
	w := leaderless(3).lose(1, 2).lasting()
	w.member(3).Agent.EmptySnapshot = []string{"metadata_0"}
	expect(t, w, v1alpha1.ReasonMajorityLost)
}

// Every world of up to five voters without a leader, each of them one of: runs with its data, holds data and does not run, empty, foreign, not to be asked.
// Nothing is put anywhere unless every volume was seen, those with data are no quorum, and all of them answer; and then only into an empty one.
func TestInEverySmallWorldASurvivorIsUsedOnlyWhenNoQuorumCanComeBack(t *testing.T) {
	const running, stopped, empty, foreign, silent = 0, 1, 2, 3, 4
	worlds, used := 0, 0
	for n := 1; n <= 5; n++ {
		total := 1
		for range n {
			total *= 5
		}
		for world := range total {
			worlds++
			w := leaderless(int32(n))
			count := map[int]int{}
			kinds := map[uint64]int{}
			for i, rest := 0, world; i < n; i, rest = i+1, rest/5 {
				id, kind := uint64(i)+1, rest%5
				kinds[id] = kind
				count[kind]++
				switch kind {
				case stopped:
					a := w.member(id).Agent
					a.Server, a.Groups = ServerExited, nil
				case empty:
					w.lose(id)
				case foreign:
					w.member(id).Agent = &Agent{VolumeInitialised: true, GateReason: GateForeign, Server: ServerStopped}
				case silent:
					w.member(id).Agent = nil
				}
			}
			w.lasting()
			p := Decide(w.s)
			allowed := count[silent] == 0 && count[foreign] == 0 && count[stopped] == 0 && count[running] > 0 && count[running] < quorum.Of(n)
			seeds := 0
			for _, s := range p.Steps {
				if s.Kind != StepSeed {
					continue
				}
				seeds++
				if kinds[s.NodeID] != empty || len(s.Terms) != 3 {
					t.Fatalf("%v: %+v", kinds, s)
				}
			}
			if allowed != (seeds == 1) || seeds > 1 {
				t.Fatalf("%v: %d seeds, allowed %t; %+v", kinds, seeds, allowed, p.Waits)
			}
			used += seeds
		}
	}
	t.Logf("%d worlds, a survivor used in %d", worlds, used)
}
