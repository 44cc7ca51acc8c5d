package process

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Reaper collects the children that nobody waits for: as process 1 (or child subreaper) every orphan of the server becomes one. It never collects a child that was started
// through it, whose status belongs to exec.Cmd.Wait.
type Reaper struct {
	mu   sync.Mutex // held over fork and registration, so that a child that dies at once is known before it can be seen
	mine map[int]bool
}

// NewReaper makes this process the one that orphans fall to.
func NewReaper() (*Reaper, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, os.NewSyscallError("prctl PR_SET_CHILD_SUBREAPER", err)
	}
	return &Reaper{mine: map[int]bool{}}, nil
}

func (r *Reaper) start(cmd *exec.Cmd) error {
	if r == nil {
		return cmd.Start()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	r.mine[cmd.Process.Pid] = true
	return nil
}

func (r *Reaper) forget(pid int) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.mine, pid)
}

// retry is how soon to look again while one of our own children, which somebody is about to collect, hides the others behind it.
const retry = 50 * time.Millisecond

// Run collects orphans whenever wake delivers (SIGCHLD) until done is closed.
func (r *Reaper) Run(done <-chan struct{}, wake <-chan os.Signal) {
	var again <-chan time.Time
	for {
		select {
		case <-done:
			return
		case <-wake:
		case <-again:
		}
		again = nil
		if !r.collect() {
			again = time.After(retry)
		}
	}
}

// collect returns false when it has to come back.
func (r *Reaper) collect() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		pid, err := peek()
		switch {
		case err != nil || pid == 0:
			return true
		case r.mine[pid]:
			return false
		}
		var status unix.WaitStatus
		if _, err := unix.Wait4(pid, &status, unix.WNOHANG, nil); err != nil && !errors.Is(err, syscall.EINTR) {
			return true
		}
	}
}

// peek returns a child that has ended and leaves it as it is; 0 when there is none.
func peek() (int, error) {
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EINTR) {
			return 0, os.NewSyscallError("waitid", err)
		}
	}
	if info.Signo == 0 {
		return 0, nil
	}
	// si_pid is the first number of the union, which starts at 16 on 64-bit machines (siginfo_t of the kernel's uapi).
	raw := (*[unsafe.Sizeof(info)]byte)(unsafe.Pointer(&info)) //nolint:gosec // reading a kernel structure whose fields x/sys does not name
	return int(binary.NativeEndian.Uint32(raw[16:20])), nil
}
