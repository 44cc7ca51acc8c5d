package image

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/backup/image/table"
)

// eachLive passes on the keys that a family's tables show, with their values, in order: of every key the newest version, unless it or a deletion of a range says that it is gone.
func eachLive(ctx context.Context, db *Database, family *rocksdb.Family, visit func(key, value []byte)) (err error) {
	var m merger
	defer func() { err = errors.Join(err, m.close()) }()
	deleted, err := rangesOf(db, family)
	if err != nil {
		return err
	}
	for _, run := range runs(family) {
		s := &stream{db: db, tables: run}
		m.streams = append(m.streams, s)
		if err := s.advance(); err != nil {
			return err
		}
		if s.live {
			heap.Push(&m.order, s)
		}
	}
	var last []byte
	first := true
	for len(m.order) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		s := m.order[0]
		if e := s.entry; first || !bytes.Equal(e.Key, last) {
			first, last = false, append(last[:0], e.Key...)
			if cut, ok := deleted.cover(string(e.Key)); !e.Delete && (!ok || cut < e.Sequence) {
				visit(e.Key, e.Value)
			}
		}
		if err := s.advance(); err != nil {
			return err
		}
		if s.live {
			heap.Fix(&m.order, 0)
		} else {
			heap.Pop(&m.order)
		}
	}
	return nil
}

// runs are rows of tables that do not overlap: each table of level 0 for itself, and every deeper level as one. So few are open at once.
func runs(family *rocksdb.Family) [][]rocksdb.NewFile {
	levels := map[uint32][]rocksdb.NewFile{}
	var out [][]rocksdb.NewFile
	for _, t := range family.SortedTables() {
		if t.Level == 0 {
			out = append(out, []rocksdb.NewFile{t})
		} else {
			levels[t.Level] = append(levels[t.Level], t)
		}
	}
	for _, level := range slices.Sorted(maps.Keys(levels)) {
		run := levels[level]
		slices.SortFunc(run, func(a, b rocksdb.NewFile) int { return bytes.Compare(smallest(a), smallest(b)) })
		out = append(out, run)
	}
	return out
}

// smallest is a table's first key, nil where the MANIFEST's record of it makes no sense; reading the table then says so.
func smallest(t rocksdb.NewFile) []byte {
	key, _, err := t.Boundaries()
	if err != nil {
		return nil
	}
	return key
}

// rangesOf reads the range deletions of all tables. One is in force only within its table's boundaries: what a compaction has cut off is stored with the next table as well, and may be gone
// there with all that it deleted.
func rangesOf(db *Database, family *rocksdb.Family) (erasures, error) {
	var all []erasure
	for _, file := range family.SortedTables() {
		o, err := openTable(db, file)
		if err != nil {
			return nil, err
		}
		ranges := o.Ranges
		if err := o.Close(); err != nil {
			return nil, err
		}
		if len(ranges) == 0 {
			continue
		}
		from, to, err := file.Boundaries()
		if err != nil {
			return nil, err
		}
		first, _, err := table.Split(from)
		if err != nil {
			return nil, err
		}
		last, open, err := table.Split(to)
		if err != nil {
			return nil, err
		}
		end := string(last)
		if !open {
			end += "\x00" // the first key behind it
		}
		for _, r := range ranges {
			all = append(all, erasure{max(string(r.From), string(first)), min(string(r.To), end), r.Sequence})
		}
	}
	return pieces(all), nil
}

// openedTable is a table with its file.
type openedTable struct {
	*table.Table
	io.Closer
}

func openTable(db *Database, file rocksdb.NewFile) (*openedTable, error) {
	name := rocksdb.TableName(file.Number)
	f, err := db.fs.Open(join(db.Dir, name))
	if err != nil {
		return nil, err
	}
	at, ok := f.(io.ReaderAt)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s: the file system reads only from the start", name), f.Close())
	}
	t, err := table.Open(at, int64(file.Size))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	return &openedTable{t, f}, nil
}

// merger brings the runs of a family together.
type merger struct {
	streams []*stream
	order   streamHeap
}

func (m *merger) close() error {
	var errs []error
	for _, s := range m.streams {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}

// stream reads the tables of a run, one after the other.
type stream struct {
	db     *Database
	tables []rocksdb.NewFile
	open   *openedTable
	scan   *table.Scanner
	entry  table.Entry
	live   bool // entry is there
	last   []byte
}

func (s *stream) advance() error {
	if s.live {
		s.last = append(s.last[:0], s.entry.Key...)
	}
	s.live = false
	for {
		if s.scan == nil {
			if len(s.tables) == 0 {
				return nil
			}
			var err error
			if s.open, err = openTable(s.db, s.tables[0]); err != nil {
				return err
			}
			s.scan = s.open.Scan()
		}
		name := rocksdb.TableName(s.tables[0].Number)
		e, ok, err := s.scan.Next()
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		case ok && bytes.Compare(e.Key, s.last) < 0:
			return fmt.Errorf("%s: %w", name, &rocksdb.CorruptError{Offset: -1, What: "it overlaps the table before it on the same level"})
		case ok:
			s.entry, s.live = e, true
			return nil
		}
		if err := s.close(); err != nil {
			return err
		}
		s.tables = s.tables[1:]
	}
}

func (s *stream) close() error {
	if s.open == nil {
		return nil
	}
	err := s.open.Close()
	s.open, s.scan = nil, nil
	return err
}

// streamHeap has the smallest key in front, and of equal ones the newest.
type streamHeap []*stream

func (h streamHeap) Len() int { return len(h) }
func (h streamHeap) Less(i, j int) bool {
	return cmp.Or(bytes.Compare(h[i].entry.Key, h[j].entry.Key), cmp.Compare(h[j].entry.Sequence, h[i].entry.Sequence)) < 0
}
func (h streamHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *streamHeap) Push(x any)   { *h = append(*h, x.(*stream)) } //nolint:forcetypeassert // only eachLive pushes, and it pushes streams
func (h *streamHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
