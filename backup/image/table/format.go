package table

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"

	"github.com/zeebo/xxh3"
)

// Types of internal keys (R db/dbformat.h, ValueType).
const (
	typeDelete       = 0x0
	typePut          = 0x1
	typeSingleDelete = 0x7
	typeRangeDelete  = 0xf
)

const (
	keyTrailer    = 8 // of sequence and type
	blockTrailer  = 5
	footerSize    = 53
	formatVersion = 5
	magic         = 0x88e241b785f4cff7 // of block-based tables
)

// Types of checksums (R include/rocksdb/table.h, ChecksumType). RobustMQ's tables have XXH3 (S).
const (
	checksumCRC32C = 1
	checksumXXH3   = 4
)

// Types of compression (R include/rocksdb/compression_type.h). RobustMQ's upper levels have none, the middle ones LZ4, the lowest ZSTD (S, OPTIONS).
const (
	compressionNone = 0
	compressionLZ4  = 4
	compressionZSTD = 7
)

// Names in the metaindex and of properties.
const (
	metaProperties = "rocksdb.properties"
	metaRangeDel   = "rocksdb.range_del"

	propertyIndexType  = "rocksdb.block.based.table.index.type"
	propertyDifference = "rocksdb.index.value.is.delta.encoded"
	propertyEntries    = "rocksdb.num.entries"
	propertyExternal   = "rocksdb.external_sst_file.version"
	propertyComparator = "rocksdb.comparator"

	comparator = "leveldb.BytewiseComparator"
)

// Types of indexes (R include/rocksdb/table.h, IndexType).
const (
	indexBinary   = 0
	indexTwoLevel = 2
)

// FormatError says what is wrong with a table, or what of it is not read here.
type FormatError struct{ What string }

func (e *FormatError) Error() string { return "table: " + e.What }

func wrong(format string, args ...any) error { return &FormatError{fmt.Sprintf(format, args...)} }

// handle is where a block is; its trailer is not counted.
type handle struct{ offset, size uint64 }

func readHandle(b []byte) (handle, []byte, error) {
	offset, n := binary.Uvarint(b)
	if n <= 0 {
		return handle{}, nil, wrong("a block handle is cut")
	}
	size, m := binary.Uvarint(b[n:])
	if m <= 0 {
		return handle{}, nil, wrong("a block handle is cut")
	}
	return handle{offset, size}, b[n+m:], nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum covers a block and, behind it, the byte that says how it is compressed. XXH3 is taken without that byte and mixed with it (R table/format.cc, ModifyChecksumForLastByte; S).
func checksum(kind byte, block []byte, compression byte) (uint32, bool) {
	switch kind {
	case checksumCRC32C:
		crc := crc32.Update(crc32.Checksum(block, castagnoli), castagnoli, []byte{compression})
		return bits.RotateLeft32(crc, -15) + 0xa282ead8, true
	case checksumXXH3:
		return uint32(xxh3.Hash(block)) ^ uint32(compression)*0x6b9083d9, true
	}
	return 0, false
}

// Split takes an internal key apart, as a MANIFEST names a table's first and last: the user's key, and whether the other one is RocksDB's mark that a deleted range ends before it
// (R db/dbformat.h, kRangeTombstoneSentinel).
func Split(internal []byte) (user []byte, sentinel bool, err error) {
	user, sequence, kind, err := splitKey(internal)
	return user, err == nil && kind == typeRangeDelete && sequence == maxSequence, err
}

const maxSequence = 1<<56 - 1

func splitKey(key []byte) (user []byte, sequence uint64, kind byte, err error) {
	n := len(key) - keyTrailer
	if n < 0 {
		return nil, 0, 0, wrong("an internal key of %d bytes", len(key))
	}
	trailer := binary.LittleEndian.Uint64(key[n:])
	return key[:n:n], trailer >> 8, byte(trailer), nil
}
