package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/pki"
	"github.com/robustmq/robustmq-operator/monitoring"
)

// An operator that may not write Secrets is exactly the one whose certificates end: its alert must not depend on a pass that succeeds.
func TestACertificateThatCannotBeRenewedIsSeenToEnd(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	cluster := sample("0.4.11")
	p := &pass{cluster: cluster, desired: cluster, memory: &memory{}}
	made := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	have, err := pki.Desired(pki.Secrets{}, manifests.PKISubject(p.desired, p.inputs), pki.DefaultRules(), made, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b := fake.NewClientBuilder().WithScheme(scheme)
	for _, secret := range manifests.PKISecrets(p.desired, have.Secrets) {
		b = b.WithObjects(secret)
	}
	forbidden := errors.New("forbidden")
	metrics := monitoring.NewOperator()
	now := made
	r := &Reconciler{
		Client: interceptor.NewClient(b.Build(), interceptor.Funcs{
			Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
				return forbidden
			},
			Apply: func(context.Context, client.WithWatch, runtime.ApplyConfiguration, ...client.ApplyOption) error {
				return forbidden
			},
		}),
		Now: func() time.Time { return now }, Random: rand.Reader, PKIRules: pki.DefaultRules(), Metrics: metrics,
	}
	ends := func() map[string]float64 {
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(metrics.Clusters)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]float64{}
		for _, f := range families {
			if f.GetName() != "robustmq_operator_certificate_expiry_timestamp_seconds" {
				continue
			}
			for _, m := range f.GetMetric() {
				for _, l := range m.GetLabel() {
					if l.GetName() == "certificate" {
						out[l.GetValue()] = m.GetGauge().GetValue()
					}
				}
			}
		}
		return out
	}

	agent, err := pki.NotAfter(have.Secrets.Agent[pki.KeyCert])
	if err != nil {
		t.Fatal(err)
	}
	now = agent.Add(-time.Hour)
	if _, err := r.ensureCertificates(t.Context(), p); !errors.Is(err, forbidden) {
		t.Fatalf("an operator that may not write: %v", err)
	}
	if got := ends()["agent"]; got != float64(agent.Unix()) {
		t.Errorf("the agents' certificate ends at %.0f, want %d: %v", got, agent.Unix(), ends())
	}
}
