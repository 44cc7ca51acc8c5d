package job

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/store"
)

// clockTolerance is how far the clocks of node and store may be apart before it is said. S3 refuses requests at 15 minutes.
const clockTolerance = time.Minute

// probe claims the place and tries there what backups need.
func (w *work) probe(ctx context.Context) (Result, error) {
	w.watch.now("probing the destination")
	if err := w.archive.Claim(ctx, w.owner()); err != nil {
		return Result{}, err
	}
	random := make([]byte, 48)
	if _, err := io.ReadFull(w.Random, random); err != nil {
		return Result{}, fmt.Errorf("drawing random bytes: %w", err)
	}
	found, err := store.Probe(ctx, w.store, w.archive.Key("probe/"+hex.EncodeToString(random[:16])), random[16:])
	if err != nil {
		return Result{}, err
	}
	// A store that says its time to the second is up to one behind.
	ahead := found.Modified.Add(500 * time.Millisecond).Sub(w.Now()).Round(time.Second)
	if ahead.Abs() > clockTolerance {
		w.warn("the store's clock is %s ahead of the node's (negative: behind): from 15 minutes on the store refuses everything; set the node's clock", ahead)
	}
	if !found.Checksums {
		w.warn("the store keeps no SHA-256 checksums: verifying a backup means reading all of it back, also with verification Checksum")
	}
	switch {
	case !found.RetainUntil.IsZero():
		w.warn("the bucket keeps every object until %s (object lock): backups are not gone and cost space until then, whatever retention says", found.RetainUntil.UTC().Format(time.RFC3339))
	case found.Versioned:
		w.warn("the bucket keeps versions: what retention deletes goes on to cost space, until a lifecycle rule of the bucket removes versions that are not current")
	}
	if err := w.neighbours(ctx); err != nil {
		return Result{}, err
	}
	return Result{
		Message: fmt.Sprintf("%s can be written to, read, listed and deleted from, and belongs to this cluster", w.store),
		Probed:  &Probed{Checksums: found.Checksums, ClockAheadMilliseconds: ahead.Milliseconds()},
	}, nil
}

// maxNeighbours that are named.
const maxNeighbours = 5

// neighbours are other clusters below the same prefix: former ones of the same name, most often. Each has a folder of its own and none is disturbed, but who may write here may delete all.
func (w *work) neighbours(ctx context.Context) error {
	prefix := w.request.Destination.Prefix
	uids, err := archive.Clusters(ctx, w.store, prefix)
	if err != nil {
		return err
	}
	uids = slices.DeleteFunc(uids, func(uid string) bool { return uid == w.request.Owner.ClusterUID })
	var names []string
	for _, uid := range uids[:min(len(uids), maxNeighbours)] {
		name := uid
		if a, err := archive.New(w.store, prefix, uid); err == nil {
			if o, err := a.Owner(ctx); err == nil {
				name = fmt.Sprintf("%s/%s (%s)", o.Namespace, o.Name, uid)
			}
		}
		names = append(names, name)
	}
	if len(names) > 0 {
		w.warn("%d other clusters have backups below the same prefix: %s. None disturbs another, but these credentials can delete them: a living cluster better has a prefix or bucket of its own", len(uids), strings.Join(names, ", "))
	}
	return nil
}

// collect what retention does not keep, and what no backup needs. What was done before an error is said too.
func (w *work) collect(ctx context.Context) (Result, error) {
	w.watch.now("collecting")
	if err := w.ours(ctx); err != nil {
		return Result{}, err
	}
	policies := map[string]archive.Policy{}
	for _, p := range w.request.Collect.Policies {
		policies[p.Schedule] = archive.Policy{KeepLast: int(p.KeepLast), MaxAge: time.Duration(p.MaxAgeSeconds) * time.Second}
	}
	damaged := map[string]bool{}
	for _, id := range w.request.Collect.Damaged {
		damaged[id] = true
	}
	done, err := w.archive.Collect(ctx, w.Holder, policies, damaged)
	c := &Collected{Expired: len(done.Expired), ExpiredIDs: done.Expired, Objects: len(done.Garbage.Keys), Bytes: done.Garbage.Bytes, Uploads: done.Uploads}
	if done.Garbage.Blocked != "" {
		w.warn("no tables were removed: %s", done.Garbage.Blocked)
	}
	if err == nil {
		err = w.inventory(ctx, c, damaged)
	}
	return Result{
		Message:   fmt.Sprintf("%d backups were deleted, and %d objects of %s and %d unfinished uploads that no backup needs; %d backups are left", c.Expired, c.Objects, sizeOf(c.Bytes), c.Uploads, c.Kept),
		Collected: c,
	}, err
}

// inventory counts what is left.
func (w *work) inventory(ctx context.Context, c *Collected, damaged map[string]bool) error {
	backups, err := w.archive.List(ctx)
	if err != nil {
		return err
	}
	c.Kept = len(backups)
	counted := map[string]bool{}
	for _, b := range backups {
		if !b.Good() || damaged[b.ID] {
			c.Damaged++
		}
		if !b.Good() {
			w.warn("the backup %s cannot be read (%s): it is kept, with everything that it may need, until it is deleted by hand", b.ID, b.Broken)
			continue
		}
		for _, o := range b.Manifest.Objects() {
			if !counted[o.Key] {
				counted[o.Key] = true
				c.TotalBytes += o.Size
			}
		}
	}
	return nil
}

// delete one backup. One that is gone is deleted.
func (w *work) delete(ctx context.Context) (Result, error) {
	w.watch.now("deleting the backup")
	id := w.request.Delete.ID
	if err := w.ours(ctx); err != nil {
		return Result{}, err
	}
	if err := w.archive.Delete(ctx, id, w.Holder); err != nil {
		return Result{}, err
	}
	return Result{ID: id, Message: fmt.Sprintf("the backup %s is gone from %s; its tables go with the next collection, where no other backup needs them", id, w.store)}, nil
}

// verify one backup. Nothing may be collected meanwhile.
func (w *work) verify(ctx context.Context) (Result, error) {
	w.watch.now("verifying")
	id, mode := w.request.Verify.ID, w.request.Verify.Mode
	lock, err := w.archive.Acquire(ctx, archive.Reading, w.Holder)
	if err != nil {
		return Result{}, err
	}
	defer lock.Release(ctx)
	reading := lock.Keep(ctx, archive.LockTTL/10)
	b, err := w.archive.Read(reading, id)
	if store.Is(err, store.KindNotFound) {
		return Result{}, fail(BackupMissing, fmt.Errorf("there is no backup %s in %s", id, w.store), "it was deleted, expired, or never complete")
	}
	if err != nil {
		return Result{}, kept(reading, err)
	}
	identity, err := w.identity(b.Manifest.Encryption != nil, mode)
	if err != nil {
		return Result{}, err
	}
	m := b.Manifest
	if err := w.archive.Verify(reading, &m, mode, identity, nil); err != nil {
		return Result{}, kept(reading, err)
	}
	result, err := w.described(ctx, id, m)
	result.Message = fmt.Sprintf("the backup %s is whole: %s in %d objects (%s)", id, sizeOf(result.SizeBytes), len(m.Objects()), mode)
	return result, err
}

// kept prefers why a lock could not be held to what came of it.
func kept(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, ctx.Err()) {
		return cause
	}
	return err
}

// identity for a verification that can use one.
func (w *work) identity(encrypted bool, mode archive.Mode) (string, error) {
	if !encrypted || mode != archive.Full {
		return "", nil
	}
	identity, err := w.files.identity()
	if err == nil && identity == "" {
		w.warn("the backup is encrypted and no identity is mounted: what lies in the bucket was compared, and not decrypted")
	}
	return identity, err
}

// described is what a result says of a backup that is there.
func (w *work) described(ctx context.Context, id string, m archive.Manifest) (Result, error) {
	key := w.archive.ManifestKey(id)
	sum, err := store.Hash(ctx, w.store, key)
	if err != nil {
		return Result{}, err
	}
	return Result{
		ID: id, Key: key, ManifestSHA256: sum, SizeBytes: m.Size(), RecoveryPoint: m.RecoveryPoint, Groups: positions(m.Groups), Counts: m.Counts, Encrypted: m.Encryption != nil,
	}, nil
}
