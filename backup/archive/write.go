package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"filippo.io/age"

	"github.com/robustmq/robustmq-operator/backup/store"
)

// File of an image.
type File struct {
	Name string
	// Size in bytes and SHA256 in lower-case hexadecimal digits, of the plain content.
	Size   int64
	SHA256 string
	// Open reads it, from its beginning. It may be called more than once, and by several at a time for different files.
	Open func(context.Context) (io.ReadCloser, error)
}

// Stage of work, as API's BackupStage has it.
type Stage string

// The stages.
const (
	Uploading Stage = "Uploading"
	Verifying Stage = "Verifying"
)

// Progress of a stage: Bytes of Total.
type Progress struct {
	Stage        Stage
	Bytes, Total int64
}

// Request to write a backup.
type Request struct {
	// Owner of the place; it is claimed first.
	Owner Owner
	// Holder names who writes, for people who find the lock.
	Holder string
	// Patience is how long a collection that is at work is waited for.
	Patience time.Duration
	// Manifest with everything but Format, Cluster, Encryption, Files, Tables and Finished.
	Manifest Manifest
	// Files are what is not a table; at least one.
	Files []File
	// Tables of RocksDB, whose content never changes.
	Tables []File
	// Recipients of the encryption with age; none: no encryption.
	Recipients []string
	// Verification before the manifest is written.
	Verification Mode
	// Identities, if there are some, with which a Full verification of an encrypted backup reads the plain content too.
	Identities string
	// Progress is told how far it is, by one caller at a time; it must be quick. Nil: nobody wants to know.
	Progress func(Progress)
	// Now is the clock.
	Now func() time.Time
}

// Written is a backup that is complete.
type Written struct {
	ID, Key  string
	Manifest Manifest
	// SHA256 of the manifest, in lower-case hexadecimal digits.
	SHA256 string
	// Uploaded bytes; the rest was there.
	Uploaded int64
}

// writer is one backup under way.
type writer struct {
	*Archive
	req        Request
	id         string
	recipients []age.Recipient
	known      map[string]Object // by the plain hash: what good manifests name and we could use again

	mu       sync.Mutex
	progress Progress
	uploaded int64
}

// Write makes a backup: tables that are not there yet, the rest in one archive, everything read back, and last the manifest. Until that exists nothing of it can be seen.
// A table that one of the manifests names is used again if the store still says of it what the manifest says.
func (a *Archive) Write(ctx context.Context, req Request) (Written, error) {
	w := &writer{Archive: a, req: req, id: ID(req.Manifest.Started, req.Manifest.Name)}
	written, err := w.run(ctx)
	return written, wrap(err, "writing the backup "+w.id)
}

func (w *writer) run(ctx context.Context) (Written, error) {
	if err := w.prepare(); err != nil {
		return Written{}, err
	}
	if err := w.Claim(ctx, w.req.Owner); err != nil {
		return Written{}, err
	}
	lock, err := w.AcquireWithin(ctx, Backing, w.req.Holder, w.req.Patience)
	if err != nil {
		return Written{}, err
	}
	defer lock.Release(ctx)
	working := lock.Keep(ctx, LockTTL/10)
	// A backup that is there is not touched: what it names would be replaced.
	if _, err := w.store.Head(working, w.ManifestKey(w.id)); err == nil {
		return Written{}, &store.Error{Op: "create", Key: w.ManifestKey(w.id), Place: w.store.String(), Kind: store.KindExists}
	} else if !store.Is(err, store.KindNotFound) {
		return Written{}, err
	}
	m, err := w.content(working)
	var body []byte
	if err == nil {
		m.Finished = w.req.Now().UTC()
		body, err = m.Marshal()
	}
	sum := sha256.Sum256(body)
	if err == nil {
		note := sumNote(hex.EncodeToString(sum[:]))
		_, err = w.store.Put(working, w.sumKey(w.id), store.Content{Body: strings.NewReader(note), Size: int64(len(note))})
	}
	if err == nil {
		err = lock.Renew(working) // from here on nothing is collected for longer than the last request may take
	}
	if err == nil {
		_, err = w.store.Create(working, w.ManifestKey(w.id), body)
	}
	if err != nil {
		if cause := context.Cause(working); working.Err() != nil && ctx.Err() == nil {
			err = cause
		}
		w.discard(ctx)
		return Written{}, err
	}
	return Written{ID: w.id, Key: w.ManifestKey(w.id), Manifest: m, SHA256: hex.EncodeToString(sum[:]), Uploaded: w.uploaded}, nil
}

// prepare finds mistakes before anything is written.
func (w *writer) prepare() error {
	recipients, err := parseRecipients(w.req.Recipients)
	if err != nil {
		return err
	}
	w.recipients = recipients
	if len(w.req.Files) == 0 {
		return errors.New("an image has files that are no tables")
	}
	names := map[string]bool{}
	for _, f := range slices.Concat(w.req.Files, w.req.Tables) {
		if !fileName.MatchString(f.Name) || names[f.Name] || f.Size < 0 || !hexSHA256.MatchString(f.SHA256) || f.Open == nil {
			return fmt.Errorf("the file %q of %d bytes with SHA-256 %q is there twice, or has a name, size or hash that none can have", f.Name, f.Size, f.SHA256)
		}
		names[f.Name] = true
		w.progress.Total += f.Size
	}
	w.progress.Stage = Uploading
	return nil
}

// discard what nobody will see. The manifest goes first: if it is there after all, and cannot be deleted, it is that of a backup that is whole, and must stay so.
func (w *writer) discard(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if w.store.Delete(ctx, w.ManifestKey(w.id)) == nil {
		w.store.Delete(ctx, w.Key(w.filesKey())) //nolint:errcheck // it is collected later
	}
}

func (w *writer) filesKey() string {
	key := "backups/" + w.id + "/files.tar.zst"
	if len(w.recipients) > 0 {
		key += ".age"
	}
	return key
}

// content uploads and verifies everything.
func (w *writer) content(ctx context.Context) (Manifest, error) {
	m := w.req.Manifest
	m.Format = Format
	m.Cluster = Cluster{UID: w.uid, Name: w.req.Owner.Name, Namespace: w.req.Owner.Namespace}
	m.Encryption = nil
	if len(w.recipients) > 0 {
		m.Encryption = &Encryption{Method: "age", Recipients: normal(w.req.Recipients)}
	}
	if err := w.recall(ctx, m.Encryption); err != nil {
		return m, err
	}
	tables, err := w.tables(ctx)
	if err != nil {
		return m, err
	}
	m.Tables = tables
	if m.Files, err = w.files(ctx); err != nil {
		return m, err
	}
	err = w.Verify(ctx, &m, w.req.Verification, w.req.Identities, w.req.Progress)
	return m, err
}

func (w *writer) put(ctx context.Context, key string, c store.Content) (Object, error) {
	info, err := w.store.Put(ctx, w.Key(key), c)
	if err != nil {
		return Object{}, err
	}
	w.mu.Lock()
	w.uploaded += info.Size
	w.mu.Unlock()
	return Object{Key: key, Size: info.Size, SHA256: info.SHA256, Checksum: info.Checksum}, nil
}

// moved tells how far it is.
func (w *writer) moved(n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.progress.Bytes += n
	if w.req.Progress != nil && n > 0 {
		w.req.Progress(w.progress)
	}
}

// FileOf makes a File of bytes in memory.
func FileOf(name string, content []byte) File {
	sum := sha256.Sum256(content)
	return File{Name: name, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]), Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}}
}
