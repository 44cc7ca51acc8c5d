// Package image makes images of the placement centre's database while the server runs, takes the metadata out of them, and puts them in place: all on RocksDB's files,
// without RocksDB. No table is read for that; a census, which tells what a member holds, reads them. What is in the files is package rocksdb's business; README.md has every record with the source of each fact.
package image
