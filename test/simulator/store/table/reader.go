package table

import (
	"bytes"

	"github.com/robustmq/robustmq-operator/backup/image/table"
)

// Entry is the newest that a table knows about a key.
type Entry = table.Entry

// Range deletes what is older of the keys from From up to, without, To.
type Range = table.Range

// Contents of a table: entries in the order of their keys, ranges in that of From.
type Contents struct {
	Entries []Entry
	Ranges  []Range
}

// Read reads a table: of every key what is newest in it. Older versions are there while a snapshot of a reader still sees them.
// A wrong checksum, an entry out of order or of a kind that is not known, and what is not known of the format are errors (*table.FormatError of backup/image/table).
func Read(file []byte) (*Contents, error) {
	t, err := table.Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return nil, err
	}
	c := &Contents{Ranges: t.Ranges}
	for s := t.Scan(); ; {
		e, ok, err := s.Next()
		if err != nil {
			return nil, err
		}
		if !ok {
			return c, nil
		}
		if n := len(c.Entries); n == 0 || !bytes.Equal(e.Key, c.Entries[n-1].Key) {
			c.Entries = append(c.Entries, Entry{Key: bytes.Clone(e.Key), Sequence: e.Sequence, Delete: e.Delete, Value: bytes.Clone(e.Value)})
		}
	}
}
