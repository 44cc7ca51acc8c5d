package topology

import (
	"slices"
	"testing"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// storming is a cluster whose log grows without clients for longer than the limit, while its leader has forgotten a broker that runs; every server was started long before.
func storming() *world {
	w := newWorld(3, 2).founded().form(1, 1, 2, 3).brokersUp(1001, 1002)
	none := 0
	w.s.Pace, w.s.Clients = map[string]float64{"metadata_0": 30}, &none
	w.s.Seen[Symptom{Kind: SymptomLogStorm}] = 3 * time.Minute
	w.member(1).Agent.Registry = []uint64{1, 2, 3, 1002}
	for i := range w.s.Members {
		w.s.Members[i].Agent.StartedFor = time.Hour
	}
	return w
}

func TestALogThatGrowsWithoutClientsIsCalmedByARestartOfEveryServerTheLeaderLast(t *testing.T) {
	w := storming()
	var order []uint64
	for range w.s.Members {
		p := Decide(w.s)
		if len(p.Steps) != 1 || p.Steps[0].Kind != StepRestart {
			t.Fatalf("after %v: %v %+v", order, steps(p), p.Waits)
		}
		order = append(order, p.Steps[0].NodeID)
		w.member(p.Steps[0].NodeID).Agent.StartedFor = time.Second
	}
	if !slices.Equal(order, []uint64{2, 3, 1001, 1002, 1}) {
		t.Errorf("%v", order)
	}
	if p := Decide(w.s); len(p.Steps) > 0 || !slices.ContainsFunc(p.Waits, func(x Wait) bool { return x.Trouble && x.Reason == v1alpha1.ReasonLogStorm }) {
		t.Errorf("everybody was restarted: %v %+v", steps(p), p.Waits)
	}
	if got := Troubles(w.s); !slices.Contains(got, Trouble{Rung: RungLogStorm}) {
		t.Errorf("%v", got)
	}
}

func TestNothingIsRestartedForALogThatMayGrowOrWhileAnythingIsAmiss(t *testing.T) {
	some := 3
	for name, change := range map[string]func(w *world){
		"every node is listed":                    func(w *world) { w.member(1).Agent.Registry = []uint64{1, 2, 3, 1001, 1002} },
		"the registry is not known":               func(w *world) { w.member(1).Agent.Registry = nil },
		"the one that is not listed does not run": func(w *world) { w.member(1001).Agent.Server = ServerExited },
		"clients are connected":                   func(w *world) { w.s.Clients = &some },
		"the clients are not known":               func(w *world) { w.s.Clients = nil },
		"it grows as fast as it may":              func(w *world) { w.s.Pace["metadata_0"] = 10 },
		"another log grows":                       func(w *world) { w.s.Pace = map[string]float64{"offset_0": 30} },
		"it was not measured":                     func(w *world) { w.s.Pace, w.s.PaceUnknown = nil, true },
		"it has for a moment":                     func(w *world) { w.s.Seen[Symptom{Kind: SymptomLogStorm}] = time.Minute },
		"a broker is not in service":              func(w *world) { w.member(1002).Agent.MQTTOpen = false },
		"a voter is down":                         func(w *world) { w.member(3).Agent.Server, w.member(3).Agent.Groups = ServerExited, nil },
		"a pod is missing":                        func(w *world) { w.member(1001).State, w.member(1001).Agent = PodMissing, nil },
		"brokers are islands":                     func(w *world) { w.s.Wanted.Islands = true },
		"nobody says since when he runs": func(w *world) {
			for i := range w.s.Members {
				w.s.Members[i].Agent.StartedFor = 0
			}
		},
	} {
		w := storming()
		change(w)
		for _, s := range Decide(w.s).Steps {
			if s.Kind == StepRestart {
				t.Errorf("%s: %+v", name, s)
			}
		}
	}
}

func TestTheTimeOfAStormIsKeptOnlyWhileNobodyIsConnected(t *testing.T) {
	w := storming()
	storm := Symptom{Kind: SymptomLogStorm}
	if !slices.Contains(Symptoms(w.s), storm) {
		t.Error("not seen")
	}
	one := 1
	w.s.Clients = &one
	if slices.Contains(Symptoms(w.s), storm) {
		t.Error("seen with a client")
	}
}
