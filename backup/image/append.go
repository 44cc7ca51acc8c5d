package image

import (
	"context"
	"errors"
	"fmt"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
)

// ErrTornStart says that edits cannot be appended because RocksDB would not read them: behind a WAL that is torn before its first record it reads none. Place can still edit a copy.
var ErrTornStart = errors.New("the WAL is torn before its first record")

// Append adds edits to a database in place, as one more WAL with one batch. The server must not run: ErrInUse. A power cut leaves the database with all edits or with none.
//
// The batch's sequence is the very next one, also behind a torn end: RocksDB then reads on over the tear.
func Append(ctx context.Context, fsys FS, dir string, edits []Edit) error {
	if err := appendEdits(ctx, fsys, dir, edits); err != nil {
		return fmt.Errorf("edit %s: %w", dir, err)
	}
	return nil
}

func appendEdits(ctx context.Context, fsys FS, dir string, edits []Edit) error {
	lock, err := fsys.Lock(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	db, err := Open(fsys, dir)
	if err != nil {
		return err
	}
	if err := checkFamilies(db.State, Families); err != nil {
		return err
	}
	sums, err := survey(ctx, db)
	if err != nil {
		return err
	}
	if tornAtStart(sums) {
		return ErrTornStart
	}
	_, greatest, err := follow(db.State, sums, recovered)
	if err != nil {
		return err
	}
	ids := map[string]uint32{}
	for id, f := range db.State.Families {
		ids[f.Name] = id
	}
	ops, err := operations(edits, ids)
	if err != nil || len(ops) == 0 {
		return err
	}
	// Written beside the database and renamed into it: half a WAL would be read as a torn one.
	name := rocksdb.WALName(db.nextNumber())
	temporary := dir + appendSuffix
	if err := fsys.RemoveAll(temporary); err != nil {
		return err
	}
	if err := fsys.MkdirAll(temporary); err != nil {
		return err
	}
	_, err = writeLog(fsys, temporary, name, 0, func(log *rocksdb.LogWriter) error {
		batch := rocksdb.Batch{Sequence: greatest + 1, Ops: ops}
		return log.Append(batch.Append(nil))
	})
	if err != nil {
		return errors.Join(err, fsys.RemoveAll(temporary))
	}
	if err := fsys.Rename(join(temporary, name), join(dir, name)); err != nil {
		return errors.Join(err, fsys.RemoveAll(temporary))
	}
	return errors.Join(fsys.Sync(dir), fsys.RemoveAll(temporary))
}

// tornAtStart says whether no record was read before a tear.
func tornAtStart(wals []summary) bool {
	for _, w := range wals {
		if w.First != 0 {
			return false
		}
		if w.Torn != "" {
			return true
		}
	}
	return false
}
