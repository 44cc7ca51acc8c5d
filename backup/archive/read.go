package archive

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"github.com/robustmq/robustmq-operator/backup/store"
)

// maxWindow of zstd, in bytes, that is read: it is what a reader has to keep in memory. write_files.go writes with 1 MiB.
const maxWindow = 8 << 20

// BrokenError is a backup, or an object of one, that is not what its manifest says, or whose manifest cannot be read.
type BrokenError struct {
	// Key of the object in the store.
	Key string
	// Problem in words.
	Problem string
}

// Error names the object.
func (e *BrokenError) Error() string { return fmt.Sprintf("%s: %s", e.Key, e.Problem) }

// IdentityError says that a backup is encrypted and cannot be read with the identities that were given. It has nothing of them.
type IdentityError struct{ Problem string }

// Error says what is wrong with them.
func (e *IdentityError) Error() string { return e.Problem }

func isBroken(err error) bool {
	var broken *BrokenError
	return errors.As(err, &broken)
}

// Read is one backup by its ID. One whose manifest cannot be read comes with a *BrokenError.
func (a *Archive) Read(ctx context.Context, id string) (Backup, error) {
	key := a.ManifestKey(id)
	b := Backup{ID: id}
	broken := func(problem string) (Backup, error) {
		b.Broken = problem
		return b, &BrokenError{Key: key, Problem: problem}
	}
	if !recordName.MatchString(id) {
		return broken("its folder has a name that no backup has")
	}
	info, err := a.store.Head(ctx, key)
	if err != nil {
		return b, err
	}
	b.Modified = info.Modified
	if info.Size > MaxManifest {
		return broken(fmt.Sprintf("the manifest has %d bytes, at most %d are read", info.Size, int64(MaxManifest)))
	}
	body, err := store.ReadAll(ctx, a.store, key, MaxManifest)
	if err != nil {
		return b, err
	}
	sum := sha256.Sum256(body)
	b.SHA256 = hex.EncodeToString(sum[:])
	m, err := Parse(body)
	if err != nil {
		var version *VersionError
		b.Unknown = errors.As(err, &version)
		return broken(err.Error())
	}
	note, err := store.ReadAll(ctx, a.store, a.sumKey(id), 1<<10)
	if err != nil && !store.Is(err, store.KindNotFound) {
		return b, err
	}
	if got, _, _ := strings.Cut(string(note), " "); got != b.SHA256 {
		return broken(fmt.Sprintf("the manifest has SHA-256 %x, and %q says %q: one of them is not what was written", sum, a.sumKey(id), got))
	}
	if m.Cluster.UID != a.uid {
		return broken(fmt.Sprintf("the manifest is of the cluster %s, its place is that of %s", m.Cluster.UID, a.uid))
	}
	b.Manifest = m
	return b, nil
}

// Source reads the content of a backup.
type Source struct {
	archive    *Archive
	manifest   Manifest
	identities []age.Identity
}

// Open a backup to read its content. identities, one a line as age-keygen writes them, are needed only if it is encrypted.
func (a *Archive) Open(m Manifest, identities string) (*Source, error) {
	s := &Source{archive: a, manifest: m}
	if m.Encryption == nil {
		return s, nil
	}
	ids, err := parseIdentities(identities)
	if err != nil {
		return nil, err
	}
	s.identities = ids
	return s, nil
}

// Table opens the plain content of a table. Its end is io.EOF only if size and hash are those of the manifest, of what lies in the bucket and of what comes out of it.
func (s *Source) Table(ctx context.Context, t Table) (io.ReadCloser, error) {
	raw, plain, err := s.open(ctx, t.Object)
	if err != nil {
		return nil, err
	}
	c := &checked{key: s.archive.Key(t.Object.Key), r: plain, raw: raw, size: t.Size, sum: t.SHA256}
	if s.manifest.Encryption != nil || t.SHA256 != t.Object.SHA256 { // else what lies in the bucket is the plain content, and is hashed already
		c.hash = sha256.New()
	}
	return c, nil
}

