package image

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
)

// maxManifest bounds a MANIFEST: RocksDB begins a new one at 1 GiB (max_manifest_file_size, seen in the OPTIONS of 0.4.11).
const maxManifest = 1<<30 + 64<<20

// Database is what CURRENT, the MANIFEST and the names in a folder say of a database that RocksDB has closed, or of the links of a live one.
type Database struct {
	Dir      string
	Manifest string         // name of the file
	State    *rocksdb.State // never changed
	WALs     []WAL          // from State.FirstWAL of all families on, ascending

	fs           FS
	current      []byte
	manifestSize int64
	files        []string
}

// WAL is a write-ahead log of which the first Size bytes belong to the image.
type WAL struct {
	Number  uint64
	Size    int64
	ModTime time.Time
}

// Open reads what a closed database consists of. It refuses one whose newest OPTIONS file says that its files mean something else.
func Open(fsys FS, dir string) (*Database, error) {
	db, err := look(fsys, dir)
	if err != nil {
		return nil, err
	}
	for _, number := range db.walNumbers(Families) {
		info, err := fsys.Stat(join(dir, rocksdb.WALName(number)))
		if err != nil {
			return nil, fmt.Errorf("database %s: %w", dir, err)
		}
		db.WALs = append(db.WALs, WAL{Number: number, Size: info.Size, ModTime: info.ModTime})
	}
	for _, f := range db.State.Sorted() {
		for _, table := range f.SortedTables() {
			if err := checkTable(fsys, dir, table); err != nil {
				return nil, fmt.Errorf("database %s: %w", dir, err)
			}
		}
	}
	return db, nil
}

func checkTable(fsys FS, dir string, table rocksdb.NewFile) error {
	info, err := fsys.Stat(join(dir, rocksdb.TableName(table.Number)))
	if err != nil {
		return err
	}
	if info.Size != int64(table.Size) {
		return &rocksdb.CorruptError{Offset: -1, What: fmt.Sprintf("table %s has %d bytes, the MANIFEST says %d", rocksdb.TableName(table.Number), info.Size, table.Size)}
	}
	return nil
}

// look reads CURRENT, the MANIFEST and OPTIONS.
func look(fsys FS, dir string) (*Database, error) {
	db := &Database{fs: fsys, Dir: dir}
	err := db.look()
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", dir, err)
	}
	return db, nil
}

func (db *Database) look() (err error) {
	if db.files, err = db.fs.ReadDir(db.Dir); err != nil {
		return err
	}
	if err := db.checkOptions(); err != nil {
		return err
	}
	if db.current, err = ReadSmall(db.fs, join(db.Dir, rocksdb.CurrentName), 4096); err != nil {
		return err
	}
	if db.Manifest, err = rocksdb.ParseCurrent(db.current); err != nil {
		return err
	}
	path := join(db.Dir, db.Manifest)
	info, err := db.fs.Stat(path)
	if err != nil {
		return err
	}
	if info.Size > maxManifest {
		return &rocksdb.TooLargeError{What: db.Manifest, Limit: maxManifest}
	}
	db.manifestSize = info.Size
	f, err := db.fs.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	// What is appended from now on is seen by the comparison of sizes, not here.
	if db.State, err = rocksdb.ReadState(io.LimitReader(f, info.Size)); err != nil {
		return fmt.Errorf("%s: %w", db.Manifest, err)
	}
	return nil
}

// readOn reads what RocksDB has appended to the MANIFEST since, and says whether it has.
func (db *Database) readOn() (grown bool, err error) {
	current, err := ReadSmall(db.fs, join(db.Dir, rocksdb.CurrentName), 4096)
	if err != nil {
		return false, err
	}
	path := join(db.Dir, db.Manifest)
	info, err := db.fs.Stat(path)
	if err != nil {
		return false, err
	}
	if string(current) != string(db.current) || info.Size <= db.manifestSize {
		return false, nil
	}
	f, err := db.fs.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	resume := db.State.Resume()
	if _, err := io.CopyN(io.Discard, f, resume); err != nil {
		return false, err
	}
	if err := db.State.Continue(io.LimitReader(f, info.Size-resume)); err != nil {
		return false, fmt.Errorf("%s: %w", db.Manifest, err)
	}
	db.manifestSize = info.Size
	return true, nil
}

// checkOptions judges the newest OPTIONS file. A database without one is accepted: RocksDB does not need it, and images have none; what matters of it shows in the records too.
func (db *Database) checkOptions() error {
	newest, name := uint64(0), ""
	for _, file := range db.files {
		if kind, number := rocksdb.ParseFileName(file); kind == rocksdb.OptionsFile && number >= newest {
			newest, name = number, file
		}
	}
	if name == "" {
		return nil
	}
	f, err := db.fs.Open(join(db.Dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return &vanishedError{name} // RocksDB keeps the two newest: a newer one has come
	}
	if err != nil {
		return err
	}
	defer f.Close()
	o, err := rocksdb.ParseOptions(f)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := o.Check(db.Dir); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// vanishedError says that a file was gone before it could be opened or linked. It is fs.ErrNotExist.
type vanishedError struct{ name string }

func (e *vanishedError) Error() string   { return e.name + " is gone" }
func (e *vanishedError) Is(t error) bool { return t == fs.ErrNotExist }

// walNumbers lists the WALs of the folder that the families need.
func (db *Database) walNumbers(families []string) []uint64 {
	first := db.State.FirstWAL(families)
	var numbers []uint64
	for _, file := range db.files {
		if kind, number := rocksdb.ParseFileName(file); kind == rocksdb.WALFile && number >= first {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// nextNumber is greater than the number of every file in the folder and of every one that the MANIFEST knows.
func (db *Database) nextNumber() uint64 {
	next := db.State.NextFile
	for _, file := range db.files {
		if kind, number := rocksdb.ParseFileName(file); kind != rocksdb.Other {
			next = max(next, number+1)
		}
	}
	return next
}
