package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"github.com/robustmq/robustmq-operator/backup/store"
)

// maxWindow of zstd, in bytes: what a reader has to keep in memory.
const maxWindow = 8 << 20

// parallel transfers of tables. Their memory is the store's.
const parallel = 4

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

// recall what earlier backups say of tables. Recipients that are others make other objects: whoever may read this backup must be able to read all of it, and nobody else.
func (w *writer) recall(ctx context.Context, encryption *Encryption) error {
	backups, err := w.List(ctx)
	if err != nil {
		return err
	}
	w.known = map[string]Object{}
	for _, b := range backups {
		e := b.Manifest.Encryption
		if !b.Good() || (e == nil) != (encryption == nil) || (e != nil && !slices.Equal(normal(e.Recipients), encryption.Recipients)) {
			continue
		}
		for _, t := range b.Manifest.Tables {
			w.known[t.SHA256] = t.Object
		}
	}
	return nil
}

// tables that differ are written once each, several at a time.
func (w *writer) tables(ctx context.Context) ([]Table, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	byHash := map[string]*Object{}
	slots := make(chan struct{}, parallel)
	var group sync.WaitGroup
	for _, f := range w.req.Tables {
		if byHash[f.SHA256] != nil {
			w.moved(f.Size)
			continue
		}
		object := &Object{}
		byHash[f.SHA256] = object
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if ctx.Err() != nil {
				return
			}
			var err error
			if *object, err = w.table(ctx, f); err != nil {
				cancel(fmt.Errorf("saving the table %s: %w", f.Name, err))
			}
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	tables := make([]Table, 0, len(w.req.Tables))
	for _, f := range w.req.Tables {
		tables = append(tables, Table{Entry: Entry{f.Name, f.Size, f.SHA256}, Object: *byHash[f.SHA256]})
	}
	slices.SortFunc(tables, func(a, b Table) int { return strings.Compare(a.Name, b.Name) })
	return tables, nil
}

// table finds or writes one.
func (w *writer) table(ctx context.Context, f File) (Object, error) {
	there, found, err := w.there(ctx, f)
	if err != nil || found {
		w.moved(f.Size)
		return there, err
	}
	o := Object{Key: "tables/" + f.SHA256}
	if len(w.recipients) > 0 {
		o.Key += "." + w.id + ".age"
	}
	if len(w.recipients) == 0 {
		o, err := w.put(ctx, o.Key, store.Content{Open: w.opener(f, false), Size: f.Size, SHA256: f.SHA256})
		if store.Is(err, store.KindMismatch) {
			return o, w.blame(ctx, f, err)
		}
		return o, err
	}
	plain, err := w.opener(f, true)(ctx)
	if err != nil {
		return o, err
	}
	defer plain.Close()
	encrypted, err := age.EncryptReader(plain, w.recipients...)
	if err != nil {
		return o, fmt.Errorf("encrypting: %w", err)
	}
	return w.put(ctx, o.Key, store.Content{Body: encrypted, Size: store.UnknownSize})
}

// there looks for a table in the bucket. Without a manifest that vouches for it, it was left by a backup that died, and is read to see whether it is whole.
func (w *writer) there(ctx context.Context, f File) (Object, bool, error) {
	o, known := w.known[f.SHA256]
	if !known && len(w.recipients) > 0 {
		return o, false, nil
	}
	if !known {
		o = Object{Key: "tables/" + f.SHA256, Size: f.Size, SHA256: f.SHA256}
	}
	info, err := w.store.Head(ctx, w.Key(o.Key))
	switch {
	case store.Is(err, store.KindNotFound):
		return o, false, nil
	case err != nil:
		return o, false, err
	case info.Size != o.Size:
		return o, false, nil
	case known && o.Checksum != "" && info.Checksum == o.Checksum:
		return o, true, nil
	}
	sum, err := hex.DecodeString(o.SHA256)
	if err == nil && info.Checksum == base64.StdEncoding.EncodeToString(sum) {
		o.Checksum = info.Checksum
		return o, true, nil
	}
	read, err := store.Hash(ctx, w.store, w.Key(o.Key))
	o.Checksum = info.Checksum
	return o, err == nil && read == o.SHA256, err
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

// blame reads a file once more to see whose fault it is that the store did not get what was announced: the source's, or that of the way to the store.
func (w *writer) blame(ctx context.Context, f File, err error) error {
	body, openErr := w.opener(f, true)(ctx)
	if openErr != nil {
		return err
	}
	defer body.Close()
	var source *SourceError
	if _, readErr := io.Copy(io.Discard, body); errors.As(readErr, &source) {
		return source
	}
	return err
}

// opener opens a file's content, compared with what was announced of it where that is asked for: where the store compares, it is done already. What was moved by a try before does not count any more.
func (w *writer) opener(f File, compared bool) func(context.Context) (io.ReadCloser, error) {
	var before *announced
	return func(ctx context.Context) (io.ReadCloser, error) {
		if before != nil {
			w.moved(-before.n)
		}
		body, err := f.Open(ctx)
		if err != nil {
			before = nil
			return nil, err
		}
		before = &announced{w: w, f: f, ReadCloser: body}
		if compared {
			before.hash = sha256.New()
		}
		return before, nil
	}
}

// announced is content that is compared with what was announced of it before its last byte is given away: who reads it all has the right one, of the right size where there is no hash.
type announced struct {
	io.ReadCloser
	w    *writer
	f    File
	n    int64
	hash hash.Hash
}

// Read implements io.Reader.
func (a *announced) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if a.hash != nil {
		a.hash.Write(p[:n])
	}
	a.n += int64(n)
	a.w.moved(int64(n))
	if a.n > a.f.Size || a.n < a.f.Size && err == io.EOF || a.n == a.f.Size && (n > 0 || a.n == 0) && a.hash != nil && hex.EncodeToString(a.hash.Sum(nil)) != a.f.SHA256 {
		return 0, &SourceError{Name: a.f.Name, Size: a.f.Size, SHA256: a.f.SHA256, Came: a.n}
	}
	return n, err
}

// files writes what is not a table: the same files make the same archive.
func (w *writer) files(ctx context.Context) (Files, error) {
	files := slices.Clone(w.req.Files)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	entries := make([]Entry, 0, len(files))
	for _, f := range files {
		entries = append(entries, Entry{f.Name, f.Size, f.SHA256})
	}
	r, pipe := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		pipe.CloseWithError(w.pack(ctx, pipe, files))
	}()
	defer func() {
		_ = r.Close() // never fails; it ends the packing
		<-done
	}()
	var body io.Reader = r
	if len(w.recipients) > 0 {
		encrypted, err := age.EncryptReader(r, w.recipients...)
		if err != nil {
			return Files{}, fmt.Errorf("encrypting: %w", err)
		}
		body = encrypted
	}
	object, err := w.put(ctx, w.filesKey(), store.Content{Body: body, Size: store.UnknownSize})
	return Files{Object: object, Entries: entries}, wrap(err, "saving the files that are no tables")
}

// pack is a tar with nothing in it that is not content, compressed by one thread: several would make it depend on time.
func (w *writer) pack(ctx context.Context, to io.Writer, files []File) error {
	compressor, err := zstd.NewWriter(to, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return fmt.Errorf("compressing: %w", err)
	}
	defer func() { _ = compressor.Close() }() // again, after an error: it frees what it has
	archive := tar.NewWriter(compressor)
	for _, f := range files {
		err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.Name, Size: f.Size, Mode: 0o600, ModTime: time.Unix(0, 0), Format: tar.FormatPAX})
		if err != nil {
			return fmt.Errorf("packing %s: %w", f.Name, err)
		}
		if err := w.packOne(ctx, archive, f); err != nil {
			return fmt.Errorf("packing %s: %w", f.Name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("packing: %w", err)
	}
	return compressor.Close()
}

func (w *writer) packOne(ctx context.Context, to io.Writer, f File) error {
	body, err := w.opener(f, true)(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(to, body)
	return err
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
