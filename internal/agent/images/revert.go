package images

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// Revert puts back what was there before the placement, the marker included. The server must be stopped. Where there was no database, there is none again.
func (t *Target) Revert(id string) (protocol.Placement, error) {
	if err := t.alone(); err != nil {
		return protocol.Placement{}, err
	}
	defer t.next()
	r, err := t.of(id)
	if err != nil {
		return protocol.Placement{}, err
	}
	switch r.Phase {
	case protocol.PlacementReverted:
		return t.describe(r, true), nil
	case protocol.PlacementReceiving, protocol.PlacementReceived:
		return protocol.Placement{}, refuse(protocol.ReasonConflict, "placement %s is %s: nothing was changed yet", id, r.Phase)
	}
	if r.Phase == protocol.PlacementReverting && t.isBack() {
		r, err = t.reverted(*r)
		if err != nil {
			return protocol.Placement{}, err
		}
		return t.describe(r, true), nil
	}
	// Whatever the generation is by now: going back is what remains when it did not go on.
	if err := still(r.Request, t.o.Pod()); err != nil {
		return protocol.Placement{}, err
	}
	t.working.Store(true)
	defer t.working.Store(false)
	if pod := t.o.Pod(); pod.Running {
		return protocol.Placement{}, refuse(protocol.ReasonConflict, "the server was started just now: stop it first")
	}
	if r, err = t.putBack(*r); err != nil {
		return protocol.Placement{}, fmt.Errorf("placement %s: %w", id, err)
	}
	return t.describe(r, true), nil
}

// putBack does it, and goes on where it was interrupted.
func (t *Target) putBack(r record) (*record, error) {
	// First the gate: without the record nobody knows what the folders are.
	if err := t.o.WriteMarker(t.marker(r.Request, true)); err != nil {
		return nil, err
	}
	next, err := t.enter(r, protocol.PlacementReverting)
	if err != nil {
		return nil, err
	}
	if err := t.exchangeBack(*next); err != nil {
		return nil, err
	}
	if err := t.o.WriteMarker(r.Before.Marker); err != nil {
		return nil, err
	}
	return t.reverted(*next)
}

// isBack says whether only the record is still to be written: the marker is put back last, and with it the server may run already.
func (t *Target) isBack() bool {
	m := t.o.Pod().Volume.Marker
	return m == nil || m.Placement == ""
}

// reverted notes that everything is as it was, and removes what was received.
func (t *Target) reverted(r record) (*record, error) {
	next, err := t.enter(r, protocol.PlacementReverted)
	if err != nil {
		return nil, err
	}
	for _, folder := range []string{partsName, filesName} {
		if err := t.o.FS.RemoveAll(filepath.Join(t.o.Dir, folder)); err != nil {
			return nil, err
		}
	}
	return next, nil
}

func (t *Target) exchangeBack(r record) error {
	target, beside := t.o.Database(), t.o.Beside()
	if err := image.Settle(t.o.FS, target); err != nil {
		return err
	}
	if r.Before.Database {
		done, err := t.exchanged(r)
		if err != nil || !done {
			return err
		}
		return image.Revert(t.o.FS, target, beside)
	}
	// There was no database: what is there is the image's, and what its server made.
	if done, err := t.exchanged(r); err != nil || !done {
		return err
	}
	errs := []error{t.o.FS.RemoveAll(target)}
	for _, folder := range beside {
		errs = append(errs, t.o.FS.RemoveAll(folder))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := t.o.FS.Sync(filepath.Dir(target)); err != nil {
		return err
	}
	return image.Discard(t.o.FS, target, beside)
}

// Discard removes what was there before. After it there is no way back.
func (t *Target) Discard(id string) error {
	return t.end(id, func(r *record) error {
		switch r.Phase {
		case protocol.PlacementOpen:
			if m := t.o.Pod().Volume.Marker; m != nil && m.Placement == id {
				return refuse(protocol.ReasonConflict, "going back from placement %s was begun: go on with it, or open it again", id)
			}
			return image.Discard(t.o.FS, t.o.Database(), t.o.Beside())
		case protocol.PlacementReverted:
			return nil
		}
		return refuse(protocol.ReasonConflict, "placement %s is %s: open or revert it first", id, r.Phase)
	})
}

// Delete removes what was received, before it is in place.
func (t *Target) Delete(id string) error {
	return t.end(id, func(r *record) error {
		switch r.Phase {
		case protocol.PlacementReceiving, protocol.PlacementReceived, protocol.PlacementReverted:
			return nil
		}
		return refuse(protocol.ReasonConflict, "placement %s is %s: revert it, or discard what was there before", id, r.Phase)
	})
}

// end forgets a placement if last has no objection. One that is not there is no error.
func (t *Target) end(id string, last func(*record) error) error {
	if err := t.alone(); err != nil {
		return err
	}
	defer t.next()
	r := t.current()
	if r == nil || r.Request.ID != id {
		return nil
	}
	if err := last(r); err != nil {
		return err
	}
	return t.remove()
}
