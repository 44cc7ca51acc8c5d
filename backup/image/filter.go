package image

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"slices"
	"strings"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
)

// A filtered WAL is what the wanted families did in one WAL: a log of the same framing with the same batches, sequences and family ids, without the other families' operations
// and without batches that have none left; at its end one more record, the trailer. It is how the metadata in gigabytes of messages is read once and not at every backup:
// a WAL that has a successor never changes again.

// trailerMagic begins the trailer. Read as a batch's sequence it would be above the greatest.
const trailerMagic = "RMQWAL\x00\x01"

// trailer ends a filtered WAL. Without it the file is not complete and worth nothing.
type trailer struct {
	Key     string  `json:"key"`
	Summary summary `json:"summary"`
}

// maxTrailer bounds the trailer when it is read.
const maxTrailer = 64 << 10

// spaceStep is how many bytes are written between two looks at the free space.
const spaceStep = 16 << 20

// spaceWriter fails when writing on would leave less than the reserve.
type spaceWriter struct {
	w       io.Writer
	fs      FS
	dir     string
	reserve uint64
	left    int
}

func (s *spaceWriter) Write(p []byte) (int, error) {
	if s.left -= len(p); s.left <= 0 {
		s.left = spaceStep
		if err := checkSpace(s.fs, s.dir, s.reserve); err != nil {
			return 0, err
		}
	}
	return s.w.Write(p)
}

// writeLog makes a new log file and lets fill append to it.
func writeLog(fsys FS, dir, name string, reserve uint64, fill func(*rocksdb.LogWriter) error) (size int64, err error) {
	err = create(fsys, join(dir, name), func(w io.Writer) error {
		buffered := bufio.NewWriterSize(&spaceWriter{w: w, fs: fsys, dir: dir, reserve: reserve, left: spaceStep}, 256<<10)
		log := rocksdb.NewLogWriter(buffered)
		if err := fill(log); err != nil {
			return err
		}
		size = log.Size()
		return buffered.Flush()
	})
	return size, err
}

// writeFiltered filters a WAL into the new file dir/name.
func writeFiltered(ctx context.Context, fsys FS, path string, wal WAL, key string, keep func(uint32) bool, dir, name string, reserve uint64) (summary, error) {
	var s summary
	_, err := writeLog(fsys, dir, name, reserve, func(log *rocksdb.LogWriter) (err error) {
		var record []byte
		s, err = readWAL(ctx, fsys, path, wal, keep, func(b *rocksdb.Batch) error {
			if len(b.Ops) == 0 {
				return nil
			}
			record = b.Append(record[:0])
			return log.Append(record)
		})
		if err != nil {
			return err
		}
		end, err := json.Marshal(trailer{Key: key, Summary: s})
		if err != nil {
			return err
		}
		return log.Append(append([]byte(trailerMagic), end...))
	})
	return s, err
}

// errIncomplete says that a filtered WAL is not what it should be; it is made anew.
var errIncomplete = errors.New("not a complete filtered WAL")

// readFiltered passes on the batches of a filtered WAL and returns its trailer. pass may be nil.
func readFiltered(ctx context.Context, fsys FS, path string, pass func(*rocksdb.Batch) error) (*trailer, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return decodeFiltered(ctx, f, pass)
}

func decodeFiltered(ctx context.Context, r io.Reader, pass func(*rocksdb.Batch) error) (*trailer, error) {
	log := rocksdb.NewLogReader(r)
	var end *trailer
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := log.Next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("%w: %w", errIncomplete, err)
		}
		if end != nil {
			return nil, fmt.Errorf("%w: records behind the trailer", errIncomplete)
		}
		record, err := log.Record(math.MaxInt)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errIncomplete, err)
		}
		if text, ok := strings.CutPrefix(string(record[:min(len(record), maxTrailer)]), trailerMagic); ok {
			end = &trailer{}
			if err := json.Unmarshal([]byte(text), end); err != nil {
				return nil, fmt.Errorf("%w: %w", errIncomplete, err)
			}
			continue
		}
		if pass == nil {
			continue
		}
		b, err := rocksdb.DecodeBatch(rocksdb.Bytes(record), func(uint32) bool { return true }, maxBatch)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errIncomplete, err)
		}
		if err := pass(b); err != nil {
			return nil, err
		}
	}
	if end == nil {
		return nil, fmt.Errorf("%w: no trailer", errIncomplete)
	}
	return end, nil
}

// Cache keeps filtered WALs between images of one database. The folder may be lost or damaged at any time: what is missing is made anew.
type Cache struct {
	Dir string // empty: no cache
}

const filteredSuffix = ".filtered"

// key names the content of a closed WAL and the families that are kept of it. Numbers alone do not do: a database that was put in place counts anew.
func cacheKey(fsys FS, path string, wal WAL, s *rocksdb.State, families []string) (string, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, rocksdb.BlockSize))
	if err != nil {
		return "", err
	}
	kept := make([]string, 0, len(families))
	for _, name := range families {
		kept = append(kept, fmt.Sprintf("%s=%d", name, s.Family(name).ID))
	}
	slices.Sort(kept)
	return fmt.Sprintf("%d/%d/%d/%08x/%s", wal.Number, wal.Size, wal.ModTime.UnixNano(), crc32.ChecksumIEEE(head), strings.Join(kept, ",")), nil
}

// filter returns the path of the filtered form of a closed WAL, from the cache if it is there.
func (c Cache) filter(ctx context.Context, db *Database, wal WAL, families []string, reserve uint64) (path string, s summary, err error) {
	source := join(db.Dir, rocksdb.WALName(wal.Number))
	key, err := cacheKey(db.fs, source, wal, db.State, families)
	if err != nil {
		return "", s, err
	}
	name := fmt.Sprintf("%06d-%08x%s", wal.Number, crc32.ChecksumIEEE([]byte(key)), filteredSuffix)
	path = join(c.Dir, name)
	end, err := readFiltered(ctx, db.fs, path, nil)
	if err == nil && end.Key == key {
		return path, end.Summary, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errIncomplete) {
		return "", s, err
	}
	if err := errors.Join(db.fs.MkdirAll(c.Dir), db.fs.RemoveAll(path), db.fs.RemoveAll(path+".new")); err != nil {
		return "", s, err
	}
	if s, err = writeFiltered(ctx, db.fs, source, wal, key, keepFamilies(db.State, families), c.Dir, name+".new", reserve); err != nil {
		return "", s, errors.Join(err, db.fs.RemoveAll(path+".new"))
	}
	return path, s, db.fs.Rename(path+".new", path)
}

// prune removes what belongs to WALs that are gone.
func (c Cache) prune(fsys FS, used []string) error {
	if c.Dir == "" {
		return nil
	}
	names, err := fsys.ReadDir(c.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, name := range names {
		if path := join(c.Dir, name); !slices.Contains(used, path) {
			errs = append(errs, fsys.RemoveAll(path))
		}
	}
	return errors.Join(errs...)
}
