package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Node is a row of the node list: a cache of the node that was asked, which can stay wrong for ever.
type Node struct {
	ID         uint64   `json:"node_id"`
	IP         string   `json:"node_ip"`
	Roles      []string `json:"roles"`
	GRPCAddr   string   `json:"grpc_addr"`
	EngineAddr string   `json:"engine_addr"`
	Registered uint64   `json:"register_time"`
}

// Info is what /api/info says of the node that is asked. Its raft part is left out: that is the view of the first member that can be reached, not of this node.
type Info struct {
	Version string
	Cluster string
	Nodes   []Node // by id
}

// ParseInfo decodes the data of /api/info, and of 0.3.x's /api/mqtt/overview, which has the list under another name.
func ParseInfo(data []byte) (Info, error) {
	var wire struct {
		Version     string `json:"version"`
		ClusterName string `json:"cluster_name"`
		BrokerNodes []Node `json:"broker_node_list"`
		Nodes       []Node `json:"node_list"`
	}
	if err := json.Unmarshal(data, &wire); err != nil {
		return Info{}, fmt.Errorf("cluster info: %w", err)
	}
	info := Info{Version: wire.Version, Cluster: wire.ClusterName, Nodes: append(wire.BrokerNodes, wire.Nodes...)}
	if wire.BrokerNodes == nil && wire.Nodes == nil {
		return Info{}, errors.New("cluster info: no node list in it")
	}
	slices.SortFunc(info.Nodes, func(a, b Node) int {
		switch {
		case a.ID < b.ID:
			return -1
		case a.ID > b.ID:
			return 1
		}
		return 0
	})
	return info, nil
}

// IDs lists the node ids.
func (i Info) IDs() []uint64 {
	ids := make([]uint64, len(i.Nodes))
	for n, node := range i.Nodes {
		ids[n] = node.ID
	}
	return ids
}

// ParseTotal reads the number of all rows out of the data of a list endpoint, whatever page was asked for.
func ParseTotal(data []byte) (uint64, error) {
	var list struct {
		Total *uint64 `json:"total_count"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return 0, fmt.Errorf("list: %w", err)
	}
	if list.Total == nil {
		return 0, errors.New("list: no total_count in it")
	}
	return *list.Total, nil
}
