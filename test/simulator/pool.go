package simulator

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// pool keeps one connection a peer, and calls as RobustMQ's client does: addresses in order, 5 s each, a redirect followed once, refusals final.
type pool struct {
	dial DialFunc
	t    timing
	log  *logger

	mu      sync.Mutex
	peers   map[string]*peer
	leaders map[string]string // call -> leader that answered a redirect
	closed  bool
}

// peer is the way to one address: a connection that stands, or none. It is dialled by whoever needs it, and every caller waits as long as the dial hangs
// (RobustMQ's channels are lazy in the same way; gRPC's own would fail fast while an address does not answer, and no heartbeat would ever hang).
type peer struct {
	dialling chan struct{} // a token: one dial at a time

	mu   sync.Mutex
	conn *link
}

// link is one connection. It is closed when it is over and nobody uses it any more: a call that goes on must not fail because another one did.
type link struct {
	grpc  *grpc.ClientConn
	okAt  time.Time
	users int
	over  bool
}

func newPool(dial DialFunc, t timing, log *logger) *pool {
	return &pool{dial: dial, t: t, log: log, peers: map[string]*peer{}, leaders: map[string]string{}}
}

const (
	callTimeout   = 5 * time.Second // of one attempt
	callAttempts  = 3
	retryInterval = 100 * time.Millisecond
	// staleAfter is how long a connection may leave calls unanswered before it is made anew (HTTP/2 keep-alive of RobustMQ's client).
	staleAfter = 10 * time.Second
)

func (p *pool) peer(addr string) (*peer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, net.ErrClosed
	}
	c := p.peers[addr]
	if c == nil {
		c = &peer{dialling: make(chan struct{}, 1)}
		p.peers[addr] = c
	}
	return c, nil
}

// connect returns the connection of a peer, and makes it when there is none.
func (p *pool) connect(ctx context.Context, addr string, c *peer) (*link, error) {
	select {
	case c.dialling <- struct{}{}:
		defer func() { <-c.dialling }()
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	c.mu.Lock()
	have := c.conn
	if have != nil {
		have.users++
	}
	c.mu.Unlock()
	if have != nil {
		return have, nil
	}
	raw, err := p.dial(ctx, "tcp", addr)
	if err != nil {
		if ctx.Err() != nil {
			return nil, status.FromContextError(ctx.Err()).Err()
		}
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	once := make(chan net.Conn, 1)
	once <- raw
	conn, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			select {
			case first := <-once:
				return first, nil
			default:
				return nil, net.ErrClosed // this connection is over; the next call makes a new one
			}
		}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: time.Hour, Multiplier: 1, MaxDelay: time.Hour}, MinConnectTimeout: p.t.patience(callTimeout, time.Second)}),
		grpc.WithDisableServiceConfig(), grpc.WithIdleTimeout(0),
		grpc.WithReadBufferSize(8<<10), grpc.WithWriteBufferSize(8<<10),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)),
	)
	if err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("channel to %s: %w", addr, err)
	}
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed {
		_ = conn.Close()
		_ = raw.Close()
		return nil, net.ErrClosed
	}
	made := &link{grpc: conn, okAt: time.Now(), users: 1}
	c.mu.Lock()
	c.conn = made
	c.mu.Unlock()
	return made, nil
}

// once makes one call on the connection to addr.
func (p *pool) once(ctx context.Context, addr string, f func(context.Context, *grpc.ClientConn) error) error {
	c, err := p.peer(addr)
	if err != nil {
		return err
	}
	used, err := p.connect(ctx, addr, c)
	if err != nil {
		return err
	}
	err = f(ctx, used.grpc)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch status.Code(err) {
	case codes.DeadlineExceeded, codes.Canceled:
		used.over = used.over || time.Since(used.okAt) > p.t.patience(staleAfter, time.Second)
	case codes.Unavailable:
		used.over = true
	default:
		used.okAt = time.Now()
	}
	if used.over && c.conn == used {
		c.conn = nil
	}
	if used.users--; used.over && used.users == 0 {
		_ = used.grpc.Close()
	}
	return err
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	peers := p.peers
	p.mu.Unlock()
	for _, c := range peers {
		c.mu.Lock()
		if c.conn != nil {
			_ = c.conn.grpc.Close()
		}
		c.mu.Unlock()
	}
}

