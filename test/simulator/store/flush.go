package store

import (
	"errors"
	"io"
	"math"
	"slices"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/test/simulator/store/table"
)

// begin is the end of an opening: tables of all memtables, compactions that are due, a new WAL, a new MANIFEST that says so, OPTIONS; then what is not needed any more goes.
func (d *database) begin() error {
	if err := d.identify(); err != nil {
		return err
	}
	for _, f := range d.families {
		if _, err := d.flushMemory(f); err != nil {
			return err
		}
		if _, _, err := d.compact(f); err != nil {
			return err
		}
	}
	if err := d.newWAL(); err != nil {
		return err
	}
	number := d.wals[len(d.wals)-1]
	d.wals, d.oldest = []uint64{number}, number
	for _, f := range d.families {
		f.log = number
	}
	manifest := d.newNumber()
	if err := d.writeManifest(manifest, d.edits()); err != nil {
		return err
	}
	if err := d.put(rocksdb.CurrentName, rocksdb.Current(rocksdb.ManifestName(manifest))); err != nil {
		return err
	}
	d.newNumber() // OPTIONS has one for its temporary name, and one of its own
	if err := d.put("OPTIONS-"+rocksdb.ManifestName(d.newNumber())[len("MANIFEST-"):], options); err != nil {
		return err
	}
	if err := d.note("recovered up to sequence %d, %s", d.sequence, rocksdb.ManifestName(manifest)); err != nil {
		return err
	}
	return d.removeObsolete(manifest)
}

// flush makes a table of one family's memtable and begins a new WAL. The old ones stay as long as another family has something in them: RobustMQ's metadata, which are never flushed
// while the server runs, keep every WAL since its start (S).
func (d *database) flush(f *family) error {
	if err := d.newWAL(); err != nil {
		return err
	}
	number := d.wals[len(d.wals)-1]
	fresh, err := d.flushMemory(f)
	if err != nil {
		return err
	}
	// A family with nothing in its memtable needs no older WAL either; the MANIFEST is not told until its next record (R db/db_impl/db_impl_write.cc, SwitchMemtable).
	for _, g := range d.families {
		if g.memory.empty() {
			g.log = number
		}
	}
	e := rocksdb.VersionEdit{Family: f.id, LogNumber: &f.log, New: fresh}
	if err := d.commit(&e); err != nil {
		return err
	}
	old, fresh, err := d.compact(f)
	if err != nil || len(fresh) == 0 && len(old) == 0 {
		return err
	}
	e = rocksdb.VersionEdit{Family: f.id, New: fresh}
	for _, t := range old {
		e.Deleted = append(e.Deleted, rocksdb.DeletedFile{Level: t.Level, Number: t.Number})
	}
	if err := d.commit(&e); err != nil {
		return err
	}
	for _, t := range old {
		if err := d.remove(rocksdb.TableName(t.Number)); err != nil {
			return err
		}
	}
	return nil
}

// commit writes a record of the MANIFEST and removes the WALs that it makes superfluous.
func (d *database) commit(e *rocksdb.VersionEdit) error {
	zero := uint64(0)
	e.PrevLog, e.NextFile, e.LastSequence = &zero, &d.next, &d.sequence
	oldest := uint64(math.MaxUint64)
	for _, f := range d.families {
		oldest = min(oldest, f.log)
	}
	if oldest > d.oldest {
		d.oldest = oldest
		e.MinLogToKeep = &oldest
	}
	if err := d.manifest.append(e.Append(nil)); err != nil {
		return err
	}
	d.o.step("record of the MANIFEST")
	for len(d.wals) > 1 && d.wals[0] < d.oldest {
		if err := d.remove(rocksdb.WALName(d.wals[0])); err != nil {
			return err
		}
		d.wals = d.wals[1:]
	}
	return nil
}

// flushMemory makes a table of level 0 of what is in a memtable, if anything is.
func (d *database) flushMemory(f *family) ([]rocksdb.NewFile, error) {
	if f.memory.empty() {
		return nil, nil
	}
	t, err := d.newTable(f, 0, f.memory.contents())
	if err != nil {
		return nil, err
	}
	f.tables, f.memory = append(f.tables, t), memtable{}
	return []rocksdb.NewFile{t}, nil
}

