package bed

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A Narrow way to a server passes bytes on at a given rate, so that what takes a moment takes long enough to be disturbed.
type Narrow struct {
	listener net.Listener
	to       string
	done     context.Context
	cancel   context.CancelFunc
	running  sync.WaitGroup

	mu   sync.Mutex
	rate int          // bytes a second, of all connections together and each direction; 0 for no limit
	free [2]time.Time // when each direction may move the next byte
}

// Open a way to the address, at a free port of the host's address in the bed. rate is in bytes a second.
func Open(host, to string, rate int) (*Narrow, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, err
	}
	n := &Narrow{listener: l, to: to, rate: rate}
	n.done, n.cancel = context.WithCancel(context.Background())
	n.running.Go(n.accept)
	return n, nil
}

// Address is where it listens, as host:port.
func (n *Narrow) Address() string { return n.listener.Addr().String() }

// Widen sets another rate; 0 takes the limit off.
func (n *Narrow) Widen(rate int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rate, n.free = rate, [2]time.Time{}
}

// Close ends it, and every connection through it.
func (n *Narrow) Close() error {
	n.cancel()
	err := n.listener.Close()
	n.running.Wait()
	return err
}

func (n *Narrow) accept() {
	for {
		client, err := n.listener.Accept()
		if err != nil {
			return
		}
		n.running.Go(func() { n.serve(client) })
	}
}

func (n *Narrow) serve(client net.Conn) {
	defer client.Close()
	var d net.Dialer
	server, err := d.DialContext(n.done, "tcp", n.to)
	if err != nil {
		return
	}
	defer server.Close()
	stop := context.AfterFunc(n.done, func() { client.Close(); server.Close() })
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { n.copy(server, client, 0) })
	both.Go(func() { n.copy(client, server, 1) })
	both.Wait()
}

// copy in one direction, in pieces small enough for the rate to be even.
func (n *Narrow) copy(to, from net.Conn, direction int) {
	piece := make([]byte, 4<<10)
	for {
		read, err := from.Read(piece)
		if read > 0 {
			if !n.wait(direction, read) {
				return
			}
			if _, err := to.Write(piece[:read]); err != nil {
				from.Close()
				return
			}
		}
		if err != nil {
			if half, ok := to.(*net.TCPConn); ok && errors.Is(err, io.EOF) {
				_ = half.CloseWrite()
			} else {
				to.Close()
			}
			return
		}
	}
}

// wait until so many bytes may pass.
func (n *Narrow) wait(direction, bytes int) bool {
	n.mu.Lock()
	now := time.Now()
	if n.rate == 0 {
		n.mu.Unlock()
		return true
	}
	begin := n.free[direction]
	if begin.Before(now) {
		begin = now
	}
	end := begin.Add(time.Duration(bytes) * time.Second / time.Duration(n.rate))
	n.free[direction] = end
	n.mu.Unlock()
	timer := time.NewTimer(time.Until(end))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-n.done.Done():
		return false
	}
}
