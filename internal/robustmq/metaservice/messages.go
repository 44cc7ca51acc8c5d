package metaservice

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Message is one request or reply of the service.
type Message interface {
	// MarshalWire returns the protobuf encoding.
	MarshalWire() []byte
	// UnmarshalWire replaces the message by the decoded one; unknown fields are skipped, as protobuf wants.
	UnmarshalWire(b []byte) error
}

// Empty is a request or reply without fields: ClusterStatusRequest, NodeListRequest, and the replies of Heartbeat, JoinCluster, LeaveCluster, UnRegisterNode, SetResourceConfig, DeleteResourceConfig.
type Empty struct{}

// ClusterStatusReply carries the raft state of the node asked, as JSON (see package robustmq, ParseClusterStatus).
type ClusterStatusReply struct{ Content string }

// NodeListReply carries one bincode record a registered node.
type NodeListReply struct{ Nodes [][]byte }

// UnRegisterNodeRequest takes a node out of the registry and, since 0.4.5, out of every segment.
type UnRegisterNodeRequest struct{ NodeID uint64 }

// HeartbeatRequest says that a registered node lives.
type HeartbeatRequest struct{ NodeID uint64 }

// JoinClusterRequest makes a node a voter of every raft group; only the leader of all groups can serve it whole.
type JoinClusterRequest struct {
	NodeID  uint64
	RPCAddr string
}

// LeaveClusterRequest takes a node out of every raft group.
type LeaveClusterRequest struct{ NodeID uint64 }

// ResourceConfigRequest names a stored configuration: ("cluster", "<Type>"); Config only for SetResourceConfig.
type ResourceConfigRequest struct {
	Resources []string
	Config    []byte
}

// GetResourceConfigReply is the stored JSON, empty when nothing is stored.
type GetResourceConfigReply struct{ Config []byte }

// AllSegments is the number that stands for every segment. Zero is a segment.
const AllSegments = -1

// ListSegmentRequest asks for the segments of a shard; without a name, of all shards.
type ListSegmentRequest struct {
	Shard   string
	Segment int32
}

// ListSegmentReply is the record of one segment, of a stream of them.
type ListSegmentReply struct{ Segment []byte }

// MarshalWire implements Message.
func (*Empty) MarshalWire() []byte { return nil }

// UnmarshalWire implements Message.
func (*Empty) UnmarshalWire(b []byte) error {
	return eachField(b, func(protowire.Number, []byte, uint64) {})
}

// MarshalWire implements Message.
func (m *ClusterStatusReply) MarshalWire() []byte { return appendString(nil, 1, m.Content) }

// UnmarshalWire implements Message.
func (m *ClusterStatusReply) UnmarshalWire(b []byte) error {
	*m = ClusterStatusReply{}
	return eachField(b, func(n protowire.Number, v []byte, _ uint64) {
		if n == 1 {
			m.Content = string(v)
		}
	})
}

// MarshalWire implements Message.
func (m *NodeListReply) MarshalWire() []byte {
	var b []byte
	for _, node := range m.Nodes {
		b = protowire.AppendTag(b, 1, protowire.BytesType)
		b = protowire.AppendBytes(b, node)
	}
	return b
}

// UnmarshalWire implements Message.
func (m *NodeListReply) UnmarshalWire(b []byte) error {
	*m = NodeListReply{}
	return eachField(b, func(n protowire.Number, v []byte, _ uint64) {
		if n == 1 {
			m.Nodes = append(m.Nodes, append([]byte(nil), v...))
		}
	})
}

// MarshalWire implements Message.
func (m *UnRegisterNodeRequest) MarshalWire() []byte { return varint(3, m.NodeID) }

// UnmarshalWire implements Message.
func (m *UnRegisterNodeRequest) UnmarshalWire(b []byte) error { return oneVarint(b, 3, &m.NodeID) }

// MarshalWire implements Message.
func (m *HeartbeatRequest) MarshalWire() []byte { return varint(4, m.NodeID) }

// UnmarshalWire implements Message.
func (m *HeartbeatRequest) UnmarshalWire(b []byte) error { return oneVarint(b, 4, &m.NodeID) }

// MarshalWire implements Message.
func (m *JoinClusterRequest) MarshalWire() []byte {
	return appendString(varint(1, m.NodeID), 2, m.RPCAddr)
}

// UnmarshalWire implements Message.
func (m *JoinClusterRequest) UnmarshalWire(b []byte) error {
	*m = JoinClusterRequest{}
	return eachField(b, func(n protowire.Number, v []byte, u uint64) {
		switch n {
		case 1:
			m.NodeID = u
		case 2:
			m.RPCAddr = string(v)
		}
	})
}

