package agent

import (
	"encoding/binary"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

// shows waits until a pod's metrics have a line that begins so.
func (p *pod) shows(line string) {
	p.w.t.Helper()
	p.metricsBecome(line, func(body string) bool { return strings.Contains("\n"+body, "\n"+line) })
}

// hides waits until they have none.
func (p *pod) hides(line string) {
	p.w.t.Helper()
	p.metricsBecome("no more "+line, func(body string) bool { return body != "" && !strings.Contains("\n"+body, "\n"+line) })
}

func (p *pod) metricsBecome(what string, ok func(string) bool) {
	p.w.t.Helper()
	var body string
	eventually(p.w.t, p.Name+": "+what, func() bool {
		code, text := p.get("/metrics")
		body = text
		return code == 200 && ok(text)
	}, func() any { return body })
}

// segmentOf is a segment's record: status 0 is Write, 4 Deleting, 5 Unavailable.
func segmentOf(shard string, replicas, isr []uint64, status uint32) []byte {
	var b []byte
	long := func(n uint64) { b = binary.LittleEndian.AppendUint64(b, n) }
	short := func(n uint32) { b = binary.LittleEndian.AppendUint32(b, n) }
	long(uint64(len(shard)))
	b = append(b, shard...)
	short(0)
	long(uint64(len(replicas)))
	for i, id := range replicas {
		long(uint64(i))
		long(id)
		long(0)
	}
	for _, list := range [][]uint64{isr, nil} {
		long(uint64(len(list)))
		for _, id := range list {
			long(id)
		}
	}
	short(0)
	long(1)
	short(0)
	long(0)
	short(status)
	return b
}

var someSegments = [][]byte{
	segmentOf("a", []uint64{1, 2, 3}, []uint64{1, 2, 3}, 0), segmentOf("b", []uint64{1, 2, 3}, []uint64{1}, 0), segmentOf("c", []uint64{1, 2}, nil, 5),
	segmentOf("d", []uint64{1, 2}, nil, 4), segmentOf("e", []uint64{1}, []uint64{1}, 0),
}

func TestTheLeaderAloneTellsOfSegmentsAndTheRegistry(t *testing.T) {
	w, pods := three(t, func(w *world) {
		for id := range uint64(3) {
			w.script(id + 1).set(func(b *behaviour) { b.segments = someSegments })
		}
	})
	// "d" is being deleted. The registry of the fake servers has one node only: two members are missing, and both others of the five engines.
	mine := []string{
		`robustmq_segments{state="total"} 4`, `robustmq_segments{state="under_replicated"} 1`, `robustmq_segments{state="unavailable"} 1`, "robustmq_unregistered_nodes 4",
	}
	for _, line := range mine {
		pods[0].shows(line)
		pods[1].hides(line)
	}
	for id := range uint64(3) {
		w.script(id + 1).set(func(b *behaviour) { b.leader, b.term = 2, 2 })
	}
	for _, line := range mine {
		pods[1].shows(line)
		pods[0].hides(line)
	}
}

func TestHalfAListOfSegmentsIsNone(t *testing.T) {
	w, pods := three(t, nil)
	w.script(1).set(func(b *behaviour) { b.segments = append(b.segments, someSegments[0], someSegments[1][:30]) })
	pods[0].shows("robustmq_raft_lag")
	pods[0].hides("robustmq_segments")
	w.script(1).set(func(b *behaviour) { b.segments = someSegments })
	pods[0].shows(`robustmq_segments{state="total"} 4`)
}

func TestAMemberIsBehindTheEndOfItsLeadersLog(t *testing.T) {
	w, pods := three(t, nil)
	w.script(1).set(func(b *behaviour) { b.last = 19 })
	for _, p := range pods { // all have applied 7, the leader too
		p.shows(`robustmq_raft_lag{group="offset_0"} 12`)
	}
	w.separate(pods[0], pods[1], true)
	pods[1].hides("robustmq_raft_lag") // it still takes the other for its leader
	pods[1].shows(`robustmq_raft_leader_known{group="offset_0"} 1`)
	pods[2].shows(`robustmq_raft_lag{group="offset_0"} 12`)
	w.separate(pods[0], pods[1], false)
	pods[1].shows(`robustmq_raft_lag{group="offset_0"} 12`)
}

func TestLearnersAreCounted(t *testing.T) {
	w, pods := three(t, nil)
	pods[0].shows(`robustmq_raft_learners{group="data_0"} 0`)
	w.script(1).set(func(b *behaviour) { b.learners = []uint64{4, 5} })
	pods[0].shows(`robustmq_raft_learners{group="data_0"} 2`)
}

func TestABrokerTellsHowManyMQTTClientsItHas(t *testing.T) {
	w := newWorld(t)
	w.add(config.RolePlacementCenter, 0)
	p := w.add(config.RoleMQTTBroker, 0).initialised(nil)
	w.script(p.ID).set(func(b *behaviour) { b.clients, b.version = 41, "0.4.3" })
	p.start()
	p.shows("robustmq_mqtt_clients 41")
	p.shows(`robustmq_server_info{reported="0.4.3",version="0.4.11"} 1`)
	w.script(p.ID).set(func(b *behaviour) { b.clients = -1 })
	p.hides("robustmq_mqtt_clients") // and not the number of before
	p.shows("robustmq_volume_capacity_bytes")
	if _, body := p.get("/metrics"); strings.Contains(body, "robustmq_raft_") || strings.Contains(body, "robustmq_segments") {
		t.Error("a broker tells of the placement centre")
	}
	w.script(p.ID).set(func(b *behaviour) { b.clients = 3 })
	p.shows("robustmq_mqtt_clients 3")
	if _, err := p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop}); err != nil {
		t.Fatal(err)
	}
	p.hides("robustmq_mqtt_clients")
	p.hides("robustmq_server_info")
}

