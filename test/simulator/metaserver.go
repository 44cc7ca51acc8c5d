package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/robustmq/robustmq-operator/internal/robustmq/metaservice"
	"github.com/robustmq/robustmq-operator/test/simulator/raft"
)

// metaService is the meta role of a node: the registry, the metadata, and telling the brokers of changes.
type metaService struct {
	n *Node

	mu         sync.Mutex
	heartbeats map[uint64]time.Time // of this member only: they are not replicated
	beats      map[string]time.Time // of connectors, likewise
	workers    map[uint64]*notifier
	dead       bool // D1 of 0.3.0: the expiry loop waits for itself
}

func newMetaService(n *Node) *metaService {
	return &metaService{n: n, heartbeats: map[uint64]time.Time{}, beats: map[string]time.Time{}, workers: map[uint64]*notifier{}}
}

// ClusterStatus implements MetaServer.
func (m *metaService) ClusterStatus(context.Context) (string, error) { return m.n.rafts.status(), nil }

// NodeList implements MetaServer.
func (m *metaService) NodeList(context.Context) ([][]byte, error) {
	var all [][]byte
	for _, n := range m.nodes() {
		all = append(all, n.bincode())
	}
	return all, nil
}

func (m *metaService) nodes() []nodeRecord {
	return decodeAll[nodeRecord](m.n.state.each, kindNode)
}

func nodeKey(id uint64) string { return fmt.Sprintf("%s%d", kindNode, id) }

// Heartbeat implements MetaServer. A member knows what was applied on it: one that is behind goes on confirming nodes that the leader has deleted.
func (m *metaService) Heartbeat(_ context.Context, id uint64) error {
	if _, known := m.n.state.get(nodeKey(id)); !known {
		return say("Node %d does not exist", id)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heartbeats[id] = time.Now()
	return nil
}

// JoinCluster implements MetaServer.
func (m *metaService) JoinCluster(ctx context.Context, id uint64, addr string) error {
	if m.n.gen.static {
		return status.Error(codes.Unimplemented, "")
	}
	return m.n.rafts.join(ctx, id, addr)
}

// LeaveCluster implements MetaServer.
func (m *metaService) LeaveCluster(ctx context.Context, id uint64) error {
	if m.n.gen.static {
		return status.Error(codes.Unimplemented, "")
	}
	return m.n.rafts.leave(ctx, id)
}

// UnRegisterNode implements MetaServer: the node goes at once, its segments move behind the answer; a node that is not listed is an empty success.
func (m *metaService) UnRegisterNode(ctx context.Context, id uint64) error {
	if _, listed := m.n.state.get(nodeKey(id)); !listed {
		return nil
	}
	if err := m.delete(ctx, nodeKey(id)); err != nil {
		return err
	}
	m.n.spawn(func() { m.decommission(m.n.ctx, id) })
	return nil
}

// SetResourceConfig implements MetaServer. Nothing is checked: a bad value is stored, and every later start fails.
func (m *metaService) SetResourceConfig(ctx context.Context, resources []string, config []byte) error {
	if len(resources) == 0 {
		return status.Error(codes.InvalidArgument, "resources: empty")
	}
	return m.put(ctx, configKey(resources), mustJSON(string(config)))
}

// GetResourceConfig implements MetaServer.
func (m *metaService) GetResourceConfig(_ context.Context, resources []string) ([]byte, error) {
	raw, ok := m.n.state.get(configKey(resources))
	if !ok {
		return nil, nil
	}
	var text string
	err := json.Unmarshal(raw, &text)
	return []byte(text), err
}

// DeleteResourceConfig implements MetaServer. Running nodes keep what they have in memory.
func (m *metaService) DeleteResourceConfig(ctx context.Context, resources []string) error {
	_, err := m.write(ctx, command{Op: "delete", Key: configKey(resources)})
	return err
}

func configKey(resources []string) string {
	return kindConfig + strings.TrimPrefix(strings.Join(resources, "/"), "cluster/")
}

// Segments implements MetaServer. They come out of the member's own state, whoever leads.
func (m *metaService) Segments(ctx context.Context, shard string, number int32) ([][]byte, error) {
	m.n.frozen.wait(ctx)
	begin := time.Now()
	defer func() { m.n.metrics.served(ctx, nil, begin, nil) }()
	var records [][]byte
	for _, s := range m.segments() {
		if (shard == "" || shard == s.ShardName) && (number == metaservice.AllSegments || int(number) == s.SegmentSeq) {
			var e encoder
			s.store(&e)
			records = append(records, e.b)
		}
	}
	return records, nil
}

// machineOf is the raft group that a key's writes go through.
func (m *metaService) machineOf(key string) string {
	if strings.HasPrefix(key, kindTopic) || strings.HasPrefix(key, kindSession) {
		return m.n.gen.data()
	}
	if strings.HasPrefix(key, kindOffset) {
		return m.n.gen.offset()
	}
	return m.n.gen.metadata()
}

func (m *metaService) groupOf(key string) *raft.Group { return m.n.rafts.group(m.machineOf(key)) }

// write replicates a command.
func (m *metaService) write(ctx context.Context, c command) (result any, err error) {
	begin := time.Now()
	defer func() { m.n.metrics.wrote(m.machineOf(c.Key), begin, err) }()
	g := m.groupOf(c.Key)
	if m.stuck() && g.IsLeader() {
		// D1: this leader's state machine waits for the expiry loop, which waits for the state machine.
		if !m.n.t.sleep(ctx, 30*time.Second) {
			return nil, ctx.Err()
		}
		return nil, say("Raft write timed out. machine=%s, timeout=30s", m.n.gen.metadata())
	}
	limit, cancel := context.WithTimeout(ctx, m.n.t.patience(30*time.Second, 2*time.Second))
	defer cancel()
	result, err = g.Write(limit, c.encode())
	if err != nil && errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, say("Raft write timed out. timeout=30s")
	}
	return result, err
}

