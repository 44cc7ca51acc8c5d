// Package table reads RocksDB's block-based tables (SSTs) as streams, block by block: for the census of what a member holds, and for nothing else. An image opens no table.
//
// Layout (R: RocksDB 8.10.0, table/format.h and .cc, table/block_based/*; S: seen in tables recorded from RobustMQ 0.4.11):
//
//	data blocks, index partitions, filters, range_del block, properties, metaindex, index, footer
//
// A block is followed by a byte that says how it is compressed and a checksum of both. The footer has 53 bytes: type of checksum, handles of metaindex and index padded to 40 bytes,
// format version (u32), magic number (u64). A handle is offset and size as varints. Keys in data blocks are the user's key and a u64 of sequence<<8|type.
//
// What is not known is refused by name (*FormatError): another format version, checksum, compression, index or kind of entry could mean that keys are overlooked.
package table
