package images

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// serverError says that the server could not be asked, or is another one than it was.
type serverError struct{ err error }

func (e *serverError) Error() string { return e.err.Error() }
func (e *serverError) Unwrap() error { return e.err }

// raftError says that vote or membership were not the same before and after, or cannot be in an image.
type raftError struct{ what string }

func (e *raftError) Error() string { return e.what }

// LimitError says that what is written for images would need more than its limit.
type LimitError struct {
	Limit int64 // bytes
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("staging needs more than its limit of %d MiB: a restart in place of the server puts the write-ahead logs that are copied here into tables", e.Limit>>20)
}

// failure finds the reason of a failed image, and words for it.
func failure(err error) (reason, message string) {
	var (
		space       *image.NoSpaceError
		limit       *LimitError
		unstable    *image.UnstableError
		unsupported *rocksdb.UnsupportedError
		large       *rocksdb.TooLargeError
		corrupt     *rocksdb.CorruptError
		torn        *rocksdb.TornError
		gap         *image.SequenceGapError
		raft        *raftError
		server      *serverError
		link        *os.LinkError
	)
	switch message = err.Error(); {
	case errors.As(err, &space), errors.As(err, &limit), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return protocol.ImageNoSpace, message
	case errors.As(err, &raft):
		return protocol.ImageRaftChanged, message
	case errors.As(err, &server):
		return protocol.ImageServerDown, message
	case errors.As(err, &unstable): // before damage: what was read last may look like it
		return protocol.ImageUnstable, message
	case errors.As(err, &unsupported), errors.As(err, &large):
		return protocol.ImageUnsupported, message
	case errors.As(err, &corrupt), errors.As(err, &torn), errors.As(err, &gap):
		return protocol.ImageCorrupt, message
	case errors.As(err, &link) && linkless(link.Err):
		return protocol.ImageUnsupported, message + ": the volume's file system must have hard links"
	}
	return protocol.ImageInternal, message
}

// IsNoSpace reports whether err says that a volume is full.
func IsNoSpace(err error) bool {
	reason, _ := failure(err)
	return reason == protocol.ImageNoSpace
}

// linkless says whether a file system refuses hard links altogether.
func linkless(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EXDEV)
}
