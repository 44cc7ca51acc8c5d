package images

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// Server is what the server says of itself at one moment.
type Server struct {
	// Process is comparable and another one after every start.
	Process any
	Status  robustmq.ClusterStatus
	// Groups are the raft groups that this version names.
	Groups []string
}

// SourceOptions are a Source's surroundings. FS, Root, Database and Ask are required.
type SourceOptions struct {
	FS image.FS
	// Root is the folder for everything that is made here: on the database's file system, and outside of the database. It is emptied by Start.
	Root string
	// Database is the folder of the server's database.
	Database func() string
	// Ask asks the server; a refusal says at once that no image can be taken of it.
	Ask func(context.Context) (Server, error)
	// Limit of the bytes that are written, links not counted; default 2 GiB. Reserve is what must stay free on the volume; default 256 MiB.
	Limit   int64
	Reserve uint64
	// Lease is how long an image lives without a call; default protocol.ImageLease.
	Lease time.Duration
	// Attempts is how often the links are made until vote and membership are the same before and after, Pause what is waited between two; default 10 and 1 s.
	Attempts int
	Pause    time.Duration

	Now func() time.Time
	Log *slog.Logger
	// Guard runs work and keeps its panics from the rest of the process.
	Guard func(name string, work func())
	// Ended is told of every image that became Ready or Failed.
	Ended func(protocol.Image)
}

// Source takes images, one at a time.
type Source struct {
	o      SourceOptions
	ledger *ledger
	hashes hashes
	work   sync.WaitGroup

	mu       sync.Mutex
	lifetime context.Context // set by Start
	count    int             // of images that were begun
	now      *taking
	gone     map[string]string // ID -> why the image is not there any more; of the last ones
	walBytes int64
	measured time.Time
}

// taking is an image and what belongs to it. Its fields are guarded by Source.mu, but for those that never change.
type taking struct {
	folder string // for all that it makes; never used again by another
	ctx    context.Context
	cancel context.CancelCauseFunc // ends its maker and its streams
	made   chan struct{}           // closed when its maker has ended
	image  protocol.Image
	// changing: a membership that is being changed is taken, too.
	changing bool
	streams  int
}

