package robustmq

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// NodeRecord is one registered node as gRPC NodeList returns it.
type NodeRecord struct {
	ID         uint64
	Roles      []string
	IP         string // broker_ip: a DNS name with this operator
	GRPCAddr   string
	EngineAddr string
	Registered uint64 // Unix seconds of the last registration
	Folders    []string
}

// ParseNodeRecord decodes a bincode record: little-endian u64 numbers, strings and lists with a u64 length before them, no field names.
// Layout (recorded from 0.4.11): roles, addresses of the protocols, id, ip, gRPC, HTTP (0.4.4 and later) and engine address, start time, registration time, folders.
// The number of protocol addresses differs between versions, so it is found: a record is accepted only when exactly one reading uses up every byte and
// gives the node addresses of its own host.
func ParseNodeRecord(record []byte) (NodeRecord, error) {
	r := reader{rest: record}
	roles := r.strings(maxRoles)
	if r.bad {
		return NodeRecord{}, errors.New("node record: no list of roles at its begin")
	}
	var found []NodeRecord
	for range maxProtocolAddresses {
		for _, addresses := range []int{3, 2} {
			if node, ok := parseNodeTail(r, addresses); ok {
				node.Roles = roles
				found = append(found, node)
			}
		}
		if r.string(); r.bad {
			break
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return NodeRecord{}, fmt.Errorf("node record of %d bytes: no reading fits", len(record))
	default:
		return NodeRecord{}, fmt.Errorf("node record of %d bytes: %d readings fit", len(record), len(found))
	}
}

const (
	maxRoles             = 16
	maxProtocolAddresses = 64
	maxFolders           = 256
	maxRecordString      = 4096
)

// parseNodeTail reads a record from its id on.
func parseNodeTail(r reader, addresses int) (NodeRecord, bool) {
	node := NodeRecord{ID: r.number(), IP: r.string()}
	for i := range addresses {
		addr := r.string()
		if !strings.HasPrefix(addr, node.IP+":") {
			return NodeRecord{}, false
		}
		switch i {
		case 0:
			node.GRPCAddr = addr
		case addresses - 1:
			node.EngineAddr = addr
		}
	}
	_ = r.number() // start time
	node.Registered = r.number()
	node.Folders = r.strings(maxFolders)
	return node, !r.bad && len(r.rest) == 0 && node.IP != ""
}

// reader consumes bincode; bad stays true once something did not fit.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) number() uint64 {
	if r.bad || len(r.rest) < 8 {
		r.bad = true
		return 0
	}
	n := binary.LittleEndian.Uint64(r.rest)
	r.rest = r.rest[8:]
	return n
}

func (r *reader) short() uint32 {
	if r.bad || len(r.rest) < 4 {
		r.bad = true
		return 0
	}
	n := binary.LittleEndian.Uint32(r.rest)
	r.rest = r.rest[4:]
	return n
}

// count reads the length of a list whose elements take at least size bytes each.
func (r *reader) count(size int) int {
	n := r.number()
	if r.bad || n > uint64(len(r.rest)/size) {
		r.bad = true
		return 0
	}
	return int(n)
}

func (r *reader) numbers() []uint64 {
	n := r.count(8)
	list := make([]uint64, 0, n)
	for range n {
		list = append(list, r.number())
	}
	return list
}

func (r *reader) string() string {
	n := r.number()
	if r.bad || n > maxRecordString || n > uint64(len(r.rest)) || !utf8.Valid(r.rest[:n]) {
		r.bad = true
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

func (r *reader) strings(limit uint64) []string {
	n := r.number()
	if r.bad || n > limit {
		r.bad = true
		return nil
	}
	list := make([]string, 0, n)
	for range n {
		list = append(list, r.string())
	}
	if r.bad {
		return nil
	}
	return list
}
