package images

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// Pod is what a Target must know of its pod at one moment.
type Pod struct {
	// What the configuration says; an empty ClusterUID: there is none.
	ClusterUID string
	NodeID     uint64
	Role       string
	Generation int64
	// Meta: the server has raft groups.
	Meta   bool
	Volume protocol.VolumeState
	// Running: the server runs or is being started. Gate as it is without this placement.
	Running bool
	Gate    protocol.GateState
}

// TargetOptions are a Target's surroundings. All but Now, Log, Guard and Reserve are required.
type TargetOptions struct {
	FS FS
	// Dir is the placement's folder: on the volume, outside of the database. It outlives the agent.
	Dir string
	// Database is the folder of the server's database; Beside are folders that belong to it.
	Database func() string
	Beside   func() []string
	// Pod looks at the pod now.
	Pod func() Pod
	// WriteMarker writes the volume's marker, nil removes it; on the disk when it returns. The agent then looks at the volume anew.
	WriteMarker func(*protocol.Marker) error
	// Reserve is what must stay free on the volume; default 256 MiB.
	Reserve uint64

	Now   func() time.Time
	Log   *slog.Logger
	Guard func(name string, work func())
}

// Target puts images in place, one at a time.
type Target struct {
	o    TargetOptions
	work sync.WaitGroup
	// step has a place for the one who does something that must be done alone.
	step chan struct{}
	// working: an image is being put in place, or the one before put back. The gate is shut meanwhile.
	working atomic.Bool

	mu       sync.Mutex
	lifetime context.Context // set by Start
	unread   error           // why Start failed
	record   *record         // nil: no placement; replaced, never changed
	received map[string]int64
	verified map[string]bool
	open     map[string]bool // files that are being received
}

