package job

import (
	"context"
	"io"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/robustmq/robustmq-operator/backup/store"
)

// watch ends a Job in which nothing moves. A step forward is a byte that moved or a request that was answered; renewing a lock or a lease is none.
type watch struct {
	limit time.Duration

	mu    sync.Mutex
	timer *time.Timer
	doing string
}

// start it. The context that it returns ends with a *deadlineError, and stop must be called.
func (w *watch) start(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(w.limit, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		cancel(&deadlineError{limit: w.limit, doing: w.doing})
	})
	return ctx, func() {
		w.timer.Stop()
		cancel(nil)
	}
}

// now says what is being done, for people.
func (w *watch) now(doing string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.doing = doing
	w.timer.Reset(w.limit)
}

// moved is a step forward.
func (w *watch) moved() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Reset(w.limit)
}

// moving is a store in which every success is a step forward.
type moving struct {
	store.Store
	moved func()
}

var _ store.Store = moving{}

// answered notes a request that was answered, unless it was for a lock: those are renewed whatever else stands still.
func (m moving) answered(key string, err error) {
	if err == nil && !strings.Contains(key, "/locks/") {
		m.moved()
	}
}

// Put implements store.Store.
func (m moving) Put(ctx context.Context, key string, c store.Content) (store.Info, error) {
	if !strings.Contains(key, "/locks/") {
		if open := c.Open; open != nil {
			c.Open = func(ctx context.Context) (io.ReadCloser, error) {
				body, err := open(ctx)
				if err != nil {
					return nil, err
				}
				return movingBody(body, m.moved), nil
			}
		} else {
			c.Body = movingReader{c.Body, m.moved}
		}
	}
	info, err := m.Store.Put(ctx, key, c)
	m.answered(key, err)
	return info, err
}

// Create implements store.Store.
func (m moving) Create(ctx context.Context, key string, body []byte) (store.Info, error) {
	info, err := m.Store.Create(ctx, key, body)
	m.answered(key, err)
	return info, err
}

// Get implements store.Store.
func (m moving) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	body, err := m.Store.Get(ctx, key, offset, length)
	m.answered(key, err)
	if err != nil {
		return nil, err
	}
	return movingBody(body, m.moved), nil
}

// Head implements store.Store.
func (m moving) Head(ctx context.Context, key string) (store.Info, error) {
	info, err := m.Store.Head(ctx, key)
	m.answered(key, err)
	return info, err
}

// List implements store.Store.
func (m moving) List(ctx context.Context, prefix string, deep bool) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		for info, err := range m.Store.List(ctx, prefix, deep) {
			m.answered(prefix, err)
			if !yield(info, err) {
				return
			}
		}
	}
}

// Delete implements store.Store.
func (m moving) Delete(ctx context.Context, key string) error {
	err := m.Store.Delete(ctx, key)
	m.answered(key, err)
	return err
}

// Sweep implements store.Store.
func (m moving) Sweep(ctx context.Context, prefix string, before time.Time) (int, error) {
	n, err := m.Store.Sweep(ctx, prefix, before)
	m.answered(prefix, err)
	return n, err
}

func movingBody(body io.ReadCloser, moved func()) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{movingReader{body, moved}, body}
}

// movingReader notes every byte.
type movingReader struct {
	r     io.Reader
	moved func()
}

// Read implements io.Reader.
func (m movingReader) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if n > 0 {
		m.moved()
	}
	return n, err
}
