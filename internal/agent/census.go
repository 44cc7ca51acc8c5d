package agent

import (
	"net/http"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// handleCensus adds the call that counts what the server holds.
func (a *Agent) handleCensus(mux *http.ServeMux) {
	mux.HandleFunc("GET "+protocol.PathCensus, asked(a, http.StatusOK, func(r *http.Request) (protocol.Census, error) {
		return a.census.Take(r.Context(), r.URL.Query().Get("id"))
	}))
}
