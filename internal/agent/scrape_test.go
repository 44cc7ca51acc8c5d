package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/pause"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

// scraper asks the metrics port as Prometheus does: without a certificate, and it trusts the cluster's authority only.
func (p *pod) scraper() *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.w.ca.pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: protocol.ServerName(testNamespace, testCluster)}}
	p.w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// scrape is status and body, or the error in place of the body.
func (p *pod) scrape(ctx context.Context, c *http.Client, path string) (int, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+net.JoinHostPort(p.IP, "7481")+path, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := c.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// many is a scrape as large as that of a real server after some traffic.
var many = strings.Repeat("mqtt_packets_received_total{network=\"Tcp\"} 1\n", 12000)

func TestTheServersMetricsArePassedOnOverTLSAndNothingElseOfItIs(t *testing.T) {
	for version, role := range map[string]string{"0.4.11": config.RolePlacementCenter, "0.3.0": config.RoleMQTTBroker} {
		t.Run(version, func(t *testing.T) {
			w := newWorld(t)
			w.version = version
			p := w.add(role, 0).initialised(nil)
			if p.config.Islands = version == "0.3.0"; p.config.Islands {
				put(t, filepath.Join(p.Paths.VolumeDir, "data", "_data", "CURRENT"), nil)
			}
			w.script(p.ID).set(func(b *behaviour) { b.metrics = many })
			p.start().eventually("the server runs", runs)
			c := p.scraper()
			if status, body, err := p.scrape(t.Context(), c, protocol.PathServerMetrics); status != http.StatusOK || body != many || err != nil {
				t.Errorf("%d, %d bytes of %d, %v", status, len(body), len(many), err)
			}
			if status, body, err := p.scrape(t.Context(), c, protocol.PathMetrics); status != http.StatusOK || !strings.Contains(body, "robustmq_agent_info{") || err != nil {
				t.Errorf("the agent's own: %d %v\n%s", status, err, body)
			}
			for _, path := range []string{"/api/info", "/server/api/info", "/server/metrics/../api/info", protocol.PathState, "/healthz"} {
				if status, body, err := p.scrape(t.Context(), c, path); status != http.StatusNotFound || err != nil {
					t.Errorf("%s: %d %s %v", path, status, body, err)
				}
			}
			if status, _ := p.get(protocol.PathServerMetrics); status != http.StatusNotFound {
				t.Errorf("they are in clear too: %d", status)
			}
		})
	}
}

func TestAScraperThatTrustsAnotherAuthorityGetsNothing(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil).start()
	p.eventually("the server runs", runs)
	stranger := *p
	stranger.w = &world{t: t, ca: newAuthority(t)}
	if status, _, err := p.scrape(t.Context(), stranger.scraper(), protocol.PathMetrics); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("%d %v", status, err)
	}
}

func TestAServerThatDoesNotRunIsATargetThatIsDown(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil).start()
	p.eventually("the server runs", runs)
	c := p.scraper()
	if status, body, err := p.scrape(t.Context(), c, protocol.PathServerMetrics); status != http.StatusBadGateway || err != nil {
		t.Errorf("one without metrics: %d %s %v", status, body, err)
	}
	if _, err := p.operator().Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop}); err != nil {
		t.Fatal(err)
	}
	if status, body, err := p.scrape(t.Context(), c, protocol.PathServerMetrics); status != http.StatusServiceUnavailable || err != nil {
		t.Errorf("one that was stopped: %d %s %v", status, body, err)
	}
}

func TestMetricsThatBreakOffNeverLookWhole(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil)
	w.script(p.ID).set(func(b *behaviour) { b.metrics, b.cutMetrics = many, true })
	p.start().eventually("the server runs", runs)
	if status, body, err := p.scrape(t.Context(), p.scraper(), protocol.PathServerMetrics); err == nil {
		t.Errorf("%d, %d bytes, and no error", status, len(body))
	}
}

// Whoever scrapes a server that does not answer is held for seconds, and anybody's pod may scrape.
func TestScrapersThatGetNoAnswerAreFewAndLetGo(t *testing.T) {
	w := newWorld(t)
	p := w.add(config.RolePlacementCenter, 0).initialised(nil).start()
	p.eventually("the server runs", runs)
	w.script(p.ID).set(func(b *behaviour) { b.noMetrics = true })
	ctx, cancel := context.WithCancel(t.Context())
	c := p.scraper()
	done := make(chan struct{})
	for range scrapesAtOnce {
		go func() {
			for ctx.Err() == nil { // the one more below may have come first
				_, _, _ = p.scrape(ctx, c, protocol.PathServerMetrics) // it ends with ctx
				_ = pause.For(ctx, 10*time.Millisecond)
			}
			done <- struct{}{}
		}()
	}
	eventually(t, "one more is turned away", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		status, body, _ := p.scrape(ctx, c, protocol.PathServerMetrics)
		return status == http.StatusServiceUnavailable && strings.Contains(body, "others read")
	}, func() any { return "it waits" })
	cancel()
	for range scrapesAtOnce {
		<-done
	}
	w.script(p.ID).set(func(b *behaviour) { b.noMetrics, b.metrics = false, many })
	eventually(t, "there is room again", func() bool {
		status, body, _ := p.scrape(t.Context(), c, protocol.PathServerMetrics)
		return status == http.StatusOK && body == many
	}, func() any { return "none" })
}
