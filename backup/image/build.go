package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
)

// part is a database of which some families go into a new one.
type part struct {
	db       *Database
	families []string
	wals     []partWAL
	greatest uint64 // sequence
	skipped  []uint64
}

// partWAL is one WAL of a part: where its batches come from.
type partWAL struct {
	number uint64
	each   func(pass func(*rocksdb.Batch) error) error
}

// Result says what a built database consists of.
type Result struct {
	Manifest    string
	WAL         string
	Tables      []string // names of the tables' files
	TableBytes  int64
	WALBytes    int64
	Batches     int
	Operations  int
	MaxSequence uint64
	// SkippedWALs are those of a source that RocksDB would not replay either: behind a torn one whose lost end they would have to follow.
	SkippedWALs []uint64
}

// Files lists all files of the database, CURRENT last.
func (r *Result) Files() []string {
	return append(slices.Clone(r.Tables), r.WAL, r.Manifest, rocksdb.CurrentName)
}

// scan passes over the WALs of a closed database once, to know their sequences, before build reads them.
func scan(ctx context.Context, db *Database, families []string) (*part, error) {
	p := &part{db: db, families: families}
	sums, err := survey(ctx, db)
	if err != nil {
		return nil, err
	}
	read, greatest, err := follow(db.State, sums, recovered)
	if err != nil {
		return nil, err
	}
	p.greatest = greatest
	keep := keepFamilies(db.State, families)
	for i, wal := range db.WALs {
		if !read[i] {
			p.skipped = append(p.skipped, wal.Number)
			continue
		}
		p.wals = append(p.wals, partWAL{wal.Number, func(pass func(*rocksdb.Batch) error) error {
			_, err := readWAL(ctx, db.fs, join(db.Dir, rocksdb.WALName(wal.Number)), wal, keep, pass)
			return err
		}})
	}
	return p, nil
}

// builder makes a new database out of the families of others.
//
// The first part is the base: its families keep their ids and its tables their numbers. Tables of the others get numbers from the base's next file number on, and their families are
// found by name. All operations that are not in tables yet go into one WAL, numbered anew above every sequence that any part knows, batch by batch. So nothing that a table holds is
// newer than what the WAL says about its family, and the last sequence is the greatest of all.
type builder struct {
	fs      FS
	out     string
	parts   []*part
	ids     map[string]uint32 // family name -> id in the new database
	number  uint64            // of the next new file
	result  Result
	edits   []rocksdb.VersionEdit // one a family that has tables
	reserve uint64
}

// build makes the folder out, which must not exist. Everything in it is on the disk when it returns, but not the name of the folder itself. On an error the folder is removed.
func build(ctx context.Context, fsys FS, out string, parts []*part, last []Edit, reserve uint64) (*Result, error) {
	if there, err := exists(fsys, out); err != nil {
		return nil, err
	} else if there {
		return nil, &fs.PathError{Op: "build", Path: out, Err: fs.ErrExist}
	}
	b := &builder{fs: fsys, out: out, parts: parts, ids: map[string]uint32{}, number: parts[0].db.nextNumber(), reserve: reserve}
	if err := b.all(ctx, last); err != nil {
		return nil, errors.Join(err, fsys.RemoveAll(out))
	}
	return &b.result, nil
}

func (b *builder) all(ctx context.Context, last []Edit) error {
	if err := b.fs.MkdirAll(b.out); err != nil {
		return err
	}
	b.nameFamilies()
	if err := b.tables(ctx); err != nil {
		return err
	}
	if err := b.wal(last); err != nil {
		return err
	}
	if err := b.manifest(); err != nil {
		return err
	}
	return b.fs.Sync(b.out)
}

// nameFamilies gives every family of every part an id. Those that nobody keeps exist and are empty, as the server expects them.
func (b *builder) nameFamilies() {
	next := uint32(1)
	for i, p := range b.parts {
		for _, f := range p.db.State.Sorted() {
			if _, named := b.ids[f.Name]; named {
				continue
			}
			if i > 0 {
				f = &rocksdb.Family{ID: next, Name: f.Name}
			}
			b.ids[f.Name] = f.ID
			next = max(next, f.ID+1)
		}
	}
}

func (b *builder) tables(ctx context.Context) error {
	for i, p := range b.parts {
		for _, f := range p.db.State.Sorted() {
			if !slices.Contains(p.families, f.Name) || len(f.Tables) == 0 {
				continue
			}
			edit := rocksdb.VersionEdit{Family: b.ids[f.Name]}
			for _, table := range f.SortedTables() {
				if err := ctx.Err(); err != nil {
					return err
				}
				from := join(p.db.Dir, rocksdb.TableName(table.Number))
				if i > 0 {
					table.Number = b.number
					b.number++
				}
				name := rocksdb.TableName(table.Number)
				if err := transfer(b.fs, from, join(b.out, name)); err != nil {
					return err
				}
				edit.New = append(edit.New, table)
				b.result.Tables = append(b.result.Tables, name)
				b.result.TableBytes += int64(table.Size)
			}
			b.edits = append(b.edits, edit)
		}
	}
	return nil
}

