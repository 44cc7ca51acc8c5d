package scale

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	serverconfig "github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

// startsIn is how long a simulated server takes from its start until it answers: it is then a voter of every raft group, or registered. Real ones take 0.5 to 7 s.
const startsIn = time.Second

// cluster is one RobustMQ cluster as its pods see it: who is a voter, and who is registered. Nothing else of a server is simulated.
type cluster struct {
	namespace, name string
	tls             *tls.Config

	mu         sync.Mutex
	pods       []*pod
	voters     []uint64 // in the order in which they joined; the first founded it and leads
	registered []uint64
}

// pod is one pod of it, with its agent.
type pod struct {
	cluster *cluster
	name    string
	id      uint64
	config  protocol.Config
	source  string // hash of the mounted configuration
	// ready is called once, when the server answers.
	ready func()

	// The rest under the cluster's lock.
	marker  *protocol.Marker
	started time.Time
	serves  bool
}

// newPod reads the configuration that is mounted into a pod.
func newPod(c *cluster, name string, ordinal uint64, config []byte, ready func()) (*pod, error) {
	p := &pod{cluster: c, name: name, ready: ready}
	if err := json.Unmarshal(config, &p.config); err != nil {
		return nil, fmt.Errorf("configuration of %s: %w", name, err)
	}
	p.id, p.source = p.config.BaseID+ordinal, serverconfig.Hash(config, nil, p.config.ClusterUID)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pods = append(c.pods, p)
	return p, nil
}

func (p *pod) isMember() bool { return p.config.BaseID == 1 }

// isOperator reports whether the caller's certificate is that of this cluster's operator.
func (c *cluster) isOperator(state *tls.ConnectionState) bool {
	for _, uri := range state.PeerCertificates[0].URIs {
		if kind, ok := protocol.ParseClientURI(c.namespace, c.name, uri.String()); ok && kind == protocol.ClientOperator {
			return true
		}
	}
	return false
}

// open carries out the order that opens a gate, in the order that RobustMQ needs: one founder, one newcomer at a time, and brokers when every member is a voter.
func (p *pod) open(order protocol.GateOrder, now time.Time, mistakes *mistakes) error {
	c := p.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle(now)
	switch {
	case order.ClusterUID != p.config.ClusterUID || order.NodeID != p.id || order.Generation != p.config.Generation:
		return mistakes.note("%s/%s: the order is for node %d of cluster %s", c.namespace, p.name, order.NodeID, order.ClusterUID)
	case p.marker != nil:
		return nil // repeating an order is harmless
	case order.Action == protocol.GateFound && (!p.isMember() || len(c.voters) > 0):
		return mistakes.note("%s/%s: ordered to found a cluster that has %d voters", c.namespace, p.name, len(c.voters))
	case order.Action == protocol.GateJoin && len(c.voters) == 0:
		return mistakes.note("%s/%s: ordered to join before a cluster was founded", c.namespace, p.name)
	case order.Action == protocol.GateJoin && !p.isMember() && len(c.voters) < len(p.config.Members):
		return mistakes.note("%s/%s: a broker was started with %d of %d voters", c.namespace, p.name, len(c.voters), len(p.config.Members))
	case order.Action != protocol.GateFound && order.Action != protocol.GateJoin:
		return mistakes.note("%s/%s: ordered to %s", c.namespace, p.name, order.Action)
	}
	for _, other := range c.pods {
		if other.marker != nil && !other.serves {
			return mistakes.note("%s/%s: ordered to start while %s is starting", c.namespace, p.name, other.name)
		}
	}
	origin := protocol.OriginJoined
	if order.Action == protocol.GateFound {
		origin = protocol.OriginFounded
	}
	p.marker = &protocol.Marker{ClusterUID: order.ClusterUID, NodeID: p.id, Role: p.config.Role, Generation: order.Generation, Origin: origin, Written: now}
	p.started = now
	time.AfterFunc(startsIn, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.settle(time.Now())
	})
	return nil
}

// settle makes voters and nodes of those whose servers have come up.
func (c *cluster) settle(now time.Time) {
	for _, p := range c.pods {
		if p.marker == nil || p.serves || now.Sub(p.started) < startsIn {
			continue
		}
		p.serves, p.marker.HasData = true, true
		if p.isMember() {
			c.voters = append(c.voters, p.id)
		}
		c.registered = append(c.registered, p.id)
		go p.ready()
	}
	for _, p := range c.pods {
		if p.serves && p.isMember() && len(c.voters) > 1 {
			p.marker.Member = true
		}
	}
}