// callError is a failed call in RobustMQ's words.
type callError struct {
	code    codes.Code
	message string // the peer's words, or the transport's
}

// codeNames are tonic's descriptions of status codes.
var codeNames = map[codes.Code]string{
	codes.Internal: "Internal error", codes.Unavailable: "The service is currently unavailable", codes.Unimplemented: "Operation is not implemented or not supported",
	codes.FailedPrecondition: "The system is not in a state required for the operation's execution", codes.InvalidArgument: "Client specified an invalid argument",
	codes.NotFound: "Some requested entity was not found", codes.DeadlineExceeded: "Deadline expired before operation could complete", codes.Unknown: "Unknown error",
}

func (e *callError) Error() string {
	return fmt.Sprintf("Grpc call of the node failed,Grpc status was code: '%s', message: %q", codeNames[e.code], e.message)
}

func (e *callError) transport() bool { return e.code == codes.Unavailable }

var forwardAddr = regexp.MustCompile(`rpc_addr: "([^"]+)"`)

// notLeader marks reads that only the leader serves; any other member is tried next.
const notLeader = "meta-service node is not currently the raft leader"

// call tries the addresses in their order as RobustMQ's client does. A write starts at the leader that the last redirect named.
func (p *pool) call(ctx context.Context, addrs []string, name string, write bool, f func(context.Context, *grpc.ClientConn) error) error {
	if len(addrs) == 0 {
		return say("Call address list cannot be empty")
	}
	attempts := max(callAttempts, len(addrs))
	for try := 0; ; try++ {
		target := addrs[try%len(addrs)]
		if write {
			if l := p.leader(name); l != "" {
				target = l
			}
		}
		// A join that is cut short leaves a half member for ever: only time of the simulation may do that, not a busy machine.
		floor := time.Second
		if strings.HasSuffix(name, "/JoinCluster") {
			floor = 3 * time.Second
		}
		err := p.attempt(ctx, target, floor, f)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case strings.Contains(err.message, "forward request to"):
			if m := forwardAddr.FindStringSubmatch(err.message); m != nil {
				p.setLeader(name, m[1])
				again := p.attempt(ctx, m[1], floor, f)
				if again == nil {
					return nil
				}
				if !again.transport() {
					p.log.warn("grpc_clients::utils", "retry_call %s attempt %d: redirected leader %s rejected the request (not retried): %s", name, try+1, m[1], again)
					return again
				}
				p.setLeader(name, "")
			}
		case err.transport():
			if write {
				p.setLeader(name, "")
			}
		case strings.Contains(err.message, notLeader):
		default:
			p.log.warn("grpc_clients::utils", "retry_call %s attempt %d: %s rejected the request (not retried): %s", name, try+1, target, err)
			return err
		}
		if try+1 >= attempts {
			return err
		}
		if !p.t.sleep(ctx, retryInterval) {
			return ctx.Err()
		}
	}
}

func (p *pool) leader(name string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.leaders[name]
}

func (p *pool) setLeader(name, addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if addr == "" {
		delete(p.leaders, name)
		return
	}
	p.leaders[name] = addr
}

func (p *pool) attempt(ctx context.Context, addr string, floor time.Duration, f func(context.Context, *grpc.ClientConn) error) *callError {
	limit, cancel := context.WithTimeout(ctx, p.t.patience(callTimeout, floor))
	defer cancel()
	err := p.once(limit, addr, f)
	if err == nil {
		return nil
	}
	s, _ := status.FromError(err)
	switch {
	case s.Code() == codes.DeadlineExceeded || limit.Err() != nil:
		return &callError{codes.Unavailable, fmt.Sprintf("tcp connect error: %s timed out after 5s", addr)}
	case s.Code() == codes.Unavailable || s.Code() == codes.Canceled:
		return &callError{codes.Unavailable, "tcp connect error: " + s.Message()}
	}
	return &callError{s.Code(), s.Message()}
}
