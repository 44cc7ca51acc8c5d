//go:build !linux

package store

import (
	"errors"
	"os"
	"syscall"
)

// lockFile see lock_linux.go. Elsewhere it keeps only other simulated servers out.
func lockFile(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}
