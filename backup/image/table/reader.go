package table

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// maxBlock bounds what one block may be in memory: RocksDB's have a few KiB, or one value.
const maxBlock = 256 << 20

// unzstd is one for all: its DecodeAll may be called at any time by anybody.
var unzstd = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlock))
})

// Entry is one version of one key. Its slices are valid until the next one is read.
type Entry struct {
	Key      []byte
	Sequence uint64
	Delete   bool
	Value    []byte
}

// Range is a deletion of the keys from From up to, without, To that are older than Sequence.
type Range struct {
	From, To []byte
	Sequence uint64
}

// Table is an open table, which several Scanners may read at once. It holds its range deletions and one index block at most; who reads it holds one data block.
type Table struct {
	// Ranges are the range deletions, as they are stored: they may reach over the table's boundaries, within which alone they are in force.
	Ranges []Range

	file        io.ReaderAt
	size        uint64
	checksum    byte
	levels      int // of the index
	differences bool
	index       handle
	entries     uint64 // points and ranges, as the properties say
}

// Open reads a table's footer, properties and range deletions; size is the file's, in bytes. The file must stay open as long as the table is read. Errors are the file's, and *FormatError.
func Open(file io.ReaderAt, size int64) (*Table, error) {
	t := &Table{file: file, size: uint64(max(0, size)), levels: 1}
	if t.size < footerSize {
		return nil, wrong("%d bytes", size)
	}
	var footer [footerSize]byte
	if err := t.readAt(footer[:], t.size-footerSize); err != nil {
		return nil, err
	}
	if m := binary.LittleEndian.Uint64(footer[footerSize-8:]); m != magic {
		return nil, wrong("no block-based table: magic number %016x", m)
	}
	// From version 6 on checksums depend on where a block is; below 2 the footer is another one.
	if v := binary.LittleEndian.Uint32(footer[footerSize-12:]); v < 2 || v > formatVersion {
		return nil, wrong("format version %d is not read here, 2 to %d are", v, formatVersion)
	}
	t.checksum = footer[0]
	meta, rest, err := readHandle(footer[1 : footerSize-12])
	if err != nil {
		return nil, err
	}
	if t.index, _, err = readHandle(rest); err != nil {
		return nil, err
	}
	if err := t.readMeta(meta); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Table) readAt(b []byte, offset uint64) error {
	if n, err := t.file.ReadAt(b, int64(offset)); n < len(b) {
		return fmt.Errorf("table: reading %d bytes at %d: %w", len(b), offset, err)
	}
	return nil
}

// readMeta reads what the other blocks say: the metaindex names them.
func (t *Table) readMeta(h handle) error {
	var properties, ranges *handle
	err := t.eachOf(h, func(key, value []byte) error {
		at, _, err := readHandle(value)
		switch string(key) {
		case metaProperties:
			properties = &at
		case metaRangeDel:
			ranges = &at
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case properties == nil:
		return wrong("no properties")
	}
	if err := t.eachOf(*properties, t.property); err != nil {
		return err
	}
	if ranges == nil {
		return nil
	}
	return t.eachOf(*ranges, func(key, to []byte) error {
		from, sequence, kind, err := splitKey(key)
		if err != nil {
			return err
		}
		if kind != typeRangeDelete {
			return wrong("an entry of type %d among the deleted ranges", kind)
		}
		t.Ranges = append(t.Ranges, Range{From: bytes.Clone(from), To: bytes.Clone(to), Sequence: sequence})
		return nil
	})
}

func (t *Table) property(key, value []byte) error {
	switch string(key) {
	case propertyIndexType:
		if len(value) != 4 {
			return wrong("an index type of %d bytes", len(value))
		}
		switch kind := binary.LittleEndian.Uint32(value); kind {
		case indexBinary:
		case indexTwoLevel:
			t.levels = 2
		default:
			return wrong("index type %d is not read here", kind)
		}
	case propertyDifference:
		n, _ := binary.Uvarint(value)
		t.differences = n != 0
	case propertyEntries:
		t.entries, _ = binary.Uvarint(value)
	case propertyExternal:
		return wrong("a table that was ingested, whose sequences are not its keys'")
	case propertyComparator:
		if string(value) != comparator {
			return wrong("comparator %q", value)
		}
	}
	return nil
}

func (t *Table) eachOf(h handle, visit func(key, value []byte) error) error {
	content, err := t.content(h)
	if err != nil {
		return err
	}
	return each(content, visit)
}

// content returns a block, checked and unpacked.
func (t *Table) content(h handle) ([]byte, error) {
	if h.offset > t.size || h.size > t.size || h.offset+h.size+blockTrailer > t.size {
		return nil, wrong("a block of %d bytes at %d, behind the end", h.size, h.offset)
	}
	if h.size > maxBlock {
		return nil, wrong("a block of %d bytes", h.size)
	}
	content := make([]byte, h.size+blockTrailer)
	if err := t.readAt(content, h.offset); err != nil {
		return nil, err
	}
	content, trailer := content[:h.size:h.size], content[h.size:]
	compression := trailer[0]
	sum, known := checksum(t.checksum, content, compression)
	if !known {
		return nil, wrong("checksum type %d is not read here", t.checksum)
	}
	if sum != binary.LittleEndian.Uint32(trailer[1:]) {
		return nil, wrong("the checksum of the block at %d is wrong", h.offset)
	}
	if compression == compressionNone {
		return content, nil
	}
	out, err := unpack(content, compression)
	if err != nil {
		return nil, wrong("the block at %d does not unpack: %v", h.offset, err)
	}
	return out, nil
}

// unpack undoes a compression. All have the unpacked size in front (R util/compression.h, format version 2).
func unpack(content []byte, compression byte) (out []byte, err error) {
	size, n := binary.Uvarint(content)
	if n <= 0 || size > maxBlock {
		return nil, wrong("it has no size")
	}
	switch compression {
	case compressionLZ4:
		out, err = unpackLZ4(content[n:], int(size))
	case compressionZSTD:
		var d *zstd.Decoder
		if d, err = unzstd(); err == nil {
			out, err = d.DecodeAll(content[n:], nil)
		}
	default:
		return nil, wrong("compression type %d is not read here", compression)
	}
	if err != nil {
		return nil, err
	}
	if uint64(len(out)) != size {
		return nil, wrong("%d bytes instead of %d", len(out), size)
	}
	return out, nil
}
