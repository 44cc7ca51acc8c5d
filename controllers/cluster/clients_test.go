package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"

	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// overview is a broker that tells how many clients it has.
type overview struct {
	agentclient.Client
	answer string
	asked  *int
}

func (o overview) Admin(_ context.Context, method, path string, _ any) (json.RawMessage, error) {
	*o.asked++
	if method != "GET" || path != "/api/mqtt/overview" {
		return nil, errors.New("unexpected " + path)
	}
	if o.answer == "" {
		return nil, errors.New("no answer")
	}
	return json.RawMessage(o.answer), nil
}

func TestClientsAreCountedOnlyWhileTheLogGrowsFast(t *testing.T) {
	for name, c := range map[string]struct {
		pace    float64
		answer  string
		clients int // -1: not known
	}{
		"idle":                   {2, `{"connection_num":0}`, -1},
		"a storm":                {20, `{"connection_num":0,"tcp_connection_num":16}`, 0},
		"clients":                {20, `{"connection_num":7}`, 7},
		"a broker does not say":  {20, "", -1},
		"a broker says nonsense": {20, `{"connection_num":-1}`, -1},
		"it has no such number":  {20, `{}`, -1},
	} {
		p := formed(t)
		asked := 0
		p.dial = func(*corev1.Pod) (agentclient.Client, error) { return overview{answer: c.answer, asked: &asked}, nil }
		p.snapshot = newSnapshot(p, topology.DefaultLimits())
		p.snapshot.Pace = map[string]float64{"metadata_0": c.pace}
		r := &Reconciler{Timings: DefaultTimings()}
		r.observeClients(t.Context(), p)
		got := -1
		if p.snapshot.Clients != nil {
			got = *p.snapshot.Clients
		}
		if got != c.clients || c.pace < 10 && asked > 0 {
			t.Errorf("%s: %d clients, want %d; asked %d times", name, got, c.clients, asked)
		}
	}
}

func FuzzConnected(f *testing.F) {
	for _, seed := range []string{`{"connection_num":7}`, `{"connection_num":-1}`, `{}`, `null`, `[]`, `{"connection_num":1e99}`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if n, err := parseConnected(data); err != nil && n != 0 || n < 0 {
			t.Errorf("%d %v", n, err)
		}
	})
}
