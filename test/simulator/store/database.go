package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/test/simulator/store/table"
)

// Options of a database. The zero value is usable.
type Options struct {
	// Buffer is the size of a family's memtable at which it is flushed, in bytes; default 4 MiB. RobustMQ's is 128 MiB: a test need not write that much to see tables.
	Buffer int
	// Trigger is the number of tables of level 0 at which a family is compacted; default 8, as RobustMQ's OPTIONS say.
	Trigger int
	// Largest is the size of a family's tables up to which it is compacted, in bytes; default 64 MiB. A compaction holds the family in memory; messages beyond stay in level 0.
	Largest uint64
	// Now gives tables their time; default time.Now.
	Now func() time.Time

	// step is called after every change of the folder, for tests that kill the process there.
	step func(what string)
}

func (o Options) withDefaults() Options {
	if o.Buffer == 0 {
		o.Buffer = 4 << 20
	}
	if o.Trigger == 0 {
		o.Trigger = 8
	}
	if o.Largest == 0 {
		o.Largest = 64 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.step == nil {
		o.step = func(string) {}
	}
	return o
}

type database struct {
	dir      string
	o        Options
	identity string
	session  string // of tables: new at every opening

	mu       sync.Mutex
	lock     *os.File
	families []*family // by id
	sequence uint64    // of the last operation
	next     uint64    // number of the next new file
	oldest   uint64    // WAL that is needed
	wals     []uint64  // in the folder, ascending; the last is written
	wal      *logFile
	manifest *logFile
	record   []byte // space for the next batch
	broken   error  // after it, nothing is written
}

type family struct {
	id     uint32
	name   string
	log    uint64 // what is in older WALs is in its tables
	tables []rocksdb.NewFile
	memory memtable
}

// Open opens the database in dir, and makes it when there is none. What a killed process left half written is forgotten, as RocksDB forgets it.
//
// Errors have RocksDB's kinds in front ("Corruption: ", "Invalid argument: ", "IO error: ").
func Open(dir string) (Storage, error) { return OpenWith(dir, Options{}) }

// OpenWith is Open with options.
func OpenWith(dir string, o Options) (Storage, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, failed(ioError, err)
	}
	if err := os.MkdirAll(absolute, 0o755); err != nil {
		return nil, failed(ioError, err)
	}
	d := &database{dir: absolute, o: o.withDefaults(), session: newSession()}
	if d.lock, err = os.OpenFile(d.path("LOCK"), os.O_CREATE|os.O_RDWR, 0o644); err != nil {
		return nil, failed(ioError, err)
	}
	if err := lockFile(d.lock); err != nil {
		_ = d.lock.Close()
		return nil, status(ioError, "While lock file: %s: %w", d.path("LOCK"), err)
	}
	if err := d.open(); err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

// Kinds of RocksDB's errors (R util/status.cc, Status::ToString).
const (
	ioError    = "IO error"
	corruption = "Corruption"
	invalid    = "Invalid argument"
)

// Error is a failure with its kind, as RocksDB says it.
type Error struct {
	Kind string
	Err  error
}

func (e *Error) Error() string { return e.Kind + ": " + e.Err.Error() }

// Unwrap returns what is behind.
func (e *Error) Unwrap() error { return e.Err }

// status is an error in RocksDB's own words.
func status(kind, format string, args ...any) error {
	return &Error{kind, fmt.Errorf(format, args...)}
}

// failed gives an error a kind, unless it has one.
func failed(kind string, err error) error {
	var have *Error
	if errors.As(err, &have) {
		return err
	}
	return &Error{kind, err}
}

func (d *database) path(name string) string { return filepath.Join(d.dir, name) }

func (d *database) open() error {
	current, err := os.ReadFile(d.path(rocksdb.CurrentName))
	if errors.Is(err, os.ErrNotExist) {
		return d.create()
	}
	if err != nil {
		return failed(ioError, err)
	}
	return d.reopen(current)
}

func (d *database) family(name string) *family {
	i := slices.IndexFunc(d.families, func(f *family) bool { return f.name == name })
	if i < 0 {
		return nil
	}
	return d.families[i]
}

// Write implements Storage.
func (d *database) Write(batch ...Record) error {
	if len(batch) == 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken != nil {
		return d.broken
	}
	b := rocksdb.Batch{Sequence: d.sequence + 1, Ops: make([]rocksdb.Op, 0, len(batch))}
	for _, r := range batch {
		f := d.family(r.Family)
		if f == nil {
			return fmt.Errorf("storage %s: no column family %q", d.dir, r.Family)
		}
		op := rocksdb.Op{Kind: rocksdb.Put, Family: f.id, Key: slices.Clone(r.Key), Value: slices.Clone(r.Value)}
		switch {
		case r.Until != nil && bytes.Compare(r.Key, r.Until) >= 0:
			// RocksDB refuses it too, and would not read on in a WAL that has it.
			return fmt.Errorf("storage %s: %w", d.dir, status(invalid, "end key comes before start key"))
		case r.Until != nil:
			op.Kind, op.Value = rocksdb.RangeDelete, slices.Clone(r.Until)
		case r.Delete:
			op.Kind, op.Value = rocksdb.Delete, nil
		}
		b.Ops = append(b.Ops, op)
	}
	d.record = b.Append(d.record[:0])
	if err := d.wal.append(d.record); err != nil {
		return d.fail(err)
	}
	if cap(d.record) > 1<<20 {
		d.record = nil
	}
	for i, op := range b.Ops {
		d.apply(op, b.Sequence+uint64(i))
	}
	d.sequence += uint64(len(b.Ops))
	for _, f := range d.families {
		if f.memory.bytes > d.o.Buffer {
			if err := d.flush(f); err != nil {
				return d.fail(err)
			}
		}
	}
	return nil
}

func (d *database) fail(err error) error {
	d.broken = fmt.Errorf("storage %s: %w", d.dir, failed(ioError, err))
	return d.broken
}

// apply brings one operation into its family's memtable. The operation is not changed any more.
func (d *database) apply(op rocksdb.Op, sequence uint64) {
	i := slices.IndexFunc(d.families, func(f *family) bool { return f.id == op.Family })
	if i < 0 {
		return // a family that was dropped
	}
	f := d.families[i]
	tables := len(f.tables) > 0
	switch op.Kind {
	case rocksdb.Put:
		f.memory.set(op.Key, version{sequence: sequence, value: op.Value}, tables)
	case rocksdb.Delete, rocksdb.SingleDelete:
		f.memory.set(op.Key, version{sequence: sequence, deleted: true}, tables)
	case rocksdb.RangeDelete:
		f.memory.remove(op.Key, op.Value, sequence, tables)
	}
}

// Each implements Storage.
func (d *database) Each(name string, visit func(key, value []byte) error) error {
	d.mu.Lock()
	f := d.family(name)
	if f == nil {
		d.mu.Unlock()
		return fmt.Errorf("storage %s: no column family %q", d.dir, name)
	}
	parts, err := d.read(f)
	if err == nil {
		parts = append(parts, f.memory.contents())
	}
	d.mu.Unlock()
	if err != nil {
		return err
	}
	for _, e := range merge(parts) {
		if err := visit(e.Key, e.Value); err != nil {
			return err
		}
	}
	return nil
}

// read reads the tables of a family.
func (d *database) read(f *family) ([]table.Contents, error) {
	parts := make([]table.Contents, 0, len(f.tables)+1)
	for _, t := range f.tables {
		name := rocksdb.TableName(t.Number)
		file, err := os.ReadFile(d.path(name))
		if err != nil {
			return nil, failed(ioError, err)
		}
		c, err := table.Read(file)
		if err != nil {
			return nil, status(corruption, "%s: %w", d.path(name), err)
		}
		parts = append(parts, *c)
	}
	return parts, nil
}

// Close implements Storage.
func (d *database) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil {
		return nil
	}
	err := errors.Join(d.wal.close(), d.manifest.close(), d.lock.Close())
	d.lock, d.broken = nil, ErrClosed
	return err
}

// logFile is a WAL or a MANIFEST that is written: every record with one call, so that a killed process leaves as little half of one as RocksDB's does.
type logFile struct {
	file   *os.File
	buffer bytes.Buffer
	log    *rocksdb.LogWriter
}

func newLogFile(path string) (*logFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	l := &logFile{file: f}
	l.log = rocksdb.NewLogWriter(&l.buffer)
	return l, nil
}

func (l *logFile) append(record []byte) error {
	if err := l.log.Append(record); err != nil {
		return err
	}
	_, err := l.buffer.WriteTo(l.file)
	if l.buffer.Cap() > 1<<20 {
		l.buffer = bytes.Buffer{}
	}
	return err
}

func (l *logFile) close() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}
