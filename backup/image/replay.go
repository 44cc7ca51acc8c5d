package image

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
)

// SequenceGapError says that operations are missing between two records of the WAL: RocksDB numbers them without gaps (seen in 157 images of the real server, also over file borders).
type SequenceGapError struct {
	WAL       uint64 // where the record stands that does not follow
	Want, Got uint64
}

func (e *SequenceGapError) Error() string {
	return fmt.Sprintf("WAL %s: sequence %d where %d had to follow", rocksdb.WALName(e.WAL), e.Got, e.Want)
}

// maxBatch bounds what is kept of one batch: the largest are some raft entries, or with messages those of one write group (1 MiB) or one message.
const maxBatch = 512 << 20

// summary is what a pass over a WAL found.
type summary struct {
	Number  uint64
	First   uint64 // sequence; 0 when there is no record
	Next    uint64 // sequence behind the last operation
	Batches int
	Kept    int // operations
	Torn    string
}

// readWAL passes the batches of a WAL on, with the operations that keep wants. A torn end is not an error: it is noted in the summary.
func readWAL(ctx context.Context, fsys FS, path string, wal WAL, keep func(uint32) bool, pass func(*rocksdb.Batch) error) (summary, error) {
	s := summary{Number: wal.Number}
	f, err := fsys.Open(path)
	if err != nil {
		return s, err
	}
	defer f.Close()
	err = readBatches(ctx, io.LimitReader(f, wal.Size), keep, func(b *rocksdb.Batch) error {
		if s.First == 0 {
			s.First = b.Sequence
		} else if b.Sequence != s.Next {
			return &SequenceGapError{WAL: wal.Number, Want: s.Next, Got: b.Sequence}
		}
		s.Next = b.Next()
		s.Batches++
		s.Kept += len(b.Ops)
		return pass(b)
	})
	var torn *rocksdb.TornError
	if errors.As(err, &torn) {
		s.Torn, err = torn.Error(), nil
	}
	if err != nil {
		return s, fmt.Errorf("WAL %s: %w", rocksdb.WALName(wal.Number), err)
	}
	return s, nil
}

// survey passes over all WALs of a closed database for their sequences alone.
func survey(ctx context.Context, db *Database) ([]summary, error) {
	sums := make([]summary, 0, len(db.WALs))
	for _, wal := range db.WALs {
		s, err := readWAL(ctx, db.fs, join(db.Dir, rocksdb.WALName(wal.Number)), wal, nil, func(*rocksdb.Batch) error { return nil })
		if err != nil {
			return nil, err
		}
		sums = append(sums, s)
	}
	return sums, nil
}

// readBatches decodes a log of batches to its end.
func readBatches(ctx context.Context, r io.Reader, keep func(uint32) bool, pass func(*rocksdb.Batch) error) error {
	log := rocksdb.NewLogReader(r)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := log.Next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		b, err := rocksdb.DecodeBatch(log, keep, maxBatch)
		if err != nil {
			return err
		}
		if len(b.Ops) > 0 && keep != nil {
			for _, op := range b.Ops {
				if op.Family == 0 {
					return &rocksdb.UnsupportedError{Features: []string{"operations on the default column family"}}
				}
			}
		}
		if err := pass(b); err != nil {
			return err
		}
	}
}

// tolerance says what a WAL may look like that is not the newest.
type tolerance int

const (
	// live: only the newest WAL may be torn. One that is closed was complete when the next began.
	live tolerance = iota
	// recovered: read as RocksDB would after a power cut. A WAL behind a torn one counts only when it goes on with the very next sequence; else RocksDB forgets it
	// (point-in-time recovery, db/db_impl/db_impl_open.cc), and so must whoever reads the same files.
	recovered
)

// follow checks that the WALs follow each other and the MANIFEST, and returns those to be read.
func follow(s *rocksdb.State, wals []summary, t tolerance) (read []bool, greatest uint64, err error) {
	read = make([]bool, len(wals))
	greatest = s.GreatestSequence()
	next, torn := uint64(0), -1
	for i, w := range wals {
		read[i] = true
		if w.First == 0 {
			if w.Torn != "" {
				torn = i
			}
			continue
		}
		switch {
		case next == 0 && torn >= 0 && t == recovered:
			// RocksDB has no sequence to go on from when the torn WAL has no complete record, and forgets every later one.
			if err := behindTear(s, wals[torn].Number); err != nil {
				return nil, 0, err
			}
			read[i] = false
			continue
		case next == 0 && w.First > s.LastSequence+1:
			return nil, 0, &SequenceGapError{WAL: w.Number, Want: s.LastSequence + 1, Got: w.First}
		case next != 0 && w.First != next && torn >= 0 && t == recovered:
			if err := behindTear(s, wals[torn].Number); err != nil {
				return nil, 0, err
			}
			read[i] = false
			continue
		case next != 0 && w.First != next:
			return nil, 0, &SequenceGapError{WAL: w.Number, Want: next, Got: w.First}
		}
		next, torn = w.Next, -1
		if w.Torn != "" {
			torn = i
		}
		greatest = max(greatest, w.Next-1)
	}
	return read, greatest, nil
}

// behindTear refuses what RocksDB refuses to open: a family whose tables are newer than what was lost.
func behindTear(s *rocksdb.State, torn uint64) error {
	for _, f := range s.Sorted() {
		if f.LogNumber > torn && len(f.Tables) > 0 {
			return &rocksdb.CorruptError{Offset: -1, What: fmt.Sprintf("WAL %s is cut, and tables of column family %q are newer", rocksdb.WALName(torn), f.Name)}
		}
	}
	return nil
}
