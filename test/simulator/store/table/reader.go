package table

import (
	"encoding/binary"

	"github.com/klauspost/compress/zstd"
)

// maxBlock bounds what a compressed block may unpack to: RocksDB's have a few KiB, or one value.
const maxBlock = 512 << 20

// reader reads a table that is in memory.
type reader struct {
	file        []byte
	checksum    byte
	differences bool // in the values of index blocks
	entries     uint64
	unzstd      *zstd.Decoder // made at the first block that needs it
	last        []byte
	c           Contents
}

// Read reads a table: of every key what is newest in it. The contents share memory with file.
//
// It is strict: a wrong checksum, an entry out of order or one that is neither a put nor a deletion is an error, as is what it does not know of the format.
func Read(file []byte) (*Contents, error) {
	r := &reader{file: file}
	err := r.read()
	if r.unzstd != nil {
		r.unzstd.Close()
	}
	if err != nil {
		return nil, err
	}
	return &r.c, nil
}

func (r *reader) read() error {
	if len(r.file) < footerSize {
		return wrong("%d bytes", len(r.file))
	}
	footer := r.file[len(r.file)-footerSize:]
	if m := binary.LittleEndian.Uint64(footer[footerSize-8:]); m != magic {
		return wrong("no block-based table: magic number %016x", m)
	}
	if v := binary.LittleEndian.Uint32(footer[footerSize-12:]); v < 2 || v > formatVersion {
		return wrong("format version %d is not read here, 2 to %d are", v, formatVersion)
	}
	r.checksum = footer[0]
	metaHandle, rest, err := readHandle(footer[1 : footerSize-12])
	if err != nil {
		return err
	}
	indexHandle, _, err := readHandle(rest)
	if err != nil {
		return err
	}
	meta, err := r.meta(metaHandle)
	if err != nil {
		return err
	}
	if err := r.index(indexHandle, meta.levels); err != nil {
		return err
	}
	if meta.ranges != nil {
		if err := r.block(*meta.ranges, r.deletedRange); err != nil {
			return err
		}
	}
	if r.entries != meta.entries {
		return wrong("%d entries, the properties say %d", r.entries, meta.entries)
	}
	return nil
}

// index reads all data blocks below an index block.
func (r *reader) index(h handle, levels int) error {
	content, err := r.content(h)
	if err != nil {
		return err
	}
	return eachHandle(content, r.differences, func(h handle) error {
		if levels > 1 {
			return r.index(h, levels-1)
		}
		return r.block(h, r.entry)
	})
}

func (r *reader) block(h handle, visit func(key, value []byte) error) error {
	content, err := r.content(h)
	if err != nil {
		return err
	}
	return each(content, visit)
}

// metadata is what the other blocks say.
type metadata struct {
	levels  int // of the index
	ranges  *handle
	entries uint64 // points and ranges
}

func (r *reader) meta(h handle) (metadata, error) {
	m := metadata{levels: 1}
	var properties *handle
	err := r.block(h, func(key, value []byte) error {
		at, _, err := readHandle(value)
		switch string(key) {
		case metaProperties:
			properties = &at
		case metaRangeDel:
			m.ranges = &at
		}
		return err
	})
	if err != nil {
		return m, err
	}
	if properties == nil {
		return m, wrong("no properties")
	}
	return m, r.block(*properties, func(key, value []byte) error {
		switch string(key) {
		case propertyIndexType:
			if len(value) != 4 {
				return wrong("an index type of %d bytes", len(value))
			}
			switch kind := binary.LittleEndian.Uint32(value); kind {
			case indexBinary:
			case indexTwoLevel:
				m.levels = 2
			default:
				return wrong("index type %d is not read here", kind)
			}
		case propertyDifference:
			n, _ := binary.Uvarint(value)
			r.differences = n != 0
		case propertyEntries:
			m.entries, _ = binary.Uvarint(value)
		case propertyExternal:
			return wrong("a table that was ingested, whose sequences are not its keys'")
		case propertyComparator:
			if string(value) != comparator {
				return wrong("comparator %q", value)
			}
		}
		return nil
	})
}

// content returns a block, checked and unpacked.
func (r *reader) content(h handle) ([]byte, error) {
	size := uint64(len(r.file))
	if h.offset > size || h.size > size || h.offset+h.size+blockTrailer > size {
		return nil, wrong("a block of %d bytes at %d, behind the end", h.size, h.offset)
	}
	content, trailer := r.file[h.offset:h.offset+h.size:h.offset+h.size], r.file[h.offset+h.size:]
	compression := trailer[0]
	sum, known := checksum(r.checksum, content, compression)
	if !known {
		return nil, wrong("checksum type %d is not read here", r.checksum)
	}
	if r.checksum != checksumNone && sum != binary.LittleEndian.Uint32(trailer[1:]) {
		return nil, wrong("the checksum of the block at %d is wrong", h.offset)
	}
	if compression == compressionNone {
		return content, nil
	}
	// Both have the unpacked size in front (R util/compression.h, format version 2).
	unpacked, n := binary.Uvarint(content)
	if n <= 0 || unpacked > maxBlock {
		return nil, wrong("the compressed block at %d has no size", h.offset)
	}
	var out []byte
	var err error
	switch compression {
	case compressionLZ4:
		out, err = unpackLZ4(content[n:], int(unpacked))
	case compressionZSTD:
		if r.unzstd == nil {
			if r.unzstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlock)); err != nil {
				return nil, err
			}
		}
		out, err = r.unzstd.DecodeAll(content[n:], nil)
	default:
		return nil, wrong("compression type %d is not read here", compression)
	}
	if err != nil {
		return nil, wrong("the block at %d does not unpack: %v", h.offset, err)
	}
	if uint64(len(out)) != unpacked {
		return nil, wrong("the block at %d unpacks to %d bytes instead of %d", h.offset, len(out), unpacked)
	}
	return out, nil
}

func (r *reader) entry(key, value []byte) error {
	user, sequence, kind, err := splitKey(key)
	if err != nil {
		return err
	}
	r.entries++
	if r.last != nil && compare(key, r.last) <= 0 {
		return wrong("an entry is out of order")
	}
	older := r.last != nil && string(r.last[:len(r.last)-keyTrailer]) == string(user)
	r.last = key
	if older {
		return nil // RocksDB keeps older versions that a snapshot of a reader still sees
	}
	switch kind {
	case typePut:
		r.c.Entries = append(r.c.Entries, Entry{Key: user, Sequence: sequence, Value: value})
	case typeDelete, typeSingleDelete:
		r.c.Entries = append(r.c.Entries, Entry{Key: user, Sequence: sequence, Delete: true})
	default:
		return wrong("entries of type %d are not read here", kind)
	}
	return nil
}

func (r *reader) deletedRange(key, to []byte) error {
	from, sequence, kind, err := splitKey(key)
	if err != nil {
		return err
	}
	if kind != typeRangeDelete {
		return wrong("an entry of type %d among the deleted ranges", kind)
	}
	r.entries++
	r.c.Ranges = append(r.c.Ranges, Range{From: from, To: to, Sequence: sequence})
	return nil
}
