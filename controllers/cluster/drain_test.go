package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// shelf is what one node believes of topics and segments. It answers as a server does, and refuses the list of shards.
type shelf struct {
	agentclient.Client
	mu       sync.Mutex
	topics   []string // rows
	segments map[string]string
	// asked counts the lists of segments; from the one with the number hangsAt on there is no answer.
	asked, hangsAt int
	fails          error
	// orders is what was ordered; state what the agent says.
	orders []string
	state  protocol.State
}

func (s *shelf) Admin(ctx context.Context, _, path string, body any) (json.RawMessage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails != nil {
		return nil, s.fails
	}
	if query, ok := strings.CutPrefix(path, "/api/cluster/topic/list?"); ok {
		values, err := url.ParseQuery(query)
		if err != nil || values.Get("limit") != "1000" || values.Get("page") != "1" {
			return nil, fmt.Errorf("topics asked with %q: the list would answer ten rows", query)
		}
		return json.RawMessage(fmt.Sprintf(`{"data":[%s],"total_count":%d}`, strings.Join(s.topics, ","), len(s.topics))), nil
	}
	if path != "/api/storage-engine/segment/list" {
		return nil, errors.New("unexpected " + path)
	}
	s.asked++
	if s.hangsAt > 0 && s.asked >= s.hangsAt {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	row := s.segments[body.(map[string]string)["shard_name"]]
	return json.RawMessage(`{"segment_list":[` + row + `]}`), nil
}

func (s *shelf) State(context.Context) (protocol.State, error) { return s.state, nil }

func (s *shelf) Unregister(_ context.Context, order protocol.MembershipOrder) (protocol.State, error) {
	s.orders = append(s.orders, fmt.Sprint("unregister ", order.NodeID))
	return protocol.State{}, nil
}

func topicRow(name string, copies int) string {
	return fmt.Sprintf(`{"topic_id":"id-%[1]s","tenant":"default","topic_name":%[1]q,"replication":%[2]d,"storage_name_list":{"0":"%[1]s-0"}}`, name, copies)
}

func segmentRow(epoch int, replicas, isr string) string {
	var nodes []string
	for id := range strings.SplitSeq(replicas, ",") {
		nodes = append(nodes, `{"node_id":`+id+`}`)
	}
	leader, _, _ := strings.Cut(isr, ",")
	return fmt.Sprintf(`{"segment":{"segment_seq":0,"replicas":[%s],"isr":[%s],"last_known_isr":[],"leader":%s,"segment_epoch":%d,"status":"Write"}}`, strings.Join(nodes, ","), isr, leader, epoch)
}

// shrinking is a pass over a cluster of two brokers of which one is wanted, and the three members as witnesses.
func shrinking(t *testing.T, shelves map[string]*shelf) (*Reconciler, *pass) {
	t.Helper()
	p := formed(t)
	p.desired.Spec.MQTTBroker.Replicas = 1
	p.snapshot = newSnapshot(p, topology.DefaultLimits())
	p.memory = &memory{}
	p.dial = func(pod *corev1.Pod) (agentclient.Client, error) { return shelves[pod.Name], nil }
	r := &Reconciler{Now: func() time.Time { return noon }, Timings: DefaultTimings()}
	return r, p
}

func shelvesOf(each func() *shelf) map[string]*shelf {
	all := map[string]*shelf{}
	for i := range 3 {
		all[fmt.Sprintf("c-placement-center-%d", i)] = each()
	}
	return all
}

func TestOfSeveralAnswersAboutASegmentTheNewestCounts(t *testing.T) {
	shelves := shelvesOf(func() *shelf {
		return &shelf{topics: []string{topicRow("a", 2), topicRow("b", 2)}, segments: map[string]string{"a-0": segmentRow(3, "1,1002", "1,1002"), "b-0": segmentRow(1, "1,2", "1,2")}}
	})
	// One missed that the copy fell behind, one that a topic was made at all.
	shelves["c-placement-center-1"].segments["a-0"] = segmentRow(4, "1,1002", "1002")
	shelves["c-placement-center-2"].topics = shelves["c-placement-center-2"].topics[1:]
	r, p := shrinking(t, shelves)
	r.surveySegments(t.Context(), p, topology.Assess(p.snapshot))
	d := p.snapshot.Drain
	if !d.Complete || len(d.Segments) != 1 || d.Segments[0].Topic != "a" || !slices.Equal(d.Segments[0].ISR, []uint64{1002}) || d.Segments[0].Epoch != 4 || d.Segments[0].Copies != 2 {
		t.Errorf("%+v", d)
	}
}

func TestNobodyIsAskedWhileNobodyLeaves(t *testing.T) {
	shelves := shelvesOf(func() *shelf { return &shelf{fails: errors.New("asked")} })
	r, p := shrinking(t, shelves)
	p.desired.Spec.MQTTBroker.Replicas = 2
	p.snapshot = newSnapshot(p, topology.DefaultLimits())
	p.memory.survey = &survey{leaving: []uint64{1002}}
	r.surveySegments(t.Context(), p, topology.Assess(p.snapshot))
	if d := p.snapshot.Drain; d.Complete || d.Problem != "" || p.memory.survey != nil {
		t.Errorf("%+v", d)
	}
}

func TestASurveyThatTakesSeveralPassesGoesOnAndIsConfirmed(t *testing.T) {
	const topics = 40
	shelves := shelvesOf(func() *shelf {
		s := &shelf{segments: map[string]string{}}
		for i := range topics {
			name := fmt.Sprintf("t%02d", i)
			s.topics = append(s.topics, topicRow(name, 2))
			s.segments[name+"-0"] = segmentRow(1, "1,2", "1,2")
		}
		s.segments["t03-0"] = segmentRow(1, "2,1002", "2,1002")
		return s
	})
	r, p := shrinking(t, shelves)
	// The first pass's time ends in the middle.
	slow := shelves["c-placement-center-0"]
	slow.hangsAt, r.Timings.Observe = 15, 50*time.Millisecond
	r.surveySegments(t.Context(), p, topology.Assess(p.snapshot))
	if d := p.snapshot.Drain; d.Complete || !strings.Contains(d.Problem, "of 40 topics") || p.memory.survey == nil {
		t.Fatalf("after the first pass: %+v", d)
	}
	slow.hangsAt, r.Timings.Observe = 0, time.Minute
	// Meanwhile a topic is made on the node that leaves, and what was seen of another has changed.
	for _, s := range shelves {
		s.topics = append(s.topics, topicRow("late", 2))
		s.segments["late-0"] = segmentRow(1, "1002,3", "1002,3")
		s.segments["t03-0"] = segmentRow(2, "2,1002", "1002")
	}
	r.surveySegments(t.Context(), p, topology.Assess(p.snapshot))
	d := p.snapshot.Drain
	if !d.Complete || len(d.Segments) != 2 || d.Segments[0].Topic != "late" || d.Segments[1].Full() {
		t.Errorf("after the second: %+v", d)
	}
}

func TestAWitnessThatFailsLeavesTheSurveyIncomplete(t *testing.T) {
	shelves := shelvesOf(func() *shelf { return &shelf{} })
	shelves["c-placement-center-1"].fails = errors.New("no answer")
	r, p := shrinking(t, shelves)
	r.surveySegments(t.Context(), p, topology.Assess(p.snapshot))
	if d := p.snapshot.Drain; d.Complete || !strings.Contains(d.Problem, "c-placement-center-1") || p.memory.survey != nil {
		t.Errorf("%+v", d)
	}
}

func TestANodeIsUnregisteredOnlyWhenItsOwnAgentSaysThatItIsStopped(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*protocol.State)
		want   bool
	}{
		{"stopped and held", func(*protocol.State) {}, true},
		{"running", func(s *protocol.State) {
			s.Server.Phase, s.Gate = protocol.ServerRunning, protocol.GateState{Open: true}
		}, false},
		{"stopped, and about to start", func(s *protocol.State) { s.Gate = protocol.GateState{Open: true} }, false},
		{"another pod at that address", func(s *protocol.State) { s.Pod = "other" }, false},
		{"another node", func(s *protocol.State) { s.NodeID = 1001 }, false},
	} {
		leader := &shelf{}
		own := &shelf{state: protocol.State{Pod: "c-mqtt-broker-1", NodeID: 1002, Server: protocol.ServerState{Phase: protocol.ServerStopped}, Gate: protocol.GateState{Reason: protocol.GateHeld}}}
		c.change(&own.state)
		r, p := shrinking(t, map[string]*shelf{"c-placement-center-0": leader, "c-mqtt-broker-1": own})
		r.Timings.Order = time.Minute
		err := r.order(t.Context(), p, topology.Step{Kind: topology.StepUnregister, Pod: "c-mqtt-broker-1", Via: "c-placement-center-0", NodeID: 1002})
		if (err == nil) != c.want || (len(leader.orders) == 1) != c.want {
			t.Errorf("%s: %v, %v", c.name, err, leader.orders)
		}
	}
}

