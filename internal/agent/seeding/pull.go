package seeding

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/images"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/pause"
)

// failure is why a seed ends without its image.
type failure struct {
	reason  string // one of protocol's reasons of a failed seed or image
	message string
}

func (f *failure) Error() string { return f.message }

// releaseWithin bounds the last call to a donor; its image ends with its lease otherwise.
const releaseWithin = 3 * time.Second

// pull is the work of a seed, from wherever an earlier agent left it.
func (s *Seeder) pull(ctx context.Context, now *seed) error {
	p, err := s.o.Target.Get(now.Order.ID)
	if isReason(err, protocol.ReasonNotFound) {
		defer s.release(ctx, now)
		if p, err = s.obtain(ctx, now); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if p.Phase == protocol.PlacementReceiving {
		if err := s.enter(now, protocol.SeedReceiving); err != nil {
			return err
		}
		defer s.release(ctx, now)
		if err := s.receive(ctx, now); err != nil {
			return err
		}
		s.release(ctx, now) // it need not hold its space while this volume's databases are exchanged
	}
	return s.place(ctx, now)
}

// obtain has the donor take its image, judges it and announces it to the target.
func (s *Seeder) obtain(ctx context.Context, now *seed) (protocol.Placement, error) {
	var image protocol.Image
	err := s.patiently(ctx, now, func(donor Donor) error {
		peer, err := donor.Peer(ctx)
		if err != nil {
			return err
		}
		if err := judgePeer(now.Order, peer); err != nil {
			return err
		}
		image, err = s.ready(ctx, donor, now)
		return err
	})
	if err != nil {
		return protocol.Placement{}, err
	}
	if err := judgeImage(now.Order, image.Groups, s.o.Groups()); err != nil {
		return protocol.Placement{}, err
	}
	s.mu.Lock()
	now.Seed.Applied, now.Seed.Message = applied(image.Groups), ""
	s.mu.Unlock()
	return s.o.Target.Begin(placement(now.Order, image.Files))
}

// ready begins the image, or finds the one that was begun, and waits until it is ready. Every question renews its lease.
func (s *Seeder) ready(ctx context.Context, donor Donor, now *seed) (protocol.Image, error) {
	_, err := donor.BeginImage(ctx, protocol.ImageRequest{ID: now.Order.ID, Families: protocol.FamiliesMetadata, Changing: now.Order.Changing})
	for err == nil {
		var image protocol.Image
		image, err = donor.Image(ctx, now.Order.ID)
		switch {
		case err != nil:
		case image.Phase == protocol.ImageReady:
			return image, nil
		case image.Phase == protocol.ImageFailed:
			err = &failure{image.Reason, "the donor's image failed: " + image.Message}
		case pause.For(ctx, s.o.Poll) != nil:
			err = ctx.Err()
		}
	}
	return protocol.Image{}, err
}

// patiently repeats a call until it succeeds, is refused for good, or the donor has failed for longer than Patience without progress: a donor that is gone is replaced by another.
func (s *Seeder) patiently(ctx context.Context, now *seed, call func(Donor) error) error {
	since, had := s.o.Now(), s.bytes(now)
	for {
		begun := s.o.Now()
		err := s.once(now, call)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// No single question lasts so long: a call that did had answers in between.
		if bytes := s.bytes(now); bytes > had || s.o.Now().Sub(begun) >= s.o.Patience {
			since, had = s.o.Now(), bytes
		}
		final := judgeError(err)
		if final != nil {
			return final
		}
		if s.o.Now().Sub(since) >= s.o.Patience {
			if isReason(err, protocol.ReasonBusy) {
				return &failure{protocol.SeedDonorBusy, err.Error()}
			}
			return &failure{protocol.SeedDonorLost, fmt.Sprintf("the donor gave nothing for %s: %v", s.o.Patience, err)}
		}
		s.note(now, err.Error())
		if pause.For(ctx, s.o.Retry) != nil {
			return ctx.Err()
		}
	}
}

// once makes a call with a connection of its own: after a failure nothing of the old one is used, its certificate included.
func (s *Seeder) once(now *seed, call func(Donor) error) error {
	donor, err := s.o.Dial(now.Order)
	if err != nil {
		return err
	}
	defer donor.Close()
	return call(donor)
}

// judgeError says whether repeating a call can help: nil, or how the seed ends.
func judgeError(err error) error {
	var f *failure
	var local *localError
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &local):
		return local.err
	}
	switch reason := client.Reason(err); reason {
	case "", protocol.ReasonBusy, protocol.ReasonInternal: // it did not answer, or will perhaps
		return nil
	case protocol.ReasonNotFound:
		return &failure{protocol.SeedDonorLost, err.Error()}
	case protocol.ReasonServerDown:
		return &failure{protocol.ImageServerDown, err.Error()}
	default:
		return &failure{protocol.SeedDonorWrong, err.Error()}
	}
}

