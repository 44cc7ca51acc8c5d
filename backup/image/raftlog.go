package image

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// RaftLogs is what the WALs of a database that is not in use say of its raft groups: everything that was written since it was last opened, and nothing before that, which is in tables.
type RaftLogs struct {
	Groups map[string]RaftLog
	// Next is the number that the next file of the database gets.
	Next uint64
	// Whole: every raft record since the last opening is in a WAL that was read. It is false when RocksDB has written raft records into tables since From (see ReadRaftLogs).
	Whole bool
}

// RaftLog is one raft group. A nil pointer: the WALs do not say it.
type RaftLog struct {
	Vote *Vote
	// Last is the last entry of the log.
	Last *robustmq.LogID
	// Truncated: the log was cut behind an entry that the WALs do not have, so the last one is not known.
	Truncated bool
	// Greatest is the greatest term of an entry that was ever written, also of one that was cut off again; 0 when none was.
	Greatest uint64
}

// rememberedEntries bounds what is kept of a log: a follower cuts off what a leader had not committed, which is a handful of entries.
const rememberedEntries = 4096

// ReadRaftLogs reads the raft records of a database's WALs. Nothing of what else is in them is held in memory.
//
// from is the number of a WAL, 0 for none: with it, Whole says whether everything that one process wrote to the raft family since that WAL was closed is still in WALs. When RocksDB opens a
// database it writes what its WALs have into tables and then begins a new WAL, so the tables have smaller numbers than the WAL that the family needs from then on. When it flushes a family
// later, it begins the next WAL first and then writes the table, which has a greater number: what was in the WAL before is in a table.
func ReadRaftLogs(ctx context.Context, fsys FS, dir string, from uint64) (*RaftLogs, error) {
	logs, err := readRaftLogs(ctx, fsys, dir, from)
	if err != nil {
		return nil, fmt.Errorf("raft logs of %s: %w", dir, err)
	}
	return logs, nil
}

func readRaftLogs(ctx context.Context, fsys FS, dir string, from uint64) (*RaftLogs, error) {
	db, err := Open(fsys, dir)
	if err != nil {
		return nil, err
	}
	if err := checkFamilies(db.State, MetadataFamilies); err != nil {
		return nil, err
	}
	family := db.State.Family(FamilyRaft)
	keep := func(id uint32) bool { return id == family.ID }
	readers := map[uint64]*logReader{}
	logs := &RaftLogs{Groups: map[string]RaftLog{}, Next: db.nextNumber(), Whole: true}
	sums := make([]summary, 0, len(db.WALs))
	later := uint64(0) // the first WAL behind from
	for _, wal := range db.WALs {
		if wal.Number > from && later == 0 {
			later = wal.Number
		}
		needed := wal.Number >= family.LogNumber
		s, err := readWAL(ctx, fsys, join(dir, rocksdb.WALName(wal.Number)), wal, keep, func(b *rocksdb.Batch) error {
			for _, op := range b.Ops {
				if needed {
					follower(readers, op)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		sums = append(sums, s)
	}
	// A WAL that RocksDB would forget must not be believed: then nothing is said at all.
	read, _, err := follow(db.State, sums, recovered)
	if err != nil {
		return nil, err
	}
	for i, ok := range read {
		if !ok {
			return nil, &rocksdb.CorruptError{Offset: -1, What: fmt.Sprintf("WAL %s lies behind one that is cut", rocksdb.WALName(db.WALs[i].Number))}
		}
	}
	if from > 0 && family.LogNumber > from {
		logs.Whole = later != 0 && family.LogNumber <= later
		for _, t := range family.Tables {
			logs.Whole = logs.Whole && t.Number < family.LogNumber
		}
	}
	for _, name := range robustmq.Groups {
		if r := readers[groupHash(name)]; r != nil {
			logs.Groups[name] = r.log()
		}
	}
	return logs, nil
}

// logReader follows the records of one group.
type logReader struct {
	vote      *Vote
	entries   []robustmq.LogID // the newest, ascending
	truncated bool
	cut       uint64 // where the deletion ended that made truncated true
	greatest  uint64
}

func (r *logReader) log() RaftLog {
	l := RaftLog{Vote: r.vote, Truncated: r.truncated, Greatest: r.greatest}
	if n := len(r.entries); n > 0 {
		last := r.entries[n-1]
		l.Last, l.Truncated = &last, false
	}
	return l
}

// follower gives an operation on the raft family to the reader of its group.
func follower(readers map[uint64]*logReader, op rocksdb.Op) {
	if len(op.Key) != logKeyLength && len(op.Key) != stateKeyLength {
		return
	}
	hash := binary.BigEndian.Uint64(op.Key[1:])
	if readers[hash] == nil {
		readers[hash] = &logReader{}
	}
	readers[hash].operation(op)
}

func (r *logReader) operation(op rocksdb.Op) {
	switch {
	case op.Key[0] == 'S' && len(op.Key) == stateKeyLength && op.Key[9] == stateVote && op.Kind == rocksdb.Put:
		r.vote = decodeVote(op.Value)
	case op.Key[0] == 'S' && len(op.Key) == stateKeyLength && op.Key[9] == statePurged && op.Kind == rocksdb.Put:
		if id := decodeLogID(op.Value); id != nil && id.Index+1 == r.cut {
			r.truncated = false // it was the log's beginning that was deleted
		}
	case op.Key[0] != 'L' || len(op.Key) != logKeyLength:
	case op.Kind == rocksdb.Put:
		r.put(binary.BigEndian.Uint64(op.Key[9:]), op.Value)
	case op.Kind == rocksdb.Delete, op.Kind == rocksdb.SingleDelete:
		index := binary.BigEndian.Uint64(op.Key[9:])
		r.remove(index, index+1)
	case op.Kind == rocksdb.RangeDelete:
		index, end := binary.BigEndian.Uint64(op.Key[9:]), uint64(0)
		if len(op.Value) == logKeyLength && string(op.Value[:9]) == string(op.Key[:9]) {
			end = binary.BigEndian.Uint64(op.Value[9:])
		}
		r.remove(index, end)
	}
}

// put is an entry: it begins with its log id.
func (r *logReader) put(index uint64, value []byte) {
	if len(value) < 24 {
		r.entries, r.truncated = nil, true // not an entry as it is known: nothing is said of this log
		return
	}
	id := robustmq.LogID{Term: binary.LittleEndian.Uint64(value), NodeID: binary.LittleEndian.Uint64(value[8:]), Index: index}
	r.greatest = max(r.greatest, id.Term)
	for len(r.entries) > 0 && r.entries[len(r.entries)-1].Index >= index {
		r.entries = r.entries[:len(r.entries)-1]
	}
	r.entries = append(r.entries, id)
	if len(r.entries) > 2*rememberedEntries {
		r.entries = append(r.entries[:0], r.entries[len(r.entries)-rememberedEntries:]...)
	}
}

// remove deletes the entries from one index up to, without, another; end 0: to the end of the log. RobustMQ cuts a log off from an index to the greatest there is, and purges one from 0 to an
// index (0.4.11, meta-service/src/raft/store/log.rs), whose record follows.
func (r *logReader) remove(from, end uint64) {
	n := len(r.entries)
	if n > 0 && end != 0 && end <= r.entries[n-1].Index {
		return
	}
	for n > 0 && r.entries[n-1].Index >= from {
		n--
	}
	if n == 0 {
		// Of a log whose entries are in tables nobody knows here whether this was its end.
		r.truncated, r.cut = true, end
	}
	r.entries = r.entries[:n]
}
