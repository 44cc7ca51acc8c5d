// Package store keeps objects of backups: in an S3 bucket, or in a directory for the day when there is no bucket.
//
// Both are one small interface with the same promises:
//   - an object is either there as a whole or not at all: a Put that fails, or whose content is not what was declared, leaves nothing that a List, Head or Get sees;
//   - Head says size and checksum of what the store holds, so that a backup counts only after it was read back;
//   - errors are of a closed set of kinds, their text says what to do, and no credential is ever part of it.
//
// Memory is bounded by the store, not by the object: an S3 store has a fixed number of buffers of one part each, shared by everything that it uploads.
package store
