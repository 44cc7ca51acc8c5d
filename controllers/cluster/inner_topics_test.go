package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
)

// storage answers the two lists of the storage engine.
type storage struct {
	agentclient.Client
	replicaNum int
	isr        string
}

func (s storage) Admin(_ context.Context, _, path string, body any) (json.RawMessage, error) {
	switch {
	case strings.HasSuffix(path, "/shard/list"):
		if limits, ok := body.(map[string]int); !ok || limits["limit"] < 100 {
			return nil, errors.New("the list would answer ten rows only")
		}
		return json.RawMessage(fmt.Sprintf(`{"data":[{"shard_info":{"shard_name":"a-0","topic_name":"users","config":{"is_inner_topic":false,"replica_num":3}}},
			{"shard_info":{"shard_name":"b-0","topic_name":"$retain-message","config":{"is_inner_topic":true,"replica_num":%d}}}]}`, s.replicaNum)), nil
	case strings.HasSuffix(path, "/segment/list"):
		if shard, ok := body.(map[string]string); !ok || shard["shard_name"] != "b-0" {
			return nil, fmt.Errorf("asked for %v: users' topics are not waited for", body)
		}
		return json.RawMessage(fmt.Sprintf(`{"segment_list":[{"segment":{"replicas":[{},{},{}],"isr":[%s],"status":"Write"}}]}`, s.isr)), nil
	}
	return nil, errors.New("unexpected " + path)
}

func TestInnerTopicsAreWaitedForUntilTheirOwnNumberOfCopiesIsInSync(t *testing.T) {
	for _, c := range []struct {
		name    string
		agent   storage
		engines int32
		want    string
	}{
		{"all in sync", storage{replicaNum: 3, isr: "1,2,3"}, 8, ""},
		{"one lags", storage{replicaNum: 3, isr: "1,2"}, 8, "$retain-message"},
		{"one is what was asked for", storage{replicaNum: 1, isr: "1"}, 8, ""},
		{"more asked for than there are engines", storage{replicaNum: 3, isr: "1,2"}, 2, ""},
	} {
		got, err := underReplicated(t.Context(), c.agent, c.engines)
		if err != nil || strings.Join(got, ",") != c.want {
			t.Errorf("%s: %q %v, want %q", c.name, got, err, c.want)
		}
	}
}