func TestAScrapeAsksTheServerNothing(t *testing.T) {
	_, pods := three(t, func(w *world) {
		w.timings.Observe, w.timings.Pulse, w.timings.Relay, w.timings.FenceProbe = time.Hour, time.Hour, time.Hour, time.Hour
	})
	pods[0].shows(`robustmq_segments{state="total"}`)
	s := pods[0].w.server(1)
	// A survey of another pod may come in between; scrapes that asked would do so every time.
	asked := 0
	eventually(t, "20 scrapes, and the server is asked nothing meanwhile", func() bool {
		before := s.asked()
		for range 20 {
			if code, body := pods[0].get("/metrics"); code != 200 {
				t.Fatal(code, body)
			}
		}
		asked = s.asked() - before
		return asked == 0
	}, func() any { return asked })
}

func TestTheLagIsThatBehindALeaderWithAQuorum(t *testing.T) {
	fresh, old := uint64(3), uint64(9000)
	at := func(index uint64) *robustmq.LogID { return &robustmq.LogID{Index: index} }
	leader := func(ack *uint64) robustmq.GroupState {
		return robustmq.GroupState{Running: true, State: "Leader", CurrentLeader: 1, LastLogIndex: 100, LastApplied: at(98), MillisSinceQuorumAck: ack}
	}
	follower := robustmq.GroupState{Running: true, State: "Follower", CurrentLeader: 1, LastLogIndex: 90, LastApplied: at(80)}
	stopped := follower
	stopped.Running = false
	ahead := follower
	ahead.LastApplied = at(120)
	empty := follower
	empty.LastApplied = nil
	status := func(g robustmq.GroupState) robustmq.ClusterStatus { return robustmq.ClusterStatus{"metadata_0": g} }
	says := func(id uint64, g robustmq.GroupState) map[uint64]robustmq.ClusterStatus {
		return map[uint64]robustmq.ClusterStatus{id: status(g)}
	}
	for what, c := range map[string]struct {
		own     robustmq.ClusterStatus
		leaders map[uint64]robustmq.ClusterStatus
		want    map[string]uint64
	}{
		"a leader itself":                        {status(leader(&fresh)), nil, map[string]uint64{"metadata_0": 2}},
		"a leader without a quorum":              {status(leader(&old)), nil, map[string]uint64{}},
		"a leader that was restarted alone":      {status(leader(nil)), nil, map[string]uint64{}},
		"a follower":                             {status(follower), says(1, leader(&fresh)), map[string]uint64{"metadata_0": 20}},
		"a follower that has nothing":            {status(empty), says(1, leader(&fresh)), map[string]uint64{"metadata_0": 100}},
		"a follower whose leader is silent":      {status(follower), nil, map[string]uint64{}},
		"a follower whose leader lost its place": {status(follower), says(1, follower), map[string]uint64{}},
		"a follower whose leader has no quorum":  {status(follower), says(1, leader(&old)), map[string]uint64{}},
		"another than its leader speaks":         {status(follower), says(2, leader(&fresh)), map[string]uint64{}},
		"what was applied a moment later":        {status(ahead), says(1, leader(&fresh)), map[string]uint64{"metadata_0": 0}},
		"a group that is dead here":              {status(stopped), says(1, leader(&fresh)), map[string]uint64{}},
	} {
		if got := lags(c.own, c.leaders); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", what, got, c.want)
		}
	}
}

func TestNodesThatTheClusterShouldHaveAreMissed(t *testing.T) {
	members := []protocol.Member{{NodeID: 1}, {NodeID: 2}, {NodeID: 3}}
	for _, c := range []struct {
		what     string
		engines  int32
		all      bool // every node is an engine
		registry []uint64
		want     int
	}{
		{"all are there", 5, true, []uint64{1, 2, 3, 1001, 1002}, 0},
		{"nobody is", 5, true, []uint64{}, 5},
		{"a member is missing", 5, true, []uint64{1, 3, 1001, 1002}, 1},
		{"a broker is missing", 5, true, []uint64{1, 2, 3, 1002}, 1},
		{"a broker that is not wanted does not stand in for a member", 3, true, []uint64{1, 2, 1001}, 1},
		{"brokers of an old version are no engines", 3, false, []uint64{1, 2, 3, 1001}, 0},
		{"a member of an old version", 3, false, []uint64{1, 2, 1001}, 1},
		{"the one that goes is still named", 4, true, []uint64{1, 2, 1001, 1002}, 1},
	} {
		if got := unregistered(protocol.Config{Members: members, Engines: c.engines}, robustmq.Traits{EngineEverywhere: c.all}, c.registry); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}
