package agent

import (
	"context"
	"io"
	"net/http"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// PublicHandler serves /healthz, /readyz and /metrics: no secrets, no orders, no questions to the server, so that each answers within milliseconds whatever the server does. But for /readyz of a pod that is
// not ready: it waits a little, so that the kubelet, which asks every second or two, learns at once that it has become so.
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
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), a.o.Timings.ReadyWait)
		defer cancel()
		var ok bool
		var why string
		a.until(ctx, func() bool { ok, why = a.ready(); return ok })
		probe(ok, why, w)
	})
	mux.Handle("GET "+protocol.PathMetrics, a.ownMetrics())
	return a.recovering("public handler", mux)
}
