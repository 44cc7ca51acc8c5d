package simulator

import (
	"context"
	"encoding/json"
	"slices"
	"sort"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type shardRequest struct {
	Shard shard  `json:"shard"`
	Topic string `json:"topic"`
}

// engines are the registered nodes with the engine role, the least loaded first.
func (m *metaService) engines() []nodeRecord {
	load := map[uint64]int{}
	for _, s := range m.segments() {
		for _, r := range s.Replicas {
			load[r.NodeID]++
		}
	}
	var all []nodeRecord
	for _, n := range m.nodes() {
		if slices.Contains(n.Roles, "engine") {
			all = append(all, n)
		}
	}
	sort.SliceStable(all, func(i, j int) bool {
		if a, b := load[all[i].NodeID], load[all[j].NodeID]; a != b {
			return a < b
		}
		return all[i].NodeID < all[j].NodeID
	})
	return all
}

func (m *metaService) segments() []segment {
	return decodeAll[segment](m.n.state.each, kindSegment)
}

// createShard places a shard. Inner topics may start with fewer replicas; others need as many engine nodes as replicas.
func (m *metaService) createShard(ctx context.Context, r shardRequest) error {
	if !m.n.rafts.metadata().IsLeader() {
		_, err := m.write(ctx, command{Op: "put", Key: kindShard}) // refused with the leader's address
		return err
	}
	if _, exists := m.n.state.get(kindShard + r.Shard.ShardName); exists {
		return nil // and nobody is told again
	}
	want := max(r.Shard.Config.ReplicaNum, 1)
	nodes := m.engines()
	if r.Shard.Config.IsInnerTopic {
		if len(nodes) == 0 {
			return status.Errorf(codes.FailedPrecondition, "CreateSegment, There are not enough nodes available in the cluster, 1 is needed, and currently 0")
		}
		want = min(want, len(nodes))
	}
	if len(nodes) < want {
		return status.Errorf(codes.FailedPrecondition, "CreateShard,There are not enough nodes available in the cluster, %d is needed, and currently %d.", want, len(nodes))
	}
	s := segment{ShardName: r.Shard.ShardName, LastKnownISR: []uint64{}, Status: "Write"}
	for i, n := range nodes[:want] {
		if len(n.StorageFold) == 0 {
			return say("Node %d has no storage folders configured", n.NodeID)
		}
		s.Replicas = append(s.Replicas, replica{i, n.NodeID, n.StorageFold[0]})
		s.ISR = append(s.ISR, n.NodeID)
	}
	s.Leader, s.LeaderBrokerEpoch = s.Replicas[0].NodeID, 1
	if err := m.put(ctx, kindShard+r.Shard.ShardName, mustJSON(r.Shard)); err != nil {
		return err
	}
	return m.put(ctx, s.key(), mustJSON(s))
}

type isrRequest struct {
	Segment segment `json:"segment"`
	Epoch   uint64  `json:"epoch"`
}

// updateISR writes a proposal to the log whatever it is worth: it is judged when it is applied (the entries of a write storm are such proposals).
func (m *metaService) updateISR(ctx context.Context, r isrRequest) error {
	fits, err := m.write(ctx, command{Op: "isr", Key: r.Segment.key(), Value: mustJSON(r.Segment), Epoch: r.Epoch})
	if err != nil {
		return err
	}
	if fits != true {
		have := uint64(0)
		if raw, ok := m.n.state.get(r.Segment.key()); ok {
			var s segment
			_ = json.Unmarshal(raw, &s)
			have = s.SegmentEpoch
		}
		return say("UpdateSegmentIsr on %s/%d: expected_segment_epoch %d != current %d", r.Segment.ShardName, r.Segment.SegmentSeq, r.Epoch, have)
	}
	m.notify(change{Key: r.Segment.key(), Value: mustJSON(r.Segment)})
	return nil
}

// change rewrites a segment on the leader, with the next epoch.
func (m *metaService) rewrite(ctx context.Context, s segment) bool {
	s.SegmentEpoch++
	return m.put(ctx, s.key(), mustJSON(s)) == nil
}

// withdraw takes a node out of a segment's ISR and leadership. Without anybody left in the ISR the segment is Unavailable.
func (m *metaService) withdraw(s *segment, node uint64) {
	before := slices.Clone(s.ISR)
	s.ISR = slices.DeleteFunc(s.ISR, func(id uint64) bool { return id == node })
	if s.Leader != node {
		return
	}
	if len(s.ISR) == 0 {
		s.Status, s.LastKnownISR = "Unavailable", before
		m.n.log.warn("meta_service::core::segment_leader", "segment %s/%d marked Unavailable after removing leader %d: no surviving ISR member (ISR was %v, segment_epoch %d -> %d)",
			s.ShardName, s.SegmentSeq, node, before, s.SegmentEpoch, s.SegmentEpoch+1)
		return
	}
	s.Leader = s.ISR[0]
	s.LeaderEpoch++
}

// switchLeaders follows the expiry of a node: replicas stay where they are.
func (m *metaService) switchLeaders(ctx context.Context, node uint64) {
	switched, unavailable := 0, 0
	for _, s := range m.segments() {
		if s.Leader != node && !slices.Contains(s.ISR, node) {
			continue
		}
		leader := s.Leader
		m.withdraw(&s, node)
		if s.Status == "Unavailable" {
			unavailable++
		} else if s.Leader != leader {
			switched++
		}
		if !m.rewrite(ctx, s) {
			return
		}
	}
	m.n.log.info("meta_service::core::segment_leader", "active_segment_leader_switch completed, node %d removed, %d switched, %d marked Unavailable", node, switched, unavailable)
}

// decommission follows UnRegisterNode: replicas move to the least loaded nodes, which are not in sync yet.
func (m *metaService) decommission(ctx context.Context, node uint64) {
	migrated, unavailable := 0, 0
	for _, s := range m.segments() {
		if !s.has(node) {
			continue
		}
		m.withdraw(&s, node)
		s.Replicas = slices.DeleteFunc(s.Replicas, func(r replica) bool { return r.NodeID == node })
		for _, n := range m.engines() {
			if !s.has(n.NodeID) && len(n.StorageFold) > 0 {
				s.Replicas = append(s.Replicas, replica{len(s.Replicas), n.NodeID, n.StorageFold[0]})
				break
			}
		}
		for i := range s.Replicas {
			s.Replicas[i].ReplicaSeq = i
		}
		if s.Status == "Unavailable" {
			unavailable++
		} else {
			migrated++
		}
		if !m.rewrite(ctx, s) {
			return
		}
	}
	m.n.log.info("meta_service::core::node_decommission", "node %d decommission completed: %d segments migrated, %d marked Unavailable", node, migrated, unavailable)
}

// recoverSegments brings segments back whose last in-sync node is registered again: with that node as the leader, and with whatever it still has (after a decommission, nothing).
func (m *metaService) recoverSegments() {
	n := m.n
	if n.gen.islands || !n.rafts.metadata().IsLeader() {
		return
	}
	listed := map[uint64]bool{}
	for _, node := range m.nodes() {
		listed[node.NodeID] = true
	}
	for _, s := range m.segments() {
		if s.Status != "Unavailable" {
			continue
		}
		i := slices.IndexFunc(s.LastKnownISR, func(id uint64) bool { return listed[id] })
		if i < 0 {
			continue
		}
		id := s.LastKnownISR[i]
		s.Status, s.Leader, s.ISR, s.LastKnownISR = "Write", id, []uint64{id}, []uint64{}
		s.LeaderEpoch++
		if !m.rewrite(n.ctx, s) {
			return
		}
	}
}

// topUp gives inner topics the replicas that they could not have when they were made.
func (m *metaService) topUp() {
	n := m.n
	if n.gen.islands || n.gen.static || !n.rafts.metadata().IsLeader() {
		return
	}
	shards := map[string]shard{}
	for _, s := range decodeAll[shard](n.state.each, kindShard) {
		shards[s.ShardName] = s
	}
	for _, s := range m.segments() {
		sh := shards[s.ShardName]
		want := sh.Config.ReplicaNum // of the day it was made: one, where meta_addrs had one entry then
		if !sh.Config.IsInnerTopic || len(s.Replicas) >= want || s.Status != "Write" {
			continue
		}
		for _, e := range m.engines() {
			if len(s.Replicas) < want && !s.has(e.NodeID) && len(e.StorageFold) > 0 {
				s.Replicas = append(s.Replicas, replica{len(s.Replicas), e.NodeID, e.StorageFold[0]})
			}
		}
		if len(s.Replicas) <= len(s.ISR) {
			continue
		}
		if !m.rewrite(n.ctx, s) {
			return
		}
		if m.put(n.ctx, kindShard+sh.ShardName, mustJSON(sh)) != nil { // an engine that started meanwhile learns of the shard
			return
		}
	}
}

// preferLeaders moves leaderships back to the first replica once it is in sync again.
func (m *metaService) preferLeaders() {
	n := m.n
	if n.gen.islands || !n.rafts.metadata().IsLeader() {
		return
	}
	for _, s := range m.segments() {
		if len(s.Replicas) == 0 || s.Status != "Write" {
			continue
		}
		first := s.Replicas[0].NodeID
		if s.Leader == first || !slices.Contains(s.ISR, first) {
			continue
		}
		s.Leader = first
		s.LeaderEpoch++
		if !m.rewrite(n.ctx, s) {
			return
		}
	}
}