// place puts what was received in place, also when an earlier agent ended while it did.
func (s *Seeder) place(ctx context.Context, now *seed) error {
	if err := s.enter(now, protocol.SeedPlacing); err != nil {
		return err
	}
	for tries := 0; ; {
		p, err := s.o.Target.Get(now.Order.ID)
		if err != nil {
			return err
		}
		switch p.Phase {
		case protocol.PlacementPlaced, protocol.PlacementOpen:
			return s.enter(now, protocol.SeedPlaced)
		case protocol.PlacementFailed:
			if tries++; tries > 2 {
				return &failure{p.Reason, "it could not be put in place: " + p.Message}
			}
			fallthrough
		case protocol.PlacementReceived:
			if _, err := s.o.Target.Place(now.Order.ID); err != nil && !isReason(err, protocol.ReasonBusy) {
				return err
			}
		case protocol.PlacementPlacing:
		default:
			return fmt.Errorf("placement %s is %s", p.ID, p.Phase)
		}
		if pause.For(ctx, s.o.Poll) != nil {
			return ctx.Err()
		}
	}
}

// enter notes the next phase, in the volume first.
func (s *Seeder) enter(now *seed, phase protocol.SeedPhase) error {
	s.mu.Lock()
	next := now.record
	s.mu.Unlock()
	if next.Seed.Phase == phase {
		return nil
	}
	next.Seed.Phase, next.Seed.Reason, next.Seed.Message, next.Seed.Changed = phase, "", "", s.o.Now().UTC()
	if err := s.save(next); err != nil {
		return err
	}
	s.keep(now, next)
	return nil
}

func (s *Seeder) keep(now *seed, next record) {
	s.mu.Lock()
	now.record = next
	s.mu.Unlock()
	s.o.Log.Info("seed", "id", next.Order.ID, "phase", next.Seed.Phase, "reason", next.Seed.Reason, "message", next.Seed.Message)
	s.o.Changed()
}

// fail ends a seed. When it cannot be noted in the volume it is all the same for this agent; the next one tries the order once more.
func (s *Seeder) fail(now *seed, err error) {
	s.mu.Lock()
	next := now.record
	s.mu.Unlock()
	next.Seed.Phase, next.Seed.Changed = protocol.SeedFailed, s.o.Now().UTC()
	next.Seed.Reason, next.Seed.Message = reasonOf(err), err.Error()
	if err := s.save(next); err != nil {
		s.o.Log.Error("seed", "error", err)
	}
	s.keep(now, next)
}

func reasonOf(err error) string {
	var f *failure
	switch {
	case errors.As(err, &f):
		return f.reason
	case isReason(err, protocol.ReasonNoSpace), images.IsNoSpace(err):
		return protocol.SeedNoSpace
	}
	return protocol.ImageInternal
}

// isReason reports whether err is a refusal for that reason, by this pod's target or by the donor's agent.
func isReason(err error, reason string) bool {
	var refusal *images.Refusal
	return errors.As(err, &refusal) && refusal.Reason == reason || client.Reason(err) == reason
}

// note tells what a seed waits for.
func (s *Seeder) note(now *seed, message string) {
	s.mu.Lock()
	changed := now.Seed.Message != message
	now.Seed.Message = message
	s.mu.Unlock()
	if changed {
		s.o.Log.Info("seed", "id", now.Order.ID, "waiting", message)
	}
}

// bytes are how many were received.
func (s *Seeder) bytes(now *seed) int64 {
	p := s.o.Target.State()
	if p == nil || p.ID != now.Order.ID {
		return 0
	}
	return p.Received
}

// release gives the donor's image back, unless the agent is ending: the next one goes on with it. Without an answer its lease ends it.
func (s *Seeder) release(ctx context.Context, now *seed) {
	s.mu.Lock()
	lifetime, done := s.lifetime, now.released
	now.released = true
	s.mu.Unlock()
	if done || lifetime.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseWithin)
	defer cancel()
	if err := s.once(now, func(donor Donor) error { return donor.ReleaseImage(ctx, now.Order.ID) }); err != nil {
		s.o.Log.Info("the donor's image is left to its lease", "id", now.Order.ID, "error", err)
	}
}
