package images

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// measureEvery is how often the WALs' size is taken, at most.
const measureEvery = 5 * time.Second

// Tick ends leases, gives up an image that holds space which the server needs, and measures the WALs. To be called every second or two.
func (s *Source) Tick() {
	s.expire()
	s.watchSpace()
	s.measure()
}

func (s *Source) expire() {
	s.mu.Lock()
	t := s.now
	over := t != nil && s.o.Now().After(t.image.Expires)
	s.mu.Unlock()
	if !over {
		return
	}
	s.o.Log.Warn("image: nobody asks for it any more", "id", t.image.ID)
	if err := s.drop(t.image.ID, fmt.Errorf("its lease ended: nobody asked for it for %s", s.o.Lease)); err != nil {
		s.o.Log.Error("image", "error", err)
	}
}

// watchSpace: links hold the space of what the server deletes, and an upload may take hours.
func (s *Source) watchSpace() {
	s.mu.Lock()
	t := s.now
	held := t != nil && t.image.Phase != protocol.ImageFailed
	s.mu.Unlock()
	if !held {
		return
	}
	free, err := s.o.FS.Free(s.o.Root)
	if err != nil || free >= s.o.Reserve {
		return
	}
	why := &image.NoSpaceError{Dir: s.o.Root, Free: free, Reserve: s.o.Reserve}
	t.cancel(why)
	<-t.made
	s.fail(t, why)
	if err := s.remove(t); err != nil {
		s.o.Log.Error("image", "error", err)
	}
}

// measure sums up the database's WALs.
func (s *Source) measure() {
	now := s.o.Now()
	s.mu.Lock()
	due := s.measured.IsZero() || now.Sub(s.measured) >= measureEvery
	if due {
		s.measured = now
	}
	s.mu.Unlock()
	if !due {
		return
	}
	total, err := walBytes(s.o.FS, s.o.Database())
	if err != nil {
		s.o.Log.Debug("write-ahead logs", "error", err)
		total = 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.walBytes = total
}

func walBytes(fsys image.FS, dir string) (int64, error) {
	names, err := fsys.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	total := int64(0)
	for _, name := range names {
		if kind, _ := rocksdb.ParseFileName(name); kind != rocksdb.WALFile {
			continue
		}
		info, err := fsys.Stat(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return 0, err
		}
		total += info.Size
	}
	return total, nil
}

// State is what the operator is told with every poll.
func (s *Source) State() protocol.ImagesState {
	state := protocol.ImagesState{StagingBytes: s.ledger.bytes()}
	s.mu.Lock()
	defer s.mu.Unlock()
	state.WALBytes = s.walBytes
	if s.now != nil {
		i := s.now.summary()
		state.Image = &i
	}
	return state
}
