package table

import "encoding/binary"

// Types of internal keys (R db/dbformat.h, ValueType).
const (
	typeDelete      = 0x0
	typePut         = 0x1
	typeRangeDelete = 0xf
)

const (
	maxSequence   = 1<<56 - 1
	keyTrailer    = 8 // of sequence and type
	blockTrailer  = 5
	footerSize    = 53
	formatVersion = 5
	magic         = 0x88e241b785f4cff7 // of block-based tables
)

// What is written of the types of checksums, compression and indexes (R include/rocksdb/table.h and compression_type.h).
const (
	checksumXXH3    = 4
	compressionNone = 0
	indexBinary     = 0
)

// Names in the metaindex and of properties.
const (
	metaProperties = "rocksdb.properties"
	metaRangeDel   = "rocksdb.range_del"

	propertyIndexType  = "rocksdb.block.based.table.index.type"
	propertyUserKeys   = "rocksdb.index.key.is.user.key"
	propertyDifference = "rocksdb.index.value.is.delta.encoded"
	propertyEntries    = "rocksdb.num.entries"
	propertyComparator = "rocksdb.comparator"
)

const comparator = "leveldb.BytewiseComparator"

// handle is where a block is; its trailer is not counted.
type handle struct{ offset, size uint64 }

func (h handle) append(b []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, h.offset), h.size)
}

func internalKey(key []byte, sequence uint64, kind byte) []byte {
	b := make([]byte, 0, len(key)+keyTrailer)
	return binary.LittleEndian.AppendUint64(append(b, key...), sequence<<8|uint64(kind))
}
