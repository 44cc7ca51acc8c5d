package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// longWrite in bytes is a part of a file; what is shorter, a request or the state of a pod, goes out as it is.
	longWrite = 32 << 10
	// together is how many bytes of records go out at a time: eight of the largest (16 KiB, and 22 bytes around them in TLS 1.3).
	together = 8 * (16<<10 + 22)
)

// bulk is a connection over TLS on which the records of a long write go out together. crypto/tls makes a system call of each, and the receiver is woken for each: a tenth of the processor time that
// a restore takes of both sides.
type bulk struct {
	*tls.Conn
	records *records
}

// dialTLS connects and shakes hands. The handshake may take as long as a limit; the certificate is verified as config says.
func dialTLS(dial func(ctx context.Context, network, addr string) (net.Conn, error), config *tls.Config, limit time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		raw, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		below := &records{Conn: raw}
		c := &bulk{Conn: tls.Client(below, config), records: below}
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		if err := c.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, fmt.Errorf("TLS handshake with %s: %w", addr, err)
		}
		return c, nil
	}
}

// Write implements net.Conn.
func (c *bulk) Write(p []byte) (int, error) {
	if len(p) < longWrite {
		return c.Conn.Write(p)
	}
	c.records.gather()
	n, err := c.Conn.Write(p)
	if sent := c.records.send(); err == nil {
		err = sent
	}
	return n, err
}

// ReadFrom implements io.ReaderFrom. net/http brings the body of a request whose length is known as an io.LimitedReader, which hides that the body could write itself, in larger pieces and without a copy.
func (c *bulk) ReadFrom(r io.Reader) (int64, error) {
	if limit, ok := r.(*io.LimitedReader); ok {
		if body, ok := limit.R.(io.WriterTo); ok {
			return body.WriteTo(&limited{c, limit})
		}
	}
	return io.Copy(struct{ io.Writer }{c}, r)
}

// Close implements net.Conn. During a write nothing is said to the other side, as tls.Conn does: who takes nothing would not hear it, and would be waited for.
func (c *bulk) Close() error {
	if c.records.gathering.Load() {
		return c.records.Close()
	}
	return c.Conn.Close()
}

// limited writes what a reader may still give.
type limited struct {
	w     io.Writer
	limit *io.LimitedReader
}

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	if int64(len(p)) > l.limit.N {
		return 0, fmt.Errorf("the body has more than was announced: %w", io.ErrShortWrite)
	}
	n, err := l.w.Write(p)
	l.limit.N -= int64(n)
	return n, err
}

// records is the connection below TLS.
type records struct {
	net.Conn
	gathering atomic.Bool

	mu      sync.Mutex // TLS writes for who reads, too
	waiting []byte     // of a long write; made by the first one
}

// gather what is written until send.
func (r *records) gather() { r.gathering.Store(true) }

// send what waits.
func (r *records) send() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.gathering.Store(false) // after the write: see Close
	return r.flush()
}

// flush sends what waits; the lock is held.
func (r *records) flush() error {
	if len(r.waiting) == 0 {
		return nil
	}
	_, err := r.Conn.Write(r.waiting)
	r.waiting = r.waiting[:0]
	return err
}

// Write implements net.Conn.
func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.gathering.Load() {
		return r.Conn.Write(p)
	}
	if len(r.waiting)+len(p) > together {
		if err := r.flush(); err != nil {
			return 0, err
		}
	}
	if r.waiting == nil {
		r.waiting = make([]byte, 0, together)
	}
	r.waiting = append(r.waiting, p...)
	return len(p), nil
}
