package volume

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// maxMarker bounds what is read as a marker.
const maxMarker = 64 << 10

// readMarker returns nil when there is none. One that cannot be understood is an error, so that it is never overwritten: it may be a newer operator's.
func (v Volume) readMarker() (*protocol.Marker, error) {
	raw, err := image.ReadSmall(image.OS{}, v.Path(protocol.MarkerFile), maxMarker)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // no marker, and nothing wrong
	}
	if err != nil {
		return nil, fmt.Errorf("marker: %w", err)
	}
	return ParseMarker(raw)
}

// ParseMarker decodes and checks a marker file.
func ParseMarker(raw []byte) (*protocol.Marker, error) {
	var m protocol.Marker
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("marker %s cannot be read: %w", protocol.MarkerFile, err)
	}
	if m.ClusterUID == "" || m.NodeID == 0 || m.Role == "" || m.Origin == "" {
		return nil, fmt.Errorf("marker %s is incomplete", protocol.MarkerFile)
	}
	return &m, nil
}

// WriteMarker writes the marker so that after a crash at any moment either the old or the new one is there, whole: temporary file, fsync, rename, fsync of the folder.
func (v Volume) WriteMarker(m protocol.Marker) error {
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("marker: %w", err)
	}
	if _, err := ParseMarker(raw); err != nil {
		return err
	}
	f, err := os.CreateTemp(v.Dir, own+"marker-")
	if err != nil {
		return fmt.Errorf("marker: %w", err)
	}
	_, err = f.Write(append(raw, '\n'))
	if err = errors.Join(err, f.Chmod(0o640), f.Sync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("marker: %w", err), os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), v.Path(protocol.MarkerFile)); err != nil {
		return errors.Join(fmt.Errorf("marker: %w", err), os.Remove(f.Name()))
	}
	return syncDir(v.Dir)
}

// RemoveMarker removes the marker, for a volume that has no data.
func (v Volume) RemoveMarker() error {
	if err := os.Remove(v.Path(protocol.MarkerFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("marker: %w", err)
	}
	return syncDir(v.Dir)
}

// SameVolume reports whether two markers name the same life of a volume; what the agent adds by itself does not count.
func SameVolume(a, b protocol.Marker) bool {
	return a.ClusterUID == b.ClusterUID && a.NodeID == b.NodeID && a.Role == b.Role && a.Generation == b.Generation && a.Origin == b.Origin
}

// Wipe empties the volume. The marker is first made to say that there was data: without data it then keeps the gate shut. The data is moved aside first, then the marker goes, then what was moved is deleted: a crash in between leaves a volume whose gate is closed
// (marker that saw data, without data; or nothing), and the next Wipe or Sweep goes on.
func (v Volume) Wipe() error {
	marker, err := v.readMarker()
	if err != nil {
		return fmt.Errorf("wipe: %w", err)
	}
	if marker != nil && !marker.HasData {
		marker.HasData = true
		if err := v.WriteMarker(*marker); err != nil {
			return fmt.Errorf("wipe: %w", err)
		}
	}
	if err := v.did("marked"); err != nil {
		return err
	}
	trash, err := os.MkdirTemp(v.Dir, own+"trash-")
	if err != nil {
		return fmt.Errorf("wipe: %w", err)
	}
	for _, name := range []string{DataDir, EngineDir, PlacementDir, SeedFile, stoppedFile} {
		if err := os.Rename(v.Path(name), filepath.Join(trash, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("wipe: %w", err)
		}
	}
	if err := errors.Join(syncDir(v.Dir), v.did("moved")); err != nil {
		return fmt.Errorf("wipe: %w", err)
	}
	for _, name := range []string{protocol.MarkerFile, protocol.TransferFile} {
		if err := os.Remove(v.Path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("wipe: %w", err)
		}
	}
	if err := errors.Join(syncDir(v.Dir), v.did("forgotten")); err != nil {
		return fmt.Errorf("wipe: %w", err)
	}
	return v.Sweep()
}

func (v Volume) did(step string) error {
	if v.crash == nil {
		return nil
	}
	return v.crash(step)
}

// Sweep removes what an interrupted write or wipe left behind, and what was staged for images. What was received to be put in place stays, and what it was ordered by.
func (v Volume) Sweep() error {
	entries, err := os.ReadDir(v.Dir)
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), own) || entry.Name() == PlacementDir || entry.Name() == SeedFile || entry.Name() == stoppedFile || entry.Name() == protocol.TransferFile {
			continue
		}
		if err := os.RemoveAll(v.Path(entry.Name())); err != nil {
			return fmt.Errorf("sweep: %w", err)
		}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing %s: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("syncing %s: %w", dir, err)
	}
	return nil
}
