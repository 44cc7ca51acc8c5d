package table

import "bytes"

// Scanner reads the entries of a table in order: by key, and the newest of a key first. It holds one data block and the handles of one index block.
type Scanner struct {
	t        *Table
	pending  [][]handle // by level of the index, the top one first: what is still to be read
	data     block
	have     bool // an entry was read
	user     []byte
	sequence uint64
	seen     uint64
	began    bool
}

// Scan begins at the first entry.
func (t *Table) Scan() *Scanner {
	return &Scanner{t: t, pending: make([][]handle, t.levels), seen: uint64(len(t.Ranges))}
}

// Next reads an entry; false at the end, where everything that the table's properties count has been read. A key that is out of order or of a kind that is not known is an error.
// Errors are the file's, and *FormatError; after one there is nothing more to read.
func (s *Scanner) Next() (e Entry, ok bool, err error) {
	for {
		value, ok, err := s.data.next()
		if err != nil {
			return Entry{}, false, err
		}
		if ok {
			return s.entry(value)
		}
		more, err := s.nextBlock()
		if err != nil {
			return Entry{}, false, err
		}
		if !more {
			if s.seen != s.t.entries {
				return Entry{}, false, wrong("%d entries, the properties say %d", s.seen, s.t.entries)
			}
			return Entry{}, false, nil
		}
	}
}

func (s *Scanner) entry(value []byte) (Entry, bool, error) {
	user, sequence, kind, err := splitKey(s.data.key)
	if err != nil {
		return Entry{}, false, err
	}
	s.seen++
	if order := bytes.Compare(user, s.user); s.have && (order < 0 || order == 0 && sequence >= s.sequence) {
		return Entry{}, false, wrong("an entry is out of order")
	}
	s.user, s.sequence, s.have = append(s.user[:0], user...), sequence, true
	e := Entry{Key: user, Sequence: sequence, Value: value}
	switch kind {
	case typePut:
	case typeDelete, typeSingleDelete:
		e.Delete, e.Value = true, nil
	default:
		return Entry{}, false, wrong("entries of type %d are not read here", kind)
	}
	return e, true, nil
}

// nextBlock goes on to the next data block, through the index.
func (s *Scanner) nextBlock() (bool, error) {
	if !s.began {
		s.began = true
		if err := s.descend(0, s.t.index); err != nil {
			return false, err
		}
	}
	for level := len(s.pending) - 1; level >= 0; {
		if len(s.pending[level]) == 0 {
			level--
			continue
		}
		h := s.pending[level][0]
		s.pending[level] = s.pending[level][1:]
		if level < len(s.pending)-1 {
			if err := s.descend(level+1, h); err != nil {
				return false, err
			}
			level++
			continue
		}
		content, err := s.t.content(h)
		if err != nil {
			return false, err
		}
		s.data, err = openBlock(content)
		return err == nil, err
	}
	return false, nil
}

func (s *Scanner) descend(level int, h handle) error {
	content, err := s.t.content(h)
	if err != nil {
		return err
	}
	s.pending[level], err = handles(content, s.t.differences)
	return err
}
