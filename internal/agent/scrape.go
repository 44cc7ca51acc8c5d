package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

const (
	// scrapesAtOnce bounds how many callers read the server's metrics: everybody who reaches the port may, and each costs the server the writing of up to half a megabyte.
	scrapesAtOnce = 4
	// scrapeLimit bounds one of them. Prometheus asks for no longer by itself (its scrape_timeout is 10 s).
	scrapeLimit = 10 * time.Second
)

// ScrapeHandler serves metrics over TLS: the agent's own, which ask nobody, and the server's, which are passed on byte by byte from where the version has them.
//
// The server has them on the port of its admin API since 0.4.1, in clear, so whoever reaches them there reaches the admin API. Through the agent a scraper reaches the metrics and nothing else.
func (a *Agent) ScrapeHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+protocol.PathMetrics, a.ownMetrics())
	free := make(chan struct{}, scrapesAtOnce)
	mux.HandleFunc("GET "+protocol.PathServerMetrics, func(w http.ResponseWriter, r *http.Request) {
		select {
		case free <- struct{}{}:
			defer func() { <-free }()
			a.passOnMetrics(w, r)
		default:
			http.Error(w, fmt.Sprintf("%d others read the server's metrics now: come back later", scrapesAtOnce), http.StatusServiceUnavailable)
		}
	})
	return a.recovering("metrics handler", mux)
}

func (a *Agent) ownMetrics() http.Handler {
	return promhttp.HandlerFor(a.metrics.registry, promhttp.HandlerOpts{})
}

// passOnMetrics streams what the server says, so that its size costs the agent no memory. Until its first byte a failure is an answer that Prometheus notes as the target being down; after it,
// the connection is cut, so that half of the metrics never looks like all of them.
func (a *Agent) passOnMetrics(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), scrapeLimit)
	defer cancel()
	answer, err := a.askMetrics(ctx)
	if err != nil {
		status := http.StatusBadGateway
		if errors.Is(err, errServerDown) {
			status = http.StatusServiceUnavailable
		}
		http.Error(w, err.Error(), status)
		return
	}
	defer answer.Body.Close()
	w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
	if _, err := io.Copy(w, answer.Body); err != nil {
		a.o.Log.Debug("passing on the server's metrics", "error", err)
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close() // it is meant to break
		}
	}
}

// askMetrics begins the server's answer; the caller closes its body.
func (a *Agent) askMetrics(ctx context.Context) (*http.Response, error) {
	a.mu.Lock()
	c, ports := a.child, a.mounted.config.Ports
	a.mu.Unlock()
	if c == nil {
		return nil, errServerDown
	}
	port := ports.HTTP
	if !c.traits.MetricsOnHTTP {
		port = ports.Prometheus
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+hostPort(a.o.Loopback, port)+"/metrics", nil)
	if err != nil {
		return nil, fmt.Errorf("the server's metrics: %w", err)
	}
	answer, err := a.loopback().Do(request)
	if err != nil {
		return nil, fmt.Errorf("the server's metrics: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("the server answers %s where its metrics should be", answer.Status), answer.Body.Close())
	}
	return answer, nil
}
