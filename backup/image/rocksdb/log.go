package rocksdb

import (
	"hash/crc32"
	"math/bits"
)

// The framing that WALs and MANIFESTs share (db/log_format.h): blocks of BlockSize; in them fragments of a record, each a header and its payload; a fragment never crosses a block.
// Header: u32 masked CRC-32C of type and payload | u16 length of the payload | u8 type. A block's last 0 to 6 bytes, too few for a header, are zero.
const (
	BlockSize  = 32768
	headerSize = 7
	// recycledHeaderSize has the low 32 bits of the log number behind the type, inside the checksum.
	recycledHeaderSize = 11
)

// Types of fragments (db/log_format.h; 33 and 34 came with RocksDB 9.11).
const (
	zeroType              = 0 // preallocated space
	fullType              = 1
	firstType             = 2
	middleType            = 3
	lastType              = 4
	recycledFullType      = 5
	recycledLastType      = 8
	compressionType       = 9
	timestampSizeType     = 10
	recycledTimestampType = 11
	predecessorType       = 33
	recycledPredecessor   = 34
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskDelta and the rotation keep a checksum that is stored beside the data it covers from looking like data (util/crc32c.h).
const maskDelta = 0xa282ead8

func mask(crc uint32) uint32 { return bits.RotateLeft32(crc, -15) + maskDelta }

func checksum(typeAndPayload []byte) uint32 { return mask(crc32.Checksum(typeAndPayload, castagnoli)) }

func recycled(t byte) bool {
	return t >= recycledFullType && t <= recycledLastType || t == recycledTimestampType || t == recycledPredecessor
}

// foreign names a type of fragment that is valid in RocksDB and refused here; empty when there is no such type.
func foreign(t byte) string {
	switch {
	case recycled(t):
		return "recycled WAL (recycle_log_file_num)"
	case t == compressionType:
		return "compressed WAL (wal_compression)"
	case t == timestampSizeType:
		return "user-defined timestamps in the WAL"
	case t == predecessorType:
		return "WAL that verifies its predecessor (track_and_verify_wals)"
	}
	return ""
}
