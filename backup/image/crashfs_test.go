package image

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// crashFS is a file system in memory that loses power behind any operation. What survives is what POSIX promises: the bytes of a file that was synced, the names of a folder that was synced.
// Everything else may or may not survive: after a crash nothing of it does (strict), or all of it (eager), or what happened to folders but not to files (reordered).
type crashFS struct {
	files  map[string]*inode // by path, as running processes see it; folders are inodes with dir set
	stable map[string]*inode // as it is on the disk

	operations int // so far
	crashAt    int // fails this operation and all later ones; 0 never
	noExchange bool
	noLinks    bool
	free       uint64
	locked     bool
	clock      int64
	// before is called before every operation, so that a test can play the live server.
	before func(operation, name string)
	log    []string
}

type inode struct {
	dir      bool
	data     []byte
	synced   []byte // what is on the disk of data
	modified int64
}

var errPower = errors.New("power cut")

func newCrashFS() *crashFS {
	root := &inode{dir: true}
	return &crashFS{files: map[string]*inode{"/": root}, stable: map[string]*inode{"/": root}, free: 1 << 40}
}

// step counts a changing operation.
func (c *crashFS) step(operation, name string) error {
	if c.before != nil {
		c.before(operation, name)
	}
	c.operations++
	c.log = append(c.log, operation+" "+name)
	if c.crashAt > 0 && c.operations >= c.crashAt {
		return fmt.Errorf("%s %s: %w", operation, name, errPower)
	}
	return nil
}

// survival is what becomes of what was not synced.
type survival int

const (
	strict survival = iota
	eager
	reordered
	survivals
)

// crash returns the file system as the next boot finds it.
func (c *crashFS) crash(s survival) *crashFS {
	n := newCrashFS()
	n.noExchange, n.noLinks, n.clock = c.noExchange, c.noLinks, c.clock
	from := map[survival]map[string]*inode{strict: c.stable, eager: c.files, reordered: nil}[s]
	if s == reordered {
		from = c.onlyFolders()
	}
	copies := map[*inode]*inode{}
	for name, i := range from {
		if copies[i] == nil {
			data := i.synced
			if s == eager {
				data = i.data
			}
			copies[i] = &inode{dir: i.dir, data: slices.Clone(data), synced: slices.Clone(data), modified: i.modified}
		}
		if name == "/" || from[filepath.Dir(name)] != nil { // a name in a folder that is gone is gone
			n.files[name], n.stable[name] = copies[i], copies[i]
		}
	}
	return n
}

// onlyFolders is what processes see of folders, each with the files that were synced in it.
func (c *crashFS) onlyFolders() map[string]*inode {
	m, synced := map[string]*inode{}, c.syncedNames()
	for name, i := range c.files {
		if !i.dir {
			continue
		}
		m[name] = i
		for child, j := range synced[i] {
			if !j.dir {
				m[filepath.Join(name, child)] = j
			}
		}
	}
	return m
}

// syncedNames are the names on the disk, by folder.
func (c *crashFS) syncedNames() map[*inode]map[string]*inode {
	below := map[*inode]map[string]*inode{}
	for path, j := range c.stable {
		if j.dir {
			below[j] = map[string]*inode{}
			for _, child := range c.children(c.stable, path) {
				below[j][child] = c.stable[filepath.Join(path, child)]
			}
		}
	}
	return below
}

