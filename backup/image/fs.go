package image

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// FS is what this package does to a file system. The tests have one that loses power behind any operation.
type FS interface {
	ReadDir(dir string) ([]string, error)
	Stat(name string) (Info, error)
	Open(name string) (io.ReadCloser, error)
	// Create makes a file that must not exist.
	Create(name string) (WriteFile, error)
	MkdirAll(dir string) error
	Link(oldname, newname string) error
	Rename(oldname, newname string) error
	// Exchange swaps two folders in one step, or fails with errors.ErrUnsupported.
	Exchange(a, b string) error
	RemoveAll(name string) error
	// Sync makes a file's bytes, or a folder's names, survive a power cut.
	Sync(name string) error
	// Free is the space for unprivileged users of the file system with dir, in bytes.
	Free(dir string) (uint64, error)
	// Lock takes RocksDB's lock on a database's folder, or fails with ErrInUse. It must not create the folder.
	Lock(dir string) (io.Closer, error)
}

// WriteFile is a new file.
type WriteFile interface {
	io.Writer
	Sync() error
	Close() error
}

// Info is what is known of a file without opening it.
type Info struct {
	Size    int64
	ModTime time.Time
	Dir     bool
}

// ErrInUse says that a process has the database open.
var ErrInUse = errors.New("a process has the database open")

// OS is the file system of the machine.
type OS struct{}

// ReadDir see FS.
func (OS) ReadDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// Stat see FS.
func (OS) Stat(name string) (Info, error) {
	i, err := os.Stat(name)
	if err != nil {
		return Info{}, err
	}
	return Info{Size: i.Size(), ModTime: i.ModTime(), Dir: i.IsDir()}, nil
}

// Open see FS.
func (OS) Open(name string) (io.ReadCloser, error) { return os.Open(name) }

// Create see FS.
func (OS) Create(name string) (WriteFile, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
}

// MkdirAll see FS.
func (OS) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o750) }

// Link see FS.
func (OS) Link(oldname, newname string) error { return os.Link(oldname, newname) }

// Rename see FS.
func (OS) Rename(oldname, newname string) error { return os.Rename(oldname, newname) }

// RemoveAll see FS.
func (OS) RemoveAll(name string) error { return os.RemoveAll(name) }

// Sync see FS.
func (OS) Sync(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Free see FS.
func (OS) Free(dir string) (uint64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return s.Bavail * uint64(s.Bsize), nil
}

// unsynced is a file system for what need not survive a power cut: staging is removed at the next start, and a cached WAL tells when it is not complete.
// An fsync would make the file system write out the server's files too, and the server wait.
type unsynced struct{ FS }

// Sync see FS.
func (unsynced) Sync(string) error { return nil }

// Create see FS.
func (u unsynced) Create(name string) (WriteFile, error) {
	f, err := u.FS.Create(name)
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

type unsyncedFile struct{ WriteFile }

func (unsyncedFile) Sync() error { return nil }

func exists(fsys FS, name string) (bool, error) {
	_, err := fsys.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// ReadSmall reads a whole file of at most limit bytes. Errors are the file system's, fs.ErrNotExist among them, and one that names a file that is larger.
func ReadSmall(fsys FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("larger than %d bytes", limit)}
	}
	return b, err
}

// create writes a new file with sync.
func create(fsys FS, name string, fill func(io.Writer) error) error {
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func createBytes(fsys FS, name string, content []byte) error {
	return create(fsys, name, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// ReplaceFile writes a file so that after a power cut at any moment the old one or the new one is there, whole. It is written beside the old one, with ".new" behind the name; what an
// earlier attempt left there is removed first. Errors are the file system's.
func ReplaceFile(fsys FS, name string, content []byte) error {
	next := name + newSuffix
	if err := fsys.RemoveAll(next); err != nil {
		return err
	}
	err := createBytes(fsys, next, content)
	if err == nil {
		err = fsys.Rename(next, name)
	}
	if err != nil {
		return errors.Join(err, fsys.RemoveAll(next)) // a full disk is not filled further
	}
	return fsys.Sync(parent(name))
}

// transfer links a file, or copies it where links are impossible: over file systems, or on one without them.
func transfer(fsys FS, from, to string) error {
	err := fsys.Link(from, to)
	if err == nil {
		return fsys.Sync(to) // a table that somebody else wrote may not be on the disk yet
	}
	if !errors.Is(err, syscall.EXDEV) && !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EMLINK) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	source, err := fsys.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	return create(fsys, to, func(w io.Writer) error {
		_, err := io.Copy(w, source)
		return err
	})
}

func join(dir string, name string) string { return filepath.Join(dir, name) }
