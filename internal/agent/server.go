package agent

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// Limits of a request.
const (
	maxBody       = 1 << 20
	maxAdminBody  = 8 << 20
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	lastAnswers   = 250 * time.Millisecond // for answers that are on their way when the agent ends
)

// servers are the agent's ports.
type servers struct {
	a         *Agent
	ports     []*http.Server
	listeners []net.Listener // one for each of ports
}

func (a *Agent) listen() (*servers, error) {
	s := &servers{a: a}
	quiet := log.New(quietLog{a.o.Log}, "", 0)
	for _, p := range []struct {
		name    string
		number  int
		secured *tls.Config
		handler http.Handler
	}{
		{"agent port", a.o.Port, a.pki.serverConfig(), a.Handler()},
		{"public port", a.o.PublicPort, nil, a.PublicHandler()},
		{"metrics port", a.o.MetricsPort, a.pki.scrapeConfig(), a.ScrapeHandler()},
	} {
		l, err := net.Listen("tcp", net.JoinHostPort(a.o.ListenHost, strconv.Itoa(p.number)))
		if err != nil {
			s.close()
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		if p.secured != nil {
			l = tls.NewListener(l, p.secured)
		}
		s.listeners = append(s.listeners, l)
		s.ports = append(s.ports, &http.Server{Handler: p.handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, ErrorLog: quiet})
	}
	return s, nil
}

// quietLog keeps the connection errors of net/http (port scans, kubelets that hang up) at debug level.
type quietLog struct{ log *slog.Logger }

func (q quietLog) Write(p []byte) (int, error) {
	q.log.Debug("http", "message", strings.TrimSpace(string(p)))
	return len(p), nil
}

func (s *servers) serve(ctx context.Context, start func(string, func(context.Context))) {
	for i, server := range s.ports {
		server.BaseContext = func(net.Listener) context.Context { return ctx }
		start("listener", func(ctx context.Context) {
			if err := server.Serve(s.listeners[i]); err != nil && !errors.Is(err, http.ErrServerClosed) {
				s.a.o.Log.Error("listener", "error", err)
			}
			<-ctx.Done()
		})
	}
}

// sendLast lets the answers go out that are on their way.
func (s *servers) sendLast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastAnswers)
	defer cancel()
	for _, server := range s.ports {
		if err := server.Shutdown(ctx); err != nil {
			s.a.o.Log.Debug("closing", "error", err)
		}
	}
}

func (s *servers) close() {
	for _, server := range s.ports {
		if err := server.Close(); err != nil {
			s.a.o.Log.Debug("closing", "error", err)
		}
	}
	for _, l := range s.listeners { // in case Serve never saw it
		_ = l.Close() // closed already, most likely
	}
}

// Handler serves the calls of package protocol. It is meant to stand behind mutual TLS and looks at the client's certificate.
func (a *Agent) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+protocol.PathState, func(w http.ResponseWriter, r *http.Request) { a.answer(w, http.StatusOK, a.State(r.Context())) })
	mux.HandleFunc("GET "+protocol.PathPeer, func(w http.ResponseWriter, r *http.Request) { a.answer(w, http.StatusOK, a.Peer(r.Context())) })
	mux.HandleFunc("GET "+protocol.PathEnd, asked(a, http.StatusOK, func(r *http.Request) (protocol.End, error) { return a.awaitEnd(r.Context()) }))
	mux.HandleFunc("POST "+protocol.PathGate, ordered(a, a.orderGate))
	mux.HandleFunc("POST "+protocol.PathServer, ordered(a, a.orderServer))
	mux.HandleFunc("POST "+protocol.PathWipe, ordered(a, a.orderWipe))
	mux.HandleFunc("POST "+protocol.PathAlone, ordered(a, a.orderAlone))
	mux.HandleFunc("POST "+protocol.PathTransfer, asked(a, http.StatusOK, func(r *http.Request) (protocol.Transfer, error) {
		order, err := decode[protocol.TransferOrder](r, maxBody)
		if err != nil {
			return protocol.Transfer{}, err
		}
		return a.orderTransfer(context.WithoutCancel(r.Context()), order)
	}))
	mux.HandleFunc("POST "+protocol.PathSettings, ordered(a, a.orderSettings))
	mux.HandleFunc("POST "+protocol.PathLogin, ordered(a, a.orderLogin))
	for path, call := range map[string]membershipCall{protocol.PathJoin: join, protocol.PathLeave: leave, protocol.PathUnregister: unregister} {
		mux.HandleFunc("POST "+path, ordered(a, func(ctx context.Context, order protocol.MembershipOrder) error {
			return a.orderMembership(ctx, call, order)
		}))
	}
	a.handleImages(mux)
	a.handlePlacements(mux)
	a.handleCensus(mux)
	a.handleSeeds(mux)
	mux.HandleFunc(protocol.PathAdmin, a.serveAdmin)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		a.refuse(w, badRequest("no such call: %s %s", r.Method, r.URL.Path))
	})
	return a.recovering("handler", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		namespace, cluster := a.mounted.config.Namespace, a.mounted.config.Cluster
		a.mu.Unlock()
		if kind := caller(r, namespace, cluster); !allowed(kind, r.Method, r.URL.Path) {
			a.refuse(w, &refusal{protocol.ReasonForbidden, fmt.Sprintf("%q may not call %s", kind, r.URL.Path)})
			return
		}
		select {
		case <-a.over: // what begins now would not be waited for
			a.refuse(w, &refusal{protocol.ReasonServerDown, "the agent ends"})
			return
		default:
		}
		mux.ServeHTTP(w, r)
	}))
}

