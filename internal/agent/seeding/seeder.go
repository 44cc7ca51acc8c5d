package seeding

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/images"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/volume"
)

// Donor is what is asked of the donor's agent; client.Client is one, and says what becomes of each call.
type Donor interface {
	Peer(ctx context.Context) (protocol.Peer, error)
	BeginImage(ctx context.Context, request protocol.ImageRequest) (protocol.Image, error)
	Image(ctx context.Context, id string) (protocol.Image, error)
	ImageFile(ctx context.Context, id, name string, offset int64) (io.ReadCloser, error)
	ReleaseImage(ctx context.Context, id string) error
	// Close ends the connections.
	Close()
}

// Options are a Seeder's surroundings. All but Now, Log, Guard and the times are required.
type Options struct {
	FS images.FS
	// File keeps the order: on the volume, outside of the database. It outlives the agent.
	File string
	// Target puts what was received in place.
	Target *images.Target
	// Dial makes a client of the donor's agent, with the certificates that hold now.
	Dial func(order protocol.SeedOrder) (Donor, error)
	// Pod looks at the pod now.
	Pod func() images.Pod
	// Groups are the raft groups that this pod's version names.
	Groups func() []string
	// Changed is told when Active has changed.
	Changed func()

	// Poll is how often the donor is asked while it takes its image; Retry what is waited before a failed call is repeated. Patience is how long a donor may fail without a byte arriving, and
	// Idle how long a stream may be silent. Defaults: 500 ms, 1 s, 30 s and 20 s.
	Poll, Retry, Patience, Idle time.Duration

	Now   func() time.Time
	Log   *slog.Logger
	Guard func(name string, work func())
}

// Seeder carries out one order at a time.
type Seeder struct {
	o    Options
	work sync.WaitGroup

	mu       sync.Mutex
	lifetime context.Context // set by Start
	unread   error           // why Start failed
	now      *seed
}

// seed is an order and how far it is. What is in it is guarded by Seeder.mu, but for the order, which never changes.
type seed struct {
	record
	cancel context.CancelFunc // ends its puller; nil when none was ever started
	ended  chan struct{}      // closed when its puller has ended
	// released: the donor was told that its image is needed no more.
	released bool
}

