package scale

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// agents are the agents of all pods in one server: each pod has a loopback address of its own, and the address that a connection came to says whose agent is asked.
type agents struct {
	server   *http.Server
	mistakes mistakes

	mu   sync.Mutex
	pods map[string]*pod // by address
	next uint32
}

// mistakes are orders that would have harmed a real cluster. The agents refuse them, and the measurement fails.
type mistakes struct {
	mu   sync.Mutex
	said []string
}

func (m *mistakes) note(format string, args ...any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := fmt.Errorf(format, args...)
	m.said = append(m.said, err.Error())
	return err
}

func (m *mistakes) all() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.said...)
}

func newAgents() *agents {
	a := &agents{pods: map[string]*pod{}}
	a.server = &http.Server{Handler: a, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: discardLog(), TLSConfig: &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			p := a.at(hello.Conn.LocalAddr())
			if p == nil {
				return nil, errors.New("no pod has this address")
			}
			return p.cluster.tls, nil
		},
	}}
	return a
}

func (a *agents) close() error { return a.server.Close() }

// at is the pod that has an address, nil when nobody has it.
func (a *agents) at(addr net.Addr) *pod {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pods[tcp.IP.String()]
}

// start gives a pod its address, and listens there: 127.32.0.1 and on, which nobody had before.
func (a *agents) start(p *pod) (string, error) {
	a.mu.Lock()
	a.next++
	for a.next&0xff == 0 || a.next&0xff == 255 {
		a.next++
	}
	address := fmt.Sprintf("127.%d.%d.%d", 32+a.next>>16, a.next>>8&0xff, a.next&0xff)
	a.pods[address] = p
	a.mu.Unlock()
	l, err := net.Listen("tcp4", net.JoinHostPort(address, strconv.Itoa(protocol.Port)))
	if err != nil {
		return "", fmt.Errorf("agent: %w", err)
	}
	go func() { _ = a.server.ServeTLS(l, "", "") }() // ends with close
	return address, nil
}

// serverTLS is what an agent serves with: its cluster's certificate, and only for those whom its cluster's authority knows.
func serverTLS(ca, cert, key []byte) (*tls.Config, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("no certificate of an authority")
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots}, nil
}

// ServeHTTP answers one call to one agent.
func (a *agents) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := a.at(r.Context().Value(http.LocalAddrContextKey).(net.Addr))
	if p == nil || !p.cluster.isOperator(r.TLS) {
		refuse(w, http.StatusForbidden, protocol.ReasonForbidden, "only the operator may call")
		return
	}
	switch {
	case r.Method == http.MethodGet && r.URL.Path == protocol.PathState:
		answer(w, p.state(time.Now()))
	case r.Method == http.MethodPost && r.URL.Path == protocol.PathGate:
		var order protocol.GateOrder
		if err := json.NewDecoder(r.Body).Decode(&order); err != nil {
			refuse(w, http.StatusBadRequest, protocol.ReasonBadRequest, err.Error())
			return
		}
		if err := p.open(order, time.Now(), &a.mistakes); err != nil {
			refuse(w, http.StatusConflict, protocol.ReasonConflict, err.Error())
			return
		}
		answer(w, p.state(time.Now()))
	case r.Method == http.MethodGet && r.URL.Path == protocol.PathCensus:
		answer(w, p.census(r.URL.Query().Get("id"), time.Now()))
	case strings.HasPrefix(r.URL.Path, protocol.PathAdmin):
		p.admin(w, strings.TrimPrefix(r.URL.Path, protocol.PathAdmin))
	default:
		// Nothing else is to be done for a cluster that forms and rests.
		refuse(w, http.StatusConflict, protocol.ReasonConflict, a.mistakes.note("%s: %s %s is not called for", p.name, r.Method, r.URL.Path).Error())
	}
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // who asked may have gone
}

func refuse(w http.ResponseWriter, status int, reason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(protocol.Error{Reason: reason, Message: message})
}
