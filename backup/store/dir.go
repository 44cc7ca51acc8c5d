package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
)

// Dir is a directory with the layout of a bucket: what a bucket holds can be copied into one and read without S3, and the other way round.
// Nothing outside of it can be reached, by no key and no symbolic link (os.Root).
type Dir struct {
	root *os.Root
	path string
}

var _ Store = (*Dir)(nil)

// uploads holds files that are not finished; no key can name it.
const uploads = ".uploads"

// OpenDir opens a directory that exists.
func OpenDir(name string) (*Dir, error) {
	d := &Dir{path: name}
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, d.fail("open", "", err)
	}
	d.root = root
	return d, nil
}

// Close gives the directory back.
func (d *Dir) Close() error { return d.root.Close() }

// String names the directory.
func (d *Dir) String() string { return d.path }

func (d *Dir) fail(op, key string, err error) error {
	var own *Error
	if err == nil || errors.As(err, &own) {
		return err
	}
	e := &Error{Op: op, Key: key, Place: d.path, Kind: KindOther, Detail: err.Error()}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		e.Kind = KindNotFound
	case errors.Is(err, fs.ErrExist):
		e.Kind = KindExists
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		e.Kind = KindDenied
		e.Detail += "; in a directory that means: read and write permission for this user"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e.Kind = KindFull
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e.Kind, e.cause = KindTransient, err
	}
	return e
}

func (d *Dir) check(op, key string) error {
	if err := checkKey(op, key); err != nil {
		return err
	}
	if key == uploads || strings.HasPrefix(key, uploads+"/") {
		return &Error{Op: op, Key: key, Place: d.path, Kind: KindInvalid, Detail: "this name is kept for files that are not finished"}
	}
	return nil
}

// Put implements Store: beside, synced, renamed.
func (d *Dir) Put(ctx context.Context, key string, c Content) (Info, error) {
	if err := d.check("put", key); err != nil {
		return Info{}, err
	}
	temp, info, err := d.stage(ctx, key, c)
	if err != nil {
		return Info{}, d.fail("put", key, err)
	}
	if err := d.place(temp, key, d.root.Rename); err != nil {
		_ = d.root.Remove(temp) // else Sweep does
		return Info{}, d.fail("put", key, err)
	}
	return info, nil
}

// Create implements Store: a hard link does not replace what is there.
func (d *Dir) Create(ctx context.Context, key string, body []byte) (Info, error) {
	if err := d.check("create", key); err != nil {
		return Info{}, err
	}
	temp, info, err := d.stage(ctx, key, Content{Body: bytes.NewReader(body), Size: int64(len(body))})
	if err != nil {
		return Info{}, d.fail("create", key, err)
	}
	defer func() { _ = d.root.Remove(temp) }() // else Sweep does
	err = d.place(temp, key, d.root.Link)
	if err == nil {
		return info, nil
	}
	if errors.Is(err, fs.ErrExist) {
		if there, readErr := d.root.ReadFile(key); readErr == nil && bytes.Equal(there, body) {
			return d.Head(ctx, key)
		}
	}
	return Info{}, d.fail("create", key, err)
}

// stage writes content where nobody sees it.
func (d *Dir) stage(ctx context.Context, key string, c Content) (temp string, info Info, err error) {
	if err := d.root.Mkdir(uploads, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", Info{}, err
	}
	name := uploads + "/" + uuid.NewString()
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", Info{}, err
	}
	defer func() {
		f.Close()
		if err != nil {
			_ = d.root.Remove(name) // else Sweep does
		}
	}()
	c, body, err := c.opened(ctx, key)
	if err != nil {
		return "", Info{}, err
	}
	defer body.Close()
	src := &source{key: key, content: c, hash: sha256.New()}
	sum := &checksum{}
	buffer := make([]byte, 1<<20)
	for last := false; !last; {
		var part []byte
		if err := ctx.Err(); err != nil {
			return "", Info{}, err
		}
		if part, last, err = src.fill(buffer); err != nil {
			return "", Info{}, err
		}
		sum.write(part)
		if _, err := f.Write(part); err != nil {
			return "", Info{}, err
		}
	}
	if err := src.check(); err != nil {
		return "", Info{}, err
	}
	if err := f.Sync(); err != nil {
		return "", Info{}, err
	}
	stat, err := f.Stat()
	if err != nil {
		return "", Info{}, err
	}
	return name, Info{Key: key, Size: src.read, Checksum: sum.text(), SHA256: src.sum(), Modified: stat.ModTime()}, nil
}

// place moves a staged file to its key. A Delete beside it may take away a folder that has just become empty.
func (d *Dir) place(temp, key string, move func(from, to string) error) error {
	folder := path.Dir(key)
	for attempt := 0; ; attempt++ {
		_, err := d.root.Stat(folder)
		made := err != nil
		if err := d.root.MkdirAll(folder, 0o700); err != nil {
			return err
		}
		if err = move(temp, key); err == nil {
			return d.sync(folder, made)
		}
		if attempt == 10 || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
}

// sync makes a folder's entries last over a power cut, and, where folders were made, those of the ones above it.
func (d *Dir) sync(dir string, above bool) error {
	for ; ; dir = path.Dir(dir) {
		f, err := d.root.Open(dir)
		if err != nil {
			return err
		}
		err = f.Sync()
		f.Close()
		if err != nil || dir == "." || !above {
			return err
		}
	}
}

// Get implements Store.
func (d *Dir) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if err := d.check("get", key); err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, &Error{Op: "get", Key: key, Place: d.path, Kind: KindInvalid, Detail: "a range begins at 0 or later"}
	}
	f, stat, err := d.open(key)
	if err != nil {
		return nil, d.fail("get", key, err)
	}
	if offset > stat.Size() || (offset == stat.Size() && offset > 0 && length != 0) {
		f.Close()
		return nil, &Error{Op: "get", Key: key, Place: d.path, Kind: KindInvalid, Detail: fmt.Sprintf("the range begins at %d, the object has %d bytes", offset, stat.Size())}
	}
	if length < 0 {
		length = stat.Size() - offset
	}
	return &dirReader{d: d, ctx: ctx, key: key, file: f, r: io.NewSectionReader(f, offset, length)}, nil
}

