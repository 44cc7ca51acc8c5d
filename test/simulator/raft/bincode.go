package raft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// The values of raft's records are bincode: little endian, numbers and lengths of 8 bytes, an enum's variant of 4 (recorded directories of RobustMQ 0.4.11).

const (
	logIDBytes = 24
	voteBytes  = 17

	entryBlank      = 0
	entryNormal     = 1
	entryMembership = 2
)

func appendNumber(b []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(b, v) }

func appendLogID(b []byte, l LogID) []byte {
	return appendNumber(appendNumber(appendNumber(b, l.LeaderID.Term), l.LeaderID.NodeID), l.Index)
}

func appendVote(b []byte, v Vote) []byte {
	committed := byte(0)
	if v.Committed {
		committed = 1
	}
	return append(appendNumber(appendNumber(b, v.LeaderID.Term), v.LeaderID.NodeID), committed)
}

func appendMembership(b []byte, m Membership) []byte {
	b = appendNumber(b, uint64(len(m.Configs)))
	for _, voters := range m.Configs {
		b = appendNumber(b, uint64(len(voters)))
		for _, id := range voters {
			b = appendNumber(b, id)
		}
	}
	b = appendNumber(b, uint64(len(m.Nodes)))
	for _, id := range slices.Sorted(maps.Keys(m.Nodes)) {
		n := m.Nodes[id]
		b = appendNumber(appendNumber(b, id), n.NodeID)
		b = append(appendNumber(b, uint64(len(n.RPCAddr))), n.RPCAddr...)
	}
	return b
}

func appendStoredMembership(b []byte, m StoredMembership) []byte {
	if m.LogID == nil {
		b = append(b, 0)
	} else {
		b = appendLogID(append(b, 1), *m.LogID)
	}
	return appendMembership(b, m.Membership)
}

// appendEntry: a command is the number of its operation (u32), a length and its bytes, and comes like this from whoever wrote it.
func appendEntry(b []byte, e Entry) []byte {
	b = appendLogID(b, e.LogID)
	switch {
	case e.Membership != nil:
		return appendMembership(binary.LittleEndian.AppendUint32(b, entryMembership), *e.Membership)
	case e.Command != nil:
		return append(binary.LittleEndian.AppendUint32(b, entryNormal), e.Command...)
	}
	return binary.LittleEndian.AppendUint32(b, entryBlank)
}

var errCut = errors.New("it is cut")

// cursor reads a value. bad stays true once something did not fit.
type cursor struct {
	rest []byte
	bad  bool
}

func (c *cursor) bytes(n uint64) []byte {
	if c.bad || n > uint64(len(c.rest)) {
		c.bad = true
		return nil
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}

func (c *cursor) number() uint64 {
	if b := c.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (c *cursor) flag() bool {
	b := c.bytes(1)
	if b != nil && b[0] > 1 {
		c.bad = true
	}
	return b != nil && b[0] == 1
}

// count reads how many elements of at least size bytes follow.
func (c *cursor) count(size uint64) uint64 {
	n := c.number()
	if n > uint64(len(c.rest))/size {
		c.bad = true
		return 0
	}
	return n
}

func (c *cursor) logID() LogID {
	return LogID{LeaderID: LeaderID{c.number(), c.number()}, Index: c.number()}
}

func (c *cursor) membership() Membership {
	m := Membership{Configs: [][]uint64{}, Nodes: map[uint64]NodeAddr{}}
	for range c.count(8) {
		voters := make([]uint64, 0, 3)
		for range c.count(8) {
			voters = append(voters, c.number())
		}
		m.Configs = append(m.Configs, voters)
	}
	for range c.count(24) {
		id, n := c.number(), NodeAddr{NodeID: c.number()}
		n.RPCAddr = string(c.bytes(c.number()))
		m.Nodes[id] = n
	}
	return m
}

// end says what is wrong with the value, if anything.
func (c *cursor) end(what string) error {
	switch {
	case c.bad:
		return fmt.Errorf("%s: %w", what, errCut)
	case len(c.rest) > 0:
		return fmt.Errorf("%s: %d bytes too many", what, len(c.rest))
	}
	return nil
}

func readVote(value []byte) (Vote, error) {
	if len(value) != voteBytes {
		return Vote{}, fmt.Errorf("a vote of %d bytes", len(value))
	}
	c := cursor{rest: value}
	v := Vote{LeaderID{c.number(), c.number()}, c.flag()}
	return v, c.end("vote")
}

func readPosition(value []byte) (*LogID, error) {
	if len(value) != logIDBytes {
		return nil, fmt.Errorf("a log id of %d bytes", len(value))
	}
	c := cursor{rest: value}
	id := c.logID()
	return &id, nil
}

func readStoredMembership(value []byte) (StoredMembership, error) {
	c := cursor{rest: value}
	var m StoredMembership
	if c.flag() {
		id := c.logID()
		m.LogID = &id
	}
	m.Membership = c.membership()
	return m, c.end("membership")
}

func readEntry(value []byte) (Entry, error) {
	c := cursor{rest: value}
	e := Entry{LogID: c.logID()}
	variant := c.bytes(4)
	if c.bad {
		return Entry{}, fmt.Errorf("a log entry of %d bytes", len(value))
	}
	switch binary.LittleEndian.Uint32(variant) {
	case entryNormal:
		e.Command = c.rest
		return e, nil
	case entryMembership:
		m := c.membership()
		e.Membership = &m
	}
	return e, c.end(fmt.Sprintf("log entry %s", e.LogID))
}