// recovering answers 500 for a panic and counts it; the server under the agent runs on.
func (a *Agent) recovering(name string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fine := false
		a.guarded(name, func() {
			h.ServeHTTP(w, r)
			fine = true
		})
		if !fine {
			a.answer(w, http.StatusInternalServerError, protocol.Error{Reason: protocol.ReasonInternal, Message: "the agent failed at this call; its server was not touched"})
		}
	})
}

// ordered decodes an order, carries it out and answers with the state. The order goes on when the caller hangs up: it would be half done otherwise.
func ordered[T any](a *Agent, carryOut func(context.Context, T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		order, err := decode[T](r, maxBody)
		if err != nil {
			a.refuse(w, err)
			return
		}
		ctx := context.WithoutCancel(r.Context())
		if err := carryOut(ctx, order); err != nil {
			a.refuse(w, err)
			return
		}
		a.answer(w, http.StatusOK, a.State(ctx))
	}
}

// serveAdmin passes a call on to the server's admin API over loopback, with a token.
func (a *Agent) serveAdmin(w http.ResponseWriter, r *http.Request) {
	path := "/" + strings.TrimPrefix(r.URL.EscapedPath(), protocol.PathAdmin)
	if !strings.HasPrefix(path, "/api/") {
		a.refuse(w, badRequest("admin path %q does not start with /api/", path))
		return
	}
	if r.URL.RawQuery != "" {
		path += "?" + r.URL.RawQuery
	}
	a.mu.Lock()
	m, live := a.mounted, a.child != nil
	a.mu.Unlock()
	if !live {
		a.refuse(w, fmt.Errorf("admin API: %w", errServerDown))
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxAdminBody+1))
	if err != nil || len(body) > maxAdminBody {
		a.refuse(w, badRequest("the body cannot be read or is larger than %d bytes", maxAdminBody))
		return
	}
	if len(body) == 0 {
		body = nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), a.o.Timings.OrderWait)
	defer cancel()
	status, answer, err := a.admin(m).Raw(ctx, r.Method, path, body)
	if err != nil {
		a.refuse(w, &refusal{protocol.ReasonServerDown, err.Error()})
		return
	}
	w.Header().Set(protocol.HeaderAdminStatus, strconv.Itoa(status))
	w.Header().Set("Content-Type", "application/octet-stream")
	w.WriteHeader(http.StatusOK)
	if _, err := w.Write(answer); err != nil {
		a.o.Log.Debug("answer", "error", err)
	}
}

func (a *Agent) refuse(w http.ResponseWriter, err error) {
	status, body := explain(err)
	a.answer(w, status, body)
}

func (a *Agent) answer(w http.ResponseWriter, status int, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		a.o.Log.Error("answer", "error", err)
		status, raw = http.StatusInternalServerError, []byte(`{"reason":"Internal","message":"the answer cannot be encoded"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(raw); err != nil {
		a.o.Log.Debug("answer", "error", err)
	}
}