// New returns a seeder that refuses everything until Start.
func New(o Options) *Seeder {
	for _, d := range []struct {
		value  *time.Duration
		normal time.Duration
	}{{&o.Poll, 500 * time.Millisecond}, {&o.Retry, time.Second}, {&o.Patience, 30 * time.Second}, {&o.Idle, 20 * time.Second}} {
		if *d.value == 0 {
			*d.value = d.normal
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Guard == nil {
		o.Guard = func(_ string, work func()) { work() }
	}
	if o.Changed == nil {
		o.Changed = func() {}
	}
	return &Seeder{o: o}
}

// Start reads what an earlier agent left and goes on with it, until ctx ends. The target must have been started. A record that cannot be read is an error: until Start is called again and
// succeeds, or Abandon or Forget removed it, every order is refused and the gate stays shut.
func (s *Seeder) Start(ctx context.Context) error {
	r, err := s.load()
	if err == nil && r != nil && r.Seed.Phase == protocol.SeedPlaced && !s.isPlacement(r.Order.ID) {
		// It was opened and what it had received was removed: nothing is left to be told.
		r, err = nil, s.o.FS.RemoveAll(s.o.File)
	}
	s.mu.Lock()
	s.lifetime, s.unread = ctx, err
	if err == nil && r != nil {
		s.now = &seed{record: *r}
		if r.Seed.Active() {
			s.begin(ctx, s.now)
		}
	}
	s.mu.Unlock()
	s.o.Changed()
	if err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	return nil
}

func (s *Seeder) isPlacement(id string) bool {
	p := s.o.Target.State()
	return p != nil && p.ID == id
}

// Wait returns when everything has ended, after the context of Start.
func (s *Seeder) Wait() { s.work.Wait() }

// Begin begins a seed, or answers the one of the same order; the rest goes on behind the call. Errors are *images.Refusal: of an order that makes no sense or does not fit the volume, beside
// another seed or placement, before Start and after its context; or that the order could not be written down, and then nothing has begun.
func (s *Seeder) Begin(order protocol.SeedOrder) (protocol.Seed, error) {
	if err := check(order); err != nil {
		return protocol.Seed{}, err
	}
	if err := s.started(); err != nil {
		return protocol.Seed{}, err
	}
	s.mu.Lock()
	old := s.now
	s.mu.Unlock()
	switch {
	case old == nil:
	case reflect.DeepEqual(old.Order, order):
		return *s.State(), nil
	case old.Order.ID == order.ID:
		return protocol.Seed{}, refuse(protocol.ReasonConflict, "seed %s was begun with another order", order.ID)
	default:
		return protocol.Seed{}, refuse(protocol.ReasonBusy, "seed %s is here (%s): one at a time; abandon it first", old.Order.ID, s.State().Phase)
	}
	if err := s.fits(order); err != nil {
		return protocol.Seed{}, err
	}
	now := s.o.Now().UTC()
	next := &seed{record: record{Order: order, Seed: protocol.Seed{
		ID: order.ID, Phase: protocol.SeedImaging, Donor: order.Donor, DonorNodeID: order.DonorNodeID, Generation: order.Generation, Begun: now, Changed: now,
	}}}
	if err := s.save(next.record); err != nil {
		return protocol.Seed{}, err
	}
	s.mu.Lock()
	s.now = next
	s.begin(s.lifetime, next)
	s.mu.Unlock()
	s.o.Log.Info("seed", "id", order.ID, "donor", order.Donor, "generation", order.Generation)
	s.o.Changed()
	return *s.State(), nil
}

func (s *Seeder) started() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.unread != nil:
		return refuse(protocol.ReasonConflict, "what an earlier agent left of a seed cannot be read: %v; abandon it by any ID, or wipe the volume", s.unread)
	case s.lifetime == nil || s.lifetime.Err() != nil:
		return refuse(protocol.ReasonBusy, "the agent is being started or ended")
	}
	return nil
}

// fits checks that the volume may be seeded: it is empty, or its marker is the one that is named; and the server is stopped.
func (s *Seeder) fits(order protocol.SeedOrder) error {
	if p := s.o.Target.State(); p != nil && p.ID != order.ID && p.Phase != protocol.PlacementReverted {
		return refuse(protocol.ReasonBusy, "placement %s is here (%s): one at a time; delete, revert or discard it first", p.ID, p.Phase)
	}
	v := s.o.Pod().Volume
	switch {
	case order.Marker == nil && v.Phase == protocol.VolumeInitialised:
		return refuse(protocol.ReasonConflict, "the volume holds data, and the order names no marker: wipe it first")
	case order.Marker != nil && (v.Marker == nil || !volume.SameVolume(*v.Marker, *order.Marker)):
		return refuse(protocol.ReasonConflict, "the volume's marker is not the one that the order names")
	}
	return s.o.Target.Fits(placement(order, nil))
}

// begin starts the puller; the lock is held.
func (s *Seeder) begin(lifetime context.Context, now *seed) {
	ctx, cancel := context.WithCancel(lifetime)
	now.cancel, now.ended = cancel, make(chan struct{})
	s.work.Go(func() {
		defer close(now.ended)
		defer cancel()
		err := errors.New("the agent failed at it")
		s.o.Guard("seed", func() { err = s.pull(ctx, now) })
		if err != nil && ctx.Err() == nil {
			s.fail(now, err)
		}
	})
}

// State is what was ordered and how far it is, with the bytes that have arrived; nil when there is no order.
func (s *Seeder) State() *protocol.Seed {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil {
		return nil
	}
	state := s.now.Seed
	state.Least = s.now.Order.Least // also of one that an earlier version of the agent wrote down
	if p := s.o.Target.State(); p != nil && p.ID == state.ID {
		state.Bytes, state.Total = p.Received, p.Total
	}
	return &state
}

