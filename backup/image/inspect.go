package image

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// Inspection is what can be said of a database without reading tables.
type Inspection struct {
	Manifest    string
	Edits       int    // records of the MANIFEST
	MaxSequence uint64 // of the database as RocksDB would open it
	Families    []FamilyInspection
	WALs        []WALInspection
	Groups      map[string]GroupInspection // raft groups of which the WALs say something
}

// FamilyInspection is one column family.
type FamilyInspection struct {
	ID         uint32
	Name       string
	LogNumber  uint64
	Tables     []rocksdb.NewFile
	TableBytes int64
	// What the WALs say that is not in the tables.
	Puts, Deletes, RangeDeletes int
}

// WALInspection is one WAL.
type WALInspection struct {
	Number      uint64
	Bytes       int64
	Batches     int
	First, Next uint64 // sequences; Next is behind the last
	Torn        string // how it ends, when it is torn
	Skipped     bool   // RocksDB would not read it
}

// GroupInspection is what the WALs say of a raft group. What was last written before the database was last opened is in tables: then it is nil here.
type GroupInspection struct {
	LastLog *uint64 // index of the last log entry
	Vote    *Vote
	Applied *robustmq.LogID
	Purged  *robustmq.LogID
	Members *Membership
}

// Inspect reads a database that is not in use.
func Inspect(ctx context.Context, fsys FS, dir string) (*Inspection, error) {
	db, err := Open(fsys, dir)
	if err != nil {
		return nil, err
	}
	i := &Inspection{Manifest: db.Manifest, Edits: db.State.Edits, Groups: map[string]GroupInspection{}}
	byID := map[uint32]int{}
	for _, f := range db.State.Sorted() {
		fi := FamilyInspection{ID: f.ID, Name: f.Name, LogNumber: f.LogNumber, Tables: f.SortedTables()}
		for _, t := range fi.Tables {
			fi.TableBytes += int64(t.Size)
		}
		byID[f.ID] = len(i.Families)
		i.Families = append(i.Families, fi)
	}
	groups := groupReader{}
	i.MaxSequence, i.WALs, err = replay(ctx, db, func(op rocksdb.Op) error {
		fi := &i.Families[byID[op.Family]]
		switch op.Kind {
		case rocksdb.Put, rocksdb.Merge:
			fi.Puts++
		case rocksdb.RangeDelete:
			fi.RangeDeletes++
		default:
			fi.Deletes++
		}
		if fi.Name == FamilyRaft {
			groups.operation(op)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", dir, err)
	}
	for _, name := range robustmq.Groups {
		if g, ok := groups[groupHash(name)]; ok {
			i.Groups[name] = *g
		}
	}
	return i, nil
}

// Entries passes on every operation of the WALs that is not in tables, in order, with its family's name. Key and value may be kept.
func Entries(ctx context.Context, fsys FS, dir string, pass func(family string, op rocksdb.Op) error) error {
	db, err := Open(fsys, dir)
	if err != nil {
		return err
	}
	_, _, err = replay(ctx, db, func(op rocksdb.Op) error { return pass(db.State.Families[op.Family].Name, op) })
	if err != nil {
		return fmt.Errorf("entries of %s: %w", dir, err)
	}
	return nil
}

// replay passes on what RocksDB would replay: a first pass finds which WALs count, a second one reads them.
func replay(ctx context.Context, db *Database, pass func(rocksdb.Op) error) (greatest uint64, wals []WALInspection, err error) {
	sums, err := survey(ctx, db)
	if err != nil {
		return 0, nil, err
	}
	read, greatest, err := follow(db.State, sums, recovered)
	if err != nil {
		return 0, nil, err
	}
	for i, wal := range db.WALs {
		wals = append(wals, WALInspection{Number: wal.Number, Bytes: wal.Size, Batches: sums[i].Batches, First: sums[i].First, Next: sums[i].Next, Torn: sums[i].Torn, Skipped: !read[i]})
		if !read[i] {
			continue
		}
		keep := func(id uint32) bool {
			f := db.State.Families[id]
			return id == 0 || f != nil && wal.Number >= f.LogNumber
		}
		_, err := readWAL(ctx, db.fs, join(db.Dir, rocksdb.WALName(wal.Number)), wal, keep, func(b *rocksdb.Batch) error {
			for _, op := range b.Ops {
				if err := pass(op); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return 0, nil, err
		}
	}
	return greatest, wals, nil
}

// groupReader follows the raft records of all groups by the hash of their name.
type groupReader map[uint64]*GroupInspection

func (r groupReader) group(key []byte) *GroupInspection {
	hash := binary.BigEndian.Uint64(key[1:])
	if r[hash] == nil {
		r[hash] = &GroupInspection{}
	}
	return r[hash]
}

func (r groupReader) operation(op rocksdb.Op) {
	switch {
	case len(op.Key) == logKeyLength && op.Key[0] == 'L':
		index := binary.BigEndian.Uint64(op.Key[9:])
		g := r.group(op.Key)
		switch op.Kind {
		case rocksdb.Put:
			g.LastLog = &index
		case rocksdb.Delete, rocksdb.SingleDelete:
			if g.LastLog != nil && *g.LastLog >= index {
				g.LastLog = before(index)
			}
		case rocksdb.RangeDelete:
			// Only a range over the end truncates the log; one over its start purges it.
			if g.LastLog != nil && *g.LastLog >= index && bytes.Compare(append(op.Key[:9:9], binary.BigEndian.AppendUint64(nil, *g.LastLog)...), op.Value) < 0 {
				g.LastLog = before(index)
			}
		}
	case len(op.Key) == stateKeyLength && op.Key[0] == 'S' && op.Kind == rocksdb.Put:
		g := r.group(op.Key)
		switch op.Key[9] {
		case stateVote:
			g.Vote = decodeVote(op.Value)
		case stateApplied:
			g.Applied = decodeLogID(op.Value)
		case statePurged:
			g.Purged = decodeLogID(op.Value)
		case stateMembership:
			g.Members = decodeMembership(op.Value)
		}
	}
}

// before is the index below, or nil when there is none that is known.
func before(index uint64) *uint64 {
	if index == 0 {
		return nil
	}
	index--
	return &index
}

func decodeVote(v []byte) *Vote {
	if len(v) != 17 {
		return nil
	}
	return &Vote{Term: binary.LittleEndian.Uint64(v), Node: binary.LittleEndian.Uint64(v[8:]), Committed: v[16] == 1}
}

// decodeLogID reads a log id, with or without the byte of an Option before it.
func decodeLogID(v []byte) *robustmq.LogID {
	if len(v) == 25 && v[0] == 1 {
		v = v[1:]
	}
	if len(v) != 24 {
		return nil
	}
	return &robustmq.LogID{Term: binary.LittleEndian.Uint64(v), NodeID: binary.LittleEndian.Uint64(v[8:]), Index: binary.LittleEndian.Uint64(v[16:])}
}

// decodeMembership reads what SetMembership writes. While a membership changes it has two configurations, and is none that can be said in one: then it is nil.
func decodeMembership(v []byte) *Membership {
	m := &Membership{Addresses: map[uint64]string{}}
	switch {
	case len(v) > 0 && v[0] == 0:
		v = v[1:]
	case len(v) >= 25 && v[0] == 1:
		m.LogID, v = decodeLogID(v[1:25]), v[25:]
	default:
		return nil
	}
	r := bincode{rest: v}
	if r.number() != 1 { // configurations
		return nil
	}
	voters := map[uint64]bool{}
	for range r.count(8) {
		voters[r.number()] = true
	}
	for range r.count(24) { // id, id, length of the address
		id, again := r.number(), r.number()
		if m.Addresses[id] = r.text(); id != again || !voters[id] {
			return nil
		}
	}
	if r.bad || len(r.rest) > 0 || len(voters) != len(m.Addresses) {
		return nil
	}
	return m
}

// bincode reads numbers and texts as they follow one another. Once something was too short everything is nothing.
type bincode struct {
	rest []byte
	bad  bool
}

func (r *bincode) number() uint64 {
	if len(r.rest) < 8 {
		r.rest, r.bad = nil, true
		return 0
	}
	n := binary.LittleEndian.Uint64(r.rest)
	r.rest = r.rest[8:]
	return n
}

// count is a number of things that have at least size bytes each.
func (r *bincode) count(size uint64) int {
	n := r.number()
	if n > uint64(len(r.rest))/size {
		r.rest, r.bad = nil, true
		return 0
	}
	return int(n)
}

func (r *bincode) text() string {
	n := r.count(1)
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}
