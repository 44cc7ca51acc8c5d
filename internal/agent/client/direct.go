package client

import (
	"context"
	"net/http"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// Direct is one agent's client of another.
type Direct struct {
	podClient
	transport *http.Transport
}

// Over returns a client that calls an agent over a transport of the caller's, who knows where it leads and whom it trusts. host stands in the URLs only.
func Over(transport *http.Transport, host string, limits Limits) *Direct {
	return &Direct{podClient{base: "https://" + host, http: &http.Client{Transport: transport}, limits: limits.withDefaults()}, transport}
}

// Peer is what an agent tells another of its pod.
func (d *Direct) Peer(ctx context.Context) (protocol.Peer, error) {
	return answered[protocol.Peer](ctx, &d.podClient, http.MethodGet, protocol.PathPeer, nil)
}

// Close drops the connections that nothing uses.
func (d *Direct) Close() { d.transport.CloseIdleConnections() }
