package store

import (
	"bytes"
	"slices"
	"strings"

	"github.com/robustmq/robustmq-operator/test/simulator/store/table"
)

// memtable is what a family's WALs say that is not in its tables: of every key the newest, and deleted ranges, which reach below into the tables.
type memtable struct {
	points map[string]version
	ranges []table.Range
	bytes  int // of keys and values
}

type version struct {
	sequence uint64
	deleted  bool
	value    []byte
}

func (m *memtable) empty() bool { return len(m.points)+len(m.ranges) == 0 }

// set keeps a put or a deletion. A deletion that has nothing below it is not kept.
func (m *memtable) set(key []byte, v version, tables bool) {
	if m.points == nil {
		m.points = map[string]version{}
	}
	if old, known := m.points[string(key)]; known {
		m.bytes -= len(key) + len(old.value)
	}
	if v.deleted && !tables {
		delete(m.points, string(key))
		return
	}
	m.points[string(key)] = v
	m.bytes += len(key) + len(v.value)
}

// remove deletes a range.
func (m *memtable) remove(from, to []byte, sequence uint64, tables bool) {
	if bytes.Compare(from, to) >= 0 {
		return
	}
	for key, v := range m.points {
		if key >= string(from) && key < string(to) {
			m.bytes -= len(key) + len(v.value)
			delete(m.points, key)
		}
	}
	// What a purge deletes grows from the same start: the new range has the old one in it.
	m.ranges = slices.DeleteFunc(m.ranges, func(r table.Range) bool {
		covered := bytes.Compare(from, r.From) <= 0 && bytes.Compare(r.To, to) <= 0
		if covered {
			m.bytes -= len(r.From) + len(r.To)
		}
		return covered
	})
	if tables {
		m.ranges = append(m.ranges, table.Range{From: from, To: to, Sequence: sequence})
		m.bytes += len(from) + len(to)
	}
}

// contents are what a table of the memtable has.
func (m *memtable) contents() table.Contents {
	c := table.Contents{Entries: make([]table.Entry, 0, len(m.points)), Ranges: slices.Clone(m.ranges)}
	for key, v := range m.points {
		c.Entries = append(c.Entries, table.Entry{Key: []byte(key), Sequence: v.sequence, Delete: v.deleted, Value: v.value})
	}
	slices.SortFunc(c.Entries, func(a, b table.Entry) int { return bytes.Compare(a.Key, b.Key) })
	slices.SortFunc(c.Ranges, func(a, b table.Range) int {
		if c := bytes.Compare(a.From, b.From); c != 0 {
			return c
		}
		return int(b.Sequence) - int(a.Sequence) // the newest first, as internal keys are ordered
	})
	return c
}

// merge makes one of several: the live keys, in order. Sequences decide what is newest, wherever it stands.
func merge(parts []table.Contents) []table.Entry {
	newest := map[string]table.Entry{}
	var ranges []table.Range
	for _, p := range parts {
		for _, e := range p.Entries {
			if old, known := newest[string(e.Key)]; !known || old.Sequence < e.Sequence {
				newest[string(e.Key)] = e
			}
		}
		ranges = append(ranges, p.Ranges...)
	}
	live := make([]table.Entry, 0, len(newest))
	for key, e := range newest {
		gone := slices.ContainsFunc(ranges, func(r table.Range) bool {
			return r.Sequence > e.Sequence && key >= string(r.From) && key < string(r.To)
		})
		if !e.Delete && !gone {
			live = append(live, e)
		}
	}
	slices.SortFunc(live, func(a, b table.Entry) int { return strings.Compare(string(a.Key), string(b.Key)) })
	return live
}