// Get tells how far the seed of an ID is; another one, or none, is an *images.Refusal with ReasonNotFound.
func (s *Seeder) Get(id string) (protocol.Seed, error) {
	state := s.State()
	if state == nil || state.ID != id {
		return protocol.Seed{}, refuse(protocol.ReasonNotFound, "there is no seed %.80q here", id)
	}
	return *state, nil
}

// Active says what is being received, in words, while the gate must stay shut for it; empty otherwise.
func (s *Seeder) Active() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.unread != nil:
		return fmt.Sprintf("what an earlier agent left of a seed cannot be read: %v", s.unread)
	case s.now != nil && s.now.Seed.Active():
		return fmt.Sprintf("seed %s: the metadata of node %d is being received", s.now.Order.ID, s.now.Order.DonorNodeID)
	}
	return ""
}

// Abandon stops a seed and removes what was received. One that is not there is no error; a record that cannot be read goes by any ID. A seed whose database is being, or was, put in place is
// refused (ReasonConflict): that is opened or reverted.
func (s *Seeder) Abandon(id string) error {
	s.mu.Lock()
	now, unread := s.now, s.unread
	s.mu.Unlock()
	if unread == nil && (now == nil || now.Order.ID != id) {
		return nil
	}
	if now != nil {
		s.mu.Lock()
		phase := now.Seed.Phase
		s.mu.Unlock()
		if phase == protocol.SeedPlacing || phase == protocol.SeedPlaced {
			return refuse(protocol.ReasonConflict, "seed %s is %s: open its placement, revert it, or wipe the volume", id, phase)
		}
		s.stop(now)
		if err := s.clear(id); err != nil {
			// It came to the placing just then, and goes on with it.
			s.mu.Lock()
			if now.Seed.Active() && s.lifetime.Err() == nil {
				s.begin(s.lifetime, now)
			}
			s.mu.Unlock()
			return err
		}
	}
	return s.Forget()
}

// stop ends a puller, which releases the donor's image.
func (s *Seeder) stop(now *seed) {
	if now.cancel != nil {
		now.cancel()
		<-now.ended
	}
}

// clear removes the placement of a seed that was stopped.
func (s *Seeder) clear(id string) error {
	p := s.o.Target.State()
	if p == nil || p.ID != id {
		return nil
	}
	switch p.Phase {
	case protocol.PlacementPlacing, protocol.PlacementPlaced, protocol.PlacementOpen:
		return refuse(protocol.ReasonConflict, "placement %s is %s: open it, revert it, or wipe the volume", id, p.Phase)
	case protocol.PlacementFailed, protocol.PlacementReverting:
		if _, err := s.o.Target.Revert(id); err != nil {
			return err
		}
	}
	return s.o.Target.Delete(id)
}

// Ended drops the order whose placement was discarded, deleted or reverted by somebody else: nothing is left of it. Other IDs, and orders whose placement is there, are left alone.
// Errors are the file system's.
func (s *Seeder) Ended(id string) error {
	s.mu.Lock()
	now := s.now
	mine := now != nil && now.Order.ID == id
	s.mu.Unlock()
	if !mine || s.isPlacement(id) && s.o.Target.State().Phase != protocol.PlacementReverted {
		return nil
	}
	return s.Forget()
}

// Forget drops the order of a volume that is being emptied, also one that cannot be read. Errors are the file system's; it may be called again.
func (s *Seeder) Forget() error {
	s.mu.Lock()
	now := s.now
	s.mu.Unlock()
	if now != nil {
		s.stop(now)
	}
	if err := s.remove(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.now == now {
		s.now, s.unread = nil, nil
	}
	s.mu.Unlock()
	s.o.Changed()
	return nil
}

// refuse is a refusal as package images makes them.
func refuse(reason, format string, args ...any) error {
	return &images.Refusal{Reason: reason, Message: fmt.Sprintf(format, args...)}
}
