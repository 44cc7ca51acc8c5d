package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"google.golang.org/grpc"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/metaservice"
	"github.com/robustmq/robustmq-operator/test/simulator/raft"
)

// multiRaft are the groups of a member.
type multiRaft struct {
	n      *Node
	groups []*raft.Group // in the order metadata, offset, data
	names  []string
}

// raftTiming is that of the version, divided by the speed (robustmq-server.md 3.4). Elections of the oldest versions take milliseconds: they get a floor, since a test
// machine does not become faster by the speed, and a spread, since two candidates that always tie would never end.
func (n *Node) raftTiming() raft.Timing {
	ms := func(v int) time.Duration { return n.t.of(time.Duration(v) * time.Millisecond) }
	heartbeat, least, most := 500, 10000, 20000
	v := n.gen.version
	before := func(minor, patch int) bool { return v.Less(robustmq.Version{Minor: minor, Patch: patch}) }
	switch {
	case before(3, 1):
		heartbeat, least, most = 250, 299, 300
	case before(3, 3):
		heartbeat, least, most = 10, 15, 300
	case before(4, 1):
		heartbeat, least, most = 100, 1000, 2000
	case before(4, 7):
		heartbeat, least, most = 500, 1500, 3000
	}
	floor := 200 * time.Millisecond
	t := raft.Timing{
		Heartbeat: max(ms(heartbeat), 20*time.Millisecond), ElectionMin: max(ms(least), floor), ElectionMax: max(ms(most), 2*floor),
		RPC: n.t.patience(3*time.Second, 400*time.Millisecond), Simulated: n.t.simulated, Grace: 300 * time.Millisecond,
	}
	t.Lease = t.ElectionMax
	return t
}

func (n *Node) openRafts() (*multiRaft, error) {
	m := &multiRaft{n: n, names: n.gen.groups}
	n.log.info("meta_service::raft::manager", "Initializing Multi-Raft: metadata=1, offset=1, data=1")
	every, keep := uint64(100), uint64(1000)
	if n.gen.static {
		every = 5000
	}
	for i, name := range m.names {
		g, err := raft.New(raft.Options{
			Name: name, ID: n.id, Timing: n.raftTiming(), Storage: n.storage, Snapshots: raft.Snapshots(n.dataPath("_snapshot")), Transport: raftTransport{n.calls, n.metrics}, Apply: n.state.apply,
			Rand: newRand(n.o.Seed, uint64(100+i)), Log: n.log.logf, SnapshotEvery: every, Keep: keep, LosesLogAtStart: n.gen.static,
		})
		if err != nil {
			return nil, err
		}
		n.log.info("meta_service::raft::manager", "[%s] Raft node ready", name)
		m.groups = append(m.groups, g)
	}
	n.log.info("meta_service::raft::manager", "Multi-Raft initialized")
	return m, nil
}

func (m *multiRaft) group(name string) *raft.Group {
	if i := slices.Index(m.names, name); i >= 0 {
		return m.groups[i]
	}
	return nil
}

func (m *multiRaft) metadata() *raft.Group { return m.group(m.n.gen.metadata()) }

func (m *multiRaft) freeze(frozen bool) {
	for _, g := range m.groups {
		g.Freeze(frozen)
	}
}

func (m *multiRaft) stop() {
	for _, g := range m.groups {
		g.Stop()
	}
}

