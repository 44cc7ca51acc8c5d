package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq/metaclient"
)

// peers reaches the other pods of the placement centre: their agents, and their servers' meta service.
type peers struct {
	a *Agent

	mu sync.Mutex
	// address is where a host was last: a pod that is being ended leaves DNS at once and still answers for a while.
	address map[string]string
	meta    map[string]*metaclient.Client
}

func newPeers(a *Agent) *peers {
	return &peers{a: a, address: map[string]string{}, meta: map[string]*metaclient.Client{}}
}

func (p *peers) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for addr, c := range p.meta {
		if err := c.Close(); err != nil {
			p.a.o.Log.Debug("closing a connection", "to", addr, "error", err)
		}
	}
	clear(p.meta)
}

// dial opens a connection to another member's agent.
func (p *peers) dial(ctx context.Context, host string) (net.Conn, error) {
	return p.dialAt(ctx, host, strconv.Itoa(protocol.Port))
}

func (p *peers) dialAt(ctx context.Context, host, port string) (net.Conn, error) {
	addresses, err := p.a.o.Resolve(ctx, host)
	p.mu.Lock()
	if err == nil && len(addresses) > 0 {
		p.address[host] = addresses[0]
	}
	address, known := p.address[host]
	p.mu.Unlock()
	if !known {
		return nil, fmt.Errorf("agent of %s: %w", host, errors.Join(err, errNoAddress))
	}
	return p.a.o.Dial(ctx, "tcp", net.JoinHostPort(address, port))
}

var errNoAddress = errors.New("its name was never resolved")

// reachable reports whether a member's agent accepts a connection within the limit.
func (p *peers) reachable(ctx context.Context, host string, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := p.dial(ctx, host)
	if err != nil {
		return false
	}
	_ = conn.Close() // it was opened, which is the answer
	return true
}

// ask calls another agent's PathPeer.
func (p *peers) ask(ctx context.Context, m mounted, host string) (protocol.Peer, error) {
	return p.askBy(ctx, m, host, func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dial(ctx, host) })
}

// askAt calls the PathPeer of the agent at an address.
func (p *peers) askAt(ctx context.Context, m mounted, address string) (protocol.Peer, error) {
	return p.askBy(ctx, m, address, func(ctx context.Context, _, _ string) (net.Conn, error) {
		return p.a.o.Dial(ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(protocol.Port)))
	})
}

func (p *peers) askBy(ctx context.Context, m mounted, host string, dial func(context.Context, string, string) (net.Conn, error)) (protocol.Peer, error) {
	config, err := p.a.pki.clientConfig(m.config.Namespace, m.config.Cluster)
	if err != nil {
		return protocol.Peer{}, err
	}
	transport := &http.Transport{
		TLSClientConfig: config, DisableKeepAlives: true,
		DialContext: dial,
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+config.ServerName+protocol.PathPeer, nil)
	if err != nil {
		return protocol.Peer{}, fmt.Errorf("agent of %s: %w", host, err)
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return protocol.Peer{}, fmt.Errorf("agent of %s: %w", host, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return protocol.Peer{}, fmt.Errorf("agent of %s answered %s", host, response.Status)
	}
	var peer protocol.Peer
	if err := json.NewDecoder(io.LimitReader(response.Body, maxBody)).Decode(&peer); err != nil {
		return protocol.Peer{}, fmt.Errorf("agent of %s: %w", host, err)
	}
	return peer, nil
}

// metaAt returns a client of the meta service at addr, kept for the next call.
func (p *peers) metaAt(addr string) (*metaclient.Client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c, ok := p.meta[addr]; ok {
		return c, nil
	}
	c, err := metaclient.New(addr, p.a.o.Dial)
	if err != nil {
		return nil, err
	}
	p.meta[addr] = c
	return c, nil
}

// drop forgets a connection that gave no answer in time: its other end may be gone without a word, and its name lead elsewhere by now.
func (p *peers) drop(addr string, c *metaclient.Client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.meta[addr] == c {
		delete(p.meta, addr)
		_ = c.Close() // nothing to lose
	}
}
