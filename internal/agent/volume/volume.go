package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// Folders in the volume.
const (
	DataDir   = "data"   // RocksDB and raft snapshots
	EngineDir = "engine" // segment files
)

// own is the prefix of the names that this package makes and ignores: temporary files and what a wipe moved aside.
const own = ".robustmq-operator-"

// Folders for images, beside the data: links need the same file system.
const (
	StagingDir   = own + "images"    // images that are taken; gone after every start of the agent
	PlacementDir = own + "placement" // the image that is received to be put in place; it outlives the agent
	SeedFile     = own + "seed.json" // the order to receive it from another member; it outlives the agent
	stoppedFile  = own + "stopped"   // when a server that ran on this volume ended with its pod
)

// Volume is a data volume mounted at Dir.
type Volume struct {
	Dir string
	// crash makes a test end a wipe after one of its steps.
	crash func(step string) error
}

// At returns the volume that is mounted at dir.
func At(dir string) Volume { return Volume{Dir: dir} }

// Path returns a path in the volume.
func (v Volume) Path(name string) string { return filepath.Join(v.Dir, name) }

// Inspect looks at the volume. It reads the marker and names of files, nothing more; errors become the phase Unusable with the reason in words.
func (v Volume) Inspect() protocol.VolumeState {
	state := protocol.VolumeState{Phase: protocol.VolumeUnusable}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(v.Dir, &disk); err != nil {
		state.Message = fmt.Sprintf("%s: %v", v.Dir, err)
		return state
	}
	block := int64(disk.Bsize) //nolint:unconvert // int32 on some platforms
	state.UsedBytes, state.FreeBytes = int64(disk.Blocks-disk.Bfree)*block, int64(disk.Bavail)*block
	state.CapacityBytes = int64(disk.Blocks) * block
	marker, err := v.readMarker()
	if err != nil {
		state.Message = err.Error()
		return state
	}
	state.Marker = marker
	initialised, err := v.initialised()
	if err != nil {
		state.Message = err.Error()
		return state
	}
	if initialised {
		state.Phase = protocol.VolumeInitialised
		return state
	}
	if marker == nil {
		// Without a marker anything that is not ours is somebody's data. With one, what stands here without CURRENT is a database whose making was cut short, and RocksDB makes it anew.
		found, err := v.strange()
		if err != nil {
			state.Message = err.Error()
			return state
		}
		if found != "" {
			state.Phase, state.Message = protocol.VolumeInitialised, found+" is in it"
			return state
		}
	}
	state.Phase = protocol.VolumeEmpty
	return state
}

// CheckWritable makes a file and removes it: permissions, read-only mounts and full disks show only so.
func (v Volume) CheckWritable() error {
	f, err := os.CreateTemp(v.Dir, own+"probe-")
	if err != nil {
		return fmt.Errorf("the volume cannot be written: %w", err)
	}
	_, err = f.Write([]byte("x"))
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}

// NoteStopped writes down that the server on this volume ended at a time, because its pod does. Nothing is lost with the note: without it a start takes its time.
func (v Volume) NoteStopped(at time.Time) error {
	return os.WriteFile(v.Path(stoppedFile), []byte(at.UTC().Format(time.RFC3339Nano)), 0o600)
}

// Stopped is when the last server that ended with its pod did; false when that is not known.
func (v Volume) Stopped() (time.Time, bool) {
	content, err := os.ReadFile(v.Path(stoppedFile))
	if err != nil {
		return time.Time{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, string(content))
	return at, err == nil
}

// initialised reports whether RocksDB's CURRENT is there: _rocksdb since RobustMQ 0.4.1, _data before.
func (v Volume) initialised() (bool, error) {
	for _, dir := range []string{"_rocksdb", "_data"} {
		_, err := os.Stat(filepath.Join(v.Dir, DataDir, dir, "CURRENT"))
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			return false, fmt.Errorf("data folder: %w", err)
		}
	}
	return false, nil
}

// strange returns a file that is neither the file system's (lost+found) nor ours; empty folders do not count.
func (v Volume) strange() (string, error) {
	var found string
	err := filepath.WalkDir(v.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(v.Dir, path)
		if err != nil {
			return err
		}
		switch {
		case rel == ".":
			return nil
		case entry.IsDir() && (rel == "lost+found" || strings.HasPrefix(rel, own)):
			return filepath.SkipDir
		case entry.IsDir(), strings.HasPrefix(rel, own):
			return nil
		}
		found = rel
		return filepath.SkipAll
	})
	if err != nil {
		return "", fmt.Errorf("the volume cannot be read: %w", err)
	}
	return found, nil
}
