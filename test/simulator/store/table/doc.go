// Package table writes and reads RocksDB's block-based tables (SSTs), as far as a simulated server needs it: what it writes, RocksDB opens; what RobustMQ's RocksDB 8.10 wrote, it reads.
//
// Layout (R: RocksDB 8.10.0, table/format.h and .cc, table/block_based/*; S: seen in tables recorded from RobustMQ 0.4.11):
//
//	data blocks, [index partitions, filters,] range_del block, properties, metaindex, index, footer
//
// A block is followed by a byte that says how it is compressed and a checksum of both. The footer has 53 bytes: type of checksum, handles of metaindex and index padded to 40 bytes,
// format version (u32), magic number (u64). A handle is offset and size as varints. Keys in data blocks are the user's key and a u64 of sequence<<8|type.
//
// Written are format version 5 and XXH3 checksums (as RobustMQ's, S), without compression, filters and partitions of the index, which RobustMQ's tables have: RocksDB finds in the
// properties which of them a table has. Read are LZ4 and ZSTD besides, and two-level indexes with values as differences.
package table
