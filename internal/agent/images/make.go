package images

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/pause"
)

// make is the maker of one image.
func (s *Source) make(t *taking) {
	defer close(t.made)
	s.o.Log.Info("image", "id", t.image.ID)
	err := errors.New("the agent failed at it; its server was not touched")
	s.o.Guard("image", func() { err = s.take(t.ctx, t) })
	if err == nil {
		s.ready(t)
		return
	}
	var gone *goneError
	switch cause := context.Cause(t.ctx); {
	case cause == nil:
	case errors.As(cause, &gone), errors.Is(cause, context.Canceled): // who removes it, or ends the agent, needs no reason
		return
	default:
		err = cause
	}
	s.fail(t, err)
	t.cancel(err)
	if err := s.remove(t); err != nil {
		s.o.Log.Error("image", "error", err)
	}
}

func (s *Source) ready(t *taking) {
	s.mu.Lock()
	t.image.Phase = protocol.ImageReady
	t.image.TookMillis = s.o.Now().Sub(t.image.Asked).Milliseconds()
	s.renew(t)
	done := t.summary()
	s.mu.Unlock()
	s.o.Log.Info("image is ready", "id", done.ID, "millis", done.TookMillis, "attempts", done.Attempts, "walBytes", done.WALBytes)
	s.o.Ended(done)
}

// fail makes an image Failed, once.
func (s *Source) fail(t *taking, err error) {
	s.mu.Lock()
	if t.image.Phase == protocol.ImageFailed {
		s.mu.Unlock()
		return
	}
	t.image.Phase, t.image.Files, t.image.Groups = protocol.ImageFailed, nil, nil
	t.image.Reason, t.image.Message = failure(err)
	t.image.TookMillis = s.o.Now().Sub(t.image.Asked).Milliseconds()
	done := t.summary()
	s.mu.Unlock()
	s.o.Log.Warn("image failed", "id", done.ID, "reason", done.Reason, "message", done.Message)
	s.o.Ended(done)
}

// take links, builds and hashes.
func (s *Source) take(ctx context.Context, t *taking) error {
	if err := s.o.FS.MkdirAll(t.folder); err != nil {
		return err
	}
	staged, groups, err := s.link(ctx, t)
	if err != nil {
		return err
	}
	s.mu.Lock()
	for _, wal := range staged.WALs {
		t.image.WALBytes += wal.Size
	}
	s.mu.Unlock()
	result, err := staged.Extract(ctx, t.database(), image.Cache{Dir: filepath.Join(s.o.Root, "cache")})
	if err = errors.Join(err, staged.Release()); err != nil {
		return err
	}
	files, err := s.hashes.of(ctx, s.o.FS, t.database(), result.Files())
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.image.Files, t.image.Groups = files, groups
	return nil
}

// link makes links until the raft state was the same before and after.
func (s *Source) link(ctx context.Context, t *taking) (*image.Staged, map[string]protocol.ImageGroup, error) {
	taker := image.Taker{FS: s.ledger, Reserve: s.o.Reserve, Now: s.o.Now}
	for attempt := 1; ; attempt++ {
		staged, groups, err := s.once(ctx, t, taker)
		var raft *raftError
		var server *serverError
		if err == nil || attempt == s.o.Attempts || !errors.As(err, &raft) && !errors.As(err, &server) {
			return staged, groups, err
		}
		s.o.Log.Info("image: once more", "id", t.image.ID, "because", err)
		if pause.For(ctx, jittered(s.o.Pause)) != nil {
			return nil, nil, ctx.Err()
		}
	}
}

func (s *Source) once(ctx context.Context, t *taking, taker image.Taker) (*image.Staged, map[string]protocol.ImageGroup, error) {
	before, err := s.o.Ask(ctx)
	if err != nil {
		return nil, nil, &serverError{fmt.Errorf("before the image: %w", err)}
	}
	// What cannot be in an image need not be linked first.
	if _, err := agree(before.Status, before.Status, before.Groups, t.changing); err != nil {
		return nil, nil, err
	}
	staged, err := taker.Take(ctx, s.o.Database(), t.links(), image.MetadataFamilies)
	if err != nil {
		return nil, nil, err
	}
	taken := s.o.Now().UTC()
	s.mu.Lock()
	t.image.Attempts += staged.Attempts
	t.image.Taken, t.image.LinkMillis = &taken, staged.Took.Milliseconds()
	s.mu.Unlock()
	groups, err := s.check(ctx, t, before)
	if err != nil {
		return nil, nil, errors.Join(err, staged.Release())
	}
	return staged, groups, nil
}

// check asks the server again and compares.
func (s *Source) check(ctx context.Context, t *taking, before Server) (map[string]protocol.ImageGroup, error) {
	after, err := s.o.Ask(ctx)
	if err != nil {
		return nil, &serverError{fmt.Errorf("behind the image: %w", err)}
	}
	if after.Process != before.Process {
		return nil, &serverError{errors.New("the server was started again meanwhile")}
	}
	return agree(before.Status, after.Status, before.Groups, t.changing)
}
