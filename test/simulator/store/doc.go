// Package store is the database of a simulated server: a small RocksDB in Go, whose folders RocksDB opens, and which opens RobustMQ's.
//
// It has what a backup, a seed and a restore meet: WALs and MANIFESTs (by package backup/image/rocksdb), tables (package table), CURRENT, OPTIONS, IDENTITY, LOCK and LOG; five column
// families, each with a log number of its own; a flush of every family that is not empty at each start, and of one alone when its memtable is full, so that under messages the WALs
// pile up that metadata keep alive; compactions, a new MANIFEST at each start, and the deletion of what is no longer needed.
//
// Unlike RocksDB it flushes and compacts while the writer waits, compacts a family as a whole to level 6, and keeps no more than WALs and memtables open. Nothing is synced: a killed
// process loses nothing, a power cut may lose what was last written, as with RobustMQ up to 0.4.11.
package store
