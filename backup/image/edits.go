package image

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// Edit is one operation on a column family of a database that is not in use. Edits come into force together, as the last batch of its WAL.
type Edit struct {
	Kind   rocksdb.Kind // Put, Delete or RangeDelete
	Family string
	Key    []byte
	Value  []byte // of Put; of RangeDelete the end, which is not deleted
}

// operations turns edits into operations with the ids of a database.
func operations(edits []Edit, ids map[string]uint32) ([]rocksdb.Op, error) {
	ops := make([]rocksdb.Op, 0, len(edits))
	for _, e := range edits {
		id, ok := ids[e.Family]
		if !ok {
			return nil, fmt.Errorf("edit of column family %q, which does not exist", e.Family)
		}
		ops = append(ops, rocksdb.Op{Kind: e.Kind, Family: id, Key: e.Key, Value: e.Value})
	}
	return ops, nil
}

// State records of raft: the key is 'S', the FNV-1a hash of the group's name big endian, and the record's type (RobustMQ 0.3.0 to 0.4.11, meta-service/src/raft/store/keys.rs).
// Log entries are 'L', the hash, the index big endian.
const (
	statePurged     = 1
	stateVote       = 3
	stateApplied    = 4
	stateMembership = 5

	stateKeyLength = 10
	logKeyLength   = 17
)

// groupHash is FNV-1a of 64 bits. Recorded: metadata_0 FAC66FD5228752E7, offset_0 47B8C35CD06998AD, data_0 F1D75AEE29C89B3A.
func groupHash(group string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(group) {
		h ^= uint64(group[i])
		h *= 0x100000001b3
	}
	return h
}

func stateKey(group string, kind byte) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{'S'}, groupHash(group)), kind)
}

// Vote is what a member voted for, or, committed, whom a quorum did. Values are bincode: little endian, u64 lengths and numbers.
type Vote struct {
	Term      uint64
	Node      uint64
	Committed bool
}

// SetVote writes the vote of a raft group.
//
// A committed vote makes its node lead the group from the start, without an election: within 2 s in 13 of 13 tries, where an uncommitted one took 12 to 17 s and left the groups'
// leaders apart. It is only true when every member that will ever start has the same one, in a term that no member has seen.
func SetVote(group string, v Vote) Edit {
	b := binary.LittleEndian.AppendUint64(nil, v.Term)
	b = binary.LittleEndian.AppendUint64(b, v.Node)
	committed := byte(0)
	if v.Committed {
		committed = 1
	}
	return Edit{Kind: rocksdb.Put, Family: FamilyRaft, Key: stateKey(group, stateVote), Value: append(b, committed)}
}

// Membership is a uniform membership of a raft group: all members are voters.
type Membership struct {
	LogID     *robustmq.LogID   // of the log entry that made it; nil only for the one a member starts with
	Addresses map[uint64]string // id -> host:port
}

// SetMembership writes the membership of a raft group. LogID stays what it was (ClusterStatus has it): the entry itself is in the log, and only addresses change.
func SetMembership(group string, m Membership) Edit {
	var b []byte
	if m.LogID == nil {
		b = append(b, 0)
	} else {
		b = append(b, 1)
		for _, n := range []uint64{m.LogID.Term, m.LogID.NodeID, m.LogID.Index} {
			b = binary.LittleEndian.AppendUint64(b, n)
		}
	}
	ids := slices.Sorted(maps.Keys(m.Addresses))
	b = binary.LittleEndian.AppendUint64(b, 1) // configurations: two only while it changes
	b = binary.LittleEndian.AppendUint64(b, uint64(len(ids)))
	for _, id := range ids {
		b = binary.LittleEndian.AppendUint64(b, id)
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(len(ids)))
	for _, id := range ids {
		b = binary.LittleEndian.AppendUint64(b, id)
		b = binary.LittleEndian.AppendUint64(b, id)
		b = appendText(b, m.Addresses[id])
	}
	return Edit{Kind: rocksdb.Put, Family: FamilyRaft, Key: stateKey(group, stateMembership), Value: b}
}

