// Package table writes RocksDB's block-based tables (SSTs), as far as a simulated server needs it, and reads whole ones with backup/image/table, whose doc.go has their layout.
//
// Written are format version 5 and XXH3 checksums (as RobustMQ's, S), without compression, filters and partitions of the index, which RobustMQ's tables have: RocksDB finds in the
// properties which of them a table has, and opens what is written here. R: RocksDB 8.10.0; S: seen in tables recorded from RobustMQ 0.4.11.
package table
