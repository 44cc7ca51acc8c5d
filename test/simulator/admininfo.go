package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/robustmq/robustmq-operator/internal/robustmq/metaservice"
)

// metaStatus asks the first member of meta_addrs that answers: the view is that member's, not this node's.
func (n *Node) metaStatus(ctx context.Context) (string, error) {
	var content string
	begin := time.Now()
	defer func() { n.metrics.made("/"+metaservice.ServiceName+"/ClusterStatus", nil, begin) }()
	err := n.calls.call(ctx, n.metaTargets(), "PlacementService/ClusterStatus", false, func(ctx context.Context, conn *grpc.ClientConn) error {
		var err error
		content, err = metaservice.NewClient(conn).ClusterStatus(ctx)
		return err
	})
	return content, err
}

// info is /api/info: the node list is this node's belief, meta the view of the first member that answers.
func (a *adminServer) info(r *http.Request, _ []byte) (any, error) {
	n := a.n
	content, err := n.metaStatus(r.Context())
	if err != nil {
		return nil, err
	}
	var groups map[string]map[string]json.RawMessage
	if err := json.Unmarshal([]byte(content), &groups); err != nil {
		return nil, err
	}
	var names []string
	seen := map[string]bool{}
	for _, name := range sortedKeys(groups) {
		g := groups[name]
		// RobustMQ's own structure has two fields that openraft's metrics of today lack; they are constants.
		g["last_quorum_acked"], g["heartbeat"] = json.RawMessage("0"), json.RawMessage("{}")
		var m struct {
			Membership struct {
				Nodes map[string]struct {
					RPCAddr string `json:"rpc_addr"`
				} `json:"nodes"`
			} `json:"membership"`
		}
		_ = json.Unmarshal(g["membership_config"], &m)
		for _, id := range sortedKeys(m.Membership.Nodes) {
			host, _, _ := strings.Cut(m.Membership.Nodes[id].RPCAddr, ":")
			if !seen[host] {
				seen[host] = true
				names = append(names, host)
			}
		}
		if string(g["last_log_index"]) == "null" && n.gen.version.String() == "" {
			return nil, errors.New("raft is not initialized")
		}
	}
	if names == nil {
		names = []string{}
	}
	return map[string]any{
		"version": n.version, "cluster_name": n.file.text("cluster_name"), "start_time": n.started.Unix(), "broker_node_list": n.nodeList(), "meta": groups, "nodes": names,
	}, nil
}

// nodeList is this node's cache; nodes of the old versions know only themselves.
func (n *Node) nodeList() []nodeRecord {
	all := n.cache.nodes()
	if n.gen.islands {
		all = nil
		if own, ok := n.cache.node(n.id); ok {
			all = append(all, own)
		}
	}
	if all == nil {
		all = []nodeRecord{}
	}
	return all
}

// overview are the figures of this node.
func (a *adminServer) overview(r *http.Request, _ []byte) (any, error) {
	n := a.n
	topics := len(decodeAll[topic](n.cache.each, kindTopic))
	clients := len(n.mqtt.clients())
	subscriptions := int(n.mqtt.server.Info.Subscriptions)
	answer := map[string]any{
		"node_list": n.nodeList(), "cluster_name": n.file.text("cluster_name"), "message_in_rate": 0, "message_out_rate": 0, "connection_num": clients, "session_num": clients,
		"topic_num": topics, "tcp_connection_num": clients, "tls_connection_num": 0, "websocket_connection_num": 0, "quic_connection_num": 0, "subscribe_num": subscriptions,
		"exclusive_subscribe_num": subscriptions, "exclusive_subscribe_thread_num": 0, "share_subscribe_group_num": 0, "share_subscribe_num": 0, "share_subscribe_thread_num": 0,
		"connector_num": len(n.cache.connectors()), "connector_thread_num": n.connectors.count(),
	}
	if n.gen.islands {
		status, err := n.metaStatus(r.Context())
		if err != nil {
			return nil, err
		}
		answer["placement_status"] = status
	}
	return answer, nil
}

// addOld are the endpoints of 0.3.0.
func (a *adminServer) addOld() {
	a.add("GET", "/api/status", func(r *http.Request, _ []byte) (any, error) {
		content, err := a.n.metaStatus(r.Context())
		if err != nil {
			return nil, err
		}
		// It never parses: openraft 0.9.21 has no such field, and followers answer null where a number is wanted.
		if strings.Contains(content, `"millis_since_quorum_ack":null`) {
			return nil, fmt.Errorf("invalid type: null, expected u64 at line 1 column %d", strings.Index(content, `"millis_since_quorum_ack":null`)+29)
		}
		return nil, fmt.Errorf("missing field `last_quorum_acked` at line 1 column %d", len(content))
	})
}
