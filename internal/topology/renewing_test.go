package topology

import (
	"strings"
	"testing"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// lostVolumeOf is a whole cluster of three members and two brokers, in which the pod of one node cannot be scheduled: its volume was on a machine that no longer exists. Everything on it is elsewhere.
func lostVolumeOf(id uint64) *world {
	w := newWorld(3, 2).founded().form(1, 1, 2, 3).brokersUp(1001, 1002).spread()
	w.s.Wanted.Decommission = true
	w.s.Drain = Drain{Complete: true, Segments: []Segment{{Topic: "orders", Copies: 2, Replicas: []uint64{id, 2}, ISR: []uint64{2}, Leader: 2, Status: "Write"}}}
	m := w.darken(id, working)
	m.State, m.Node, m.Reason, m.Message = PodPending, "", v1alpha1.ReasonUnschedulable, "no node takes the pod: volume node affinity conflict"
	m.Local = &LocalVolume{Name: "pv-1", Machine: "lost", Kept: true}
	w.s.Machines["lost"] = absent
	return w.seen(SymptomVolumeLost, id, time.Hour)
}

// alone leaves the node's copy of a topic the only one in sync.
func (w *world) alone(id uint64) {
	w.s.Drain.Segments[0].ISR, w.s.Drain.Segments[0].Leader = []uint64{id}, id
}

func TestAVolumeOnANodeThatIsGoneIsMadeAnewWhenEverythingOnItIsElsewhere(t *testing.T) {
	for _, id := range []uint64{1, 3, 1002} {
		w := lostVolumeOf(id)
		if id == 1 {
			w.leads(2)
		}
		expect(t, w, "", "RenewVolume "+w.member(id).Pod)
	}
}

func TestAVolumeThatMayHoldTheLastCopyIsNeverGivenUp(t *testing.T) {
	for name, c := range map[string]struct {
		id     uint64
		change func(w *world)
		says   string
	}{
		"the machine exists":                                         {3, func(w *world) { w.s.Machines["lost"] = silent }, "kubectl delete node lost"},
		"the machine works":                                          {3, func(w *world) { w.s.Machines["lost"] = working }, "no node takes the pod"},
		"nothing is known of the machine":                            {3, func(w *world) { delete(w.s.Machines, "lost") }, "no node takes the pod"},
		"the machine went a moment ago":                              {3, func(w *world) { w.seen(SymptomVolumeLost, 3, time.Second) }, "2m0s"},
		"another voter is down":                                      {3, func(w *world) { w.member(2).Agent.Server, w.member(2).Agent.Groups = ServerExited, nil }, "every other voter has to be whole"},
		"another voter's agent is silent":                            {3, func(w *world) { w.member(2).Agent = nil }, "every other voter has to be whole"},
		"nobody leads":                                               {3, func(w *world) { w.leads(0) }, "no leader with a quorum"},
		"nobody leads, and it is a broker":                           {1002, func(w *world) { w.leads(0) }, "no leader with a quorum"},
		"it is still registered":                                     {1002, func(w *world) { w.member(1).Agent.Registry = append(w.member(1).Agent.Registry, 1002) }, "is still registered"},
		"the topics were not looked at":                              {1002, func(w *world) { w.s.Drain = Drain{} }, "is being looked at"},
		"a topic's only copy is on it":                               {1002, func(w *world) { w.alone(1002) }, "orders"},
		"a topic's only copy is on a member":                         {3, func(w *world) { w.alone(3) }, "orders"},
		"volumes are retained and the old one would be deleted":      {3, func(w *world) { w.member(3).Local.Kept = false }, "kubectl patch pv pv-1"},
		"members cannot be seeded":                                   {3, func(w *world) { w.s.Wanted.NoSeeds = "too old" }, "too old"},
		"the version does not tell where messages are":               {1002, func(w *world) { w.s.Wanted.Decommission = false }, "does not tell"},
		"its claim is being deleted already":                         {3, func(w *world) { w.member(3).ClaimTerminating = true }, "is being deleted"},
		"the pod runs":                                               {3, func(w *world) { w.member(3).State = PodRunning }, ""},
		"the pod waits for something else than its volume's machine": {3, func(w *world) { w.member(3).Local = nil }, "no node takes the pod"},
	} {
		w := lostVolumeOf(c.id)
		c.change(w)
		p := Decide(w.s)
		told := c.says == ""
		for _, x := range p.Waits {
			told = told || strings.Contains(x.Message, c.says)
		}
		if !told {
			t.Errorf("%s: not told: %+v", name, p.Waits)
		}
		renewVolumes(w.s, assess(w.s), &p) // also where another decision stands before it
		for _, s := range p.Steps {
			if s.Kind == StepRenewVolume {
				t.Errorf("%s: %+v", name, s)
			}
		}
	}
}

func TestAVolumeThatGoesWithItsReclaimPolicyIsGivenUpWhereTheUserSaidSo(t *testing.T) {
	w := lostVolumeOf(3)
	w.member(3).Local.Kept, w.s.Wanted.VolumesGo = false, true
	expect(t, w, "", "RenewVolume "+pc2)
}

func TestTheOnlyMemberOfAPlacementCentreIsNeverGivenUp(t *testing.T) {
	w := newWorld(1, 0).founded().form(1, 1).spread()
	w.s.Wanted.Decommission = true
	w.s.Drain = Drain{Complete: true}
	m := w.darken(1, working)
	m.State, m.Node, m.Local = PodPending, "", &LocalVolume{Name: "pv-1", Machine: "lost", Kept: true}
	w.s.Machines["lost"] = absent
	w.seen(SymptomVolumeLost, 1, time.Hour)
	if p := Decide(w.s); len(p.Steps) > 0 {
		t.Errorf("%v", steps(p))
	}
}

func TestOneVolumeIsMadeAnewAtATime(t *testing.T) {
	w := lostVolumeOf(1002)
	m := w.darken(1001, working)
	m.State, m.Node, m.Local = PodPending, "", &LocalVolume{Name: "pv-2", Machine: "lost", Kept: true}
	w.seen(SymptomVolumeLost, 1001, time.Hour)
	if p := Decide(w.s); len(p.Steps) != 1 {
		t.Errorf("%v", steps(p))
	}
}

func TestTheMessagesOfALostVolumeAreLookedAt(t *testing.T) {
	w := lostVolumeOf(1002)
	if got := Leaving(w.s); len(got) != 1 || got[0] != 1002 {
		t.Errorf("%v", got)
	}
}