// NewSource returns a source that refuses images until Start.
func NewSource(o SourceOptions) *Source {
	if o.Limit == 0 {
		o.Limit = 2 << 30
	}
	if o.Reserve == 0 {
		o.Reserve = 256 << 20
	}
	if o.Lease == 0 {
		o.Lease = protocol.ImageLease
	}
	if o.Attempts == 0 {
		o.Attempts = 10
	}
	if o.Pause == 0 {
		o.Pause = time.Second
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
	if o.Ended == nil {
		o.Ended = func(protocol.Image) {}
	}
	return &Source{o: o, ledger: newLedger(o.FS, o.Limit), gone: map[string]string{}}
}

// Start removes what a crash left and lets images begin. They end with ctx. It may be called again when it failed.
func (s *Source) Start(ctx context.Context) error {
	if err := image.CleanStaging(s.ledger, s.o.Root); err != nil {
		return fmt.Errorf("staging: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lifetime = ctx
	return nil
}

// Wait returns when everything has ended, after the context of Start.
func (s *Source) Wait() { s.work.Wait() }

// Begin begins an image, or answers the one that has this ID already.
func (s *Source) Begin(ctx context.Context, request protocol.ImageRequest) (protocol.Image, error) {
	if err := CheckID(request.ID); err != nil {
		return protocol.Image{}, err
	}
	if request.Families != protocol.FamiliesMetadata {
		return protocol.Image{}, refuse(protocol.ReasonBadRequest, "families %.80q is not %q", request.Families, protocol.FamiliesMetadata)
	}
	if found, ok, err := s.present(request.ID); ok || err != nil {
		return found, err
	}
	// Outside of the lock: the server may take its time.
	if _, err := s.o.Ask(ctx); err != nil {
		var refusal *Refusal
		if !errors.As(err, &refusal) {
			err = refuse(protocol.ReasonServerDown, "the server does not tell its raft state: %v", err)
		}
		return protocol.Image{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now != nil && s.now.image.ID == request.ID { // another caller was faster
		s.renew(s.now)
		return s.now.summary(), nil
	}
	if s.now != nil && s.now.image.Phase != protocol.ImageFailed {
		return protocol.Image{}, s.now.busy()
	}
	s.count++
	t := &taking{
		folder: filepath.Join(s.o.Root, fmt.Sprintf("image-%d", s.count)), made: make(chan struct{}),
		changing: request.Changing, image: protocol.Image{ID: request.ID, Phase: protocol.ImageStaging, Asked: s.o.Now().UTC()},
	}
	t.ctx, t.cancel = context.WithCancelCause(s.lifetime)
	if s.now != nil {
		s.bury(s.now.image.ID, "it failed, and image "+request.ID+" was asked for")
	}
	s.now = t
	delete(s.gone, request.ID)
	s.renew(t)
	s.work.Go(func() { s.make(t) })
	return t.summary(), nil
}

// present is the image with this ID, renewed; false when it can be begun.
func (s *Source) present(id string) (protocol.Image, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.lifetime == nil || s.lifetime.Err() != nil:
		return protocol.Image{}, false, refuse(protocol.ReasonBusy, "the agent is being started or ended")
	case s.now == nil:
		return protocol.Image{}, false, nil
	case s.now.image.ID == id:
		s.renew(s.now)
		return s.now.summary(), true, nil
	case s.now.image.Phase == protocol.ImageFailed: // it is not in the way
		return protocol.Image{}, false, nil
	}
	return protocol.Image{}, false, s.now.busy()
}

func (t *taking) busy() error {
	return refuse(protocol.ReasonBusy, "image %s is here (%s): one at a time; it is removed by its caller, or at %s when nobody asks for it any more",
		t.image.ID, t.image.Phase, t.image.Expires.UTC().Format(time.RFC3339))
}

// database is the folder of the image's files, links that of what it is made of.
func (t *taking) database() string { return filepath.Join(t.folder, "database") }
func (t *taking) links() string    { return filepath.Join(t.folder, "links") }

// goneError is why an image was removed.
type goneError struct{ why error }

func (e *goneError) Error() string { return "the image was removed: " + e.why.Error() }

// summary is the image without what may be large; the lock is held.
func (t *taking) summary() protocol.Image {
	i := t.image
	i.Files, i.Groups = nil, nil
	if i.Progress != nil {
		p := *i.Progress
		i.Progress = &p
	}
	return i
}

// renew is done by every call with the image's ID; the lock is held.
func (s *Source) renew(t *taking) { t.image.Expires = s.o.Now().Add(s.o.Lease).UTC() }

// find returns the image of an ID and renews its lease; the lock is held.
func (s *Source) find(id string) (*taking, error) {
	if s.now != nil && s.now.image.ID == id {
		s.renew(s.now)
		return s.now, nil
	}
	if why, ok := s.gone[id]; ok {
		return nil, refuse(protocol.ReasonNotFound, "image %s is gone: %s", id, why)
	}
	return nil, refuse(protocol.ReasonNotFound, "there is no image %.80q here: it was released, its lease ended, or the agent was started again", id)
}

// Get tells how far an image is.
func (s *Source) Get(id string) (protocol.Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.find(id)
	if err != nil {
		return protocol.Image{}, err
	}
	i := t.summary()
	i.Files, i.Groups = t.image.Files, t.image.Groups // never changed once they are there
	return i, nil
}

// Report notes how far the caller is.
func (s *Source) Report(id string, p protocol.ImageProgress) (protocol.Image, error) {
	switch p.Stage {
	case protocol.StageStaging, protocol.StageUploading, protocol.StageVerifying:
	default:
		return protocol.Image{}, refuse(protocol.ReasonBadRequest, "stage %.80q is none of Staging, Uploading, Verifying", p.Stage)
	}
	if p.Bytes < 0 || p.Total < 0 {
		return protocol.Image{}, refuse(protocol.ReasonBadRequest, "bytes %d of %d: neither can be negative", p.Bytes, p.Total)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.find(id)
	if err != nil {
		return protocol.Image{}, err
	}
	p.At = s.o.Now().UTC()
	t.image.Progress = &p
	return t.summary(), nil
}

// Release removes an image. One that is not there is no error.
func (s *Source) Release(id string) error {
	s.mu.Lock()
	if s.now == nil || s.now.image.ID != id {
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	return s.drop(id, errors.New("it was released"))
}

// Drop removes whatever image is there, because of why.
func (s *Source) Drop(why string) error {
	s.mu.Lock()
	id := ""
	if s.now != nil {
		id = s.now.image.ID
	}
	s.mu.Unlock()
	if id == "" {
		return nil
	}
	return s.drop(id, errors.New(why))
}

// drop ends maker and streams of an image, removes its files and forgets it.
func (s *Source) drop(id string, why error) error {
	s.mu.Lock()
	t := s.now
	s.mu.Unlock()
	if t == nil || t.image.ID != id {
		return nil
	}
	t.cancel(&goneError{why})
	<-t.made
	err := s.remove(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == t {
		s.now = nil
		s.bury(id, why.Error())
	}
	return err
}

// remove removes what an image has in the staging folder. A file that is being read goes when it is closed.
func (s *Source) remove(t *taking) error {
	if err := s.ledger.RemoveAll(t.folder); err != nil {
		return fmt.Errorf("removing image %s: %w", t.image.ID, err)
	}
	return nil
}

// bury remembers why an image is gone, of a few; the lock is held.
func (s *Source) bury(id, why string) {
	if len(s.gone) >= 16 {
		clear(s.gone)
	}
	s.gone[id] = why
}

// jittered is half to one and a half of d.
func jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.5 + rand.Float64()))
}
