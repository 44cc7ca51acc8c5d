package seeding

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// record is a seed as it is kept in the volume.
type record struct {
	Order protocol.SeedOrder `json:"order"`
	Seed  protocol.Seed      `json:"seed"`
}

// maxRecord bounds a record: an order with the votes and positions of a few groups.
const maxRecord = 256 << 10

// parseRecord reads what was written by an agent, perhaps another version of it.
func parseRecord(content []byte) (*record, error) {
	r := &record{}
	if err := json.Unmarshal(content, r); err != nil {
		return nil, fmt.Errorf("the order in the volume cannot be read: %w", err)
	}
	if err := check(r.Order); err != nil {
		return nil, fmt.Errorf("the order in the volume: %w", err)
	}
	switch r.Seed.Phase {
	case protocol.SeedImaging, protocol.SeedReceiving, protocol.SeedPlacing, protocol.SeedPlaced, protocol.SeedFailed:
	default:
		return nil, fmt.Errorf("the order in the volume has an unknown phase %.80q", r.Seed.Phase)
	}
	if r.Seed.ID != r.Order.ID {
		return nil, fmt.Errorf("the order in the volume is %.80q and its state of %.80q", r.Order.ID, r.Seed.ID)
	}
	return r, nil
}

// load reads the record; nil when there is none.
func (s *Seeder) load() (*record, error) {
	content, err := image.ReadSmall(s.o.FS, s.o.File, maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // no seed, and nothing wrong
	}
	if err != nil {
		return nil, fmt.Errorf("the order in the volume: %w", err)
	}
	return parseRecord(content)
}

// save writes the record so that a power cut leaves the old or the new one.
func (s *Seeder) save(r record) error {
	content, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("seed %s: %w", r.Order.ID, err)
	}
	err = image.ReplaceFile(s.o.FS, s.o.File, content)
	if err != nil {
		return fmt.Errorf("seed %s: %w", r.Order.ID, err)
	}
	return nil
}

// remove removes the record.
func (s *Seeder) remove() error {
	if err := errors.Join(s.o.FS.RemoveAll(s.o.File), s.o.FS.Sync(filepath.Dir(s.o.File))); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	return nil
}
