package network

import (
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// conn is the dialling end of a connection: what it reads and writes is subject to the faults of the moment.
// While the way is a black hole, bytes wait here (as they would in the sender's socket buffer, to be sent again) and arrive after the hole has closed.
type conn struct {
	net.Conn
	host *Host
	to   string
	port int

	closed chan struct{}
	once   sync.Once

	mu            sync.Mutex
	readDeadline  time.Time
	writeDeadline time.Time
	moved         chan struct{} // closed and replaced when a deadline is set
	writes        int
	losing        bool // the next answer is lost
}

func newConn(h *Host, c net.Conn, to string, port int) *conn {
	return &conn{Conn: c, host: h, to: to, port: port, closed: make(chan struct{}), moved: make(chan struct{})}
}

// pass blocks while packets of the given direction vanish. It returns the error that the caller's read or write ends with, or nil.
func (c *conn) pass(reading bool) error {
	for {
		out, back, changed := c.host.network.way(c.host, c.to)
		if out == Refusing || back == Refusing {
			_ = c.Close()
			return os.NewSyscallError("read", syscall.ECONNRESET)
		}
		if reading && back != BlackHole || !reading && out != BlackHole {
			return nil
		}
		c.mu.Lock()
		deadline, moved := c.writeDeadline, c.moved
		if reading {
			deadline = c.readDeadline
		}
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
	if err := c.pass(true); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		return n, err
	}
	if hole := c.pass(true); hole != nil {
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
	if d := c.host.network.pause(); d > 0 {
		timer := time.NewTimer(d)
		select {
		case <-timer.C:
		case <-c.closed:
		}
		timer.Stop()
	}
	if err := c.pass(false); err != nil {
		return 0, err
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
	return c.Conn.Write(b)
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	c.setDeadlines(&t, &t)
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.setDeadlines(&t, nil)
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.setDeadlines(nil, &t)
	return c.Conn.SetWriteDeadline(t)
}

func (c *conn) setDeadlines(read, write *time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if read != nil {
		c.readDeadline = *read
	}
	if write != nil {
		c.writeDeadline = *write
	}
	close(c.moved)
	c.moved = make(chan struct{})
}
