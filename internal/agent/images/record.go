package images

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// record is a placement as it is kept in the volume, so that an agent that was started again knows where it was.
type record struct {
	Request protocol.PlacementRequest `json:"request"`
	Phase   protocol.PlacementPhase   `json:"phase"`
	Reason  string                    `json:"reason,omitempty"`
	Message string                    `json:"message,omitempty"`
	Changed time.Time                 `json:"changed"`
	// Before is what was there when the placing began; nil until then.
	Before *before `json:"before,omitempty"`
	// SHA256 is the digest of what is being put in place, or is; empty until it was read.
	SHA256 string `json:"sha256,omitempty"`
}

// before is what Revert goes back to, and by what it is seen whether the databases were exchanged.
type before struct {
	Marker   *protocol.Marker `json:"marker,omitempty"`
	Folder   bool             `json:"folder"`   // the database's folder was there
	Database bool             `json:"database"` // and a database in it
}

// Names in a placement's folder.
const (
	recordName = "placement.json"
	partsName  = "parts" // files that are being received
	filesName  = "files" // files that are whole and verified: the image
	newName    = ".new"
)

// maxRecord bounds a record: MaxPlacementFiles files of about 150 bytes, twice.
const maxRecord = 4 << 20

// parseRecord reads what was written by an agent, perhaps another version of it.
func parseRecord(content []byte) (*record, error) {
	decoder := json.NewDecoder(bytes.NewReader(content))
	r := &record{}
	if err := decoder.Decode(r); err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", recordName, err)
	}
	if err := checkPlacement(r.Request); err != nil {
		return nil, fmt.Errorf("%s: %w", recordName, err)
	}
	switch r.Phase {
	case protocol.PlacementReceiving, protocol.PlacementReceived, protocol.PlacementReverted:
	case protocol.PlacementPlacing, protocol.PlacementPlaced, protocol.PlacementOpen, protocol.PlacementReverting, protocol.PlacementFailed:
		if r.Before == nil {
			return nil, fmt.Errorf("%s: phase %s, and nothing about what was there before", recordName, r.Phase)
		}
	default:
		return nil, fmt.Errorf("%s: unknown phase %.80q", recordName, r.Phase)
	}
	return r, nil
}

// load reads the record; nil when there is none.
func (t *Target) load() (*record, error) {
	content, err := image.ReadSmall(t.o.FS, filepath.Join(t.o.Dir, recordName), maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // no placement, and nothing wrong
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", recordName, err)
	}
	return parseRecord(content)
}

// save writes the record so that a power cut leaves the old or the new one.
func (t *Target) save(r record) error {
	content, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("placement %s: %w", r.Request.ID, err)
	}
	err = image.ReplaceFile(t.o.FS, filepath.Join(t.o.Dir, recordName), content)
	if err != nil {
		return fmt.Errorf("placement %s: %w", r.Request.ID, err)
	}
	return nil
}
