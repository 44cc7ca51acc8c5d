package network

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// conn is the dialling end of a connection: what it reads and writes is subject to the faults of the moment.
// While the way is a black hole a writer does not notice: bytes wait here, as they would in the sender's socket buffer to be sent again, and arrive after the hole has closed.
type conn struct {
	net.Conn
	host *Host
	to   string
	port int

	closed chan struct{}
	once   sync.Once

	mu           sync.Mutex
	readDeadline time.Time
	moved        chan struct{} // closed and replaced when a deadline is set
	writes       int
	losing       bool // the next answer is lost

	sending  sync.Mutex // one writer of the socket
	unsent   []byte     // what waits for the hole to close; guarded by mu
	flushing bool
}

// sendBuffer is how much a kernel takes from a writer whose peer does not acknowledge: 2.5 MiB with Linux's defaults for loopback.
const sendBuffer = 2 << 20

func newConn(h *Host, c net.Conn, to string, port int) *conn {
	return &conn{Conn: c, host: h, to: to, port: port, closed: make(chan struct{}), moved: make(chan struct{})}
}

// await blocks while packets to the reader vanish. It returns the error that a read ends with, or nil.
func (c *conn) await() error {
	for {
		out, back, changed := c.host.network.way(c.host, c.to)
		if out == Refusing || back == Refusing {
			_ = c.Close()
			return os.NewSyscallError("read", syscall.ECONNRESET)
		}
		if back != BlackHole {
			return nil
		}
		c.mu.Lock()
		deadline, moved := c.readDeadline, c.moved
		c.mu.Unlock()
		var expired <-chan time.Time
		var timer *time.Timer
		if !deadline.IsZero() {
			timer = time.NewTimer(time.Until(deadline))
			expired = timer.C
		}
		err := error(nil)
		select {
		case <-changed:
		case <-moved:
		case <-expired:
			err = os.ErrDeadlineExceeded
		case <-c.closed:
			err = net.ErrClosed
		}
		if timer != nil {
			timer.Stop()
		}
		if err != nil {
			return err
		}
	}
}

// Read implements net.Conn. The faults are asked after the bytes came as well: a peer that lost its power closes its socket here (it is a goroutine), and nobody may see that.
func (c *conn) Read(b []byte) (int, error) {
	if err := c.await(); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return n, err
	}
	if hole := c.await(); hole != nil {
		return 0, hole
	}
	c.mu.Lock()
	losing := c.losing
	c.mu.Unlock()
	if losing {
		_ = c.Close()
		return 0, os.NewSyscallError("read", syscall.ECONNRESET)
	}
	return n, err
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	if d := c.host.network.pause(c.to); d > 0 {
		timer := time.NewTimer(d)
		select {
		case <-timer.C:
		case <-c.closed:
		}
		timer.Stop()
	}
	out, back, _ := c.host.network.way(c.host, c.to)
	if out == Refusing || back == Refusing {
		_ = c.Close()
		return 0, os.NewSyscallError("write", syscall.ECONNRESET)
	}
	c.mu.Lock()
	c.writes++
	number := c.writes
	c.mu.Unlock()
	if c.host.network.losesAnswer(c.host, c.to, c.port, number) {
		c.mu.Lock()
		c.losing = true
		c.mu.Unlock()
	}
	c.mu.Lock()
	if out == BlackHole || len(c.unsent) > 0 || c.flushing {
		defer c.mu.Unlock()
		return c.hold(b)
	}
	c.mu.Unlock()
	c.sending.Lock()
	defer c.sending.Unlock()
	return c.Conn.Write(b)
}

// hold takes bytes for later; the lock is held.
func (c *conn) hold(b []byte) (int, error) {
	if len(c.unsent)+len(b) > sendBuffer {
		return 0, os.ErrDeadlineExceeded // a writer would block here; none of ours writes that much before it waits for an answer
	}
	c.unsent = append(c.unsent, b...)
	if !c.flushing {
		c.flushing = true
		go c.flush()
	}
	return len(b), nil
}

// flush sends what was held as soon as packets pass again.
func (c *conn) flush() {
	for {
		out, _, changed := c.host.network.way(c.host, c.to)
		if out == BlackHole {
			select {
			case <-changed:
				continue
			case <-c.closed:
				return
			}
		}
		c.mu.Lock()
		batch := c.unsent
		c.unsent = nil
		c.flushing = len(batch) > 0
		c.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		c.sending.Lock()
		_, err := c.Conn.Write(batch)
		c.sending.Unlock()
		if err != nil {
			return // the reader learns of it, as with a real socket
		}
	}
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	c.setReadDeadline(t)
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.setReadDeadline(t)
	return c.Conn.SetReadDeadline(t)
}

func (c *conn) setReadDeadline(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readDeadline = t
	close(c.moved)
	c.moved = make(chan struct{})
}
