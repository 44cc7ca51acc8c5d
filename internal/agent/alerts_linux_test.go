package agent

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const inNamespace = "ROBUSTMQ_TEST_IN_MOUNT_NAMESPACE"

// ownMounts runs the test again in a process whose mounts nobody else sees, and returns false in the one that did so. Where the kernel does not let this user have such a thing the test is skipped.
func ownMounts(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inNamespace) != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if cmd.Process == nil {
		t.Skipf("no mount namespace: %v", err)
	}
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("in its namespace: %v", err)
	}
	return false
}

const (
	diskSize = 64 << 20
	percent  = diskSize / 100
)

// disk gives a pod a volume of diskSize bytes.
func (p *pod) disk() {
	p.w.t.Helper()
	p.w.timings.VolumePoll = 10 * time.Millisecond
	if err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, ""); err != nil {
		p.w.t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", p.Paths.VolumeDir, "tmpfs", 0, fmt.Sprintf("size=%d", diskSize)); err != nil {
		p.w.t.Fatal(err)
	}
	p.w.t.Cleanup(func() { _ = syscall.Unmount(p.Paths.VolumeDir, syscall.MNT_DETACH) })
}

// watchedDisk is a member that runs on a volume of diskSize bytes, and who watches it.
func watchedDisk(t *testing.T) (*pod, *watch) {
	t.Helper()
	p := alone(newWorld(t))
	p.disk()
	p.initialised(nil).start().eventually("it runs", runs)
	return p, newWatch(t, p)
}

// fill has a file of so many bytes on the volume, and waits until the agent has seen it.
func (p *pod) fill(bytes int64) {
	p.w.t.Helper()
	f, err := os.OpenFile(filepath.Join(p.Paths.VolumeDir, "data", "filling"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		p.w.t.Fatal(err)
	}
	if err := f.Truncate(0); err != nil {
		p.w.t.Fatal(err)
	}
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, bytes); err != nil {
		p.w.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		p.w.t.Fatal(err)
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(p.Paths.VolumeDir, &disk); err != nil {
		p.w.t.Fatal(err)
	}
	eventually(p.w.t, "the agent sees how full the volume is", func() bool {
		return p.agent.State(p.w.t.Context()).Volume.FreeBytes == int64(disk.Bavail)*disk.Bsize
	}, func() any { return disk.Bavail })
}

func TestAlertsVolumeFillingAndVolumeFullFireWhileTheFileSystemHasLittleLeft(t *testing.T) {
	if !ownMounts(t) {
		return
	}
	p, w := watchedDisk(t)
	p.fill(50 * percent)
	w.lasts(10 * time.Minute)
	filling := w.since()
	p.fill(85 * percent)
	w.lasts(10 * time.Minute)
	w.Quiet(0, "RobustMQVolumeFull")
	full := w.since()
	p.fill(97 * percent)
	w.lasts(10 * time.Minute)
	emptied := w.since()
	p.fill(50 * percent)
	w.lasts(5 * time.Minute)
	w.Fires("RobustMQVolumeFilling", 0, filling, emptied)
	w.Fires("RobustMQVolumeFull", 0, full, emptied)
	w.Quiet(0, "RobustMQVolumeFillsSoon")
}

func TestAlertVolumeFillsSoonFiresWhileAVolumeGrowsThatWouldNotLastADay(t *testing.T) {
	if !ownMounts(t) {
		return
	}
	p, w := watchedDisk(t)
	used := int64(40)
	p.fill(used * percent)
	w.lasts(6 * time.Hour)
	w.Quiet(0, "RobustMQVolumeFillsSoon")
	cause := w.since()
	for range 13 { // six of a hundred an hour
		used += 3
		p.fill(used * percent)
		w.lasts(30 * time.Minute)
	}
	cure := w.since()
	p.fill(20 * percent) // somebody has tidied up
	w.lasts(time.Hour)
	w.Fires("RobustMQVolumeFillsSoon", 0, cause, cure)
}
