package rocksdb

import (
	"fmt"
	"strings"
)

// TornError says that a file ends within a record: what a crash, or a read while somebody writes, leaves. Everything before Offset was read.
type TornError struct {
	Offset int64 // behind the last complete record
	What   string
}

func (e *TornError) Error() string {
	return fmt.Sprintf("torn behind byte %d: %s", e.Offset, e.What)
}

// CorruptError says that bytes are wrong in a way that no crash explains: valid data follows them, or a record with a right checksum makes no sense.
type CorruptError struct {
	Offset int64 // of the record or fragment in its file; -1 when not known
	What   string
}

func (e *CorruptError) Error() string {
	if e.Offset < 0 {
		return "corrupt: " + e.What
	}
	return fmt.Sprintf("corrupt at byte %d: %s", e.Offset, e.What)
}

// UnsupportedError names what is valid RocksDB, or could be, and not handled here.
type UnsupportedError struct {
	Features []string
}

func (e *UnsupportedError) Error() string {
	return "not supported: " + strings.Join(e.Features, "; ")
}

func unsupported(format string, args ...any) error {
	return &UnsupportedError{Features: []string{fmt.Sprintf(format, args...)}}
}

// TooLargeError says that a record, or what is kept of it, is larger than the reader may hold in memory.
type TooLargeError struct {
	What  string
	Limit int // bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s is larger than %d bytes", e.What, e.Limit)
}

func corrupt(format string, args ...any) error {
	return &CorruptError{Offset: -1, What: fmt.Sprintf(format, args...)}
}
