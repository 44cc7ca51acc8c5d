package client

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// identity is a self-signed certificate that is its own CA, for both sides.
func identity(t *testing.T, name string) Identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, DNSNames: []string{name},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return Identity{CA: cert, Cert: cert, Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), ServerName: name}
}

const name = "agent.demo.ns.robustmq.io"

// serve is an agent; the dialler of the pool leads every address to it and counts the connections.
func serve(t *testing.T, id Identity, limits Limits, handler http.HandlerFunc) (*Pool, *atomic.Int64) {
	t.Helper()
	pair, err := tls.X509KeyPair(id.Cert, id.Key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	dials := &atomic.Int64{}
	return NewPool(limits, func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		if _, port, err := net.SplitHostPort(addr); err != nil || port != "7443" {
			return nil, errors.New("dialled " + addr)
		}
		return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	}), dials
}

func TestConnectionsAreKeptUntilTheClusterRestsOrItsIdentityChanges(t *testing.T) {
	id := identity(t, name)
	pool, dials := serve(t, id, Limits{}, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"pod":"p","nodeID":7}`)) })
	call := func() {
		t.Helper()
		c, err := pool.Client("uid", id, "10.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		if s, err := c.State(t.Context()); err != nil || s.NodeID != 7 || s.Pod != "p" {
			t.Fatalf("%+v, %v", s, err)
		}
	}
	for range 5 {
		call()
	}
	if n := dials.Load(); n != 1 {
		t.Errorf("%d connections for five calls", n)
	}
	id.Cert = append(id.Cert, '\n')
	call()
	if n := dials.Load(); n != 2 {
		t.Errorf("%d connections after a new identity", n)
	}
	pool.Forget("uid")
	pool.Forget("uid")
	call()
	if n := dials.Load(); n != 3 {
		t.Errorf("%d connections after the cluster was forgotten", n)
	}
	pool.Forget("another")
	call()
	if n := dials.Load(); n != 3 {
		t.Errorf("%d connections after another cluster came to rest", n)
	}
	pool.Forget("uid")
	call()
	if n := dials.Load(); n != 4 {
		t.Errorf("%d connections after the cluster came to rest", n)
	}
}

func TestWhereTooManyConnectionsAreOpenTheLastToComeKeepNone(t *testing.T) {
	id := identity(t, name)
	pool, dials := serve(t, id, Limits{Kept: 2}, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{}`)) })
	// look at a cluster, and say how many connections that took.
	look := func(cluster, address string) int64 {
		t.Helper()
		before := dials.Load()
		c, err := pool.Client(cluster, id, address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.State(t.Context()); err != nil {
			t.Fatal(err)
		}
		pool.Trim(cluster)
		return dials.Load() - before
	}
	for round, want := range []map[string]int64{{"a": 1, "b": 1, "c": 1}, {"a": 0, "b": 0, "c": 1}, {"a": 0, "b": 0, "c": 1}} {
		for i, cluster := range []string{"a", "b", "c"} {
			if n := look(cluster, fmt.Sprintf("10.0.0.%d", i)); n != want[cluster] {
				t.Errorf("round %d: cluster %s was dialled %d times, want %d", round, cluster, n, want[cluster])
			}
		}
	}
	pool.Forget("a") // there is room now
	if n := look("c", "10.0.0.2"); n != 1 {
		t.Errorf("cluster c was dialled %d times, want 1", n)
	}
	if n := look("c", "10.0.0.2"); n != 0 {
		t.Errorf("cluster c was dialled %d times although there was room", n)
	}
	pool.Trim("nobody")
}

func TestAnIdentityThatCannotBeUsedIsNamed(t *testing.T) {
	id := identity(t, name)
	for what, change := range map[string]func(*Identity){
		"no CA":     func(i *Identity) { i.CA = nil },
		"wrong key": func(i *Identity) { i.Key = identity(t, name).Key },
		"no name":   func(i *Identity) { i.ServerName = "" },
	} {
		broken := id
		change(&broken)
		if c, err := NewPool(Limits{}, nil).Client("uid", broken, "10.0.0.1"); err == nil {
			t.Errorf("%s: %v", what, c)
		}
	}
}

func TestAnAgentThatDoesNotAnswerIsUnreachableInTime(t *testing.T) {
	id := identity(t, name)
	release := make(chan struct{})
	pool, _ := serve(t, id, Limits{State: 100 * time.Millisecond, Order: 100 * time.Millisecond}, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	c, err := pool.Client("uid", id, "10.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if _, err := c.State(t.Context()); !IsUnreachable(err) || Reason(err) != "" {
		t.Errorf("%v", err)
	}
	if _, err := c.Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop}); !IsUnreachable(err) {
		t.Errorf("%v", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("after %s", took)
	}
}

func TestAnotherAgentsCertificateIsNoAgent(t *testing.T) {
	other := identity(t, "agent.other.ns.robustmq.io")
	pool, _ := serve(t, other, Limits{}, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{}`)) })
	id := other
	id.ServerName = name
	c, err := pool.Client("uid", id, "10.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := c.State(t.Context()); !IsUnreachable(err) {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestFailuresKeepTheirReason(t *testing.T) {
	id := identity(t, name)
	for _, test := range []struct {
		status int
		body   string
		want   string
	}{
		{http.StatusConflict, `{"reason":"Conflict","message":"no"}`, protocol.ReasonConflict},
		{http.StatusForbidden, `{"reason":"Forbidden"}`, protocol.ReasonForbidden},
		{http.StatusInternalServerError, `not JSON`, protocol.ReasonInternal},
		{http.StatusFound, ``, protocol.ReasonInternal},
	} {
		pool, _ := serve(t, id, Limits{}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(test.status)
			_, _ = w.Write([]byte(test.body))
		})
		c, err := pool.Client("uid", id, "10.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Gate(t.Context(), protocol.GateOrder{}); Reason(err) != test.want || IsUnreachable(err) {
			t.Errorf("%d %s: %v", test.status, test.body, err)
		}
	}
}

func FuzzAgentErrorAlwaysHasAReason(f *testing.F) {
	f.Add(409, []byte(`{"reason":"Conflict","message":"x"}`))
	f.Add(500, []byte(`[]`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if Reason(agentError(status, body)) == "" {
			t.Errorf("%d %q", status, body)
		}
	})
}

func TestTheCertificateThatTheAgentsHaveIsTrustedForItsNameAndItsTimeAlone(t *testing.T) {
	agents := identity(t, name)
	ours := identity(t, name)
	for _, c := range []struct {
		what   string
		change func(*Identity)
		works  bool
	}{
		{"of a CA that is not trusted", func(*Identity) {}, false},
		{"known", func(i *Identity) { i.Agents = agents.Cert }, true},
		{"another is known", func(i *Identity) { i.Agents = ours.Cert }, false},
		{"known under another name", func(i *Identity) { i.Agents, i.ServerName = agents.Cert, "agent.other.ns.robustmq.io" }, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			pool, _ := serve(t, agents, Limits{}, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{}`)) })
			id := ours
			c.change(&id)
			agent, err := pool.Client("uid", id, "10.0.0.1")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := agent.State(t.Context()); (err == nil) != c.works {
				t.Errorf("%v", err)
			}
		})
	}
}
