package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
)

// underReplicated asks one node for RobustMQ's inner topics and returns the names of those that have fewer copies in sync than their own record asks for
// (replica_num: what the server made of default_topic_replica_num, which it takes for 1 when there is one member), or than there are engines; none when all have them.
// Inner topics are made with one copy by the founder, which is the only engine then; the metadata leader tops them up every 30 s.
func underReplicated(ctx context.Context, agent agentclient.Client, engines int32) ([]string, error) {
	var shards struct {
		Data []struct {
			ShardInfo struct {
				ShardName string `json:"shard_name"`
				TopicName string `json:"topic_name"`
				Config    struct {
					Inner    bool `json:"is_inner_topic"`
					Replicas int  `json:"replica_num"`
				} `json:"config"`
			} `json:"shard_info"`
		} `json:"data"`
	}
	// The list answers ten rows unless the body says otherwise; the query string is ignored here.
	raw, err := agent.Admin(ctx, http.MethodPost, "/api/storage-engine/shard/list", map[string]int{"limit": 1000, "page": 1})
	if err != nil {
		return nil, fmt.Errorf("listing shards: %w", err)
	}
	if err := json.Unmarshal(raw, &shards); err != nil {
		return nil, fmt.Errorf("listing shards: %w", err)
	}
	inner := 0
	var short []string
	for _, shard := range shards.Data {
		if !shard.ShardInfo.Config.Inner {
			continue
		}
		inner++
		full, err := fullyReplicated(ctx, agent, shard.ShardInfo.ShardName, min(shard.ShardInfo.Config.Replicas, int(engines)))
		if err != nil {
			return nil, err
		}
		if !full {
			short = append(short, shard.ShardInfo.TopicName)
		}
	}
	if inner == 0 {
		return []string{"(none made yet)"}, nil
	}
	return short, nil
}

func fullyReplicated(ctx context.Context, agent agentclient.Client, shard string, wanted int) (bool, error) {
	var list struct {
		Segments []struct {
			Segment struct {
				Replicas []json.RawMessage `json:"replicas"`
				ISR      []uint64          `json:"isr"`
				Status   string            `json:"status"`
			} `json:"segment"`
		} `json:"segment_list"`
	}
	raw, err := agent.Admin(ctx, http.MethodPost, "/api/storage-engine/segment/list", map[string]string{"shard_name": shard})
	if err != nil {
		return false, fmt.Errorf("listing the segments of shard %s: %w", shard, err)
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return false, fmt.Errorf("listing the segments of shard %s: %w", shard, err)
	}
	for _, s := range list.Segments {
		if s.Segment.Status == "Write" && (len(s.Segment.Replicas) < wanted || len(s.Segment.ISR) < wanted) {
			return false, nil
		}
	}
	return true, nil
}
