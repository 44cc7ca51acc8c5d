package table

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"slices"

	"github.com/zeebo/xxh3"
)

// Origin goes into the table's properties: RocksDB makes the table's unique id of the last three.
type Origin struct {
	Family   string
	FamilyID uint32
	Created  int64  // Unix seconds
	Database string // content of IDENTITY
	Session  string // 20 digits of base 36 in capitals, new at every opening
	Number   uint64 // of the file
}

// Summary is what a MANIFEST says of a table. The boundaries are internal keys.
type Summary struct {
	Size                              uint64
	Smallest, Largest                 []byte
	SmallestSequence, LargestSequence uint64
}

const (
	blockSize       = 4096 // of a data block, before it is full
	restartInterval = 16
	hugeInterval    = 1 << 30 // the properties block has one restart
)

type writer struct {
	w      io.Writer
	offset uint64
	err    error
}

// block writes one with its trailer.
func (w *writer) block(content []byte) handle {
	h := handle{w.offset, uint64(len(content))}
	sum := uint32(xxh3.Hash(content)) // as it is where nothing is compressed (R table/format.cc, ModifyChecksumForLastByte; S)
	w.write(binary.LittleEndian.AppendUint32(append(content, compressionNone), sum))
	return h
}

func (w *writer) write(b []byte) {
	if w.err == nil {
		_, w.err = w.w.Write(b)
	}
	w.offset += uint64(len(b))
}

// Write writes a table. It must have an entry or a range; the order is the caller's to keep.
func Write(out io.Writer, o Origin, c Contents) (Summary, error) {
	if len(c.Entries)+len(c.Ranges) == 0 {
		return Summary{}, errors.New("table: nothing to write")
	}
	s := summarise(c)
	w := &writer{w: out}
	data, index := blockBuilder{interval: restartInterval}, blockBuilder{interval: 1}
	var p properties
	for i, e := range c.Entries {
		kind := byte(typePut)
		if e.Delete {
			kind = typeDelete
			p.deleted++
		}
		key := internalKey(e.Key, e.Sequence, kind)
		data.add(key, e.Value)
		p.keyBytes += uint64(len(key))
		p.valueBytes += uint64(len(e.Value))
		if len(data.buf) >= blockSize || i == len(c.Entries)-1 {
			// The last key of a block is no less than any in it and less than all behind it: a separator, if not the shortest.
			index.add(key, w.block(data.finish()).append(nil))
			p.blocks++
		}
	}
	p.dataBytes = w.offset
	meta := blockBuilder{interval: 1}
	var deleted handle
	if len(c.Ranges) > 0 {
		ranges := blockBuilder{interval: 1}
		for _, r := range c.Ranges {
			key := internalKey(r.From, r.Sequence, typeRangeDelete)
			ranges.add(key, r.To)
			p.keyBytes += uint64(len(key))
			p.valueBytes += uint64(len(r.To))
		}
		deleted = w.block(ranges.finish())
	}
	p.ranges = uint64(len(c.Ranges))
	p.deleted += p.ranges
	p.entries = uint64(len(c.Entries)) + p.ranges
	content := index.finish()
	p.indexBytes = uint64(len(content)) + blockTrailer
	meta.add([]byte(metaProperties), w.block(p.block(o)).append(nil))
	if len(c.Ranges) > 0 {
		meta.add([]byte(metaRangeDel), deleted.append(nil))
	}
	metaHandle := w.block(meta.finish())
	indexHandle := w.block(content)
	footer := indexHandle.append(metaHandle.append([]byte{checksumXXH3}))
	footer = append(footer, make([]byte, footerSize-12-len(footer))...)
	footer = binary.LittleEndian.AppendUint32(footer, formatVersion)
	w.write(binary.LittleEndian.AppendUint64(footer, magic))
	s.Size = w.offset
	return s, w.err
}

