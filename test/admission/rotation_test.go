package admission_test

import (
	"context"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus/testutil"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/robustmq/robustmq-operator/test/admission"
	"github.com/robustmq/robustmq-operator/test/apiserver"
	"github.com/robustmq/robustmq-operator/webhooks"
)

// start brings a world up, and ends it with the test.
func start(t *testing.T, replicas int, l webhooks.Lifetimes) *admission.World {
	t.Helper()
	apiserver.Need(t)
	ctrl.SetLogger(logr.Discard())
	w, err := admission.Start(context.WithoutCancel(t.Context()), "../..", replicas, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// TestNoRequestFailsWhileCertificateAndAuthorityAreRotated: certificates that live 24 s are rotated every 10 s and their authority after 18 s, at two replicas under load.
// `make bench` does the same for as long as one wants.
func TestNoRequestFailsWhileCertificateAndAuthorityAreRotated(t *testing.T) {
	lifetimes := webhooks.Lifetimes{Certificate: 24 * time.Second, RotateBefore: 14 * time.Second, Authority: 32 * time.Second}
	w := start(t, 2, lifetimes)
	load, err := w.NewLoad(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := make(chan admission.Watched, 1)
	go func() { seen <- w.Watch(ctx, 500*time.Millisecond) }()
	report := admission.Run(t.Context(), load, 40, 24*time.Second, 1)
	cancel()
	watched := <-seen
	t.Logf("%d requests, %d handshakes (%d too slow to count), %d rotations, %d of them of the authority; the shortest rest of a life was %s",
		report.Requests, watched.Handshakes, watched.Slow, watched.Rotations, watched.Authorities, watched.Shortest.Round(time.Second))
	if err := report.Err(); err != nil {
		t.Error(err)
	}
	if err := watched.Err(); err != nil {
		t.Error(err)
	}
	if watched.Rotations < 2 || watched.Authorities < 1 || report.Requests < 24*40 {
		t.Errorf("%d rotations, %d of the authority, %d requests: too few to tell", watched.Rotations, watched.Authorities, report.Requests)
	}
	if watched.Shortest < lifetimes.RotateBefore/4 {
		t.Errorf("a certificate was served until %s before its end", watched.Shortest)
	}
	theMetricTellsWhenTheCertificatesEnd(t, w)
}

func theMetricTellsWhenTheCertificatesEnd(t *testing.T, w *admission.World) {
	t.Helper()
	for i, r := range w.Replicas {
		families, err := r.Registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		ends := map[string]float64{}
		for _, f := range families {
			if f.GetName() == "robustmq_operator_webhook_certificate_expiry_timestamp_seconds" {
				for _, m := range f.GetMetric() {
					ends[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
				}
			}
		}
		now := float64(time.Now().Unix())
		if left := ends["serving"] - now; left < 0 || left > 24 {
			t.Errorf("replica %d: the serving certificate ends in %v s: %v", i, left, ends)
		}
		if left := ends["authority"] - now; left < 0 || left > 32 {
			t.Errorf("replica %d: the authority ends in %v s: %v", i, left, ends)
		}
		if problems, err := testutil.GatherAndLint(r.Registry); err != nil || len(problems) > 0 {
			t.Errorf("%v, %v", problems, err)
		}
		if n, err := testutil.GatherAndCount(r.Registry); err != nil || n != 2 {
			t.Errorf("%d series, %v", n, err)
		}
	}
}
