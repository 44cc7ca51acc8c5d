package rocksdb

import (
	"errors"
	"io"
	"maps"
	"slices"
)

// BytewiseComparator is the only order of keys that RobustMQ's databases use. Range deletions and merges of families rest on it.
const BytewiseComparator = "leveldb.BytewiseComparator"

// DefaultFamily is the column family with id 0, which every database has.
const DefaultFamily = "default"

// maxManifestRecord bounds a MANIFEST's record. The largest lists all tables of a family; 64 MiB are about 400,000 of them.
const maxManifestRecord = 64 << 20

// State is what a MANIFEST says a database consists of.
type State struct {
	Families     map[uint32]*Family // by id
	LastSequence uint64
	NextFile     uint64
	MinLogToKeep uint64
	Edits        int // records read

	end int64 // offset behind the last one
}

// Family is a column family.
type Family struct {
	ID   uint32
	Name string
	// LogNumber is the first WAL that may hold operations which are not in Tables. What older WALs say about the family must be skipped.
	LogNumber uint64
	Tables    map[uint64]NewFile // by number
}

// ReadState replays a MANIFEST. It returns *TornError when the file ends within a record or within an atomic group, as it does while RocksDB writes it.
func ReadState(r io.Reader) (*State, error) {
	s := &State{Families: map[uint32]*Family{0: newFamily(0, DefaultFamily)}}
	if err := s.Continue(r); err != nil {
		return nil, err
	}
	if s.Edits == 0 {
		return nil, &TornError{What: "the MANIFEST is empty"}
	}
	return s, nil
}

// Resume is the offset from which Continue must read: the start of the block in which the last record ended.
func (s *State) Resume() int64 { return s.end - s.end%BlockSize }

// Continue replays what was appended since. After a *TornError the state is what it was before the record, and Continue can be called again; after other errors it is worth nothing.
func (s *State) Continue(r io.Reader) error {
	log := ContinueLogReader(r, s.end)
	var group []*VersionEdit // an atomic group comes into force when it is complete
	for {
		err := log.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		record, err := log.Record(maxManifestRecord)
		if err != nil {
			return err
		}
		e, err := DecodeVersionEdit(record)
		if err != nil {
			return err
		}
		if len(group) > 0 && (e.AtomicRemaining == nil || *e.AtomicRemaining+1 != *group[len(group)-1].AtomicRemaining) {
			return corrupt("record %d interrupts an atomic group", s.Edits+len(group)+1)
		}
		group = append(group, e)
		if e.AtomicRemaining != nil && *e.AtomicRemaining > 0 {
			continue
		}
		for _, e := range group {
			if err := s.apply(e); err != nil {
				return err
			}
		}
		s.Edits += len(group)
		s.end, group = log.End(), nil
	}
	if len(group) > 0 {
		return &TornError{Offset: log.End(), What: "an atomic group is not complete"}
	}
	return nil
}

func newFamily(id uint32, name string) *Family {
	return &Family{ID: id, Name: name, Tables: map[uint64]NewFile{}}
}

func (s *State) apply(e *VersionEdit) error {
	if e.Comparator != nil && *e.Comparator != BytewiseComparator {
		return unsupported("comparator %q", *e.Comparator)
	}
	if e.PrevLog != nil && *e.PrevLog != 0 {
		return unsupported("previous log number %d", *e.PrevLog)
	}
	s.NextFile = max(s.NextFile, value(e.NextFile))
	s.LastSequence = max(s.LastSequence, value(e.LastSequence))
	s.MinLogToKeep = max(s.MinLogToKeep, value(e.MinLogToKeep))
	if s.LastSequence > MaxSequence {
		return corrupt("last sequence %d", s.LastSequence)
	}
	if e.AddFamily != nil {
		if s.Families[e.Family] != nil || s.Family(*e.AddFamily) != nil {
			return corrupt("column family %d %q is added twice", e.Family, *e.AddFamily)
		}
		s.Families[e.Family] = newFamily(e.Family, *e.AddFamily)
	}
	f := s.Families[e.Family]
	if f == nil {
		return corrupt("a record is about column family %d, which does not exist", e.Family)
	}
	if e.DropFamily {
		if e.Family == 0 {
			return corrupt("the default column family is dropped")
		}
		delete(s.Families, e.Family)
		return nil
	}
	f.LogNumber = max(f.LogNumber, value(e.LogNumber))
	// Deletions first: a table that moves to another level is deleted and new in one record.
	for _, d := range e.Deleted {
		if t, ok := f.Tables[d.Number]; !ok || t.Level != d.Level {
			return corrupt("table %d of level %d is deleted from family %q, which does not have it", d.Number, d.Level, f.Name)
		}
		delete(f.Tables, d.Number)
	}
	for _, t := range e.New {
		if s.owner(t.Number) != nil {
			return corrupt("table %d is added twice", t.Number)
		}
		f.Tables[t.Number] = t
		s.NextFile = max(s.NextFile, t.Number+1)
		s.MinLogToKeep = max(s.MinLogToKeep, value(t.MinLogToKeep))
	}
	return nil
}

func (s *State) owner(table uint64) *Family {
	for _, f := range s.Families {
		if _, ok := f.Tables[table]; ok {
			return f
		}
	}
	return nil
}

// Family returns the column family with a name, or nil.
func (s *State) Family(name string) *Family {
	for _, f := range s.Families {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// Sorted returns the families by id.
func (s *State) Sorted() []*Family {
	list := slices.Collect(maps.Values(s.Families))
	slices.SortFunc(list, func(a, b *Family) int { return int(a.ID) - int(b.ID) })
	return list
}

// SortedTables returns the family's tables by number.
func (f *Family) SortedTables() []NewFile {
	list := make([]NewFile, 0, len(f.Tables))
	for _, number := range slices.Sorted(maps.Keys(f.Tables)) {
		list = append(list, f.Tables[number])
	}
	return list
}

// GreatestSequence is the greatest sequence that the MANIFEST or a table names. WALs may hold greater ones.
func (s *State) GreatestSequence() uint64 {
	greatest := s.LastSequence
	for _, f := range s.Families {
		for _, t := range f.Tables {
			greatest = max(greatest, t.LargestSequence)
		}
	}
	return greatest
}

// FirstWAL is the number of the oldest WAL that the named families need; older ones say nothing that their tables do not. Families that do not exist are left out.
func (s *State) FirstWAL(families []string) uint64 {
	var first uint64
	found := false
	for _, f := range s.Families {
		if slices.Contains(families, f.Name) && (!found || f.LogNumber < first) {
			first, found = f.LogNumber, true
		}
	}
	return max(first, s.MinLogToKeep)
}

func value[T uint32 | uint64](v *T) T {
	if v == nil {
		return 0
	}
	return *v
}
