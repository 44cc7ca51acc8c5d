package agent

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/seeding"
	"github.com/robustmq/robustmq-operator/internal/agent/volume"
)

// newSeeder returns what fills this pod's volume from another member's.
func newSeeder(a *Agent) *seeding.Seeder {
	t := a.o.Timings
	return seeding.New(seeding.Options{
		FS: a.o.FS, File: a.volume.Path(volume.SeedFile), Target: a.target, Dial: a.dialDonor, Pod: a.podForImage,
		Groups: func() []string {
			a.mu.Lock()
			defer a.mu.Unlock()
			return a.mounted.traits.StatusGroups
		},
		Changed: func() { a.update(a.decide) },
		Poll:    t.SeedPoll, Retry: t.SeedRetry, Patience: t.SeedPatience, Idle: t.SeedIdle,
		Now: a.o.Now, Log: a.o.Log, Guard: a.guarded,
	})
}

// dialDonor makes a client of a donor's agent, which shows the certificate of this one.
func (a *Agent) dialDonor(order protocol.SeedOrder) (seeding.Donor, error) {
	a.mu.Lock()
	m := a.mounted
	a.mu.Unlock()
	config, err := a.pki.clientConfig(m.config.Namespace, m.config.Cluster)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(order.Donor)
	if err != nil {
		return nil, fmt.Errorf("donor: %w", err)
	}
	transport := &http.Transport{
		TLSClientConfig: config, MaxIdleConnsPerHost: 1, TLSHandshakeTimeout: a.o.Timings.SeedCall,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, a.o.Timings.SeedCall)
			defer cancel()
			return a.peers.dialAt(ctx, host, port)
		},
	}
	return client.Over(transport, config.ServerName, client.Limits{Order: a.o.Timings.SeedCall}), nil
}

// handleSeeds adds the calls that have this pod's volume filled from another member's.
func (a *Agent) handleSeeds(mux *http.ServeMux) {
	one := protocol.PathSeed + "/{id}"
	mux.HandleFunc("POST "+protocol.PathSeed, asked(a, http.StatusAccepted, func(r *http.Request) (protocol.Seed, error) {
		order, err := decode[protocol.SeedOrder](r, maxBody)
		if err != nil {
			return protocol.Seed{}, err
		}
		// An order for the gate that came at the same time would let the server start on the volume as it is.
		a.orders.Lock()
		defer a.orders.Unlock()
		return a.seeds.Begin(order)
	}))
	mux.HandleFunc("GET "+one, asked(a, http.StatusOK, func(r *http.Request) (protocol.Seed, error) { return a.seeds.Get(r.PathValue("id")) }))
	mux.HandleFunc("DELETE "+one, done(a, a.seeds.Abandon))
}

// ending wraps a call that may end a placement, and with it the seed that it came of.
func (a *Agent) ending(call func(id string) error) func(id string) error {
	return func(id string) error {
		if err := call(id); err != nil {
			return err
		}
		return a.seeds.Ended(id)
	}
}
