package raft

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/robustmq/robustmq-operator/test/simulator/store"
)

// keys are those of RobustMQ: 'S', the FNV-1a of the group's name, a type; 'L', the same, the index, big endian (robustmq-meta.md A).
type keys struct{ hash [8]byte }

const (
	keyPurged     = 1
	keyCommitted  = 2
	keyVote       = 3
	keyApplied    = 4
	keyMembership = 5
	keySnapshot   = 100 // ours: RobustMQ keeps it in a file beside
)

func newKeys(name string) keys {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	var k keys
	binary.BigEndian.PutUint64(k.hash[:], h.Sum64())
	return k
}

func (k keys) state(kind byte) []byte { return append(append([]byte{'S'}, k.hash[:]...), kind) }

func (k keys) entry(index uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte{'L'}, k.hash[:]...), index)
}

func appendLogID(b []byte, l LogID) []byte {
	b = binary.LittleEndian.AppendUint64(b, l.LeaderID.Term)
	b = binary.LittleEndian.AppendUint64(b, l.LeaderID.NodeID)
	return binary.LittleEndian.AppendUint64(b, l.Index)
}

func readLogID(b []byte) (LogID, error) {
	if len(b) < 24 {
		return LogID{}, errors.New("a log id needs 24 bytes")
	}
	return LogID{LeaderID: LeaderID{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}, Index: binary.LittleEndian.Uint64(b[16:])}, nil
}

func (g *Group) record(kind byte, value []byte) store.Record {
	return store.Record{Family: store.FamilyRaft, Key: g.keys.state(kind), Value: value}
}

func (g *Group) voteRecord() store.Record {
	b := binary.LittleEndian.AppendUint64(nil, g.vote.LeaderID.Term)
	b = binary.LittleEndian.AppendUint64(b, g.vote.LeaderID.NodeID)
	committed := byte(0)
	if g.vote.Committed {
		committed = 1
	}
	return g.record(keyVote, append(b, committed))
}

func (g *Group) logIDRecord(kind byte, l *LogID) store.Record {
	if l == nil {
		return store.Record{Family: store.FamilyRaft, Key: g.keys.state(kind), Delete: true}
	}
	return g.record(kind, appendLogID(nil, *l))
}

func (g *Group) entryRecord(e Entry) store.Record {
	value := appendLogID(nil, e.LogID)
	switch {
	case e.Membership != nil:
		raw, _ := json.Marshal(e.Membership)
		value = append(binary.LittleEndian.AppendUint32(value, 2), raw...)
	case e.Command != nil:
		value = append(binary.LittleEndian.AppendUint32(value, 1), e.Command...)
	default:
		value = binary.LittleEndian.AppendUint32(value, 0)
	}
	return store.Record{Family: store.FamilyRaft, Key: g.keys.entry(e.LogID.Index), Value: value}
}

func readEntry(value []byte) (Entry, error) {
	id, err := readLogID(value)
	if err != nil || len(value) < 28 {
		return Entry{}, fmt.Errorf("a log entry of %d bytes", len(value))
	}
	e := Entry{LogID: id}
	switch binary.LittleEndian.Uint32(value[24:]) {
	case 1:
		e.Command = value[28:]
	case 2:
		e.Membership = &Membership{}
		if err := json.Unmarshal(value[28:], e.Membership); err != nil {
			return Entry{}, fmt.Errorf("membership entry %s: %w", id, err)
		}
	}
	return e, nil
}

type snapshotState struct {
	Last       LogID            `json:"last"`
	Membership StoredMembership `json:"membership"`
}

func (g *Group) snapshotRecord() store.Record {
	raw, _ := json.Marshal(snapshotState{*g.snapshot, g.snapshotted})
	return g.record(keySnapshot, raw)
}

// membershipRecord keeps the membership in effect where RobustMQ has it; we read it back only with the snapshot.
func (g *Group) membershipRecord() store.Record {
	raw, _ := json.Marshal(g.effective())
	return g.record(keyMembership, raw)
}

// write stores records; an error ends the group, as a storage error ends openraft's core.
func (g *Group) write(batch ...store.Record) error {
	err := g.o.Storage.Write(batch...)
	if err != nil && g.state != Shutdown && g.ctx.Err() == nil {
		g.fail(fmt.Sprintf(`{"StorageError":{"IO":{"source":{"subject":"Store","verb":"Write","source":{"typ":null,"msg":%q,"source":null,"context":[],"backtrace":null},"backtrace":null}}}}`, err.Error()))
	}
	return err
}

// load reads the group back.
func (g *Group) load() error {
	err := g.o.Storage.Each(func(r store.Record) error {
		if r.Family != store.FamilyRaft || len(r.Key) < 10 || string(r.Key[1:9]) != string(g.keys.hash[:]) {
			return nil
		}
		if r.Key[0] == 'L' && len(r.Key) == 17 {
			e, err := readEntry(r.Value)
			if err != nil {
				return err
			}
			g.log = append(g.log, e)
			return nil
		}
		return g.loadState(r.Key[9], r.Value)
	})
	if err != nil {
		return err
	}
	if g.purged != nil {
		for len(g.log) > 0 && g.log[0].LogID.Index <= g.purged.Index {
			g.log = g.log[1:]
		}
	}
	for _, e := range g.log {
		if e.Membership != nil {
			id := e.LogID
			g.memberships = append(g.memberships, StoredMembership{&id, *e.Membership})
		}
	}
	if g.o.LosesLogAtStart && g.applied != nil && len(g.log) > 0 {
		g.snapshotted = g.committedMembership()
		g.snapshot, g.purged = g.applied, g.applied
		batch := []store.Record{g.snapshotRecord(), g.logIDRecord(keyPurged, g.purged)}
		for _, e := range g.log {
			batch = append(batch, store.Record{Family: store.FamilyRaft, Key: g.keys.entry(e.LogID.Index), Delete: true})
		}
		g.log, g.memberships, g.committed = nil, nil, g.applied
		return g.o.Storage.Write(batch...)
	}
	return nil
}

func (g *Group) loadState(kind byte, value []byte) error {
	switch kind {
	case keyVote:
		if len(value) != 17 {
			return fmt.Errorf("a vote of %d bytes", len(value))
		}
		g.vote = Vote{LeaderID{binary.LittleEndian.Uint64(value), binary.LittleEndian.Uint64(value[8:])}, value[16] == 1}
	case keyPurged, keyApplied, keyCommitted:
		id, err := readLogID(value)
		if err != nil {
			return err
		}
		switch kind {
		case keyPurged:
			g.purged = &id
		case keyApplied:
			g.applied = &id
		default:
			g.committed = &id
		}
	case keySnapshot:
		var s snapshotState
		if err := json.Unmarshal(value, &s); err != nil {
			return fmt.Errorf("snapshot record: %w", err)
		}
		g.snapshot, g.snapshotted = &s.Last, s.Membership
	}
	return nil
}