const (
	bottom = 6 // the last of RobustMQ's seven levels
	// tableBytes of keys and values go into one table of a compaction.
	tableBytes = 32 << 20
)

// compact makes tables of level 6 of all tables of a family when there are too many of level 0. Deletions have done their work, and sequences become 0: nothing is older.
func (d *database) compact(f *family) (old, fresh []rocksdb.NewFile, err error) {
	upper, size := 0, uint64(0)
	for _, t := range f.tables {
		size += t.Size
		if t.Level == 0 {
			upper++
		}
	}
	if upper < d.o.Trigger || size > d.o.Largest {
		return nil, nil, nil
	}
	parts, err := d.read(f)
	if err != nil {
		return nil, nil, err
	}
	live := merge(parts)
	for len(live) > 0 {
		n, size := 0, 0
		for n < len(live) && size < tableBytes {
			size += len(live[n].Key) + len(live[n].Value)
			live[n].Sequence = 0
			n++
		}
		t, err := d.newTable(f, bottom, table.Contents{Entries: live[:n]})
		if err != nil {
			return nil, nil, err
		}
		fresh, live = append(fresh, t), live[n:]
	}
	old, f.tables = f.tables, fresh
	return old, slices.Clone(fresh), nil
}

// writeManifest writes a MANIFEST and keeps it open for further records.
func (d *database) writeManifest(number uint64, edits []rocksdb.VersionEdit) error {
	l, err := newLogFile(d.path(rocksdb.ManifestName(number)))
	if err != nil {
		return err
	}
	d.manifest = l
	for i := range edits {
		if err := l.append(edits[i].Append(nil)); err != nil {
			return err
		}
	}
	d.o.step(rocksdb.ManifestName(number))
	return nil
}

// notTimestamped is the field with which RocksDB 8.10 says, of every family, that keys have no timestamps that it would leave out of tables.
var notTimestamped = []rocksdb.IgnorableField{{Tag: 8201, Value: []byte{1}}}

// firstEdits is the MANIFEST of a new database (S: byte for byte).
func firstEdits(families []*family) []rocksdb.VersionEdit {
	comparator, zero, next, wal := rocksdb.BytewiseComparator, uint64(0), uint64(6), uint64(4)
	edits := []rocksdb.VersionEdit{
		{},
		{Comparator: &comparator, Ignorable: notTimestamped},
		{LogNumber: &zero, LastSequence: &zero},
		{PrevLog: &zero, NextFile: &next, LastSequence: &zero},
	}
	for _, f := range families {
		edits = append(edits, rocksdb.VersionEdit{
			Comparator: &comparator, LogNumber: &wal, NextFile: &next, LastSequence: &zero, Family: f.id, AddFamily: &f.name, Ignorable: notTimestamped,
		})
	}
	return edits
}

// edits is the MANIFEST of a database that was opened: all that it consists of, in the order in which RocksDB writes it (S; R db/version_set.cc, WriteCurrentStateToManifest).
func (d *database) edits() []rocksdb.VersionEdit {
	comparator, zero := rocksdb.BytewiseComparator, uint64(0)
	greatest := uint32(0)
	edits := []rocksdb.VersionEdit{
		{},
		{Comparator: &comparator, Ignorable: notTimestamped},
		{LogNumber: &d.oldest, MinLogToKeep: &d.oldest, LastSequence: &d.sequence},
	}
	for _, f := range d.families {
		edits = append(edits,
			rocksdb.VersionEdit{Comparator: &comparator, Family: f.id, AddFamily: &f.name, Ignorable: notTimestamped},
			rocksdb.VersionEdit{LogNumber: &f.log, LastSequence: &d.sequence, Family: f.id, New: f.tables})
		greatest = max(greatest, f.id)
	}
	return append(edits, rocksdb.VersionEdit{PrevLog: &zero, NextFile: &d.next, MaxFamily: &greatest, LastSequence: &d.sequence})
}

func isEnd(err error) bool { return errors.Is(err, io.EOF) }