// summarise finds the boundaries. A range reaches up to its end with the greatest sequence, which is what RocksDB writes for a key that is not in it (R db/dbformat.h, kMaxSequenceNumber).
func summarise(c Contents) Summary {
	s := Summary{SmallestSequence: maxSequence}
	sequence := func(n uint64) {
		s.SmallestSequence, s.LargestSequence = min(s.SmallestSequence, n), max(s.LargestSequence, n)
	}
	bound := func(smallest, largest []byte) {
		if s.Smallest == nil || compare(smallest, s.Smallest) < 0 {
			s.Smallest = smallest
		}
		if s.Largest == nil || compare(largest, s.Largest) > 0 {
			s.Largest = largest
		}
	}
	for i, e := range c.Entries {
		sequence(e.Sequence)
		if i == 0 || i == len(c.Entries)-1 {
			kind := byte(typePut)
			if e.Delete {
				kind = typeDelete
			}
			key := internalKey(e.Key, e.Sequence, kind)
			bound(key, key)
		}
	}
	for _, r := range c.Ranges {
		sequence(r.Sequence)
		bound(internalKey(r.From, r.Sequence, typeRangeDelete), internalKey(r.To, maxSequence, typeRangeDelete))
	}
	return s
}

// compare orders internal keys: by the user's key, then the newest first.
func compare(a, b []byte) int {
	n, m := len(a)-keyTrailer, len(b)-keyTrailer
	if c := bytes.Compare(a[:n], b[:m]); c != 0 {
		return c
	}
	x, y := binary.LittleEndian.Uint64(a[n:]), binary.LittleEndian.Uint64(b[m:])
	switch {
	case x > y:
		return -1
	case x < y:
		return 1
	}
	return 0
}

type properties struct {
	entries, deleted, ranges, blocks            uint64
	keyBytes, valueBytes, dataBytes, indexBytes uint64
}

// block is the properties block, by name (R table/meta_blocks.cc, PropertyBlockBuilder; the names and values that RobustMQ's tables have, S, except for what they have and these have not).
func (p properties) block(o Origin) []byte {
	number := func(v uint64) string { return string(binary.AppendUvarint(nil, v)) }
	all := map[string]string{
		propertyIndexType: string(binary.LittleEndian.AppendUint32(nil, indexBinary)),
		"rocksdb.block.based.table.prefix.filtering":    "0",
		"rocksdb.block.based.table.whole.key.filtering": "0",
		"rocksdb.column.family.id":                      number(uint64(o.FamilyID)),
		"rocksdb.column.family.name":                    o.Family,
		propertyComparator:                              comparator,
		"rocksdb.compression":                           "NoCompression",
		"rocksdb.creating.db.identity":                  o.Database,
		"rocksdb.creating.session.identity":             o.Session,
		"rocksdb.creating.host.identity":                "simulator",
		"rocksdb.creation.time":                         number(uint64(o.Created)),
		"rocksdb.data.size":                             number(p.dataBytes),
		"rocksdb.deleted.keys":                          number(p.deleted),
		"rocksdb.file.creation.time":                    number(uint64(o.Created)),
		"rocksdb.filter.size":                           number(0),
		"rocksdb.fixed.key.length":                      number(0),
		"rocksdb.format.version":                        number(0),
		propertyUserKeys:                                number(0),
		"rocksdb.index.size":                            number(p.indexBytes),
		propertyDifference:                              number(0),
		"rocksdb.merge.operands":                        number(0),
		"rocksdb.merge.operator":                        "nullptr",
		"rocksdb.num.data.blocks":                       number(p.blocks),
		propertyEntries:                                 number(p.entries),
		"rocksdb.num.range-deletions":                   number(p.ranges),
		"rocksdb.oldest.key.time":                       number(0),
		"rocksdb.original.file.number":                  number(o.Number),
		"rocksdb.property.collectors":                   "[]",
		"rocksdb.raw.key.size":                          number(p.keyBytes),
		"rocksdb.raw.value.size":                        number(p.valueBytes),
	}
	b := blockBuilder{interval: hugeInterval}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		b.add([]byte(name), []byte(all[name]))
	}
	return b.finish()
}
