package simulator

import (
	"context"
	"encoding/json"
	"net"
	"sync"
)

// lines are the connections to other engines that are kept between requests, as RobustMQ keeps them (storage-engine/src/clients, 0.4.11): one that breaks is made anew with the next try.
type lines struct {
	dial DialFunc

	mu     sync.Mutex
	idle   map[string][]*line // by address
	closed bool
}

// line is a connection on which one request at a time is answered.
type line struct {
	conn    net.Conn
	encoder *json.Encoder
	decoder *json.Decoder
}

// keptLines is how many connections to one address are kept (storage-adapter/src/storage.rs, 0.4.11).
const keptLines = 5

// newLines returns none. They are all closed when ctx ends.
func newLines(ctx context.Context, dial DialFunc) *lines {
	l := &lines{dial: dial, idle: map[string][]*line{}}
	context.AfterFunc(ctx, l.close)
	return l
}

// take returns a connection that nobody else uses.
func (l *lines) take(ctx context.Context, addr string) (*line, error) {
	l.mu.Lock()
	if kept := l.idle[addr]; len(kept) > 0 {
		last := len(kept) - 1
		l.idle[addr] = kept[:last]
		l.mu.Unlock()
		return kept[last], nil
	}
	l.mu.Unlock()
	return l.open(ctx, addr)
}

// open makes a connection, which is the caller's to close.
func (l *lines) open(ctx context.Context, addr string) (*line, error) {
	conn, err := l.dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &line{conn: conn, encoder: json.NewEncoder(conn), decoder: json.NewDecoder(conn)}, nil
}

// give takes a connection back that has answered.
func (l *lines) give(addr string, back *line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.idle[addr]) >= keptLines {
		back.close()
		return
	}
	l.idle[addr] = append(l.idle[addr], back)
}

func (l *lines) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, kept := range l.idle {
		for _, one := range kept {
			one.close()
		}
	}
	l.idle = nil
}

func (l *line) exchange(f frame) (frameReply, error) {
	var reply frameReply
	if err := l.encoder.Encode(f); err != nil {
		return reply, err
	}
	return reply, l.decoder.Decode(&reply)
}

func (l *line) close() { _ = l.conn.Close() }