func TestTheTimeSinceAServersEndIsNeverNegative(t *testing.T) {
	_, p := shrinking(t, nil)
	for at, want := range map[time.Time]time.Duration{noon.Add(-20 * time.Second): 20 * time.Second, noon.Add(time.Minute): 0} {
		state := p.observed.states["c-mqtt-broker-1"]
		state.Server = protocol.ServerState{Phase: protocol.ServerStopped, LastExit: &protocol.Exit{At: at}}
		p.observed.states["c-mqtt-broker-1"] = state
		p.snapshot = newSnapshot(p, topology.DefaultLimits())
		noteStops(p, noon)
		for _, m := range p.snapshot.Members {
			if m.Pod == "c-mqtt-broker-1" && m.Agent.StoppedFor != want {
				t.Errorf("%v, want %v", m.Agent.StoppedFor, want)
			}
		}
	}
}

func TestTopicsAndSegmentsAreReadAsTheServerWritesThem(t *testing.T) {
	topics, total, err := readTopics([]byte(`{"data":[{"topic_id":"x","tenant":"t1","topic_name":"a/b","replication":2,"storage_name_list":{"1":"x-1","0":"x-0"},"mark_delete":false}],"total_count":7}`))
	if err != nil || total != 7 || topics[0].title() != "t1/a/b" || !slices.Equal(topics[0].shards(), []string{"x-0", "x-1"}) {
		t.Errorf("%+v %d %v", topics, total, err)
	}
	segments, err := readSegments([]byte(`{"segment_list":[{"segment":{"segment_seq":1,"replicas":[{"replica_seq":0,"node_id":3,"fold":"./data/engine"}],"isr":[],"last_known_isr":[3],"leader":3,"segment_epoch":2,"status":"Unavailable"},"segment_meta":null}]}`))
	if err != nil || len(segments) != 1 || segments[0].Number != 1 || segments[0].Readable() || !segments[0].Names(3) || segments[0].Full() {
		t.Errorf("%+v %v", segments, err)
	}
	for _, bad := range []string{`{"segment_list":[{"segment":null}]}`, `{"segment_list":[{"segment":{"replicas":[]}}]}`, `[]`} {
		if _, err := readSegments([]byte(bad)); err == nil {
			t.Errorf("%s is no list of segments", bad)
		}
	}
}

func FuzzReadTopics(f *testing.F) {
	f.Add([]byte(`{"data":[{"topic_id":"x","topic_name":"a","storage_name_list":{"0":"x-0"}}],"total_count":1}`))
	f.Add([]byte(`{"data":[{}],"total_count":-1}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		topics, _, err := readTopics(raw)
		for _, topic := range topics {
			if err == nil && (topic.ID == "" || topic.title() == "") {
				t.Errorf("%q: %+v", raw, topic)
			}
			topic.shards()
		}
	})
}

func FuzzReadSegments(f *testing.F) {
	f.Add([]byte(`{"segment_list":[` + segmentRow(1, "1,2", "1") + `]}`))
	f.Add([]byte(`{"segment_list":[{"segment":{"status":"Write","replicas":[{"node_id":-1}]}}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		segments, err := readSegments(raw)
		for _, s := range segments {
			if err == nil && s.Status == "" {
				t.Errorf("%q: %+v", raw, s)
			}
			s.Full()
			s.Names(s.Leader)
		}
	})
}
