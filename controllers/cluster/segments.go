package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// topicRows is how many topics are asked for at once. Without a limit RobustMQ's lists answer ten.
const topicRows = 1000

// topic is what of a topic's record matters here.
type topic struct {
	ID      string            `json:"topic_id"`
	Tenant  string            `json:"tenant"`
	Name    string            `json:"topic_name"`
	Copies  int               `json:"replication"`
	Storage map[string]string `json:"storage_name_list"` // partition -> shard
}

func (t topic) title() string { return robustmq.TopicTitle(t.Tenant, t.Name) }

// shards of the topic, in the order of its partitions' names.
func (t topic) shards() []string {
	names := make([]string, 0, len(t.Storage))
	for _, shard := range t.Storage {
		names = append(names, shard)
	}
	slices.Sort(names)
	return names
}

// listTopics asks a node for one page of the topics it knows, the inner ones too, pages from 1; total is the number of all topics.
// The list of shards is no way to them: it asks every shard's leader, and fails for ever for the whole cluster when one of them is gone (seen on RobustMQ 0.4.11).
func listTopics(ctx context.Context, agent agentclient.Client, page int) (topics []topic, total int, err error) {
	raw, err := agent.Admin(ctx, http.MethodGet, "/api/cluster/topic/list?limit="+strconv.Itoa(topicRows)+"&page="+strconv.Itoa(page), nil)
	if err == nil {
		topics, total, err = readTopics(raw)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("listing topics: %w", err)
	}
	return topics, total, nil
}

func readTopics(raw []byte) ([]topic, int, error) {
	var list struct {
		Data  []topic `json:"data"`
		Total int     `json:"total_count"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, 0, fmt.Errorf("the list of topics cannot be read: %w", err)
	}
	for _, t := range list.Data {
		if t.ID == "" || t.Name == "" {
			return nil, 0, fmt.Errorf("the list of topics has a row without topic_id or topic_name")
		}
	}
	return list.Data, list.Total, nil
}

// listSegments asks a node for what it knows of the segments of a shard: nothing, where it knows no such shard.
func listSegments(ctx context.Context, agent agentclient.Client, t topic, shard string) ([]topology.Segment, error) {
	raw, err := agent.Admin(ctx, http.MethodPost, "/api/storage-engine/segment/list", map[string]string{"shard_name": shard})
	var segments []topology.Segment
	if err == nil {
		segments, err = readSegments(raw)
	}
	if err != nil {
		return nil, fmt.Errorf("listing the segments of shard %s: %w", shard, err)
	}
	for i := range segments {
		segments[i].Topic, segments[i].Shard, segments[i].Copies = t.title(), shard, t.Copies
	}
	return segments, nil
}

func readSegments(raw []byte) ([]topology.Segment, error) {
	var list struct {
		Segments []struct {
			Segment *struct {
				Number   uint64 `json:"segment_seq"`
				Replicas []struct {
					Node uint64 `json:"node_id"`
				} `json:"replicas"`
				ISR     []uint64 `json:"isr"`
				LastISR []uint64 `json:"last_known_isr"`
				Leader  uint64   `json:"leader"`
				Epoch   uint64   `json:"segment_epoch"`
				Status  string   `json:"status"`
			} `json:"segment"`
		} `json:"segment_list"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("the list of segments cannot be read: %w", err)
	}
	var out []topology.Segment
	for _, row := range list.Segments {
		if row.Segment == nil || row.Segment.Status == "" {
			return nil, fmt.Errorf("the list of segments has a row without a segment's status")
		}
		s := topology.Segment{Number: row.Segment.Number, ISR: row.Segment.ISR, LastISR: row.Segment.LastISR, Leader: row.Segment.Leader, Epoch: row.Segment.Epoch, Status: row.Segment.Status}
		for _, r := range row.Segment.Replicas {
			s.Replicas = append(s.Replicas, r.Node)
		}
		out = append(out, s)
	}
	return out, nil
}