// state is what the agent says of its pod.
func (p *pod) state(now time.Time) protocol.State {
	c := p.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle(now)
	st := protocol.State{
		AgentVersion: "scale", Pod: p.name, NodeID: p.id, Role: p.config.Role, ClusterUID: p.config.ClusterUID, BootID: p.name,
		Volume: protocol.VolumeState{Phase: protocol.VolumeEmpty}, Gate: protocol.GateState{Reason: protocol.GateAwaitsOrder}, Server: protocol.ServerState{Phase: protocol.ServerStopped, Version: p.config.Version},
		Config: protocol.ConfigState{Mounted: p.source, Source: p.source},
	}
	if p.marker == nil {
		return st
	}
	marker, started := *p.marker, p.started
	st.Volume = protocol.VolumeState{Phase: protocol.VolumeInitialised, Marker: &marker, UsedBytes: 1 << 26, FreeBytes: 9 << 30}
	st.Gate = protocol.GateState{Open: true, Reason: protocol.GateOpen}
	st.Server.Phase, st.Server.Started, st.Server.PID = protocol.ServerStarting, &started, 17
	st.Config.Running = p.source
	if !p.serves {
		return st
	}
	st.Server.Phase, st.Server.MQTTOpen = protocol.ServerRunning, true
	st.Nodes = slices.Clone(c.registered)
	if p.isMember() {
		st.Registry, st.Raft = slices.Clone(c.registered), c.raft(p.id)
	}
	return st
}

// position is where all members stand: nobody writes.
func (c *cluster) position() robustmq.LogID {
	return robustmq.LogID{Term: 1, NodeID: c.voters[0], Index: uint64(20 * len(c.voters))}
}

func (c *cluster) raft(id uint64) robustmq.ClusterStatus {
	out, voters, acknowledged := robustmq.ClusterStatus{}, slices.Sorted(slices.Values(c.voters)), uint64(10)
	for _, group := range robustmq.Groups {
		at := c.position()
		g := robustmq.GroupState{Running: true, ID: id, Term: 1, VoteNode: c.voters[0], VoteCommitted: true, LastLogIndex: at.Index, LastApplied: &at,
			State: "Follower", CurrentLeader: c.voters[0], Configs: [][]uint64{voters}}
		if id == c.voters[0] {
			g.State, g.MillisSinceQuorumAck = "Leader", &acknowledged
		}
		out[group] = g
	}
	return out
}

// census is what the member's database holds: the same as every other's.
func (p *pod) census(id string, now time.Time) protocol.Census {
	c := p.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	out := protocol.Census{ID: id, Phase: protocol.CensusReady, Asked: now, Applied: map[string]robustmq.LogID{}, Families: map[string]protocol.FamilyCensus{}}
	for _, group := range robustmq.Groups {
		out.Applied[group] = c.position()
	}
	for _, family := range []string{"meta_data", "meta_metadata"} {
		out.Families[family] = protocol.FamilyCensus{Keys: 120, KeyDigest: "1f", Digest: "2e"}
	}
	return out
}

// innerTopics are RobustMQ 0.4.11's own, whose copies the operator waits for.
var innerTopics = []string{"$retain-message", "$last-will-message", "$delay-queue-message", "$delay-queue-index", "$delay-task-index", "$agent-report-info", "$sys/qos2-inner-topic"}

// admin answers what the operator asks of the server's admin API: the inner topics and their copies.
func (p *pod) admin(w http.ResponseWriter, path string) {
	var data any
	switch path {
	case "api/storage-engine/shard/list":
		var shards []any
		for _, topic := range innerTopics {
			shards = append(shards, map[string]any{"shard_info": map[string]any{"shard_name": topic + "-0", "topic_name": topic, "config": map[string]any{"is_inner_topic": true, "replica_num": 3}}})
		}
		data = map[string]any{"data": shards}
	case "api/storage-engine/segment/list":
		data = map[string]any{"segment_list": []any{map[string]any{"segment": map[string]any{"replicas": []any{struct{}{}, struct{}{}, struct{}{}}, "isr": []int{1, 2, 3}, "status": "Write"}}}}
	default:
		refuse(w, http.StatusNotFound, protocol.ReasonNotFound, errors.New("no page "+path).Error())
		return
	}
	w.Header().Set(protocol.HeaderAdminStatus, "200")
	answer(w, map[string]any{"code": 0, "data": data})
}

func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }
