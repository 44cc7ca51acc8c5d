package job

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/store"
	"github.com/robustmq/robustmq-operator/internal/agent/images"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// inspect chooses a backup and proves, before anything is stopped for it, that a restore can read all of it.
func (w *work) inspect(ctx context.Context) (Result, error) {
	w.watch.now("looking for the backup")
	id, err := w.chooseCluster(ctx)
	if err != nil {
		return Result{}, err
	}
	reading, release, err := w.reading(ctx)
	if err != nil {
		return Result{}, err
	}
	defer release()
	if id != "" {
		b, err := w.archive.Read(reading, id)
		if store.Is(err, store.KindNotFound) {
			err = w.missing(reading, id)
		}
		if err != nil {
			return Result{}, kept(reading, damaged(err))
		}
		if want := w.request.Inspect.Source.ManifestSHA256; want != "" && want != b.SHA256 {
			return Result{}, replaced(w.archive.ManifestKey(id), b.SHA256, want)
		}
		result, err := w.prove(reading, b)
		return result, kept(reading, damaged(err))
	}
	result, err := w.newest(reading)
	return result, kept(reading, err)
}

// newest good backup: one that turns out not to be whole is passed over.
func (w *work) newest(ctx context.Context) (Result, error) {
	all, err := w.candidates(ctx)
	if err != nil {
		return Result{}, err
	}
	for _, c := range all {
		b, err := w.archive.Read(ctx, c.id)
		if store.Is(err, store.KindNotFound) {
			continue // it has expired meanwhile
		}
		var result Result
		if err == nil {
			result, err = w.prove(ctx, b)
		}
		var broken *archive.BrokenError
		if !errors.As(err, &broken) {
			return result, err
		}
		w.warn("the backup %s is newer and was passed over: %s", c.id, cut(err.Error(), 300))
	}
	return Result{}, w.nothing()
}

// prove that a backup is whole and can be read with what is mounted.
func (w *work) prove(ctx context.Context, b archive.Backup) (Result, error) {
	w.watch.now("looking whether the backup " + b.ID + " is whole")
	m, key := b.Manifest, w.archive.ManifestKey(b.ID)
	found := inspected(m)
	if problem := found.problem(); problem != "" {
		return Result{}, &archive.BrokenError{Key: key, Problem: problem}
	}
	if err := images.CheckFiles(placementFiles(m)); err != nil {
		return Result{}, &archive.BrokenError{Key: key, Problem: err.Error()}
	}
	source, err := w.opened(m)
	if err != nil {
		return Result{}, err
	}
	if err := w.archive.Present(ctx, m); err != nil {
		return Result{}, err
	}
	if err := source.Files(ctx, func(archive.Entry, io.Reader) error { return nil }); err != nil {
		return Result{}, readable(m, err)
	}
	return Result{
		Message: fmt.Sprintf("the backup %s of %s/%s is whole and can be restored: %s for each member, as of %s", b.ID, found.Namespace, found.ClusterName, sizeOf(found.Bytes), m.RecoveryPoint.UTC().Format(time.RFC3339)),
		ID:      b.ID, Key: key, ManifestSHA256: b.SHA256, SizeBytes: m.Size(), RecoveryPoint: m.RecoveryPoint, Counts: m.Counts, Encrypted: m.Encryption != nil, Inspected: &found,
	}, nil
}

// inspected are a manifest's facts.
func inspected(m archive.Manifest) Inspected {
	i := Inspected{
		ClusterUID: m.Cluster.UID, ClusterName: m.Cluster.Name, Namespace: m.Cluster.Namespace, Version: m.RobustMQ.Version, ImageDigest: m.RobustMQ.ImageDigest,
		Nodes: m.Nodes, Groups: m.Groups, Tables: len(m.Tables),
	}
	for _, f := range placementFiles(m) {
		i.Bytes += f.Size
		i.Files++
	}
	return i
}

// placementFiles are the files of a backup as a member gets them: tables first.
func placementFiles(m archive.Manifest) []protocol.PlacementFile {
	files := make([]protocol.PlacementFile, 0, len(m.Tables)+len(m.Files.Entries))
	for _, t := range m.Tables {
		files = append(files, protocol.PlacementFile{Name: t.Name, Size: t.Size, SHA256: t.SHA256})
	}
	for _, e := range m.Files.Entries {
		files = append(files, protocol.PlacementFile{Name: e.Name, Size: e.Size, SHA256: e.SHA256})
	}
	return files
}

// opened is the content of a backup, decrypted where it is encrypted.
func (w *work) opened(m archive.Manifest) (*archive.Source, error) {
	var identity string
	if m.Encryption != nil {
		var err error
		if identity, err = w.files.identity(); err != nil {
			return nil, err
		}
	}
	source, err := w.archive.Open(m, identity)
	return source, readable(m, err)
}

// readable says whom a backup was encrypted for, where that is why it cannot be read.
func readable(m archive.Manifest, err error) error {
	var identity *archive.IdentityError
	if m.Encryption == nil || !errors.As(err, &identity) {
		return err
	}
	recipients := m.Encryption.Recipients
	names := strings.Join(cutAll(recipients, 80, 3), ", ")
	return fail(EncryptionInvalid, err, fmt.Sprintf("spec.identitySecretName of the restore, or spec.backup.encryption.identitySecretName of the cluster, names a Secret whose key identity belongs to one of %d recipients: %s", len(recipients), names))
}

// damaged says what to do about a backup that is not whole.
func damaged(err error) error {
	var broken *archive.BrokenError
	if !errors.As(err, &broken) {
		return err
	}
	return fail(BackupBroken, err, "this backup cannot be restored: choose another (kubectl get rmqb), or leave source.key out to have the newest good one chosen")
}

// replaced is a manifest that is not the one that was chosen.
func replaced(key, is, want string) error {
	return fail(BackupBroken, fmt.Errorf("%s has SHA-256 %s, and the backup that was chosen had %s", key, is, want), "it was replaced meanwhile: choose the backup anew")
}

// reading keeps collections away while a backup is read, as far as the credentials allow it.
func (w *work) reading(ctx context.Context) (reading context.Context, release func(), err error) {
	lock, err := w.archive.AcquireWithin(ctx, archive.Reading, w.Holder, w.Patience.Busy)
	if store.Is(err, store.KindDenied) || store.Is(err, store.KindFull) {
		w.warn("nothing can be written to the bucket, so nothing keeps a collection away: a backup that expires while it is read may vanish")
		return ctx, func() {}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	return lock.Keep(ctx, archive.LockTTL/10), func() { lock.Release(ctx) }, nil
}
