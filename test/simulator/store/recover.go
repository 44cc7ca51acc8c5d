package store

import (
	"bufio"
	"bytes"
	"errors"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
)

// create makes the files of a new database. Their numbers and the MANIFEST are those of a RobustMQ's after its first start (S: 000004.log, MANIFEST-000005, OPTIONS-000007).
// CURRENT comes last: a process that is killed before it leaves nothing that the next start would take for a database.
func (d *database) create() error {
	for i, name := range familyNames {
		d.families = append(d.families, &family{id: uint32(i) + 1, name: name, log: 4})
	}
	d.next, d.oldest = 4, 4
	err := d.identify()
	if err == nil {
		err = d.newWAL()
	}
	if err == nil {
		d.next++ // for the MANIFEST
		err = d.writeManifest(5, firstEdits(d.families))
	}
	if err == nil {
		d.next = 8 // 6 was OPTIONS' temporary name
		err = os.WriteFile(d.path("OPTIONS-000007"), options, 0o644)
	}
	if err == nil {
		err = d.note("new database")
	}
	if err == nil {
		err = d.put(rocksdb.CurrentName, rocksdb.Current(rocksdb.ManifestName(5)))
	}
	if err != nil {
		return failed(ioError, err)
	}
	return nil
}

// reopen opens a database: MANIFEST, WALs, a flush of what they hold, and then a new WAL and a new MANIFEST, with which all older ones are done (R db/db_impl/db_impl_open.cc).
// Until CURRENT names the new MANIFEST the old files are complete.
func (d *database) reopen(current []byte) error {
	names, err := os.ReadDir(d.dir)
	if err != nil {
		return failed(ioError, err)
	}
	state, err := d.readManifest(current)
	if err != nil {
		return err
	}
	d.next, d.sequence = state.NextFile, state.GreatestSequence()
	first := uint64(math.MaxUint64)
	for _, f := range state.Sorted() {
		if f.ID == 0 {
			continue // RobustMQ has nothing in it
		}
		d.families = append(d.families, &family{id: f.ID, name: f.Name, log: f.LogNumber, tables: f.SortedTables()})
		first = min(first, f.LogNumber)
	}
	var wals []uint64
	for _, e := range names {
		kind, number := rocksdb.ParseFileName(e.Name())
		if kind != rocksdb.Other && kind != rocksdb.CurrentFile {
			d.next = max(d.next, number+1)
		}
		if kind == rocksdb.WALFile && number >= max(first, state.MinLogToKeep) {
			wals = append(wals, number)
		}
	}
	if err := d.completeFamilies(); err != nil {
		return err
	}
	if err := d.checkTables(); err != nil {
		return err
	}
	slices.Sort(wals)
	if err := d.replay(wals); err != nil {
		return err
	}
	if err := d.begin(); err != nil {
		return failed(ioError, err)
	}
	return nil
}

// completeFamilies makes the families that are missing (create_missing_column_families) and refuses those that nobody opens, as RocksDB does.
func (d *database) completeFamilies() error {
	var foreign []string
	next := uint32(1)
	for _, f := range d.families {
		if !slices.Contains(familyNames, f.name) {
			foreign = append(foreign, f.name)
		}
		next = max(next, f.id+1)
	}
	if len(foreign) > 0 {
		return status(invalid, "Column families not opened: %s", strings.Join(foreign, ", "))
	}
	for _, name := range familyNames {
		if d.family(name) == nil {
			d.families = append(d.families, &family{id: next, name: name})
			next++
		}
	}
	return nil
}

func (d *database) checkTables() error {
	for _, f := range d.families {
		for _, t := range f.tables {
			name := d.path(rocksdb.TableName(t.Number))
			info, err := os.Stat(name)
			if err != nil {
				return status(corruption, "%s: %w", name, err)
			}
			if uint64(info.Size()) != t.Size {
				return status(corruption, "Sst file size mismatch: %s. Size recorded in manifest %d, actual size %d", name, t.Size, info.Size())
			}
		}
	}
	return nil
}

// readManifest reads the MANIFEST that CURRENT names. A record that a killed process left incomplete at its end never came into force.
func (d *database) readManifest(current []byte) (*rocksdb.State, error) {
	name, err := rocksdb.ParseCurrent(current)
	if err != nil {
		return nil, failed(corruption, err)
	}
	content, err := os.ReadFile(d.path(name))
	if err != nil {
		return nil, failed(ioError, err)
	}
	state, err := rocksdb.ReadState(bytes.NewReader(content))
	var torn *rocksdb.TornError
	if errors.As(err, &torn) && torn.Offset > 0 {
		state, err = rocksdb.ReadState(bytes.NewReader(content[:torn.Offset]))
	}
	if err != nil {
		return nil, status(corruption, "%s: %w", name, err)
	}
	return state, nil
}

// replay reads WALs up to the first damage, and behind it those that go on with the very next sequence (point-in-time recovery, R db_impl_open.cc, RecoverLogFiles).
func (d *database) replay(wals []uint64) error {
	var next, damaged uint64 // the sequence that must follow, 0: not known; the WAL whose end is missing, 0: none
	for _, number := range wals {
		log, file, err := d.openLog(number)
		if err != nil {
			return failed(ioError, err)
		}
		for {
			b, err := nextBatch(log)
			if b == nil && err == nil {
				break
			}
			var torn *rocksdb.TornError
			var corrupt *rocksdb.CorruptError
			if errors.As(err, &torn) || errors.As(err, &corrupt) {
				damaged = number
				break
			}
			if err != nil {
				_ = file.Close()
				return status(corruption, "%s: %w", rocksdb.WALName(number), err)
			}
			if damaged != 0 && b.Sequence != next {
				break
			}
			next, damaged = b.Next(), 0
			for i, op := range b.Ops {
				if f := d.byID(op.Family); f != nil && number >= f.log {
					d.apply(op, b.Sequence+uint64(i))
				}
			}
		}
		if err := file.Close(); err != nil {
			return failed(ioError, err)
		}
	}
	if next > 0 {
		d.sequence = max(d.sequence, next-1)
	}
	for _, f := range d.families {
		if damaged != 0 && f.log > damaged && len(f.tables) > 0 {
			return status(corruption, "SST file is ahead of WALs in CF %s", f.name)
		}
	}
	return nil
}

func (d *database) openLog(number uint64) (*rocksdb.LogReader, *os.File, error) {
	f, err := os.Open(d.path(rocksdb.WALName(number)))
	if err != nil {
		return nil, nil, err
	}
	return rocksdb.NewLogReader(bufio.NewReaderSize(f, rocksdb.BlockSize)), f, nil
}

// nextBatch returns nil at the end of the WAL.
func nextBatch(log *rocksdb.LogReader) (*rocksdb.Batch, error) {
	if err := log.Next(); isEnd(err) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return rocksdb.DecodeBatch(log, func(uint32) bool { return true }, math.MaxInt32)
}

func (d *database) byID(id uint32) *family {
	i := slices.IndexFunc(d.families, func(f *family) bool { return f.id == id })
	if i < 0 {
		return nil
	}
	return d.families[i]
}
