package bench

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// answers is an agent that always says the same: what is measured is the operator, not the network.
type answers struct {
	agentclient.Client
	state protocol.State
}

func (a answers) State(context.Context) (protocol.State, error) { return a.state, nil }

func (a answers) Admin(_ context.Context, _, path string, _ any) (json.RawMessage, error) {
	switch {
	case strings.HasSuffix(path, "shard/list"):
		return json.RawMessage(`{"data":[{"shard_info":{"shard_name":"s-0","topic_name":"$SYS/x","config":{"is_inner_topic":true,"replica_num":3}}}]}`), nil
	case strings.HasSuffix(path, "segment/list"):
		return json.RawMessage(`{"segment_list":[{"segment":{"replicas":[{},{},{}],"isr":[1,2,3],"status":"Write"}}]}`), nil
	}
	return nil, errors.New("no such page: " + path)
}

// pool finds an agent by its pod's address.
type pool map[string]answers

func (p pool) Client(_ string, _ agentclient.Identity, podIP string) (agentclient.Client, error) {
	return p[podIP], nil
}

func (pool) Forget(string) {}
func (pool) Trim(string)   {}