func appendText(b []byte, s string) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(len(s)))
	return append(b, s...)
}

// The node registry: /meta/clusters/node/<id> in FamilyMetadata. Beside it is /meta/clusters/node_epoch/<id>, which is never touched: a registration only ever adds 1.
const (
	registryPrefix = "/meta/clusters/node/"
	registryEnd    = "/meta/clusters/node0" // '0' follows '/'
)

// RegisteredNode is a record of the node registry, as RobustMQ 0.4.11 writes it; the hosts of its addresses are Host.
type RegisteredNode struct {
	ID         uint64
	Host       string // broker_ip
	Roles      []string
	Ports      NodePorts
	Started    uint64 // Unix seconds
	Registered uint64 // Unix seconds
	Created    uint64 // Unix seconds, of the record
	Folders    []string
}

// NodePorts are the ports of a node, as its server.toml has them.
type NodePorts struct {
	GRPC, HTTP, Engine                 uint16
	MQTT, MQTTS, WebSocket, WebSockets uint16
	QUIC                               uint16
	NATS, NATSTLS, NATSWS, NATSWSS     uint16
	Kafka                              uint16
}

// value is the record in bincode: roles; the addresses of gRPC, MQTT, MQTTS, WS, WSS, QUIC, NATS, NATS with TLS, over WS and WSS, Kafka; id; ip; the addresses of gRPC, HTTP and engine;
// start and registration time; folders; and when the record was made. Built like this from a node's configuration it was byte for byte what the server had stored.
func (n RegisteredNode) value() []byte {
	p := n.Ports
	address := func(port uint16) string { return fmt.Sprintf("%s:%d", n.Host, port) }
	b := appendTexts(nil, n.Roles)
	for _, port := range []uint16{p.GRPC, p.MQTT, p.MQTTS, p.WebSocket, p.WebSockets, p.QUIC, p.NATS, p.NATSTLS, p.NATSWS, p.NATSWSS, p.Kafka} {
		b = appendText(b, address(port))
	}
	b = binary.LittleEndian.AppendUint64(b, n.ID)
	b = appendText(b, n.Host)
	for _, port := range []uint16{p.GRPC, p.HTTP, p.Engine} {
		b = appendText(b, address(port))
	}
	b = binary.LittleEndian.AppendUint64(b, n.Started)
	b = binary.LittleEndian.AppendUint64(b, n.Registered)
	b = appendTexts(b, n.Folders)
	return binary.LittleEndian.AppendUint64(b, n.Created)
}

func appendTexts(b []byte, list []string) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(len(list)))
	for _, s := range list {
		b = appendText(b, s)
	}
	return b
}

// RewriteRegistry replaces all records of the node registry. It is for members that start under new addresses; under the old ones the registry is kept, which needs no edit.
// It is never emptied: nodes that start in parallel with an empty one do not learn of each other, for good (5 of 5 tries).
func RewriteRegistry(nodes []RegisteredNode) ([]Edit, error) {
	if len(nodes) == 0 {
		return nil, fmt.Errorf("a node registry without nodes")
	}
	edits := []Edit{{Kind: rocksdb.RangeDelete, Family: FamilyMetadata, Key: []byte(registryPrefix), Value: []byte(registryEnd)}}
	seen := map[uint64]bool{}
	for _, n := range nodes {
		if seen[n.ID] || n.ID == 0 || n.Host == "" {
			return nil, fmt.Errorf("node registry: node %d of host %q", n.ID, n.Host)
		}
		seen[n.ID] = true
		edits = append(edits, Edit{Kind: rocksdb.Put, Family: FamilyMetadata, Key: fmt.Appendf(nil, "%s%d", registryPrefix, n.ID), Value: n.value()})
	}
	return edits, nil
}
