package store

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// Probed is what a probe found out.
type Probed struct {
	// Checksums: the store keeps SHA-256 checksums. Where it does not, verifying a backup means reading it.
	Checksums bool
	// Modified is the store's clock.
	Modified time.Time
	// Versioned: what is deleted goes on to cost space, as an old version.
	Versioned bool
	// RetainUntil is until when the store keeps what is written now, whatever is deleted (object lock). Zero: it does not, or the credentials may not know.
	RetainUntil time.Time
}

// Probe writes, reads back, lists and deletes a small object, with the credentials that backups will have. The key must be one that nothing else has;
// the body is any bytes, different every time, so that no cache answers. The error says which of the operations failed and what to do.
func Probe(ctx context.Context, s Store, key string, body []byte) (Probed, error) {
	if _, err := s.Put(ctx, key, Content{Body: bytes.NewReader(body), Size: int64(len(body))}); err != nil {
		return Probed{}, fmt.Errorf("probing the destination: %w", err)
	}
	found, err := probe(ctx, s, key, body)
	if deleteErr := s.Delete(ctx, key); err == nil && deleteErr != nil {
		err = deleteErr
	}
	if err != nil {
		return Probed{}, fmt.Errorf("probing the destination: %w", err)
	}
	if _, err := s.Head(ctx, key); !Is(err, KindNotFound) {
		return Probed{}, fmt.Errorf("probing the destination: %w", &Error{Op: "delete", Key: key, Place: s.String(), Kind: KindMismatch, Detail: "it was deleted and is still there"})
	}
	return found, nil
}

func probe(ctx context.Context, s Store, key string, body []byte) (Probed, error) {
	mismatch := func(op, detail string) error {
		return &Error{Op: op, Key: key, Place: s.String(), Kind: KindMismatch, Detail: detail}
	}
	info, err := s.Head(ctx, key)
	if err != nil {
		return Probed{}, err
	}
	if info.Size != int64(len(body)) {
		return Probed{}, mismatch("head", fmt.Sprintf("%d bytes were written, the store says %d", len(body), info.Size))
	}
	there, err := ReadAll(ctx, s, key, int64(len(body)))
	if err != nil {
		return Probed{}, err
	}
	if !bytes.Equal(there, body) {
		return Probed{}, mismatch("get", "what was read is not what was written")
	}
	listed := false
	for listedInfo, err := range s.List(ctx, key, true) {
		if err != nil {
			return Probed{}, err
		}
		listed = listed || listedInfo.Key == key
	}
	if !listed {
		return Probed{}, mismatch("list", "what was written is not listed")
	}
	return Probed{Checksums: info.Checksum != "", Modified: info.Modified, Versioned: info.Versioned, RetainUntil: info.RetainUntil}, nil
}
