// Package rocksdb reads and writes the three kinds of RocksDB files that name a database's contents without being its tables: write-ahead logs, MANIFESTs and CURRENT;
// and it reads OPTIONS files for what would make the others mean something else.
//
// It is strict: what it does not know is an error that names it, because a backup that silently leaves something out cannot be restored.
// It opens no files and knows nothing of RobustMQ; package image does.
//
// Layouts, integers little endian, "varint" = LEB128, "string" = varint length and bytes. Sources: RocksDB 8.10.0, the version that RobustMQ 0.4.11 links
// (db/log_format.h, db/version_edit.h and .cc, db/dbformat.h, db/write_batch.cc, file/filename.cc, options/options_parser.cc), and directories recorded from the real server.
// The table of every record and field is in ../README.md.
package rocksdb
