package simulator

import (
	"bufio"
	"io"
	"net"
	"sync"
)

// queue is what lies before a handler: packets that were read from its connections and are not handled yet. When it is full nothing more is read from them
// (common/network-server/src/common/channel.rs and handler.rs, 0.4.11: a queue of broker_network.queue_size for each of broker_network.handler_thread_num).
type queue struct {
	m     *metrics
	slots chan struct{}
}

func (b *mqttBroker) makeQueues() {
	size, count := b.n.file.number("broker_network.queue_size"), b.n.file.number("broker_network.handler_thread_num")
	for range max(count, 1) {
		b.queues = append(b.queues, &queue{b.n.metrics, make(chan struct{}, max(size, 1))})
	}
	b.n.metrics.set("handler_queue_remaining", float64(size), "handler")
}

// queued has what comes from a connection wait before the handler whose turn it is.
func (b *mqttBroker) queued(c net.Conn) *queuedConn {
	q := &queuedConn{Conn: c, queue: b.queues[b.accepted.Add(1)%uint64(len(b.queues))], done: make(chan struct{})}
	q.changed.L = &q.mu
	b.n.spawn(q.fetch)
	return q
}

// leave takes so many packets out. What is exported is the state of the queue that a packet was taken from last, whichever that is.
func (q *queue) leave(packets int) {
	for range packets {
		<-q.slots
	}
	left := len(q.slots)
	q.m.set("handler_queue_size", float64(left), "handler")
	q.m.set("handler_queue_remaining", float64(cap(q.slots)-left), "handler")
}

// queuedConn reads a connection ahead, whole packets at a time.
type queuedConn struct {
	net.Conn
	queue *queue
	done  chan struct{}

	mu      sync.Mutex
	changed sync.Cond
	packets [][]byte
	rest    []byte // of the packet that is being handled
	busy    bool   // one is
	err     error  // after packets
	closed  bool
}

// fetch reads until the connection ends.
func (c *queuedConn) fetch() {
	r := bufio.NewReader(c.Conn)
	for {
		packet, err := readRaw(r)
		if len(packet) > 0 {
			select {
			case c.queue.slots <- struct{}{}:
			case <-c.done:
				return
			}
		}
		c.mu.Lock()
		switch {
		case c.closed && len(packet) > 0:
			c.mu.Unlock()
			c.queue.leave(1)
			return
		case len(packet) > 0:
			c.packets = append(c.packets, packet)
		}
		c.err = err
		c.changed.Broadcast()
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// readRaw reads one packet as it is; with an error, what there is of it.
func readRaw(r *bufio.Reader) ([]byte, error) {
	const lengthBytes = 4
	var packet []byte
	remaining := 0
	for i := range 1 + lengthBytes {
		b, err := r.ReadByte()
		if err != nil {
			return packet, err
		}
		packet = append(packet, b)
		if i == 0 {
			continue
		}
		remaining |= int(b&0x7f) << (7 * (i - 1))
		if b < 0x80 {
			break
		}
	}
	body := make([]byte, remaining)
	n, err := io.ReadFull(r, body)
	return append(packet, body[:n]...), err
}

// Read gives the handler a packet, or some of it. That it asks for another one says that it has done with the one before.
func (c *queuedConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.rest) == 0 {
		if c.busy {
			c.busy = false
			c.queue.leave(1)
		}
		for len(c.packets) == 0 && c.err == nil && !c.closed {
			c.changed.Wait()
		}
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case len(c.packets) == 0:
			return 0, c.err
		}
		c.rest, c.packets, c.busy = c.packets[0], c.packets[1:], true
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Close implements net.Conn. What was read and not handled is skipped.
func (c *queuedConn) Close() error {
	err := c.Conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return err
	}
	c.closed = true
	close(c.done)
	left := len(c.packets)
	if c.busy {
		left++
	}
	c.packets, c.busy = nil, false
	if left > 0 {
		c.queue.leave(left)
	}
	c.changed.Broadcast()
	return err
}