// MarshalWire implements Message.
func (m *LeaveClusterRequest) MarshalWire() []byte { return varint(1, m.NodeID) }

// UnmarshalWire implements Message.
func (m *LeaveClusterRequest) UnmarshalWire(b []byte) error { return oneVarint(b, 1, &m.NodeID) }

// MarshalWire implements Message.
func (m *ResourceConfigRequest) MarshalWire() []byte {
	var b []byte
	for _, r := range m.Resources {
		b = protowire.AppendTag(b, 2, protowire.BytesType)
		b = protowire.AppendString(b, r)
	}
	if len(m.Config) > 0 {
		b = protowire.AppendTag(b, 3, protowire.BytesType)
		b = protowire.AppendBytes(b, m.Config)
	}
	return b
}

// UnmarshalWire implements Message.
func (m *ResourceConfigRequest) UnmarshalWire(b []byte) error {
	*m = ResourceConfigRequest{}
	return eachField(b, func(n protowire.Number, v []byte, _ uint64) {
		switch n {
		case 2:
			m.Resources = append(m.Resources, string(v))
		case 3:
			m.Config = append([]byte(nil), v...)
		}
	})
}

// MarshalWire implements Message.
func (m *GetResourceConfigReply) MarshalWire() []byte {
	return appendString(nil, 1, string(m.Config))
}

// UnmarshalWire implements Message.
func (m *GetResourceConfigReply) UnmarshalWire(b []byte) error {
	*m = GetResourceConfigReply{}
	return eachField(b, func(n protowire.Number, v []byte, _ uint64) {
		if n == 1 {
			m.Config = append([]byte(nil), v...)
		}
	})
}

// MarshalWire implements Message.
func (m *ListSegmentRequest) MarshalWire() []byte {
	return append(appendString(nil, 3, m.Shard), varint(4, uint64(int64(m.Segment)))...) // protobuf extends the sign of an int32
}

// UnmarshalWire implements Message.
func (m *ListSegmentRequest) UnmarshalWire(b []byte) error {
	*m = ListSegmentRequest{}
	return eachField(b, func(n protowire.Number, v []byte, u uint64) {
		switch n {
		case 3:
			m.Shard = string(v)
		case 4:
			m.Segment = int32(u) //nolint:gosec // protobuf cuts an int32 off like this
		}
	})
}

// MarshalWire implements Message.
func (m *ListSegmentReply) MarshalWire() []byte { return appendString(nil, 1, string(m.Segment)) }

// UnmarshalWire implements Message.
func (m *ListSegmentReply) UnmarshalWire(b []byte) error {
	*m = ListSegmentReply{}
	return eachField(b, func(n protowire.Number, v []byte, _ uint64) {
		if n == 1 {
			m.Segment = append([]byte(nil), v...)
		}
	})
}

// proto3 leaves out zero values.
func varint(n protowire.Number, v uint64) []byte {
	if v == 0 {
		return nil
	}
	return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), v)
}

func appendString(b []byte, n protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), s)
}

func oneVarint(b []byte, want protowire.Number, into *uint64) error {
	*into = 0
	return eachField(b, func(n protowire.Number, _ []byte, u uint64) {
		if n == want {
			*into = u
		}
	})
}

// eachField calls visit once a field: with the bytes of a length-delimited one, or the number of a varint.
func eachField(b []byte, visit func(n protowire.Number, bytes []byte, varint uint64)) error {
	for len(b) > 0 {
		n, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return fmt.Errorf("protobuf tag: %w", protowire.ParseError(size))
		}
		b = b[size:]
		switch typ {
		case protowire.VarintType:
			v, size := protowire.ConsumeVarint(b)
			if size < 0 {
				return fmt.Errorf("protobuf field %d: %w", n, protowire.ParseError(size))
			}
			visit(n, nil, v)
			b = b[size:]
		case protowire.BytesType:
			v, size := protowire.ConsumeBytes(b)
			if size < 0 {
				return fmt.Errorf("protobuf field %d: %w", n, protowire.ParseError(size))
			}
			visit(n, v, 0)
			b = b[size:]
		default:
			size := protowire.ConsumeFieldValue(n, typ, b)
			if size < 0 {
				return fmt.Errorf("protobuf field %d: %w", n, protowire.ParseError(size))
			}
			b = b[size:]
		}
	}
	return nil
}

var errNotAMessage = errors.New("not a message of the meta service")
