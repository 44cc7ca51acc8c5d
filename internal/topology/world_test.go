package topology

import (
	"slices"
	"strconv"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

const uid = "11111111-2222-3333-4444-555555555555"

// world builds snapshots the way tests speak: three members, formed or not, and what happens to them.
type world struct{ s Snapshot }

func newWorld(members, brokers int32) *world {
	w := &world{Snapshot{
		Wanted: Wanted{
			ClusterUID: uid, Generation: 1, Groups: []string{"metadata_0", "offset_0", "data_0"},
			Replicas: map[v1alpha1.Role]int32{v1alpha1.RolePlacementCenter: members, v1alpha1.RoleMQTTBroker: brokers},
		},
		Limits: DefaultLimits(), Seen: map[Symptom]time.Duration{},
	}}
	for o := range members {
		w.s.Members = append(w.s.Members, freshPod(v1alpha1.RolePlacementCenter, "c-placement-center-", o, 1))
	}
	for o := range brokers {
		w.s.Members = append(w.s.Members, freshPod(v1alpha1.RoleMQTTBroker, "c-mqtt-broker-", o, 1001))
	}
	return w
}

// freshPod runs with an empty volume and waits for its order.
func freshPod(role v1alpha1.Role, base string, ordinal int32, baseID uint64) Member {
	return Member{
		Role: role, Ordinal: ordinal, NodeID: baseID + uint64(ordinal), Pod: base + strconv.Itoa(int(ordinal)), State: PodRunning, ClaimExists: true,
		Agent: &Agent{VolumeEmpty: true, GateReason: GateAwaitsOrder, Server: ServerStopped},
	}
}

func (w *world) member(id uint64) *Member {
	i := slices.IndexFunc(w.s.Members, func(m Member) bool { return m.NodeID == id })
	return &w.s.Members[i]
}

// start opens the gate of a member with a marker of that origin; its server runs and knows no raft group yet.
func (w *world) start(id uint64, origin string) *Member {
	m := w.member(id)
	m.Agent = &Agent{
		VolumeInitialised: true, Marker: &Marker{ClusterUID: uid, NodeID: id, Generation: 1, Origin: origin},
		GateOpen: true, GateReason: "Open", Server: ServerRunning, Groups: map[string]Group{},
	}
	if m.Role == v1alpha1.RolePlacementCenter {
		for _, g := range w.s.Wanted.Groups {
			m.Agent.Groups[g] = Group{Running: true}
		}
	}
	return m
}

// form makes the ids one cluster led by leader: voters of every group, registered, known to one another.
func (w *world) form(leader uint64, ids ...uint64) *world {
	for _, id := range ids {
		m := w.member(id)
		if m.Agent == nil || m.Agent.VolumeEmpty {
			origin := OriginJoined
			if id == 1 {
				origin = OriginFounded
			}
			m = w.start(id, origin)
		}
		m.Agent.Marker.Member = len(ids) > 1
		for _, g := range w.s.Wanted.Groups {
			m.Agent.Groups[g] = Group{Running: true, Voters: ids, Members: ids, Leader: leader, Leads: id == leader, Term: 1, LastLog: 30, LastApplied: 30}
		}
	}
	w.register()
	return w
}

// brokersUp puts brokers into service.
func (w *world) brokersUp(ids ...uint64) *world {
	for _, id := range ids {
		w.start(id, OriginJoined).Agent.MQTTOpen = true
	}
	w.register()
	return w
}

// register lets every running node know every other.
func (w *world) register() {
	var running []uint64
	for _, m := range w.s.Members {
		if serving(m) {
			running = append(running, m.NodeID)
		}
	}
	for i := range w.s.Members {
		if serving(w.s.Members[i]) {
			w.s.Members[i].Agent.Nodes, w.s.Members[i].Agent.Registry = running, running
		}
	}
}

func (w *world) founded() *world {
	w.s.Wanted.Founded = true
	for i := range w.s.Members {
		w.s.Members[i].ClaimFounded = true
	}
	return w
}

func (w *world) seen(kind SymptomKind, id uint64, d time.Duration) *world {
	w.s.Seen[Symptom{kind, w.member(id).Pod}] = d
	return w
}

func steps(p Plan) (out []string) {
	for _, s := range p.Steps {
		out = append(out, string(s.Kind)+" "+s.Pod)
	}
	return out
}

func waits(p Plan, reason string) bool {
	return slices.ContainsFunc(p.Waits, func(w Wait) bool { return w.Reason == reason })
}
