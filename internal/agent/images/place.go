package images

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// What is on the disk, in this order, so that a power cut at any point leaves a gate that is shut or a state that is whole:
//
//  1. the record says what was there before (marker, folder, database)
//  2. the marker names the placement: the gate is shut, whatever is in the database's folder
//  3. the files are read once more, for their digest; then the databases are exchanged (package image: the old one or the new one, never a mix)
//  4. the record says Placed
//  5. Open: the marker does not name the placement any more; then the record says Open
//
// Reverting is 2, the exchange back, the marker that was there before, the record. By the folder beside the database it is seen whether the exchange happened.

// Place begins to put a received image in place.
func (t *Target) Place(id string) (protocol.Placement, error) {
	if err := t.alone(); err != nil {
		return protocol.Placement{}, err
	}
	r, err := t.placeable(id)
	if err != nil || r.Phase == protocol.PlacementPlaced || r.Phase == protocol.PlacementOpen {
		t.next()
		if err != nil {
			return protocol.Placement{}, err
		}
		return t.describe(r, true), nil
	}
	t.working.Store(true)
	if r, err = t.prepare(*r); err != nil {
		t.working.Store(false)
		t.next()
		return protocol.Placement{}, err
	}
	t.work.Go(func() {
		defer t.next()
		defer t.working.Store(false)
		err := errors.New("the agent failed at it")
		t.o.Guard("placement", func() { err = t.place(t.lifetime, *r) })
		if err != nil {
			t.failed(*r, err)
		}
	})
	return t.describe(r, true), nil
}

// placeable returns the record of a placement that may be placed, or is.
func (t *Target) placeable(id string) (*record, error) {
	r, err := t.of(id)
	if err != nil {
		return nil, err
	}
	switch r.Phase {
	case protocol.PlacementPlaced, protocol.PlacementOpen:
		return r, nil
	case protocol.PlacementReceived, protocol.PlacementFailed:
		return r, t.fits(r.Request)
	}
	return nil, refuse(protocol.ReasonConflict, "placement %s is %s, not %s", id, r.Phase, protocol.PlacementReceived)
}

// prepare looks, once, at what is there before, and enters the phase Placing. The gate is shut by working already; a start that was on its way is seen here.
func (t *Target) prepare(r record) (*record, error) {
	if pod := t.o.Pod(); pod.Running {
		return nil, refuse(protocol.ReasonConflict, "the server was started just now: stop it first")
	} else if r.Before == nil {
		b, err := t.look(pod.Volume.Marker)
		if err != nil {
			return nil, err
		}
		r.Before = b
	}
	return t.enter(r, protocol.PlacementPlacing)
}

// look says what is there before. What an earlier placement kept is removed: it is not what Revert shall find.
func (t *Target) look(marker *protocol.Marker) (*before, error) {
	b := &before{Marker: marker}
	var err error
	if err = image.Discard(t.o.FS, t.o.Database(), t.o.Beside()); err != nil {
		return nil, err
	}
	if b.Folder, err = t.exists(t.o.Database()); err != nil {
		return nil, err
	}
	b.Database, err = t.exists(filepath.Join(t.o.Database(), rocksdb.CurrentName))
	return b, err
}

// place is the work of Place.
func (t *Target) place(ctx context.Context, r record) error {
	if err := image.Settle(t.o.FS, t.o.Database()); err != nil {
		return err
	}
	if err := t.o.WriteMarker(t.marker(r.Request, true)); err != nil {
		return err
	}
	done, err := t.exchanged(r)
	if err != nil {
		return err
	}
	if r.SHA256 == "" {
		if r.SHA256, err = t.digest(ctx, r.Request); err != nil {
			return err
		}
	}
	if !done {
		if err := t.exchange(ctx, r); err != nil {
			return err
		}
	}
	_, err = t.enter(r, protocol.PlacementPlaced)
	return err
}

func (t *Target) exchange(ctx context.Context, r record) error {
	list, err := edits(r.Request.Edits, uint64(t.o.Now().Unix())) //nolint:gosec // after 1970
	if err != nil {
		return err
	}
	result, err := image.Placement{
		FS: t.o.FS, Image: filepath.Join(t.o.Dir, filesName), Target: t.o.Database(), Keep: image.EngineFamilies, Edits: list, Beside: t.o.Beside(),
	}.Place(ctx)
	if err != nil {
		return err
	}
	t.o.Log.Info("an image is in place", "id", r.Request.ID, "tables", len(result.Tables), "operations", result.Operations, "sequence", result.MaxSequence)
	return nil
}

// exchanged says whether the new database is in force. Until it is there is no old one beside it.
func (t *Target) exchanged(r record) (bool, error) {
	if r.Before.Folder {
		return t.exists(t.o.Database() + image.OldSuffix)
	}
	return t.exists(filepath.Join(t.o.Database(), rocksdb.CurrentName))
}

func (t *Target) failed(r record, err error) {
	r.Phase, r.Changed = protocol.PlacementFailed, t.o.Now().UTC()
	r.Reason, r.Message = failure(err)
	if _, err := t.keep(r); err != nil {
		// It was not saved: then it says Placing on the disk, which the next start reads as interrupted.
		t.o.Log.Error("placement", "error", err)
		t.mu.Lock()
		t.record = &r
		t.mu.Unlock()
	}
}

// marker is what the volume's marker becomes: shut until opened.
func (t *Target) marker(r protocol.PlacementRequest, shut bool) *protocol.Marker {
	m := &protocol.Marker{
		ClusterUID: r.ClusterUID, NodeID: r.NodeID, Role: t.o.Pod().Role, Generation: r.Generation, Origin: r.Origin, HasData: true, Written: t.o.Now().UTC(),
	}
	if shut {
		m.Placement = r.ID
	}
	return m
}

// Open lets the server start on what was put in place.
func (t *Target) Open(id string) (protocol.Placement, error) {
	if err := t.alone(); err != nil {
		return protocol.Placement{}, err
	}
	defer t.next()
	r, err := t.of(id)
	if err != nil {
		return protocol.Placement{}, err
	}
	if r.Phase != protocol.PlacementPlaced && r.Phase != protocol.PlacementOpen {
		return protocol.Placement{}, refuse(protocol.ReasonConflict, "placement %s is %s, not %s", id, r.Phase, protocol.PlacementPlaced)
	}
	switch m := t.o.Pod().Volume.Marker; {
	case m != nil && m.Placement == id: // also of an open one, when going back was begun and not gone on with
		if err := t.o.WriteMarker(t.marker(r.Request, false)); err != nil {
			return protocol.Placement{}, err
		}
	case m != nil && m.Placement == "" && m.Origin == r.Request.Origin && m.Generation == r.Request.Generation: // it was opened, and the agent ended before it noted that
	default:
		return protocol.Placement{}, refuse(protocol.ReasonConflict, "the volume's marker does not name placement %s any more", id)
	}
	if r.Phase != protocol.PlacementOpen {
		if r, err = t.enter(*r, protocol.PlacementOpen); err != nil {
			return protocol.Placement{}, err
		}
	}
	return t.describe(r, true), nil
}

// Settle finishes or undoes an exchange of databases that a power cut interrupted.
func Settle(fsys FS, database string) error { return image.Settle(fsys, database) }
