package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/internal/pause"
)

// Taker makes images of live databases. Its zero value is right; the fields are for limits and tests.
type Taker struct {
	FS FS // default: the machine's
	// Attempts is how often an image is tried while RocksDB changes its files underneath; default 50 (seen: 6 at most under constant flushes and compactions).
	Attempts int
	// Pause is waited between two attempts, on average; default 20 ms.
	Pause time.Duration
	// Reserve is how many bytes must stay free on the file system; default 256 MiB. Links cost nothing at first, but hold the space of what RocksDB deletes meanwhile.
	Reserve uint64

	Sleep  func(context.Context, time.Duration) error
	Jitter func() float64 // in [0,1)
	Now    func() time.Time
}

// Staged is an image: hard links to the tables and WALs of a live database, which stay what they were while RocksDB goes on. It is used up by Extract and removed by Release.
type Staged struct {
	Database               // Dir is the staging folder; the links in it have their files' names
	Families []string      // of which the tables are linked
	Attempts int           // how many it took
	Rounds   int           // of the last attempt: how often the MANIFEST grew, and one
	Took     time.Duration // of the last attempt

	reserve uint64
}

// UnstableError says that the database changed at every attempt.
type UnstableError struct {
	Attempts int
	Last     error
}

func (e *UnstableError) Error() string {
	return fmt.Sprintf("no consistent image in %d attempts: %v", e.Attempts, e.Last)
}

func (e *UnstableError) Unwrap() error { return e.Last }

// NoSpaceError says that writing on would leave less than the reserve.
type NoSpaceError struct {
	Dir           string
	Free, Reserve uint64
}

func (e *NoSpaceError) Error() string {
	return fmt.Sprintf("%s: %d bytes are free, %d must stay free", e.Dir, e.Free, e.Reserve)
}

var (
	errManifestChanged = errors.New("the MANIFEST changed")
	errNoWAL           = errors.New("no WAL is there")
)

const defaultReserve = 256 << 20

func (t Taker) withDefaults() Taker {
	if t.FS == nil {
		t.FS = OS{}
	}
	if t.Attempts == 0 {
		t.Attempts = 50
	}
	if t.Pause == 0 {
		t.Pause = 20 * time.Millisecond
	}
	if t.Reserve == 0 {
		t.Reserve = defaultReserve
	}
	if t.Sleep == nil {
		t.Sleep = pause.For
	}
	if t.Jitter == nil {
		t.Jitter = rand.Float64
	}
	if t.Now == nil {
		t.Now = time.Now
	}
	return t
}

// Take links the named families' tables and the WALs of the live database in dir into the folder stage, which must be on the same file system and not exist, or be left over.
// The server is not stopped, paused or asked. On an error nothing stays behind.
func (t Taker) Take(ctx context.Context, dir, stage string, families []string) (*Staged, error) {
	t = t.withDefaults()
	if err := t.FS.RemoveAll(stage); err != nil {
		return nil, fmt.Errorf("image of %s: %w", dir, err)
	}
	if err := checkSpace(t.FS, dir, t.Reserve); err != nil {
		return nil, fmt.Errorf("image of %s: %w", dir, err)
	}
	var last error
	for attempt := 1; attempt <= t.Attempts; attempt++ {
		if attempt > 1 {
			// Half to one and a half of the pause, so that the attempts do not fall into step with the server's flushes.
			if err := t.Sleep(ctx, time.Duration(float64(t.Pause)*(0.5+t.Jitter()))); err != nil {
				return nil, fmt.Errorf("image of %s: %w", dir, err)
			}
		}
		began := t.Now()
		s := &Staged{Families: families, Attempts: attempt, reserve: t.Reserve}
		last = s.link(ctx, unsynced{t.FS}, dir, stage)
		if last == nil {
			s.Took = t.Now().Sub(began)
			return s, nil
		}
		if err := t.FS.RemoveAll(stage); err != nil {
			return nil, fmt.Errorf("image of %s: %w", dir, errors.Join(last, err))
		}
		if !transient(last) {
			return nil, fmt.Errorf("image of %s: %w", dir, last)
		}
	}
	return nil, fmt.Errorf("image of %s: %w", dir, &UnstableError{Attempts: t.Attempts, Last: last})
}

// transient says whether an error can come from reading what RocksDB is just changing. Damage does not go away, and is reported at once.
func transient(err error) bool {
	var torn *rocksdb.TornError
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errManifestChanged) || errors.Is(err, errNoWAL) || errors.As(err, &torn)
}

func checkSpace(fsys FS, dir string, reserve uint64) error {
	free, err := fsys.Free(dir)
	if err != nil {
		return err
	}
	if free < reserve {
		return &NoSpaceError{Dir: dir, Free: free, Reserve: reserve}
	}
	return nil
}

// maxRounds is how often one attempt follows a MANIFEST that grows. What was linked stays linked, so that each round has only the difference to do.
const maxRounds = 20

