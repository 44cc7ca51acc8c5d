package simulator

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
)

// addStorage are the endpoints of the storage engine.
func (a *adminServer) addStorage() {
	a.add("POST", "/api/storage-engine/shard/list", a.shardList)
	a.add("POST", "/api/storage-engine/segment/list", func(_ *http.Request, body []byte) (any, error) {
		var q struct {
			ShardName string `json:"shard_name"`
		}
		if err := decodeBody(body, &q, "shard_name"); err != nil {
			return nil, err
		}
		rows := []any{}
		if s, ok := a.n.cache.segment(q.ShardName); ok {
			rows = append(rows, map[string]any{"segment": s, "segment_meta": nil})
		}
		return map[string]any{"segment_list": rows}, nil
	})
	a.add("POST", "/api/storage-engine/segment/detail", a.segmentDetail)
	a.add("POST", "/api/storage-engine/segment/replica-state", a.replicaState)
}

type shardInfo struct {
	ShardName string       `json:"shard_name"`
	TopicName string       `json:"topic_name"`
	Config    shardConfig  `json:"config"`
	Shard     shard        `json:"shard"`
	Offset    shardOffsets `json:"offset"`
	Desc      string       `json:"desc"`
}

type shardOffsets struct {
	StartOffset   uint64 `json:"start_offset"`
	EndOffset     uint64 `json:"end_offset"`
	HighWatermark uint64 `json:"high_watermark"`
}

// shardInfo asks the segment's leader for its offsets: one that is dead makes the whole answer an error.
func (a *adminServer) shardInfo(ctx context.Context, name string) (shardInfo, error) {
	s, ok := cachedValue[shard](a.n.cache, kindShard+name)
	if !ok {
		return shardInfo{}, say("Shard %s does not exist", name)
	}
	info := shardInfo{ShardName: name, TopicName: s.TopicName, Config: s.Config, Shard: s, Desc: s.Desc}
	seg, ok := a.n.cache.segment(name)
	if !ok {
		return info, nil
	}
	reply, err := a.n.engine.ask(ctx, seg.Leader, frame{Op: "state", Shard: name})
	if err != nil {
		return info, err
	}
	info.Offset.HighWatermark = reply.Next
	if reply.Next > 0 {
		info.Offset.EndOffset = reply.Next - 1
	}
	if len(reply.Rows) > 0 {
		info.Offset.StartOffset = reply.Rows[0].Offset
	}
	return info, nil
}

// shardList pages by the body: limits in the query are ignored.
func (a *adminServer) shardList(r *http.Request, body []byte) (any, error) {
	var q struct {
		ShardName string `json:"shard_name"`
		TopicName string `json:"topic_name"`
		Limit     int    `json:"limit"`
		Page      int    `json:"page"`
	}
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, &plainError{status: http.StatusUnprocessableEntity, body: "Failed to deserialize the JSON body into the target type: " + err.Error()}
	}
	if q.Limit <= 0 {
		q.Limit = pageRows
	}
	type row struct {
		ShardInfo shardInfo `json:"shard_info"`
	}
	rows := []row{}
	for _, s := range decodeAll[shard](a.n.cache.each, kindShard) {
		if q.ShardName != "" && s.ShardName != q.ShardName || q.TopicName != "" && s.TopicName != q.TopicName {
			continue
		}
		info, err := a.shardInfo(r.Context(), s.ShardName)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{info})
	}
	return pageOf(rows, q.Limit, max(q.Page, 1)), nil
}

// segmentDetail: replicas on other nodes cannot be asked, since no token goes with the call.
func (a *adminServer) segmentDetail(r *http.Request, body []byte) (any, error) {
	var q struct {
		ShardName string `json:"shard_name"`
		Seq       int    `json:"segment_seq"`
	}
	if err := decodeBody(body, &q, "shard_name", "segment_seq"); err != nil {
		return nil, err
	}
	s, ok := a.n.cache.segment(q.ShardName)
	if !ok {
		return nil, say("Segment %s/%d does not exist", q.ShardName, q.Seq)
	}
	rows := []map[string]any{}
	for _, replica := range s.Replicas {
		own := replica.NodeID == a.n.id
		row := map[string]any{
			"node_id": replica.NodeID, "replica_seq": replica.ReplicaSeq, "fold": replica.Fold, "is_leader": s.Leader == replica.NodeID, "in_isr": slices.Contains(s.ISR, replica.NodeID),
			"role": "", "leader_epoch": 0, "segment_epoch": 0, "leo": 0, "high_watermark": 0, "log_start_offset": 0, "follower_progress": []any{}, "fetch": nil, "available": own, "error": nil,
		}
		if own {
			row["role"], row["leader_epoch"], row["segment_epoch"] = "Follower", s.LeaderEpoch, s.SegmentEpoch
			reply, _ := a.n.engine.ask(r.Context(), a.n.id, frame{Op: "state", Shard: q.ShardName})
			row["leo"], row["high_watermark"] = reply.Next, reply.Next
			if s.Leader == a.n.id {
				row["role"] = "Leader"
			} else {
				row["fetch"] = map[string]any{"leader_node_id": s.Leader, "current_leader_epoch": s.LeaderEpoch, "max_bytes": 1 << 30, "fetcher_index": 0, "thread_running": true}
			}
		} else {
			row["error"] = `Server returned error: code=401, message={"code":401,"data":null,"message":"Missing Authorization header"}`
		}
		rows = append(rows, row)
	}
	return map[string]any{"segment": s, "segment_meta": nil, "replicas": rows}, nil
}

// replicaState is what a node says of its own replica.
func (a *adminServer) replicaState(r *http.Request, body []byte) (any, error) {
	var q struct {
		ShardName string `json:"shard_name"`
		Seq       int    `json:"segment_seq"`
	}
	if err := decodeBody(body, &q, "shard_name", "segment_seq"); err != nil {
		return nil, err
	}
	s, ok := a.n.cache.segment(q.ShardName)
	if !ok || !s.has(a.n.id) {
		return nil, say("Segment %s/%d does not exist", q.ShardName, q.Seq)
	}
	role := "Follower"
	if s.Leader == a.n.id {
		role = "Leader"
	}
	reply, _ := a.n.engine.ask(r.Context(), a.n.id, frame{Op: "state", Shard: q.ShardName})
	return map[string]any{
		"node_id": a.n.id, "replica_seq": 0, "fold": "", "is_leader": false, "in_isr": false, "role": role, "leader_epoch": s.LeaderEpoch, "segment_epoch": s.SegmentEpoch,
		"leo": reply.Next, "high_watermark": reply.Next, "log_start_offset": 0, "follower_progress": []any{}, "fetch": nil, "available": true, "error": nil,
	}, nil
}
