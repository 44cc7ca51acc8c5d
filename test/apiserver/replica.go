package apiserver

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
)

// readyWithin is how long a replica may take until it is ready: it makes its certificates, and waits until they are mounted and trusted.
const readyWithin = 90 * time.Second

// Replica is one operator's manager with a webhook server, at ports of its own.
type Replica struct {
	Manager ctrl.Manager
	// Port of its webhook server on 127.0.0.1, and CertDir with its certificate.
	Port    int
	CertDir string
	// Readyz is the URL that says whether it is ready.
	Readyz string

	ended chan error
}

// NewReplica makes one that talks to an API server by config. What it serves is set up next, and then Start.
func NewReplica(config *rest.Config, certDir string) (*Replica, error) {
	ports, err := FreePorts(2)
	if err != nil {
		return nil, err
	}
	health := fmt.Sprintf("127.0.0.1:%d", ports[1])
	r := &Replica{Port: ports[0], CertDir: certDir, Readyz: "http://" + health + "/readyz", ended: make(chan error, 1)}
	r.Manager, err = ctrl.NewManager(config, ctrl.Options{
		Scheme: Scheme(), Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: health,
		WebhookServer: webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: r.Port, CertDir: certDir}),
	})
	return r, err
}

// Start runs it until the context ends, and returns at once.
func (r *Replica) Start(ctx context.Context) {
	go func() { r.ended <- r.Manager.Start(ctx) }()
}

// Ended waits until it has ended, and returns its error.
func (r *Replica) Ended() error {
	err := <-r.ended
	r.ended <- err // for whoever asks next
	return err
}

// Ready waits until it says that it is ready.
func (r *Replica) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for last := ""; ; {
		if resp, err := http.Get(r.Readyz); err == nil {
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			last = strings.TrimSpace(string(body))
		}
		select {
		case err := <-r.ended:
			r.ended <- err
			return fmt.Errorf("the manager ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("not ready after %s: %s", readyWithin, last)
		case <-tick.C:
		}
	}
}

// FreePorts are n ports of 127.0.0.1 on which nobody listens.
func FreePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at once, so that they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