// link is one attempt. Its order is its proof: what the MANIFEST named is linked; if the MANIFEST is the same afterwards, nothing that it names was removed before it was linked,
// and the WALs hold a prefix of what was written over exactly those tables: what a killed process leaves.
func (s *Staged) link(ctx context.Context, fsys FS, dir, stage string) error {
	live, err := look(fsys, dir)
	if err != nil {
		return err
	}
	if err := fsys.MkdirAll(stage); err != nil {
		return err
	}
	l := linker{fs: fsys, live: live, stage: stage, families: s.Families, tables: map[uint64]bool{}}
	for s.Rounds = 1; ; s.Rounds++ {
		err := l.round(ctx)
		if err == nil {
			break
		}
		if s.Rounds == maxRounds || !errors.Is(err, errManifestChanged) && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		grown, rereadErr := live.readOn()
		if rereadErr != nil || !grown {
			return errors.Join(rereadErr, err)
		}
	}
	s.Database = Database{Dir: stage, Manifest: live.Manifest, State: live.State, fs: fsys}
	s.WALs, err = l.finish()
	return err
}

// linker links what one live database consists of.
type linker struct {
	fs       FS
	live     *Database
	stage    string
	families []string
	tables   map[uint64]bool // linked
	wals     []uint64        // linked
}

func (l *linker) round(ctx context.Context) error {
	if err := checkFamilies(l.live.State, l.families); err != nil {
		return err
	}
	for _, name := range l.families {
		for _, table := range l.live.State.Family(name).SortedTables() {
			if l.tables[table.Number] {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			file := rocksdb.TableName(table.Number)
			if err := l.fs.Link(join(l.live.Dir, file), join(l.stage, file)); err != nil {
				return err
			}
			if err := checkTable(l.fs, l.stage, table); err != nil {
				return err
			}
			l.tables[table.Number] = true
		}
	}
	if err := l.linkWALs(); err != nil {
		return err
	}
	return unchanged(l.fs, l.live)
}

// linkWALs lists and links until no WAL is new that is older than the newest linked: reading a folder is no snapshot of it.
// Newer ones do not matter: without them the image ends a little earlier.
func (l *linker) linkWALs() error {
	for newest := uint64(math.MaxUint64); ; newest = slices.Max(l.wals) {
		var err error
		if l.live.files, err = l.fs.ReadDir(l.live.Dir); err != nil {
			return err
		}
		more := false
		for _, number := range l.live.walNumbers(l.families) {
			if number >= newest || slices.Contains(l.wals, number) {
				continue
			}
			file := rocksdb.WALName(number)
			if err := l.fs.Link(join(l.live.Dir, file), join(l.stage, file)); err != nil {
				return err
			}
			l.wals, more = append(l.wals, number), true
		}
		if !more {
			break
		}
	}
	if len(l.wals) == 0 {
		return errNoWAL // a live database always has one
	}
	return nil
}

// finish takes out what an earlier round linked and the last MANIFEST no longer names, and fixes the WALs' lengths.
func (l *linker) finish() (wals []WAL, err error) {
	for number := range l.tables {
		named := slices.ContainsFunc(l.families, func(name string) bool { _, ok := l.live.State.Family(name).Tables[number]; return ok })
		if !named {
			if err := l.fs.RemoveAll(join(l.stage, rocksdb.TableName(number))); err != nil {
				return nil, err
			}
		}
	}
	slices.Sort(l.wals)
	first := l.live.State.FirstWAL(l.families)
	for _, number := range l.wals {
		file := join(l.stage, rocksdb.WALName(number))
		if number < first {
			if err := l.fs.RemoveAll(file); err != nil {
				return nil, err
			}
			continue
		}
		info, err := l.fs.Stat(file)
		if err != nil {
			return nil, err
		}
		wals = append(wals, WAL{Number: number, Size: info.Size, ModTime: info.ModTime})
	}
	if len(wals) == 0 {
		return nil, errNoWAL
	}
	return wals, nil
}

func unchanged(fsys FS, live *Database) error {
	current, err := ReadSmall(fsys, join(live.Dir, rocksdb.CurrentName), 4096)
	if err != nil {
		return err
	}
	info, err := fsys.Stat(join(live.Dir, live.Manifest))
	if err != nil {
		return err
	}
	if string(current) != string(live.current) || info.Size != live.manifestSize {
		return errManifestChanged
	}
	return nil
}

// Release removes the staging folder, and with it the last names of what RocksDB has deleted meanwhile.
func (s *Staged) Release() error { return s.fs.RemoveAll(s.Dir) }

// CleanStaging removes everything in the folder in which staging folders are made: what a crash left. To be called before the first image after every start.
func CleanStaging(fsys FS, root string) error {
	names, err := fsys.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, fsys.RemoveAll(join(root, name)))
	}
	return errors.Join(append(errs, err)...)
}