// TableFrom is Table from an offset below its size on, for who has the beginning. What is not encrypted is read from there alone: of it, only the size is compared with the manifest's.
func (s *Source) TableFrom(ctx context.Context, t Table, offset int64) (io.ReadCloser, error) {
	if offset == 0 {
		return s.Table(ctx, t)
	}
	if s.manifest.Encryption != nil {
		r, err := s.Table(ctx, t)
		if err != nil {
			return nil, err
		}
		if _, err := io.CopyN(io.Discard, r, offset); err != nil {
			return nil, errors.Join(err, r.Close())
		}
		return r, nil
	}
	if err := s.archive.sized(ctx, t.Object); err != nil {
		return nil, err
	}
	return s.unproven(ctx, t, offset)
}

// TableUnproven is TableFrom for who compares the whole with t.SHA256 himself: of what is not encrypted only the size is compared, so that nothing is hashed twice. Where that finds a difference,
// Table says whether it is in the bucket.
func (s *Source) TableUnproven(ctx context.Context, t Table, offset int64) (io.ReadCloser, error) {
	if offset > 0 || s.manifest.Encryption != nil {
		return s.TableFrom(ctx, t, offset)
	}
	return s.unproven(ctx, t, 0)
}

// unproven reads what lies in the bucket and is not encrypted.
func (s *Source) unproven(ctx context.Context, t Table, offset int64) (io.ReadCloser, error) {
	key := s.archive.Key(t.Object.Key)
	body, err := s.archive.store.Get(ctx, key, offset, -1)
	if store.Is(err, store.KindNotFound) {
		return nil, &BrokenError{Key: key, Problem: "it is missing"}
	}
	if err != nil {
		return nil, err
	}
	return &rest{ReadCloser: body, key: key, at: offset, size: t.Size}, nil
}

// rest is the end of a table, which must end where the manifest says.
type rest struct {
	io.ReadCloser
	key      string
	at, size int64
}

// Read implements io.Reader.
func (r *rest) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.at += int64(n)
	switch {
	case r.at > r.size:
		return 0, &BrokenError{Key: r.key, Problem: fmt.Sprintf("it has more than the %d bytes of the manifest", r.size)}
	case err == io.EOF && r.at < r.size:
		return 0, &BrokenError{Key: r.key, Problem: fmt.Sprintf("it has %d bytes, the manifest says %d", r.at, r.size)}
	}
	return n, err
}

// open reads an object, decrypted where it is encrypted.
func (s *Source) open(ctx context.Context, o Object) (*rawReader, io.Reader, error) {
	key := s.archive.Key(o.Key)
	body, err := s.archive.store.Get(ctx, key, 0, -1)
	if store.Is(err, store.KindNotFound) {
		return nil, nil, &BrokenError{Key: key, Problem: "it is missing"}
	}
	if err != nil {
		return nil, nil, err
	}
	raw := &rawReader{key: key, body: body, hash: sha256.New(), object: o}
	if s.manifest.Encryption == nil {
		return raw, raw, nil
	}
	plain, err := age.Decrypt(raw, s.identities...)
	if err != nil {
		err = raw.explain(err)
		body.Close()
		return nil, nil, err
	}
	return raw, plain, nil
}

// rawReader is what lies in the bucket, counted and hashed.
type rawReader struct {
	key    string
	body   io.ReadCloser
	hash   hash.Hash
	n      int64
	object Object
	err    error // of the store
}

