package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// Identity is the operator's side of one cluster's mutual TLS, in PEM.
type Identity struct {
	CA, Cert, Key []byte // CA may hold several certificates while it is rotated
	ServerName    string // protocol.ServerName(namespace, cluster)
	// Agents is the certificate that the agents have now, empty where it is not known. One that shows it is trusted without its CA's signature being checked each time; its name and its time are.
	Agents []byte
}

// equal leaves Agents out, with which fewer signatures are checked and nothing else changes.
func (i Identity) equal(o Identity) bool {
	return i.ServerName == o.ServerName && bytes.Equal(i.CA, o.CA) && bytes.Equal(i.Cert, o.Cert) && bytes.Equal(i.Key, o.Key)
}

func (i Identity) tlsConfig() (*tls.Config, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(i.CA) {
		return nil, errors.New("the CA holds no certificate")
	}
	roots.AppendCertsFromPEM(i.Agents)
	pair, err := tls.X509KeyPair(i.Cert, i.Key)
	if err != nil {
		return nil, fmt.Errorf("client certificate: %w", err)
	}
	if i.ServerName == "" {
		return nil, errors.New("server name is empty")
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, Certificates: []tls.Certificate{pair}, ServerName: i.ServerName, CurvePreferences: curves}, nil
}

// curves is P-256 alone. A cluster at rest is asked by a new connection to each of its pods twice a minute, and with the hybrids with ML-KEM, which Go offers first, their keys were a third of the
// processor time and of the garbage of those handshakes. They guard what was recorded today against quantum computers of later; what goes here between the operator and an agent of the same network are the
// states of servers and orders, which nobody wants in ten years, and no key or password. X25519 takes Go half as long again (143 us for a handshake's keys instead of 101 us), and FIPS 140 does not know it.
var curves = []tls.CurveID{tls.CurveP256}

// Limits bound the calls. The zero value of a field means its default.
type Limits struct {
	Dial  time.Duration // TCP connect, and the same again for the TLS handshake; default 2 s
	State time.Duration // State; default 3 s (an agent answers within 2 s whatever its server does)
	Order time.Duration // everything else; default 45 s (a stop may take 20 s, then the kill)
	Kept  int           // open connections beyond which Trim closes; default 2,000
}

func (l Limits) withDefaults() Limits {
	if l.Dial == 0 {
		l.Dial = 2 * time.Second
	}
	if l.State == 0 {
		l.State = 3 * time.Second
	}
	if l.Order == 0 {
		l.Order = 45 * time.Second
	}
	if l.Kept == 0 {
		l.Kept = 2000
	}
	return l
}

// Pool keeps connections, apart by cluster. It is safe for concurrent use.
type Pool struct {
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	limits Limits
	open   atomic.Int64 // connections

	mu       sync.Mutex
	clusters map[string]*entry
}

type entry struct {
	identity  Identity
	transport *http.Transport
}

// NewPool returns an empty pool. dial is nil outside of tests.
func NewPool(limits Limits, dial func(ctx context.Context, network, addr string) (net.Conn, error)) *Pool {
	limits = limits.withDefaults()
	if dial == nil {
		dial = (&net.Dialer{Timeout: limits.Dial, KeepAlive: 15 * time.Second}).DialContext
	}
	return &Pool{dial: dial, limits: limits, clusters: map[string]*entry{}}
}

// Client returns a client of the agent at podIP. key names the cluster for ever (its clusterUID); another identity under the same key replaces the old one and
// drops its idle connections. The error says what is wrong with the identity.
func (p *Pool) Client(key string, identity Identity, podIP string) (Client, error) {
	return p.ClientAt(key, identity, net.JoinHostPort(podIP, strconv.Itoa(protocol.Port)))
}

// ClientAt is Client with the agent's host:port.
func (p *Pool) ClientAt(key string, identity Identity, address string) (Client, error) {
	transport, err := p.transport(key, identity)
	if err != nil {
		return nil, fmt.Errorf("agent identity of cluster %s: %w", key, err)
	}
	return &podClient{
		base:   "https://" + address,
		http:   &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		limits: p.limits,
	}, nil
}

// Forget drops the connections and the parsed certificates of a cluster that is gone, or is not asked soon. An open connection costs 30 to 40 kB, and there is one for every pod, the certificates 8 kB;
// what they cost twice a minute is far less.
func (p *Pool) Forget(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e, ok := p.clusters[key]; ok {
		e.transport.CloseIdleConnections()
		delete(p.clusters, key)
	}
}

// Trim is called when a cluster that changes has been looked at, and drops its connections if too many are open altogether. Those of the clusters that came before stay: where a thousand change at once
// all are looked at in turn, and what was used longest ago is what is used next.
func (p *Pool) Trim(key string) {
	if p.open.Load() <= int64(p.limits.Kept) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if e, ok := p.clusters[key]; ok {
		e.transport.CloseIdleConnections()
	}
}

// counted is a connection of the pool.
type counted struct {
	net.Conn
	closed sync.Once
	pool   *Pool
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.closed.Do(func() { c.pool.open.Add(-1) })
	return c.Conn.Close()
}

func (p *Pool) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := p.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	p.open.Add(1)
	return &counted{Conn: conn, pool: p}, nil
}

func (p *Pool) transport(key string, identity Identity) (*http.Transport, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.clusters[key]
	if old != nil && old.identity.equal(identity) {
		return old.transport, nil
	}
	config, err := identity.tlsConfig()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		DialTLSContext:      dialTLS(p.connect, config, p.limits.Dial),
		MaxIdleConnsPerHost: 2,
		// Longer than the time between two polls of a cluster that changes, so that such a poll costs no handshake: 2 s, and a minute where a thousand change at once. Shorter than the two minutes
		// after which an agent closes. A cluster at rest keeps none: see Forget.
		IdleConnTimeout: 100 * time.Second,
	}
	if old != nil {
		old.transport.CloseIdleConnections()
	}
	p.clusters[key] = &entry{identity: identity, transport: transport}
	return transport, nil
}
