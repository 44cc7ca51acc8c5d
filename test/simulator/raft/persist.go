package raft

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"

	"github.com/robustmq/robustmq-operator/test/simulator/store"
)

// keys are those of RobustMQ: 'S', the FNV-1a of the group's name, a type; 'L', the same, the index, big endian (seen in recorded directories).
type keys struct{ hash [8]byte }

const (
	keyPurged     = 1
	keyCommitted  = 2
	keyVote       = 3
	keyApplied    = 4
	keyMembership = 5
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

func (g *Group) record(kind byte, value []byte) store.Record {
	return store.Record{Family: store.FamilyRaft, Key: g.keys.state(kind), Value: value}
}

func (g *Group) voteRecord() store.Record { return g.record(keyVote, appendVote(nil, g.vote)) }

func (g *Group) logIDRecord(kind byte, l *LogID) store.Record {
	if l == nil {
		return store.Record{Family: store.FamilyRaft, Key: g.keys.state(kind), Delete: true}
	}
	return g.record(kind, appendLogID(nil, *l))
}

func (g *Group) entryRecord(e Entry) store.Record {
	return store.Record{Family: store.FamilyRaft, Key: g.keys.entry(e.LogID.Index), Value: appendEntry(nil, e)}
}

// entriesRecord deletes the entries from one index up to, without, another.
func (g *Group) entriesRecord(from, to uint64) store.Record {
	return store.Record{Family: store.FamilyRaft, Key: g.keys.entry(from), Until: g.keys.entry(to)}
}

// membershipRecord is the membership that the state machine has.
func (g *Group) membershipRecord() store.Record {
	return g.record(keyMembership, appendStoredMembership(nil, g.stored))
}

// write stores records; an error ends the group, as a storage error ends openraft's core.
func (g *Group) write(batch ...store.Record) error {
	err := g.o.Storage.Write(batch...)
	if err != nil {
		g.failStorage("Store", "Write", err)
	}
	return err
}

func (g *Group) failStorage(subject, verb string, err error) {
	if g.state == Shutdown || g.ctx.Err() != nil {
		return
	}
	g.fail(fmt.Sprintf(`{"StorageError":{"IO":{"source":{"subject":%q,"verb":%q,"source":{"typ":null,"msg":%q,"source":null,"context":[],"backtrace":null},"backtrace":null}}}}`, subject, verb, err.Error()))
}

// load reads the group back. The membership that counts is the state machine's, and after it what the log has behind that one's entry: an address that was edited in the record holds,
// although the entry itself still has the old one (openraft 0.9, StorageHelper::get_membership).
func (g *Group) load() error {
	err := g.o.Storage.Each(store.FamilyRaft, func(key, value []byte) error {
		if len(key) < 10 || string(key[1:9]) != string(g.keys.hash[:]) {
			return nil
		}
		if key[0] == 'L' && len(key) == 17 {
			e, err := readEntry(value)
			if err != nil {
				return err
			}
			g.log = append(g.log, e)
			return nil
		}
		return g.loadState(key[9], value)
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
		if e.Membership != nil && (g.stored.LogID == nil || e.LogID.Index > g.stored.LogID.Index) {
			id := e.LogID
			g.memberships = append(g.memberships, StoredMembership{&id, *e.Membership})
		}
	}
	if g.snapshot, g.snapshotted, err = g.o.Snapshots.load(g.o.Name); err != nil {
		return err
	}
	if g.o.LosesLogAtStart && g.applied != nil && len(g.log) > 0 {
		from, to := g.log[0].LogID.Index, g.log[len(g.log)-1].LogID.Index+1
		g.snapshotted = g.committedMembership()
		g.snapshot, g.purged = g.applied, g.applied
		g.log, g.memberships, g.committed, g.stored = nil, nil, g.applied, g.snapshotted
		if err := g.o.Snapshots.save(g.o.Name, *g.snapshot, g.snapshotted); err != nil {
			return err
		}
		return g.o.Storage.Write(g.logIDRecord(keyPurged, g.purged), g.entriesRecord(from, to), g.membershipRecord())
	}
	if g.snapshot == nil && g.purged != nil && g.applied != nil {
		// A log that begins in the middle, and no snapshot: it was removed, as restores do. openraft makes it anew (seen-backup: the snapshot is rebuilt when the folder is dropped).
		g.snapshot, g.snapshotted = g.applied, g.committedMembership()
		return g.o.Snapshots.save(g.o.Name, *g.snapshot, g.snapshotted)
	}
	return nil
}

func (g *Group) loadState(kind byte, value []byte) (err error) {
	switch kind {
	case keyVote:
		g.vote, err = readVote(value)
	case keyPurged:
		g.purged, err = readPosition(value)
	case keyApplied:
		g.applied, err = readPosition(value)
	case keyCommitted:
		g.committed, err = readPosition(value)
	case keyMembership:
		g.stored, err = readStoredMembership(value)
	}
	return err
}