func (m *metaService) stuck() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

// put stores and tells the brokers.
func (m *metaService) put(ctx context.Context, key string, value json.RawMessage) error {
	if _, err := m.write(ctx, command{Op: "put", Key: key, Value: value}); err != nil {
		return err
	}
	m.notify(change{Key: key, Value: value})
	return nil
}

func (m *metaService) delete(ctx context.Context, key string) error {
	if _, err := m.write(ctx, command{Op: "delete", Key: key}); err != nil {
		return err
	}
	m.notify(change{Key: key})
	return nil
}

type putRequest struct {
	Key    string          `json:"key"`
	Value  json.RawMessage `json:"value,omitempty"`
	Create bool            `json:"create,omitempty"` // refuse when it exists
	Must   bool            `json:"must,omitempty"`   // refuse when it does not
}

type loadRequest struct {
	Kinds []string `json:"kinds"`
	// Leader: only the metadata leader may answer (ListAcl and ListScramCredential do not trust a member's own state).
	Leader bool `json:"leader,omitempty"`
}

type registerReply struct {
	BrokerEpoch uint64 `json:"broker_epoch"`
}

type nothing struct{}

// register offers the meta service and what stands for RobustMQ's other services of a member.
func (m *metaService) register(s *grpc.Server) {
	RegisterMetaServer(s, m)
	s.RegisterService(&grpc.ServiceDesc{ServiceName: dataService, HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{
		jsonMethod("Put", func(ctx context.Context, r putRequest) (nothing, error) { return nothing{}, m.servePut(ctx, r) }),
		jsonMethod("Delete", func(ctx context.Context, r putRequest) (nothing, error) {
			if _, exists := m.n.state.get(r.Key); r.Must && !exists {
				return nothing{}, missing(r.Key, "does not exist")
			}
			return nothing{}, m.delete(ctx, r.Key)
		}),
		jsonMethod("Load", func(_ context.Context, r loadRequest) (map[string]json.RawMessage, error) {
			if r.Leader && !m.n.rafts.metadata().IsLeader() {
				return nil, errors.New(notLeader + " for ListAcl")
			}
			found := map[string]json.RawMessage{}
			for _, kind := range r.Kinds {
				m.n.state.each(kind, func(key string, v json.RawMessage) { found[key] = v })
			}
			return found, nil
		}),
		jsonMethod("Register", func(ctx context.Context, r nodeRecord) (registerReply, error) { return m.serveRegister(ctx, r) }),
		jsonMethod("ConnectorHeartbeat", func(_ context.Context, r beatRequest) (nothing, error) {
			m.connectorBeats(r)
			return nothing{}, nil
		}),
		jsonMethod("CreateShard", func(ctx context.Context, r shardRequest) (nothing, error) { return nothing{}, m.createShard(ctx, r) }),
		jsonMethod("UpdateSegmentIsr", func(ctx context.Context, r isrRequest) (nothing, error) { return nothing{}, m.updateISR(ctx, r) }),
	}}, m)
	s.RegisterService(&grpc.ServiceDesc{ServiceName: raftService, HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{
		jsonMethod("Vote", func(_ context.Context, r raftCall[raft.VoteRequest]) (raft.VoteReply, error) {
			if g := m.n.rafts.group(r.Group); g != nil {
				return g.HandleVote(r.Body)
			}
			return raft.VoteReply{}, fmt.Errorf("no group %s", r.Group)
		}),
		jsonMethod("Append", func(_ context.Context, r raftCall[raft.AppendRequest]) (raft.AppendReply, error) {
			if g := m.n.rafts.group(r.Group); g != nil {
				return g.HandleAppend(r.Body)
			}
			return raft.AppendReply{}, fmt.Errorf("no group %s", r.Group)
		}),
		jsonMethod("Snapshot", func(_ context.Context, r raftCall[raft.SnapshotRequest]) (raft.SnapshotReply, error) {
			if g := m.n.rafts.group(r.Group); g != nil {
				return g.HandleSnapshot(r.Body)
			}
			return raft.SnapshotReply{}, fmt.Errorf("no group %s", r.Group)
		}),
	}}, m)
}