func pathError(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

func (c *crashFS) children(m map[string]*inode, dir string) []string {
	var names []string
	for name := range m {
		if name != "/" && filepath.Dir(name) == dir {
			names = append(names, filepath.Base(name))
		}
	}
	slices.Sort(names)
	return names
}

func (c *crashFS) ReadDir(dir string) ([]string, error) {
	if c.before != nil {
		c.before("readdir", dir)
	}
	if i := c.files[dir]; i == nil || !i.dir {
		return nil, pathError("readdir", dir, fs.ErrNotExist)
	}
	return c.children(c.files, dir), nil
}

func (c *crashFS) Stat(name string) (Info, error) {
	if c.before != nil {
		c.before("stat", name)
	}
	i := c.files[name]
	if i == nil {
		return Info{}, pathError("stat", name, fs.ErrNotExist)
	}
	return Info{Size: int64(len(i.data)), Dir: i.dir, ModTime: time.Unix(i.modified, 0)}, nil
}

func (c *crashFS) Open(name string) (io.ReadCloser, error) {
	if c.before != nil {
		c.before("open", name)
	}
	i := c.files[name]
	if i == nil || i.dir {
		return nil, pathError("open", name, fs.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(i.data)), nil
}

type crashFile struct {
	fs   *crashFS
	name string
	i    *inode
}

func (f *crashFile) Write(p []byte) (int, error) {
	if err := f.fs.step("write", f.name); err != nil {
		half := len(p) / 2 // a write that the power cut interrupts
		f.i.data = append(f.i.data, p[:half]...)
		return half, err
	}
	f.i.data = append(f.i.data, p...)
	return len(p), nil
}

func (f *crashFile) Sync() error {
	if err := f.fs.step("fsync", f.name); err != nil {
		return err
	}
	f.i.synced = slices.Clone(f.i.data)
	return nil
}

func (f *crashFile) Close() error { return nil }

func (c *crashFS) Create(name string) (WriteFile, error) {
	if err := c.step("create", name); err != nil {
		return nil, err
	}
	if c.files[name] != nil {
		return nil, pathError("create", name, fs.ErrExist)
	}
	if c.files[filepath.Dir(name)] == nil {
		return nil, pathError("create", name, fs.ErrNotExist)
	}
	c.clock++
	i := &inode{modified: c.clock}
	c.files[name] = i
	return &crashFile{fs: c, name: name, i: i}, nil
}

func (c *crashFS) MkdirAll(dir string) error {
	if dir == "/" || c.files[dir] != nil {
		return nil
	}
	if err := c.MkdirAll(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := c.step("mkdir", dir); err != nil {
		return err
	}
	c.files[dir] = &inode{dir: true}
	return nil
}

func (c *crashFS) Link(oldname, newname string) error {
	if err := c.step("link", newname); err != nil {
		return err
	}
	if c.noLinks {
		return &os.LinkError{Op: "link", Old: oldname, New: newname, Err: syscall.EXDEV}
	}
	i := c.files[oldname]
	if i == nil {
		return pathError("link", oldname, fs.ErrNotExist)
	}
	if c.files[newname] != nil {
		return pathError("link", newname, fs.ErrExist)
	}
	c.files[newname] = i
	return nil
}

// move renames a name and everything below it in one of the two views.
func move(m map[string]*inode, from, to string) {
	moved := map[string]*inode{}
	for name, i := range m {
		if name == from || strings.HasPrefix(name, from+"/") {
			moved[to+strings.TrimPrefix(name, from)] = i
			delete(m, name)
		}
	}
	for name, i := range moved {
		m[name] = i
	}
}

func (c *crashFS) Rename(oldname, newname string) error {
	if err := c.step("rename", oldname+" "+newname); err != nil {
		return err
	}
	if c.files[oldname] == nil {
		return pathError("rename", oldname, fs.ErrNotExist)
	}
	if i := c.files[newname]; i != nil && i.dir {
		return pathError("rename", newname, syscall.ENOTEMPTY)
	}
	move(c.files, oldname, newname)
	return nil
}

func (c *crashFS) Exchange(a, b string) error {
	if err := c.step("exchange", a+" "+b); err != nil {
		return err
	}
	if c.noExchange {
		return pathError("exchange", a, errors.ErrUnsupported)
	}
	if c.files[a] == nil || c.files[b] == nil {
		return pathError("exchange", a, fs.ErrNotExist)
	}
	move(c.files, a, "/\x00")
	move(c.files, b, a)
	move(c.files, "/\x00", b)
	return nil
}

// RemoveAll removes file by file, so that a power cut can leave a part.
func (c *crashFS) RemoveAll(name string) error {
	for _, child := range c.children(c.files, name) {
		if err := c.RemoveAll(filepath.Join(name, child)); err != nil {
			return err
		}
	}
	if c.files[name] == nil {
		return nil
	}
	if err := c.step("remove", name); err != nil {
		return err
	}
	delete(c.files, name)
	return nil
}

func (c *crashFS) Sync(name string) error {
	if err := c.step("fsync", name); err != nil {
		return err
	}
	i := c.files[name]
	if i == nil {
		return pathError("fsync", name, fs.ErrNotExist)
	}
	if !i.dir {
		i.synced = slices.Clone(i.data)
		return nil
	}
	// The names in this folder, and only they: a folder below keeps what was synced of it, wherever it was.
	below := c.syncedNames()
	for path := range c.stable {
		if strings.HasPrefix(path, strings.TrimSuffix(name, "/")+"/") {
			delete(c.stable, path)
		}
	}
	c.stable[name] = i
	var put func(path string, j *inode)
	put = func(path string, j *inode) {
		c.stable[path] = j
		for child, k := range below[j] {
			put(filepath.Join(path, child), k)
		}
	}
	for _, child := range c.children(c.files, name) {
		put(filepath.Join(name, child), c.files[filepath.Join(name, child)])
	}
	return nil
}

func (c *crashFS) Free(string) (uint64, error) { return c.free, nil }

func (c *crashFS) Lock(string) (io.Closer, error) {
	if c.locked {
		return nil, ErrInUse
	}
	return io.NopCloser(nil), nil
}

// load copies a real folder into the file system, on its disk.
func (c *crashFS) load(t testing.TB, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for dir := to; dir != "/"; dir = filepath.Dir(dir) {
		if c.files[dir] == nil {
			i := &inode{dir: true}
			c.files[dir], c.stable[dir] = i, i
		}
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		i := &inode{data: b, synced: slices.Clone(b)}
		c.files[filepath.Join(to, e.Name())], c.stable[filepath.Join(to, e.Name())] = i, i
	}
}

// list returns the names in a folder.
func (c *crashFS) list(dir string) string { return strings.Join(c.children(c.files, dir), " ") }
