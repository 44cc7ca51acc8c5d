package job

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/store"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// take a backup. The destination is tried first: what is wrong with it costs the member nothing.
func (w *work) take(ctx context.Context) (Result, error) {
	w.watch.now("asking the destination")
	if err := w.archive.Claim(ctx, w.owner()); err != nil {
		return Result{}, err
	}
	if there, found, err := w.existing(ctx); found || err != nil {
		return there, err
	}
	s, err := w.source()
	if err != nil {
		return Result{}, err
	}
	// The image goes as soon as the Job is told to end, while what it wrote is still being cleared away.
	release := sync.OnceFunc(func() { s.release(ctx) })
	defer release()
	defer context.AfterFunc(ctx, release)()

	w.watch.now("waiting for the member's image")
	counter, err := w.counter(s)
	if err != nil {
		return Result{}, err
	}
	before := w.count(ctx, counter)
	w.Log.Info("asking for an image", "agent", w.request.Take.Agent, "image", s.id)
	image, err := s.prepare(ctx)
	if err != nil {
		return Result{}, err
	}
	groups, err := w.groups(image)
	if err != nil {
		return Result{}, err
	}
	return w.write(ctx, s, image, groups, w.steady(before, w.count(ctx, counter)))
}

// existing is the same backup, made by a Job whose end nobody saw. It was whole before its manifest was written.
func (w *work) existing(ctx context.Context) (Result, bool, error) {
	id := w.request.Take.BackupID()
	b, err := w.archive.Read(ctx, id)
	if store.Is(err, store.KindNotFound) {
		return Result{}, false, nil
	}
	if err != nil {
		return Result{}, true, err
	}
	result, err := w.described(ctx, id, b.Manifest)
	if err != nil {
		return Result{}, true, err
	}
	result.Message = fmt.Sprintf("the backup %s was complete already: %s", id, sizeOf(result.SizeBytes))
	return result, true, nil
}

// groups are the raft groups' states in the image, which must have what was acknowledged before the recovery point.
func (w *work) groups(image protocol.Image) ([]archive.Group, error) {
	for name, want := range w.request.Take.Positions {
		g, ok := image.Groups[name]
		if !ok {
			return nil, fail(ImageFailed, fmt.Errorf("the image has no raft group %s", name), "")
		}
		if g.LastApplied == nil || g.LastApplied.Index < want {
			var applied uint64
			if g.LastApplied != nil {
				applied = g.LastApplied.Index
			}
			return nil, fail(ImageFailed, fmt.Errorf("the member has applied %d of the raft group %s, and the leader's log was at %d when the backup was asked for", applied, name, want), "it has fallen behind; the next backup takes one that has caught up")
		}
	}
	var groups []archive.Group
	for _, name := range slices.Sorted(maps.Keys(image.Groups)) {
		g := image.Groups[name]
		group := archive.Group{
			Name: name, Term: g.Vote.Term, // a member's term is that of its vote
			Vote:       archive.Vote{Term: g.Vote.Term, NodeID: g.Vote.NodeID, Committed: g.Vote.Committed},
			Membership: archive.Membership{Voters: g.Membership.Voters},
		}
		if g.LastApplied != nil {
			group.LastApplied = g.LastApplied.Index
		}
		if l := g.Membership.LogID; l != nil {
			group.Membership.Term, group.Membership.NodeID, group.Membership.Index = l.Term, l.NodeID, l.Index
		}
		groups = append(groups, group)
	}
	return groups, nil
}

// write the image to the bucket.
func (w *work) write(ctx context.Context, s *source, image protocol.Image, groups []archive.Group, counts map[string]int64) (Result, error) {
	t := w.request.Take
	identity, err := w.identity(len(t.Recipients) > 0, t.Verification)
	if err != nil {
		return Result{}, err
	}
	r := archive.Request{
		Owner: w.owner(), Holder: w.Holder, Patience: w.Patience.Busy, Recipients: t.Recipients, Verification: t.Verification, Identities: identity, Now: w.Now,
		Manifest: archive.Manifest{
			Name: t.Name, Schedule: t.Schedule, Tool: w.Tool, RobustMQ: t.RobustMQ, Member: t.Member, Groups: groups,
			RecoveryPoint: t.RecoveryPoint.UTC(), Started: t.Started.UTC(), Nodes: t.Nodes, Counts: counts,
		},
	}
	var total int64
	for _, f := range image.Files {
		total += f.Size
		if f.Table {
			r.Tables = append(r.Tables, s.file(f))
		} else {
			r.Files = append(r.Files, s.file(f))
		}
	}
	w.Log.Info("the image is ready", "files", len(image.Files), "bytes", total, "milliseconds", image.TookMillis, "attempts", image.Attempts, "walBytes", image.WALBytes)

	reporting, stop := context.WithCancel(ctx)
	progress := &report{source: s, now: protocol.ImageProgress{Stage: protocol.StageUploading, Total: total}}
	var reporter sync.WaitGroup
	reporter.Go(func() { progress.run(reporting) })
	defer reporter.Wait()
	defer stop()
	stage := archive.Uploading
	w.watch.now("uploading")
	r.Progress = func(p archive.Progress) {
		if p.Stage != stage {
			stage = p.Stage
			w.watch.now("verifying")
		}
		progress.set(protocol.ImageProgress{Stage: stages[p.Stage], Bytes: p.Bytes, Total: p.Total})
	}
	written, err := w.archive.Write(ctx, r)
	if store.Is(err, store.KindExists) { // two Jobs of one backup at once: the other one has finished
		if there, found, existErr := w.existing(ctx); found && existErr == nil {
			return there, nil
		}
	}
	if err != nil {
		return Result{}, err
	}
	m := written.Manifest
	return Result{
		Message: fmt.Sprintf("the backup %s is complete: %s, %s of them new in the bucket", written.ID, sizeOf(m.Size()), sizeOf(written.Uploaded)),
		ID:      written.ID, Key: written.Key, ManifestSHA256: written.SHA256, SizeBytes: m.Size(), UploadedBytes: written.Uploaded,
		RecoveryPoint: m.RecoveryPoint, Groups: positions(m.Groups), Counts: m.Counts, Encrypted: m.Encryption != nil,
	}, nil
}
