package job

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/store"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// restore sends a backup to all members, beside what they have. It puts nothing in place: the operator does, when it has seen that all of them have everything.
func (w *work) restore(ctx context.Context) (Result, error) {
	w.watch.now("reading the backup's manifest")
	r := w.request.Restore
	var err error
	if w.archive, err = archive.New(w.store, w.request.Destination.Prefix, r.Source.ClusterUID); err != nil {
		return Result{}, fail(RequestInvalid, err, "")
	}
	reading, release, err := w.reading(ctx)
	if err != nil {
		return Result{}, err
	}
	defer release()
	result, err := w.deliver(reading)
	return result, kept(reading, damaged(err))
}

func (w *work) deliver(ctx context.Context) (Result, error) {
	r := w.request.Restore
	b, err := w.archive.Read(ctx, r.Source.ID)
	switch {
	case store.Is(err, store.KindNotFound):
		return Result{}, w.missing(ctx, r.Source.ID)
	case err != nil:
		return Result{}, err
	case b.SHA256 != r.Source.ManifestSHA256:
		return Result{}, replaced(w.archive.ManifestKey(b.ID), b.SHA256, r.Source.ManifestSHA256)
	}
	m := b.Manifest
	source, err := w.opened(m)
	if err != nil {
		return Result{}, err
	}
	w.watch.now("sending the backup to the members")
	var court atomic.Int64
	request := protocol.PlacementRequest{
		ID: r.PlacementID, Origin: r.Origin, ClusterUID: w.request.Owner.ClusterUID, Generation: r.Generation, Files: placementFiles(m), Edits: r.Edits,
	}
	var targets []*target
	for _, member := range r.Members {
		agent, err := w.agent(r.ServerName, member.Agent)
		if err != nil {
			return Result{}, err
		}
		targets = append(targets, newTarget(member, agent, request, w, &court))
	}
	if err := newTransfer(source, m, targets, &court, w).run(ctx); err != nil {
		return Result{}, readable(m, err)
	}
	found := inspected(m)
	return Result{
		Message: fmt.Sprintf("%d members have the backup %s, verified, beside what they had: %s each", len(targets), b.ID, sizeOf(found.Bytes)),
		ID:      b.ID, Key: w.archive.ManifestKey(b.ID), ManifestSHA256: b.SHA256, SizeBytes: m.Size(), RecoveryPoint: m.RecoveryPoint, Counts: m.Counts, Encrypted: m.Encryption != nil,
	}, nil
}
