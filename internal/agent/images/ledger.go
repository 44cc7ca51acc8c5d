package images

import (
	"strings"
	"sync"

	"github.com/robustmq/robustmq-operator/backup/image"
)

// ledger is a file system that counts the bytes of the files made through it and stops at a limit. Links are not counted: they take no space of their own.
type ledger struct {
	image.FS
	limit int64

	mu    sync.Mutex
	sizes map[string]int64 // by path
	total int64
}

func newLedger(fsys image.FS, limit int64) *ledger {
	return &ledger{FS: fsys, limit: limit, sizes: map[string]int64{}}
}

// bytes are in files that were not removed.
func (l *ledger) bytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// Create see image.FS.
func (l *ledger) Create(name string) (image.WriteFile, error) {
	f, err := l.FS.Create(name)
	if err != nil {
		return nil, err
	}
	return &counted{WriteFile: f, ledger: l, name: name}, nil
}

// Rename see image.FS.
func (l *ledger) Rename(oldname, newname string) error {
	if err := l.FS.Rename(oldname, newname); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, size := range l.below(oldname) {
		delete(l.sizes, name)
		l.sizes[newname+strings.TrimPrefix(name, oldname)] += size
	}
	return nil
}

// RemoveAll see image.FS.
func (l *ledger) RemoveAll(name string) error {
	if err := l.FS.RemoveAll(name); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for path, size := range l.below(name) {
		delete(l.sizes, path)
		l.total -= size
	}
	return nil
}

// below are the entries of a file, or of those in a folder; the lock is held.
func (l *ledger) below(name string) map[string]int64 {
	found := map[string]int64{}
	for path, size := range l.sizes {
		if path == name || strings.HasPrefix(path, name+"/") {
			found[path] = size
		}
	}
	return found
}

// counted is a file whose bytes are counted as they are written.
type counted struct {
	image.WriteFile
	ledger *ledger
	name   string
}

func (c *counted) Write(p []byte) (int, error) {
	if err := c.ledger.take(c.name, int64(len(p))); err != nil {
		return 0, err
	}
	return c.WriteFile.Write(p)
}

func (l *ledger) take(name string, n int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total+n > l.limit {
		return &LimitError{Limit: l.limit}
	}
	l.sizes[name] += n
	l.total += n
	return nil
}
