package seeding

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// localError is a failure of this pod's own volume: the donor cannot help.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }
func (e *localError) Unwrap() error { return e.err }

// damagedTwice is how often a file may arrive whole and be another one than was announced.
const damagedTwice = 2

// receive receives every file that is not here yet, from where an earlier stream ended.
func (s *Seeder) receive(ctx context.Context, now *seed) error {
	damaged := map[string]int{}
	return s.patiently(ctx, now, func(donor Donor) error {
		// Files were announced by the image of this very ID. A donor that was started again does not know it any more, and says so.
		p, err := s.o.Target.Get(now.Order.ID)
		if err != nil {
			return &localError{err}
		}
		for _, file := range p.Files {
			if file.Verified {
				continue
			}
			err := s.file(ctx, donor, now.Order.ID, file)
			if isReason(err, protocol.ReasonBadData) || isReason(err, protocol.ReasonBadRequest) {
				if damaged[file.Name]++; damaged[file.Name] > damagedTwice {
					return &failure{protocol.ImageCorrupt, err.Error()}
				}
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// file receives one file, or the rest of it. What is wrong with the stream is told apart from what is wrong with the volume.
func (s *Seeder) file(ctx context.Context, donor Donor, id string, file protocol.PlacedFile) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body := io.NopCloser(io.Reader(nothing{}))
	if file.Received < file.Size { // else only the check of the whole file is missing
		var err error
		if body, err = donor.ImageFile(ctx, id, file.Name, file.Received); err != nil {
			return err
		}
	}
	defer body.Close()
	stream := &stream{body: body, idle: time.AfterFunc(s.o.Idle, cancel), limit: s.o.Idle}
	defer stream.idle.Stop()
	// What arrived is verified and noted also when the seed is called off just then.
	placed, err := s.o.Target.Put(context.WithoutCancel(ctx), id, file.Name, file.Received, stream)
	switch {
	case stream.err != nil:
		return fmt.Errorf("file %s from byte %d on: %w", file.Name, file.Received, stream.err)
	case isReason(err, protocol.ReasonBadData), isReason(err, protocol.ReasonBadRequest), isReason(err, protocol.ReasonBusy):
		return err
	case err != nil:
		return &localError{err}
	case !placed.Verified:
		return fmt.Errorf("file %s ended after %d of %d bytes", file.Name, placed.Received, file.Size)
	}
	return nil
}

// nothing is the body of a file that is all here.
type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, io.EOF }

// stream is a body that may be slow, but not silent, and that remembers what went wrong with it.
type stream struct {
	body  io.Reader
	idle  *time.Timer // ends the request
	limit time.Duration
	err   error
}

func (s *stream) Read(p []byte) (int, error) {
	s.idle.Reset(s.limit)
	n, err := s.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}