// NewTarget returns a target that refuses everything until Start.
func NewTarget(o TargetOptions) *Target {
	if o.Reserve == 0 {
		o.Reserve = 256 << 20
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
	return &Target{o: o, step: make(chan struct{}, 1)}
}

// Start reads what an earlier agent left. It may be called again when it failed.
func (t *Target) Start(ctx context.Context) error {
	err := t.start(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unread = err
	return err
}

func (t *Target) start(ctx context.Context) error {
	r, err := t.load()
	if err != nil {
		return fmt.Errorf("placement: %w", err)
	}
	if r != nil && r.Phase == protocol.PlacementPlacing {
		failed := *r
		failed.Phase, failed.Reason, failed.Message = protocol.PlacementFailed, protocol.ImageInterrupted, "the agent ended while the image was put in place: place it again, or revert"
		r = &failed
	}
	received, verified := map[string]int64{}, map[string]bool{}
	if r == nil {
		// What was being removed, or begun, and has no record: nobody can want it.
		err = t.o.FS.RemoveAll(t.o.Dir)
	} else {
		received, verified, err = t.survey(r.Request.Files)
	}
	if err != nil {
		return fmt.Errorf("placement: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lifetime, t.record, t.received, t.verified, t.open = ctx, r, received, verified, map[string]bool{}
	return nil
}

// survey finds how much of the files was received.
func (t *Target) survey(files []protocol.PlacementFile) (received map[string]int64, verified map[string]bool, err error) {
	received, verified = map[string]int64{}, map[string]bool{}
	for _, f := range files {
		for _, folder := range []string{filesName, partsName} {
			info, err := t.o.FS.Stat(filepath.Join(t.o.Dir, folder, f.Name))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, nil, err
			}
			received[f.Name], verified[f.Name] = info.Size, folder == filesName
			break
		}
	}
	return received, verified, nil
}

// Wait returns when everything has ended, after the context of Start.
func (t *Target) Wait() { t.work.Wait() }

// Working says whether the gate must be shut because databases are being exchanged.
func (t *Target) Working() bool { return t.working.Load() }

// Begin begins a placement, or answers the one of the same request.
func (t *Target) Begin(request protocol.PlacementRequest) (protocol.Placement, error) {
	if err := checkPlacement(request); err != nil {
		return protocol.Placement{}, err
	}
	if r := t.current(); r != nil && reflect.DeepEqual(r.Request, request) { // also while it is being placed
		return t.describe(r, true), nil
	}
	if err := t.alone(); err != nil {
		return protocol.Placement{}, err
	}
	defer t.next()
	switch r := t.current(); {
	case r == nil, r.Phase == protocol.PlacementReverted && r.Request.ID != request.ID:
	case r.Request.ID != request.ID:
		return protocol.Placement{}, refuse(protocol.ReasonBusy, "placement %s is here (%s): one at a time; delete, revert or discard it first", r.Request.ID, r.Phase)
	case !reflect.DeepEqual(r.Request, request):
		return protocol.Placement{}, refuse(protocol.ReasonConflict, "placement %s was begun with another request", request.ID)
	default:
		return t.describe(r, true), nil
	}
	if err := t.fits(request); err != nil {
		return protocol.Placement{}, err
	}
	if err := t.room(total(request.Files)); err != nil {
		return protocol.Placement{}, err
	}
	r := record{Request: request, Phase: protocol.PlacementReceiving, Changed: t.o.Now().UTC()}
	if err := t.begin(r); err != nil {
		return protocol.Placement{}, err
	}
	t.mu.Lock()
	t.record, t.received, t.verified = &r, map[string]int64{}, map[string]bool{}
	t.mu.Unlock()
	t.o.Log.Info("placement", "id", request.ID, "origin", request.Origin, "generation", request.Generation, "bytes", total(request.Files))
	return t.describe(&r, true), nil
}

// begin makes the folders. The record comes last: without it the rest is removed at the next start.
func (t *Target) begin(r record) error {
	if err := t.o.FS.RemoveAll(t.o.Dir); err != nil {
		return fmt.Errorf("placement %s: %w", r.Request.ID, err)
	}
	for _, folder := range []string{partsName, filesName} {
		if err := t.o.FS.MkdirAll(filepath.Join(t.o.Dir, folder)); err != nil {
			return fmt.Errorf("placement %s: %w", r.Request.ID, err)
		}
	}
	if err := t.save(r); err != nil {
		return err
	}
	return t.o.FS.Sync(filepath.Dir(t.o.Dir))
}

// stepWait is how long a call waits for another one. What takes longer is the exchange of databases.
const stepWait = time.Second

// alone waits, bounded, until nothing else is being done; the caller gives the place back with next.
func (t *Target) alone() error {
	t.mu.Lock()
	started, unread := t.lifetime != nil && t.lifetime.Err() == nil, t.unread
	t.mu.Unlock()
	if unread != nil {
		return refuse(protocol.ReasonConflict, "what an earlier agent left of an image cannot be read: %v; a wipe of the volume removes it", unread)
	}
	if !started {
		return refuse(protocol.ReasonBusy, "the agent is being started or ended")
	}
	return t.wait()
}

func (t *Target) wait() error {
	timer := time.NewTimer(stepWait)
	defer timer.Stop()
	select {
	case t.step <- struct{}{}:
		return nil
	case <-timer.C:
		return refuse(protocol.ReasonBusy, "another call for a placement is being carried out")
	}
}

// next lets the next call begin.
func (t *Target) next() { <-t.step }

// current is the record; what it points to does not change.
func (t *Target) current() *record {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.record
}

// Fits checks that the pod can have an image like this one, whatever its files.
func (t *Target) Fits(r protocol.PlacementRequest) error { return t.fits(r) }

// fits checks that the pod can have this image: the server is stopped, the gate shut, and the volume this node's or empty.
func (t *Target) fits(r protocol.PlacementRequest) error {
	pod := t.o.Pod()
	if err := still(r, pod); err != nil {
		return err
	}
	m := pod.Volume.Marker
	switch {
	case r.Generation < pod.Generation || r.Generation > pod.Generation && r.Origin != protocol.OriginRestored: // a restore makes a generation, which the configuration has later
		return refuse(protocol.ReasonConflict, "the image is for generation %d, the cluster is at generation %d", r.Generation, pod.Generation)
	case !pod.Meta:
		return refuse(protocol.ReasonConflict, "this is %s: only members of the placement centre have metadata", pod.Role)
	case m == nil && pod.Volume.Phase != protocol.VolumeEmpty:
		return refuse(protocol.ReasonConflict, "the volume holds data without a marker: nobody knows whose it is")
	case m != nil && (m.ClusterUID != pod.ClusterUID || m.NodeID != pod.NodeID || m.Role != pod.Role):
		return refuse(protocol.ReasonConflict, "the volume belongs to %s node %d of cluster %s", m.Role, m.NodeID, m.ClusterUID)
	case m != nil && m.Generation > r.Generation:
		return refuse(protocol.ReasonConflict, "the volume is of generation %d, which is newer than %d", m.Generation, r.Generation)
	case m != nil && m.Placement != "" && m.Placement != r.ID:
		return refuse(protocol.ReasonConflict, "the volume holds image %s, which was never opened, and nothing is known about it: wipe the volume first", m.Placement)
	}
	return nil
}

// still checks that it is the right pod, and that nothing runs in it or could.
func still(r protocol.PlacementRequest, pod Pod) error {
	switch {
	case pod.ClusterUID == "":
		return refuse(protocol.ReasonConflict, "there is no configuration yet: %s", pod.Gate.Message)
	case r.ClusterUID != pod.ClusterUID || r.NodeID != pod.NodeID:
		return refuse(protocol.ReasonConflict, "the image is for cluster %s node %d, this is cluster %s node %d", r.ClusterUID, r.NodeID, pod.ClusterUID, pod.NodeID)
	case pod.Running:
		return refuse(protocol.ReasonConflict, "the server runs: stop it first")
	case pod.Gate.Reason == protocol.GateTransferring:
		return refuse(protocol.ReasonConflict, "the leadership of raft groups is being moved: in a few seconds")
	case pod.Gate.Open:
		return refuse(protocol.ReasonConflict, "the gate is open: stop the server first, which shuts it")
	case pod.Volume.Phase == protocol.VolumeUnusable:
		return refuse(protocol.ReasonConflict, "the volume is unusable: %s", pod.Volume.Message)
	}
	return nil
}

// room checks that so many bytes can be received.
func (t *Target) room(bytes int64) error {
	free, err := t.o.FS.Free(filepath.Dir(t.o.Dir))
	if err != nil {
		return err
	}
	if free < t.o.Reserve || int64(free-t.o.Reserve) < bytes { //nolint:gosec // no disk has so much
		return refuse(protocol.ReasonNoSpace, "%d bytes are free, %d are needed and %d must stay free: make the volume larger", free, bytes, t.o.Reserve)
	}
	return nil
}

func total(files []protocol.PlacementFile) int64 {
	sum := int64(0)
	for _, f := range files {
		sum += f.Size
	}
	return sum
}

// of returns the record of an ID.
func (t *Target) of(id string) (*record, error) {
	r := t.current()
	if r == nil || r.Request.ID != id {
		return nil, noPlacement(id)
	}
	return r, nil
}

func noPlacement(id string) error {
	return refuse(protocol.ReasonNotFound, "there is no placement %.80q here", id)
}

// Get tells how far a placement is.
func (t *Target) Get(id string) (protocol.Placement, error) {
	r, err := t.of(id)
	if err != nil {
		return protocol.Placement{}, err
	}
	return t.describe(r, true), nil
}

// State is the placement without its files, if there is one.
func (t *Target) State() *protocol.Placement {
	r := t.current()
	if r == nil {
		return nil
	}
	p := t.describe(r, false)
	return &p
}

func (t *Target) describe(r *record, files bool) protocol.Placement {
	p := protocol.Placement{
		ID: r.Request.ID, Phase: r.Phase, Origin: r.Request.Origin, Generation: r.Request.Generation, Reason: r.Reason, Message: r.Message,
		Total: total(r.Request.Files), Changed: r.Changed,
	}
	inForce := r.Phase == protocol.PlacementPlaced || r.Phase == protocol.PlacementOpen
	p.Before = inForce && r.Before.Database
	p.KeptEngine = p.Before
	if inForce {
		p.SHA256 = r.SHA256
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range r.Request.Files {
		p.Received += t.received[f.Name]
		if files {
			p.Files = append(p.Files, protocol.PlacedFile{Name: f.Name, Size: f.Size, Received: t.received[f.Name], Verified: t.verified[f.Name]})
		}
	}
	return p
}

// enter saves the record in its next phase.
func (t *Target) enter(r record, phase protocol.PlacementPhase) (*record, error) {
	r.Phase, r.Reason, r.Message, r.Changed = phase, "", "", t.o.Now().UTC()
	return t.keep(r)
}

func (t *Target) keep(r record) (*record, error) {
	if err := t.save(r); err != nil {
		return nil, err
	}
	t.o.Log.Info("placement", "id", r.Request.ID, "phase", r.Phase, "reason", r.Reason, "message", r.Message)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.record = &r
	return &r, nil
}

// Forget drops the placement of a volume that is being emptied, also one that cannot be read.
func (t *Target) Forget() error {
	if err := t.wait(); err != nil {
		return err
	}
	defer t.next()
	return t.remove()
}

// remove forgets the placement and removes its files: its record first, which is what they are nothing without.
func (t *Target) remove() error {
	t.mu.Lock()
	receiving := len(t.open)
	if receiving == 0 {
		t.record = nil
	}
	t.mu.Unlock()
	if receiving > 0 {
		return refuse(protocol.ReasonBusy, "%d files are being received", receiving)
	}
	record := filepath.Join(t.o.Dir, recordName)
	there, err := t.exists(record)
	if err != nil {
		return err
	}
	if there {
		if err := errors.Join(t.o.FS.RemoveAll(record), t.o.FS.Sync(t.o.Dir)); err != nil {
			return err
		}
	}
	return t.o.FS.RemoveAll(t.o.Dir)
}

func (t *Target) exists(name string) (bool, error) {
	_, err := t.o.FS.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