func (d *Dir) open(key string) (*os.File, fs.FileInfo, error) {
	f, err := d.root.Open(key)
	if err != nil {
		return nil, nil, err
	}
	stat, err := f.Stat()
	if err == nil && !stat.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, stat, nil
}

type dirReader struct {
	d    *Dir
	ctx  context.Context
	key  string
	file *os.File
	r    io.Reader
}

// Read implements io.Reader.
func (r *dirReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, r.d.fail("get", r.key, err)
	}
	n, err := r.r.Read(p)
	if err == io.EOF {
		return n, err
	}
	return n, r.d.fail("get", r.key, err)
}

// Close implements io.Closer.
func (r *dirReader) Close() error { return r.file.Close() }

// Head implements Store. A directory keeps no checksums: they are made of what lies there, which says more than S3's, and takes as long as reading it.
func (d *Dir) Head(ctx context.Context, key string) (Info, error) {
	if err := d.check("head", key); err != nil {
		return Info{}, err
	}
	f, stat, err := d.open(key)
	if err != nil {
		return Info{}, d.fail("head", key, err)
	}
	defer f.Close()
	sum := &checksum{}
	buffer := make([]byte, 1<<20)
	for {
		if err := ctx.Err(); err != nil {
			return Info{}, d.fail("head", key, err)
		}
		n, err := f.Read(buffer)
		sum.write(buffer[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			return Info{}, d.fail("head", key, err)
		}
	}
	return Info{Key: key, Size: stat.Size(), Checksum: sum.text(), Modified: stat.ModTime()}, nil
}

// checksum is what S3 would hold of content that was sent in parts of PartSize.
type checksum struct {
	parts  [][sha256.Size]byte
	buffer []byte
}

func (c *checksum) write(p []byte) {
	if c.buffer == nil {
		c.buffer = make([]byte, 0, PartSize)
	}
	for len(p) > 0 {
		if len(c.buffer) == PartSize {
			c.flush()
		}
		n := min(len(p), PartSize-len(c.buffer))
		c.buffer = append(c.buffer, p[:n]...)
		p = p[n:]
	}
}

func (c *checksum) flush() {
	c.parts = append(c.parts, sha256.Sum256(c.buffer))
	c.buffer = c.buffer[:0]
}

func (c *checksum) text() string {
	c.flush()
	if len(c.parts) == 1 {
		return base64.StdEncoding.EncodeToString(c.parts[0][:])
	}
	h := sha256.New()
	for _, p := range c.parts {
		h.Write(p[:])
	}
	return fmt.Sprintf("%s-%d", base64.StdEncoding.EncodeToString(h.Sum(nil)), len(c.parts))
}

// List implements Store.
func (d *Dir) List(ctx context.Context, prefix string, deep bool) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		infos, err := d.list(ctx, prefix, deep)
		for _, info := range infos {
			if !yield(info, nil) {
				return
			}
		}
		if err != nil {
			yield(Info{}, d.fail("list", prefix, err))
		}
	}
}

func (d *Dir) list(ctx context.Context, prefix string, deep bool) ([]Info, error) {
	from := path.Dir(prefix + "x") // the folder that everything with this prefix is in
	if from != "." && !fs.ValidPath(from) {
		return nil, &Error{Op: "list", Key: prefix, Place: d.path, Kind: KindInvalid, Detail: "a prefix is names with single slashes between them"}
	}
	var infos []Info
	err := fs.WalkDir(d.root.FS(), from, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // nothing has this prefix, or it was deleted meanwhile
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case name == uploads:
			return fs.SkipDir
		case entry.IsDir():
			if !deep && name != from {
				if folder := name + "/"; strings.HasPrefix(folder, prefix) {
					infos = append(infos, Info{Key: folder})
				}
				return fs.SkipDir
			}
			return nil
		case !entry.Type().IsRegular() || !strings.HasPrefix(name, prefix):
			return nil
		}
		stat, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		infos = append(infos, Info{Key: name, Size: stat.Size(), Modified: stat.ModTime()})
		return nil
	})
	slices.SortFunc(infos, func(a, b Info) int { return strings.Compare(a.Key, b.Key) }) // a walk's order is another one: a-b, a/b
	return infos, err
}

// Delete implements Store. Folders that become empty go too, as a bucket has none.
func (d *Dir) Delete(_ context.Context, key string) error {
	if err := d.check("delete", key); err != nil {
		return err
	}
	err := d.root.Remove(key)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if err != nil {
		return d.fail("delete", key, err)
	}
	for dir := path.Dir(key); dir != "."; dir = path.Dir(dir) {
		if d.root.Remove(dir) != nil {
			break
		}
	}
	return nil
}

// Sweep implements Store. Unfinished files do not say what they were to be: prefix does not choose among them.
func (d *Dir) Sweep(_ context.Context, _ string, before time.Time) (int, error) {
	entries, err := fs.ReadDir(d.root.FS(), uploads)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	n := 0
	for _, entry := range entries {
		stat, statErr := entry.Info()
		if statErr != nil || !stat.ModTime().Before(before) {
			continue
		}
		if err := d.root.Remove(uploads + "/" + entry.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return n, d.fail("remove an unfinished upload", "", err)
		}
		n++
	}
	return n, d.fail("list unfinished uploads", "", err)
}
