package agent

import (
	"io"
	"net/http"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// PublicHandler serves /healthz, /readyz and /metrics: no secrets, no orders, no questions to the server, so that each answers within milliseconds whatever the server does.
func (a *Agent) PublicHandler() http.Handler {
	mux := http.NewServeMux()
	probe := func(ok bool, why string, w http.ResponseWriter) {
		if !ok {
			http.Error(w, why, http.StatusServiceUnavailable)
			return
		}
		if _, err := io.WriteString(w, "ok\n"); err != nil {
			a.o.Log.Debug("answer", "error", err)
		}
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		ok, why := a.healthy()
		probe(ok, why, w)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		a.mu.Lock()
		ok, why := a.ready()
		a.mu.Unlock()
		probe(ok, why, w)
	})
	mux.Handle("GET "+protocol.PathMetrics, a.ownMetrics())
	return a.recovering("public handler", mux)
}
