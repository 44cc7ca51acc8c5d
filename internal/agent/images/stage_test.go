package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// stage is a source over a recorded database.
type stage struct {
	t        testing.TB
	database string
	root     string
	disk     *disk
	clock    *clock
	server   *server
	source   *Source
	cancel   context.CancelFunc

	mu    sync.Mutex
	ended []protocol.Image
}

func newStage(t testing.TB, recorded string, adjust func(*SourceOptions)) *stage {
	t.Helper()
	root, database := volumeOf(t, recorded)
	s := &stage{t: t, database: database, root: filepath.Join(root, ".staging"), disk: &disk{}, clock: &clock{now: time.Unix(1e9, 0)}, server: &server{answers: []func() (Server, error){says(1, calm())}}}
	s.restart(adjust)
	return s
}

// restart is a new agent over the same volume.
func (s *stage) restart(adjust func(*SourceOptions)) {
	s.t.Helper()
	o := SourceOptions{
		FS: s.disk, Root: s.root, Database: func() string { return s.database }, Ask: s.server.ask, Now: s.clock.Now, Pause: time.Millisecond, Attempts: 5,
		Ended: func(i protocol.Image) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.ended = append(s.ended, i)
		},
	}
	if adjust != nil {
		adjust(&o)
	}
	s.source = NewSource(o)
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	if err := s.source.Start(ctx); err != nil {
		s.t.Fatal(err)
	}
	source := s.source
	s.t.Cleanup(func() {
		cancel()
		source.Wait()
	})
}

// result begins an image and waits until it is Ready or Failed.
func (s *stage) result(id string) protocol.Image {
	s.t.Helper()
	if _, err := s.source.Begin(context.Background(), request(id)); err != nil {
		s.t.Fatal(err)
	}
	return s.await(id)
}

func (s *stage) await(id string) (i protocol.Image) {
	s.t.Helper()
	eventually(s.t, "image "+id+" is ready or failed", func() bool {
		var err error
		if i, err = s.source.Get(id); err != nil {
			s.t.Fatal(err)
		}
		return i.Phase != protocol.ImageStaging
	})
	return i
}

func (s *stage) ready(id string) protocol.Image {
	s.t.Helper()
	i := s.result(id)
	if i.Phase != protocol.ImageReady {
		s.t.Fatalf("%s: %s", i.Reason, i.Message)
	}
	return i
}

// fetch copies an image out, as a Job does, and returns the folder.
func (s *stage) fetch(i protocol.Image) string {
	s.t.Helper()
	dir := s.t.TempDir()
	for _, f := range i.Files {
		stream, err := s.source.Open(i.ID, f.Name)
		if err != nil {
			s.t.Fatal(err)
		}
		content, err := io.ReadAll(stream)
		if err = errors.Join(err, stream.Close(), os.WriteFile(filepath.Join(dir, f.Name), content, 0o600)); err != nil {
			s.t.Fatal(err)
		}
		if sum, size, err := sumOf(context.Background(), OS{}, filepath.Join(dir, f.Name)); err != nil || sum != f.SHA256 || size != f.Size {
			s.t.Errorf("%s: %d bytes with %s, listed as %d with %s (%v)", f.Name, size, sum, f.Size, f.SHA256, err)
		}
	}
	return dir
}

// endedTimes waits until the ends of so many images were told, and checks that there are no more.
func (s *stage) endedTimes(n int) {
	s.t.Helper()
	count := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.ended)
	}
	eventually(s.t, fmt.Sprintf("%d images have ended", n), func() bool { return count() >= n })
	if got := count(); got != n {
		s.t.Errorf("told of %d ends, want %d", got, n)
	}
}