// wal writes the one WAL.
func (b *builder) wal(last []Edit) error {
	number := b.number
	b.number++
	b.result.WAL = rocksdb.WALName(number)
	for _, p := range b.parts {
		b.result.MaxSequence = max(b.result.MaxSequence, p.greatest)
		b.result.SkippedWALs = append(b.result.SkippedWALs, p.skipped...)
	}
	size, err := writeLog(b.fs, b.out, b.result.WAL, b.reserve, func(log *rocksdb.LogWriter) error {
		var record []byte
		write := func(ops []rocksdb.Op) error {
			if len(ops) == 0 {
				return nil
			}
			batch := rocksdb.Batch{Sequence: b.result.MaxSequence + 1, Ops: ops}
			record = batch.Append(record[:0])
			b.result.MaxSequence += uint64(len(ops))
			b.result.Operations += len(ops)
			b.result.Batches++
			return log.Append(record)
		}
		for _, p := range b.parts {
			for _, wal := range p.wals {
				if err := wal.each(func(batch *rocksdb.Batch) error { return write(b.translate(p, wal.number, batch.Ops)) }); err != nil {
					return err
				}
			}
		}
		ops, err := operations(last, b.ids)
		if err != nil {
			return err
		}
		return write(ops)
	})
	b.result.WALBytes = size
	return err
}

// translate keeps the operations that are not in the part's tables already, under the new ids. What is in tables must go: replayed with new sequences it would bring old values back.
func (b *builder) translate(p *part, wal uint64, ops []rocksdb.Op) []rocksdb.Op {
	kept := ops[:0]
	for _, op := range ops {
		f := p.db.State.Families[op.Family]
		if f == nil || wal < f.LogNumber || !slices.Contains(p.families, f.Name) {
			continue // a family that was dropped has no name any more
		}
		op.Family = b.ids[f.Name]
		kept = append(kept, op)
	}
	return kept
}

// manifest writes the MANIFEST and CURRENT, which brings the folder to life.
func (b *builder) manifest() error {
	number := b.number
	b.number++
	b.result.Manifest = rocksdb.ManifestName(number)
	_, wal := rocksdb.ParseFileName(b.result.WAL)
	records, err := b.records(wal, b.number)
	if err != nil {
		return err
	}
	_, err = writeLog(b.fs, b.out, b.result.Manifest, b.reserve, func(log *rocksdb.LogWriter) error {
		for _, e := range records {
			if err := log.Append(e.Append(nil)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return createBytes(b.fs, join(b.out, rocksdb.CurrentName), rocksdb.Current(b.result.Manifest))
}

// records are the MANIFEST: the default family with what holds for all, then one record for each family, then its tables. Every log number is the new WAL's.
func (b *builder) records(wal, next uint64) ([]*rocksdb.VersionEdit, error) {
	var before uint64 // the greatest sequence below the WAL's
	for _, p := range b.parts {
		before = max(before, p.greatest)
	}
	comparator, zero := rocksdb.BytewiseComparator, uint64(0)
	records := []*rocksdb.VersionEdit{{Comparator: &comparator, LogNumber: &wal, PrevLog: &zero, NextFile: &next, MinLogToKeep: &wal, LastSequence: &before}}
	names := make([]string, 0, len(b.ids))
	for name, id := range b.ids {
		if id != 0 {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(x, y string) int { return int(b.ids[x]) - int(b.ids[y]) })
	for _, name := range names {
		records = append(records, &rocksdb.VersionEdit{Comparator: &comparator, LogNumber: &wal, Family: b.ids[name], AddFamily: &name})
		for i := range b.edits {
			if b.edits[i].Family == b.ids[name] {
				records = append(records, &b.edits[i])
			}
		}
	}
	if len(names) != len(b.ids)-1 {
		return nil, errors.New("the default column family is missing")
	}
	return records, nil
}

// Extract builds the database out, which must not exist, from the staged image: its families' tables and what the WALs say about them. Closed WALs are read once and then kept in the cache.
// Other families exist in it and are empty. The staging folder is still to be released. Nothing is synced, so that the server is not kept waiting: out is to be read, not to be started from.
func (s *Staged) Extract(ctx context.Context, out string, cache Cache) (*Result, error) {
	result, err := s.extract(ctx, out, cache)
	if err != nil {
		return nil, fmt.Errorf("extract %s: %w", s.Dir, err)
	}
	return result, nil
}

func (s *Staged) extract(ctx context.Context, out string, cache Cache) (*Result, error) {
	p := &part{db: &s.Database, families: s.Families}
	var used []string
	sums := make([]summary, 0, len(s.WALs))
	for i, wal := range s.WALs {
		c := cache
		if c.Dir == "" || i == len(s.WALs)-1 {
			c = Cache{Dir: s.Dir} // the newest still grows
		}
		path, sum, err := c.filter(ctx, &s.Database, wal, s.Families, s.reserve)
		if err != nil {
			return nil, err
		}
		used = append(used, path)
		sums = append(sums, sum)
		p.wals = append(p.wals, partWAL{wal.Number, func(pass func(*rocksdb.Batch) error) error {
			_, err := readFiltered(ctx, s.fs, path, pass)
			return err
		}})
	}
	var err error
	if _, p.greatest, err = follow(s.State, sums, live); err != nil {
		return nil, err
	}
	result, err := build(ctx, s.fs, out, []*part{p}, nil, s.reserve)
	if err != nil {
		return nil, err
	}
	return result, cache.prune(s.fs, used)
}

// Extract does the same with a database that is not in use: a copy, a volume, the folder of a stopped server.
func Extract(ctx context.Context, fsys FS, dir, out string, families []string) (*Result, error) {
	result, err := func() (*Result, error) {
		db, err := Open(fsys, dir)
		if err != nil {
			return nil, err
		}
		if err := checkFamilies(db.State, families); err != nil {
			return nil, err
		}
		p, err := scan(ctx, db, families)
		if err != nil {
			return nil, err
		}
		return build(ctx, fsys, out, []*part{p}, nil, 0)
	}()
	if err != nil {
		return nil, fmt.Errorf("extract %s: %w", dir, err)
	}
	return result, nil
}
