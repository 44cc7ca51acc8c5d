package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/robustmq/robustmq-operator/backup/store"
)

// Purpose of a lock.
type Purpose string

// The purposes. Backups and readers do not disturb one another; what deletes is alone.
const (
	Backing    Purpose = "backup"
	Reading    Purpose = "read"
	Collecting Purpose = "collect"
)

// LockTTL is how long a lock lives after its holder was seen last, by the store's clock.
const LockTTL = 10 * time.Minute

// BusyError is someone else at work.
type BusyError struct {
	Purpose Purpose
	Holder  string
	Since   time.Time
}

// Error names who it is.
func (e *BusyError) Error() string {
	return fmt.Sprintf("%s is at work in the bucket (%s, seen %s): try again when it has ended, or %s after it was seen", e.Holder, e.Purpose, e.Since.UTC().Format(time.RFC3339), LockTTL)
}

// Lock is a promise in the bucket that someone is at work.
//
// Everyone first writes an object of his own and then looks for others'. A store whose lists show what was written before (S3 since 2020, MinIO, Ceph) shows at least one of two
// who come at once the other; no conditional write is needed, which not every store has. Time is the store's: clocks of nodes do not matter.
type Lock struct {
	archive *Archive
	key     string
	body    []byte

	mu       sync.Mutex
	modified time.Time // by the store's clock
	lost     error
	stop     func()
}

// Acquire writes a lock, or withdraws with a *BusyError. holder names who asks, for people: a pod, a person.
func (a *Archive) Acquire(ctx context.Context, p Purpose, holder string) (*Lock, error) {
	body, err := json.Marshal(struct {
		Purpose Purpose `json:"purpose"`
		Holder  string  `json:"holder"`
	}{p, holder})
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", a.base, err)
	}
	l := &Lock{archive: a, key: fmt.Sprintf("%slocks/%s-%s.json", a.base, p, uuid.NewString()), body: body, stop: func() {}}
	if err := l.write(ctx); err != nil {
		return nil, wrap(err, "locking "+a.base)
	}
	if err := l.others(ctx, p); err != nil {
		l.Release(ctx)
		return nil, err
	}
	return l, nil
}

// AcquireWithin waits for who is at work, at most so long.
func (a *Archive) AcquireWithin(ctx context.Context, p Purpose, holder string, patience time.Duration) (*Lock, error) {
	over := time.NewTimer(patience)
	defer over.Stop()
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		l, err := a.Acquire(ctx, p, holder)
		if busy := (*BusyError)(nil); !errors.As(err, &busy) {
			return l, err
		}
		select {
		case <-again.C:
		case <-over.C:
			return nil, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// write the object, and see when that was.
func (l *Lock) write(ctx context.Context) error {
	if _, err := l.archive.store.Put(ctx, l.key, store.Content{Body: bytes.NewReader(l.body), Size: int64(len(l.body))}); err != nil {
		return err
	}
	info, err := l.archive.store.Head(ctx, l.key)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.modified.IsZero() && info.Modified.Sub(l.modified) > LockTTL/2 {
		l.lost = &store.Error{Op: "renew", Key: l.key, Place: l.archive.store.String(), Kind: store.KindTransient,
			Detail: fmt.Sprintf("the lock was not renewed for %s: what it kept away may have begun", info.Modified.Sub(l.modified))}
	}
	l.modified = info.Modified
	return l.lost
}

func (l *Lock) others(ctx context.Context, p Purpose) error {
	folder := l.archive.base + "locks/"
	for other, err := range l.archive.store.List(ctx, folder, true) {
		if err != nil {
			return wrap(err, "locking "+l.archive.base)
		}
		purpose, _, _ := strings.Cut(strings.TrimPrefix(other.Key, folder), "-")
		if other.Key == l.key || l.Now().Sub(other.Modified) > LockTTL || (p != Collecting && Purpose(purpose) != Collecting) {
			continue
		}
		busy := &BusyError{Purpose: Purpose(purpose), Holder: "someone", Since: other.Modified}
		if body, err := store.ReadAll(ctx, l.archive.store, other.Key, 1<<12); err == nil {
			var content struct {
				Holder string `json:"holder"`
			}
			if json.Unmarshal(body, &content) == nil && content.Holder != "" {
				busy.Holder = content.Holder
			}
		} else if store.Is(err, store.KindNotFound) {
			continue // it has ended meanwhile
		}
		return busy
	}
	return nil
}

// Now is the store's clock when the lock was written last.
func (l *Lock) Now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.modified
}

// Renew says that the holder is alive, and fails when that comes too late: then what it kept away may be at work.
func (l *Lock) Renew(ctx context.Context) error { return wrap(l.write(ctx), "renewing a lock") }

// Keep renews every so often until Release. The context that it returns ends when that fails for too long: its work must stop before others take the lock for dead.
func (l *Lock) Keep(ctx context.Context, every time.Duration) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	var once sync.Once
	l.stop = func() { once.Do(func() { cancel(context.Canceled); <-done }) }
	go func() {
		defer close(done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		renewed := time.Now()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			begun := time.Now()
			err := l.renewWithin(ctx, every)
			if err == nil {
				renewed = begun
			} else if time.Since(renewed) > LockTTL/2 || l.isLost() {
				cancel(err)
				return
			}
		}
	}()
	return ctx
}

func (l *Lock) renewWithin(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return l.Renew(ctx)
}

func (l *Lock) isLost() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost != nil
}

// Release takes the lock away. Where that fails it dies by itself.
func (l *Lock) Release(ctx context.Context) {
	l.stop()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	l.archive.store.Delete(ctx, l.key) //nolint:errcheck // it dies by itself
}
