package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path/filepath"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// spaceStep is how many bytes are received between two looks at the free space.
const spaceStep = 16 << 20

// Put receives the bytes of a file from offset on. Where a connection was cut it goes on later from what arrived; the last byte is followed by the check of the whole file.
func (t *Target) Put(ctx context.Context, id, name string, offset int64, body io.Reader) (protocol.PlacedFile, error) {
	file, err := t.claim(id, name, offset)
	if err != nil {
		return protocol.PlacedFile{}, err
	}
	defer t.unclaim(name)
	at := protocol.PlacedFile{Name: name, Size: file.Size, Received: offset}
	if t.isVerified(name) {
		at.Verified = true
		return at, t.complete(id) // the last one was verified when this could not be noted
	}
	part := filepath.Join(t.o.Dir, partsName, name)
	// Who sees every byte go by need not read them back: what comes of the disk's cache is the same.
	var sum hash.Hash
	if offset == 0 {
		sum = sha256.New()
	}
	n, err := t.appendTo(part, body, file.Size-offset, sum)
	at.Received += n
	t.note(name, at.Received, false)
	if err != nil {
		var refusal *Refusal
		if errors.As(err, &refusal) && refusal.Reason == protocol.ReasonBadRequest {
			return at, errors.Join(err, t.restart(name, part))
		}
		return at, fmt.Errorf("receiving %s: %w", name, err)
	}
	if at.Received < file.Size {
		return at, nil
	}
	if err := t.verify(ctx, file, part, sum); err != nil {
		return at, err
	}
	at.Verified = true
	t.note(name, file.Size, true)
	return at, t.complete(id)
}

// claim finds the file and makes this call the only one that writes it.
func (t *Target) claim(id, name string, offset int64) (protocol.PlacementFile, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.record
	if r == nil || r.Request.ID != id {
		return protocol.PlacementFile{}, noPlacement(id)
	}
	// The name is looked up, never made a path of: what was not announced does not exist.
	for _, f := range r.Request.Files {
		if f.Name != name {
			continue
		}
		switch received := t.received[name]; {
		case t.open[name]:
			return f, refuse(protocol.ReasonBusy, "file %s is being received by another call", name)
		case offset != received:
			return f, refuse(protocol.ReasonConflict, "file %s: %d bytes were received, go on from there and not from %d", name, received, offset)
		case r.Phase != protocol.PlacementReceiving && !t.verified[name]:
			return f, refuse(protocol.ReasonConflict, "placement %s is %s: nothing is received any more", id, r.Phase)
		}
		t.open[name] = true
		return f, nil
	}
	return protocol.PlacementFile{}, refuse(protocol.ReasonNotFound, "placement %s has no file %.80q", id, name)
}

func (t *Target) unclaim(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, name)
}

func (t *Target) isVerified(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.verified[name]
}

func (t *Target) note(name string, received int64, verified bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.received[name], t.verified[name] = received, verified
}

// appendTo writes at most limit bytes, also into sum where it is not nil, and refuses a body that has more. It returns how many are in the file.
func (t *Target) appendTo(part string, body io.Reader, limit int64, sum hash.Hash) (written int64, err error) {
	f, err := t.o.FS.Append(part)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buffer := make([]byte, chunk)
	for left := int64(0); ; left -= chunk {
		if left <= 0 {
			if err := t.room(0); err != nil {
				return written, err
			}
			left = spaceStep
		}
		n, readErr := fill(body, buffer)
		if int64(n) > limit-written {
			return written, refuse(protocol.ReasonBadRequest, "file %s has more bytes than the %d that were announced", filepath.Base(part), limit)
		}
		m, err := f.Write(buffer[:n])
		written += int64(m)
		if sum != nil {
			sum.Write(buffer[:m])
		}
		switch {
		case err != nil:
			return written, err
		case errors.Is(readErr, io.EOF):
			return written, f.Sync()
		case readErr != nil:
			return written, readErr
		}
	}
}

// fill reads until a buffer is full or nothing more comes: a network has small pieces, and each of them would be a write.
func fill(body io.Reader, buffer []byte) (n int, err error) {
	for n < len(buffer) && err == nil {
		var m int
		m, err = body.Read(buffer[n:])
		n += m
	}
	return n, err
}

// verify compares what was received with what was announced, and gives the file its place if it is that. seen is the hash of all its bytes as they were written; nil: they are read back.
func (t *Target) verify(ctx context.Context, file protocol.PlacementFile, part string, seen hash.Hash) error {
	sum, size, err := t.sumOf(ctx, part, seen)
	if err != nil {
		return fmt.Errorf("verifying %s: %w", file.Name, err)
	}
	if sum != file.SHA256 || size != file.Size {
		return errors.Join(refuse(protocol.ReasonBadData, "file %s: %d bytes with SHA-256 %s were received, %d bytes with %s were announced: send it again from offset 0",
			file.Name, size, sum, file.Size, file.SHA256), t.restart(file.Name, part))
	}
	if err := t.o.FS.Rename(part, filepath.Join(t.o.Dir, filesName, file.Name)); err != nil {
		return fmt.Errorf("verifying %s: %w", file.Name, err)
	}
	return t.o.FS.Sync(filepath.Join(t.o.Dir, filesName))
}

func (t *Target) sumOf(ctx context.Context, part string, seen hash.Hash) (sum string, size int64, err error) {
	if seen == nil {
		return sumOf(ctx, t.o.FS, part)
	}
	info, err := t.o.FS.Stat(part) // what stood in the file before, if anything, went by nobody
	return hex.EncodeToString(seen.Sum(nil)), info.Size, err
}

// restart throws away what was received of a file.
func (t *Target) restart(name, part string) error {
	t.note(name, 0, false)
	return t.o.FS.RemoveAll(part)
}

// complete makes the placement Received when the last file is verified.
func (t *Target) complete(id string) error {
	if err := t.alone(); err != nil { // two last files may be verified at once
		return err
	}
	defer t.next()
	t.mu.Lock()
	r := t.record
	whole := r != nil && r.Request.ID == id && r.Phase == protocol.PlacementReceiving
	if whole {
		for _, f := range r.Request.Files {
			whole = whole && t.verified[f.Name]
		}
	}
	t.mu.Unlock()
	if !whole {
		return nil
	}
	_, err := t.enter(*r, protocol.PlacementReceived)
	return err
}