// Read implements io.Reader.
func (r *rawReader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	r.hash.Write(p[:n])
	if r.n += int64(n); r.n > r.object.Size {
		return 0, &BrokenError{Key: r.key, Problem: fmt.Sprintf("it has more than the %d bytes of the manifest", r.object.Size)}
	}
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// finish reads what decryption or decompression left over, and compares.
func (r *rawReader) finish() error {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	if r.n != r.object.Size {
		return &BrokenError{Key: r.key, Problem: fmt.Sprintf("it has %d bytes, the manifest says %d", r.n, r.object.Size)}
	}
	if sum := hex.EncodeToString(r.hash.Sum(nil)); sum != r.object.SHA256 {
		return &BrokenError{Key: r.key, Problem: fmt.Sprintf("what lies in the bucket has SHA-256 %s, the manifest says %s", sum, r.object.SHA256)}
	}
	return nil
}

// explain says what an error of a layer above means: the store's own comes first, then content that is not what was written, then the identity.
func (r *rawReader) explain(err error) error {
	var none *age.NoIdentityMatchError
	switch {
	case r.err != nil:
		return r.err
	case isBroken(err):
		return err
	}
	if finishErr := r.finish(); finishErr != nil { // before the identity: a header that was changed fits none either
		return finishErr
	}
	if errors.As(err, &none) {
		return &IdentityError{fmt.Sprintf("decrypting %s: none of the identities is of a recipient that it was encrypted for", r.key)}
	}
	return &BrokenError{Key: r.key, Problem: "it cannot be read: " + err.Error()}
}

// checked is plain content that is compared at its end.
type checked struct {
	key  string
	r    io.Reader
	raw  *rawReader
	hash hash.Hash // nil: that of raw is the same
	n    int64
	size int64
	sum  string
}

// Read implements io.Reader.
func (c *checked) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.hash != nil {
		c.hash.Write(p[:n])
	}
	c.n += int64(n)
	switch {
	case err == nil || err == io.EOF && n > 0:
		return n, nil
	case err != io.EOF:
		return n, c.raw.explain(err)
	}
	if err := c.raw.finish(); err != nil {
		return 0, err
	}
	sum := c.raw.object.SHA256
	if c.hash != nil {
		sum = hex.EncodeToString(c.hash.Sum(nil))
	}
	if c.n != c.size || sum != c.sum {
		return 0, &BrokenError{Key: c.key, Problem: fmt.Sprintf("its plain content has %d bytes and SHA-256 %s, the manifest says %d and %s", c.n, sum, c.size, c.sum)}
	}
	return 0, io.EOF
}

// Close implements io.Closer.
func (c *checked) Close() error { return c.raw.body.Close() }

// Files goes through what is not a table, in the order of the archive. take reads each content, or leaves it. Every name, size and hash is compared with the manifest's.
func (s *Source) Files(ctx context.Context, take func(e Entry, content io.Reader) error) error {
	raw, plain, err := s.open(ctx, s.manifest.Files.Object)
	if err != nil {
		return err
	}
	defer raw.body.Close()
	decoder, err := zstd.NewReader(plain, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return raw.explain(err)
	}
	defer decoder.Close()
	archive := tar.NewReader(decoder)
	for _, want := range s.manifest.Files.Entries {
		header, err := archive.Next()
		if err != nil {
			return raw.explain(fmt.Errorf("before %s: %w", want.Name, err))
		}
		if header.Name != want.Name || header.Size != want.Size || header.Typeflag != tar.TypeReg {
			return &BrokenError{Key: raw.key, Problem: fmt.Sprintf("it has %q of %d bytes, the manifest says %q of %d", header.Name, header.Size, want.Name, want.Size)}
		}
		h := sha256.New()
		content := &taken{r: io.TeeReader(archive, h)}
		if err := take(want, content); err != nil {
			if content.err != nil {
				return raw.explain(content.err)
			}
			return err
		}
		if _, err := io.Copy(io.Discard, content); err != nil {
			return raw.explain(err)
		}
		if sum := hex.EncodeToString(h.Sum(nil)); sum != want.SHA256 {
			return &BrokenError{Key: raw.key, Problem: fmt.Sprintf("%s in it has SHA-256 %s, the manifest says %s", want.Name, sum, want.SHA256)}
		}
	}
	switch header, err := archive.Next(); {
	case err == nil:
		return &BrokenError{Key: raw.key, Problem: fmt.Sprintf("it has %q, of which the manifest says nothing", header.Name)}
	case !errors.Is(err, io.EOF):
		return raw.explain(err)
	}
	// Behind the end of a tar there may be padding, and nothing else that could matter: the hash of the object says so.
	return raw.finish()
}

// taken tells errors of reading from those of whoever takes the content.
type taken struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (t *taken) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if err != nil && err != io.EOF {
		t.err = err
	}
	return n, err
}