func (m *metaService) servePut(ctx context.Context, r putRequest) error {
	_, exists := m.n.state.get(r.Key)
	// What exists is only known for sure where the group is led; elsewhere the write itself is refused.
	if m.groupOf(r.Key).IsLeader() {
		switch {
		case r.Create && exists:
			if strings.HasPrefix(r.Key, kindUser) {
				return say("User [%s] already exist", lastPart(r.Key))
			}
			if strings.HasPrefix(r.Key, kindConnector) {
				return say("Connector [%s] already exist", lastPart(r.Key))
			}
			return fmt.Errorf("%s already exists", described(r.Key))
		case r.Must && !exists:
			return missing(r.Key, "not found")
		}
	}
	return m.put(ctx, r.Key, r.Value)
}

// missing is the error about a thing that is not there.
func missing(key, said string) error {
	if strings.HasPrefix(key, kindConnector) {
		said = "Not found"
	}
	return fmt.Errorf("%s %s", described(key), said)
}

// described names a key as RobustMQ's messages do.
func described(key string) string {
	kind, _, _ := strings.Cut(key, "/")
	return strings.ToUpper(kind[:1]) + kind[1:] + " " + lastPart(key)
}

func lastPart(key string) string { return key[strings.LastIndex(key, "/")+1:] }

func (m *metaService) serveRegister(ctx context.Context, r nodeRecord) (registerReply, error) {
	m.mu.Lock()
	m.heartbeats[r.NodeID] = time.Now()
	m.mu.Unlock()
	epoch, err := m.write(ctx, command{Op: "register", Key: nodeKey(r.NodeID), Value: mustJSON(r)})
	if err != nil {
		return registerReply{}, err
	}
	m.notify(change{Key: nodeKey(r.NodeID), Value: mustJSON(r)})
	e, _ := epoch.(uint64)
	return registerReply{e}, nil
}

// expire is the leader's loop: every node whose heartbeat is too old is deleted, and its segments change their leader.
func (m *metaService) expire() {
	n := m.n
	n.frozen.wait(n.ctx)
	if !n.rafts.metadata().IsLeader() || m.stuck() {
		return
	}
	limit := time.Duration(n.file.number("meta_runtime.heartbeat_timeout_ms")) * time.Millisecond
	scaled := n.t.patience(limit, 1200*time.Millisecond)
	for _, node := range m.nodes() {
		m.mu.Lock()
		at, seen := m.heartbeats[node.NodeID]
		if !seen {
			m.heartbeats[node.NodeID] = time.Now()
		}
		m.mu.Unlock()
		if !seen || time.Since(at) < scaled {
			continue
		}
		if n.gen.islands {
			m.mu.Lock()
			m.dead = true
			m.mu.Unlock()
			n.rafts.metadata().HoldApplying()
			n.spawn(func() {
				if n.t.sleep(n.ctx, 30*time.Second) {
					n.log.error("meta_service::raft", "Raft write timed out. machine=metadata, data_type=ClusterDeleteNode, timeout=30s")
				}
			})
			return
		}
		n.log.info("meta_service::core::heartbeat", "Heartbeat of the Node times out and is deleted from the cluster. Node ID: %d, node IP: %s,now time:%d,report time:%d, diff:%d, time_ms:%d",
			node.NodeID, node.NodeIP, n.now(), at.Unix(), int(n.t.simulated(time.Since(at)).Seconds()), limit.Milliseconds())
		if err := m.delete(n.ctx, nodeKey(node.NodeID)); err != nil {
			return
		}
		m.mu.Lock()
		delete(m.heartbeats, node.NodeID)
		m.mu.Unlock()
		m.switchLeaders(n.ctx, node.NodeID)
	}
}

// serve runs the loops of a member.
func (m *metaService) serve() {
	n := m.n
	check := time.Duration(n.file.number("meta_runtime.heartbeat_check_time_ms")) * time.Millisecond
	n.spawn(func() { n.t.every(n.ctx, max(check, 100*time.Millisecond), m.expire) })
	n.spawn(func() { n.t.every(n.ctx, time.Second, m.recoverSegments) })
	if !n.gen.islands {
		// Whoever is given a silent connector has until the next round to be heard of: not less than 200 ms of the machine's.
		n.spawn(func() { n.t.every(n.ctx, max(time.Second, n.t.simulated(200*time.Millisecond)), m.placeConnectors) })
	}
	n.spawn(func() { n.t.every(n.ctx, 20*time.Second, m.topUp) })
	rebalance := time.Duration(n.file.number("meta_runtime.segment_leader_rebalance_interval_ms")) * time.Millisecond
	n.spawn(func() { n.t.every(n.ctx, max(rebalance, time.Second), m.preferLeaders) })
}

var _ MetaServer = (*metaService)(nil)
var _ metaservice.Message = (*packet)(nil)
