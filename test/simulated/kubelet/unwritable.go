package kubelet

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// ErrCannotMakeUnwritable says that this process may write everywhere and may not set the immutable flag either.
var ErrCannotMakeUnwritable = errors.New("neither permissions nor the immutable flag can keep this process from writing")

// SetUnwritable makes a pod's data volumes refuse writes (as a disk whose owner does not match, or one remounted read-only after an error), or takes that back.
// It acts on volumes that exist at once, and on others when they are mounted.
func (k *Kubelet) SetUnwritable(pod string, on bool) error {
	k.mu.Lock()
	k.unwritable[pod] = on
	w := k.names[pod]
	k.mu.Unlock()
	if w == nil {
		return nil
	}
	for _, uid := range w.claimsOf() {
		if err := setWritable(k.ClaimDir(uid), !on); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

func (w *worker) writable(dir string) error {
	w.k.mu.Lock()
	on := w.k.unwritable[w.name]
	w.k.mu.Unlock()
	if !on {
		return nil
	}
	return setWritable(dir, false)
}

// setWritable uses permissions, and the immutable flag for root, whom permissions do not hold.
func setWritable(dir string, writable bool) error {
	if os.Geteuid() != 0 {
		mode := os.FileMode(0o770)
		if !writable {
			mode = 0o550
		}
		return os.Chmod(dir, mode)
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	flags, err := unix.IoctlGetInt(int(d.Fd()), unix.FS_IOC_GETFLAGS)
	if err == nil {
		flags &^= unix.STATX_ATTR_IMMUTABLE
		if !writable {
			flags |= unix.STATX_ATTR_IMMUTABLE // the flag's value is the same in both interfaces (FS_IMMUTABLE_FL, 0x10)
		}
		err = unix.IoctlSetPointerInt(int(d.Fd()), unix.FS_IOC_SETFLAGS, flags)
	}
	if err != nil {
		return errors.Join(ErrCannotMakeUnwritable, err)
	}
	return nil
}
