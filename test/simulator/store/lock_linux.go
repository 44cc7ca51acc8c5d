package store

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lockFile takes the lock that RocksDB holds on LOCK: a POSIX one on the whole file (R env/fs_posix.cc, LockOrUnlock). As a lock of the open file it conflicts with every other,
// also with those of the agent and of other simulated servers in the same process.
func lockFile(f *os.File) error {
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return ErrLocked
	}
	return err
}