// start brings the member into a cluster: as it was, by joining the first peer that answers TCP, or by founding one of its own.
func (m *multiRaft) start(ctx context.Context) error {
	n := m.n
	const target = "meta_service::raft::manager"
	n.log.info(target, "Starting Multi-Raft")
	if n.addr == "" {
		return fmt.Errorf("broker_id %d not found in meta_addrs", n.id)
	}
	for _, g := range m.groups {
		g.Start()
	}
	if n.gen.static {
		return m.initialise()
	}
	if m.groups[0].Initialised() {
		n.log.info(target, "Node %d has persisted state, recovering existing cluster", n.id)
		n.log.info(target, "Multi-Raft started")
		return nil
	}
	for i, g := range m.groups {
		if !g.Initialised() {
			n.log.info("meta_service::raft::group", "[%s] Not yet initialized, waiting for bootstrap or join", m.names[i])
		}
	}
	for _, p := range n.file.metaAddrs() {
		id, err := strconv.ParseUint(p.id, 10, 64)
		if err != nil || id == n.id {
			continue
		}
		if !m.reachable(ctx, p.id, p.addr) {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		n.log.info(target, "Joining cluster via peer %s at %s", p.id, p.addr)
		err = n.calls.call(ctx, []string{p.addr}, "PlacementService/JoinCluster", true, func(ctx context.Context, c *grpc.ClientConn) error {
			return metaservice.NewClient(c).JoinCluster(ctx, n.id, n.addr)
		})
		if err != nil {
			return say("Failed to join cluster via peer %s: %w", p.addr, err)
		}
		n.log.info(target, "Successfully joined cluster via peer %s", p.addr)
		n.log.info(target, "Multi-Raft started")
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	n.log.info(target, "No reachable peers, bootstrapping single-node cluster (node %d)", n.id)
	for i, g := range m.groups {
		if err := g.Initialise([]raft.NodeAddr{{NodeID: n.id, RPCAddr: n.addr}}); err != nil {
			return fmt.Errorf("[%s] bootstrap: %w", m.names[i], err)
		}
		n.log.info("meta_service::raft::group", "[%s] Single-node cluster bootstrapped", m.names[i])
	}
	n.log.info(target, "Multi-Raft started")
	return nil
}

// initialise is the static formation: every group with the whole of meta_addrs, unless it has a log. A vote request that came first makes it fail (seen-v0.3.0.md 2).
func (m *multiRaft) initialise() error {
	var members []raft.NodeAddr
	for _, a := range m.n.file.metaAddrs() {
		id, err := strconv.ParseUint(a.id, 10, 64)
		if err != nil {
			return fmt.Errorf("meta_addrs: %q is not a number", a.id)
		}
		members = append(members, raft.NodeAddr{NodeID: id, RPCAddr: a.addr})
	}
	for i, g := range m.groups {
		if s := g.Status(); s.LastLogIndex != nil || len(s.MembershipConfig.Membership.Configs) > 0 || s.Vote.LeaderID.Term > 0 && m.n.restarted() {
			m.n.log.info("meta_service::raft::manager", "[%s] already initialized, skipping", m.names[i])
			continue
		}
		if err := g.Initialise(members); err != nil {
			return fmt.Errorf("[%s] Can not initialize: %w", m.names[i], err)
		}
	}
	return nil
}

// restarted reports whether the process found anything on its volume.
func (n *Node) restarted() bool { return n.foundData }

// reachable is the probe of a fresh member: a TCP connect within 500 ms.
func (m *multiRaft) reachable(ctx context.Context, id, addr string) bool {
	limit, cancel := context.WithTimeout(ctx, 500*time.Millisecond) // at any speed: the agent allows it half of that
	defer cancel()
	conn, err := m.n.o.Dial(limit, "tcp", addr)
	if err == nil {
		_ = conn.Close()
		return true
	}
	var timeout net.Error
	if limit.Err() != nil || errors.As(err, &timeout) && timeout.Timeout() {
		m.n.log.warn("meta_service::raft::manager", "Peer %s at %s connection timed out", id, addr)
	} else {
		m.n.log.warn("meta_service::raft::manager", "Peer %s at %s not reachable: %v", id, addr, err)
	}
	return false
}

// join makes a node a voter of each group in turn; it stops at the first group that this member does not lead, and leaves the ones before it changed.
func (m *multiRaft) join(ctx context.Context, id uint64, addr string) error {
	for i, g := range m.groups {
		if err := g.AddLearner(ctx, raft.NodeAddr{NodeID: id, RPCAddr: addr}); err != nil {
			return fmt.Errorf("[%s] add_learner failed for node %d: %w", m.names[i], id, err)
		}
		voters := g.Voters()
		if !slices.Contains(voters, id) {
			voters = append(voters, id)
		}
		if err := g.ChangeVoters(ctx, voters, true); err != nil {
			return fmt.Errorf("[%s] change_membership failed for node %d: %w", m.names[i], id, err)
		}
	}
	m.n.log.info("meta_service::raft::services", "Node %d (%s) successfully joined the cluster", id, addr)
	return nil
}

// leave takes a node out of each group; it refuses before anything when a group has two voters or less.
func (m *multiRaft) leave(ctx context.Context, id uint64) error {
	present := false
	for i, g := range m.groups {
		voters := g.Voters()
		if !slices.Contains(voters, id) {
			continue
		}
		present = true
		if len(voters) <= 2 {
			return fmt.Errorf("[%s] refuse to remove node %d: only %d voters, removing one would break quorum (need >= 3 voters to safely remove one)", m.names[i], id, len(voters))
		}
	}
	if !present {
		return nil
	}
	for i, g := range m.groups {
		voters := slices.DeleteFunc(g.Voters(), func(v uint64) bool { return v == id })
		if len(voters) == 0 {
			continue
		}
		if err := g.ChangeVoters(ctx, voters, false); err != nil {
			return fmt.Errorf("[%s] change_membership failed while removing node %d: %w", m.names[i], id, err)
		}
	}
	return nil
}

// LeaveHalf is a LeaveCluster of which nothing but the first group was done: its server was ended then, or another member leads the next group.
func (n *Node) LeaveHalf(ctx context.Context, id uint64) error {
	if n.rafts == nil {
		return errors.New("no raft group runs")
	}
	g := n.rafts.groups[0]
	return g.ChangeVoters(ctx, slices.DeleteFunc(g.Voters(), func(v uint64) bool { return v == id }), false)
}

// status is ClusterStatus's content: a map of groups, or the metadata group alone up to 0.3.2.
func (m *multiRaft) status() string {
	if m.names[0] == "metadata" {
		return string(mustJSON(m.groups[0].Status()))
	}
	all := map[string]json.RawMessage{}
	for i, g := range m.groups {
		all[m.names[i]] = mustJSON(g.Status())
	}
	return string(mustJSON(all))
}
