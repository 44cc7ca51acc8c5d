package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/admission"
	"github.com/robustmq/robustmq-operator/webhooks"
)

const (
	repository = "../.."
	// admissionRate is how many requests a second the limits are for.
	admissionRate       = 200
	throughTheAPIServer = 50 * time.Millisecond
	inProcess           = time.Millisecond
	admissionLasting    = 30 * time.Second
	admissionWindows    = 6
	rotationLasting     = 130 * time.Second
)

// fast rotates every 60 s: certificates live two minutes, their authority five.
var fast = webhooks.Lifetimes{Certificate: 2 * time.Minute, RotateBefore: time.Minute, Authority: 5 * time.Minute}

func newAdmission(b *testing.B, l webhooks.Lifetimes) (*admission.World, *admission.Load) {
	b.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		b.Skip("KUBEBUILDER_ASSETS is not set: run `make bench`")
	}
	log.SetLogger(logr.Discard())
	w, err := admission.Start(context.WithoutCancel(b.Context()), repository, 2, l)
	must(b, err)
	b.Cleanup(func() { must(b, w.Stop()) })
	must(b, w.AddPolicies(b.Context(), 5))
	load, err := w.NewLoad(b.Context())
	must(b, err)
	return w, load
}

// verdict prints a figure beside its target, and fails when it is missed.
func verdict(b *testing.B, what string, got, limit time.Duration) {
	b.Helper()
	word := "ok"
	if got >= limit {
		word = "MISSED"
		b.Fail()
	}
	b.Logf("%s: %.2f ms, target < %.0f ms: %s", what, ms(got), ms(limit), word)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// report adds a load's figures: of the quantiles the median over equal parts of the time.
func report(b *testing.B, r admission.Report) {
	b.ReportMetric(ms(r.Quantile(0.5)), "p50-ms")
	b.ReportMetric(ms(r.Quantile(0.99)), "p99-ms")
	b.ReportMetric(float64(r.Failed), "failed")
	b.ReportMetric(0, "ns/op") // says nothing: the time is given
}

// describe prints a load's figures, those of all requests together too, and fails when one failed.
func describe(b *testing.B, what string, r admission.Report, rate int) {
	b.Helper()
	b.Logf("%s: %d requests at %d/s, %d failed; p50 %.2f ms, p99 %.2f ms (median of %d windows), p99 of all %.2f ms, slowest %.2f ms",
		what, r.Requests, rate, r.Failed, ms(r.Quantile(0.5)), ms(r.Quantile(0.99)), len(r.Windows), ms(r.Overall(0.99)), ms(r.Overall(1)))
	if err := r.Err(); err != nil {
		b.Error(err)
	}
}

// BenchmarkAdmissionThroughTheAPIServer sends dry-run creates, updates and scalings at 200 requests a second, two replicas answering with five policies at hand, and fails when
// their 99th percentile is over the limit, or any request fails. etcd does not sync its disk and a dry run writes nothing to it: no disk is measured. For comparison, in the same run: half the
// rate, and the same requests about a custom resource without schema, rules and webhooks. Of all it says how many processors they keep busy, and what else ran; close to all that there are, a latency is
// the machine's and not the admission's.
func BenchmarkAdmissionThroughTheAPIServer(b *testing.B) {
	ctx := b.Context()
	w, load := newAdmission(b, webhooks.Lifetimes{})
	measured := func(what string, a admission.Asker, rate int, lasting time.Duration, windows int) admission.Report {
		admission.Run(ctx, a, rate, 3*time.Second, 1) // connections and caches are made
		var r admission.Report
		u, err := w.Measure(ctx, func() (int, error) {
			r = admission.Run(ctx, a, rate, lasting, windows)
			return r.Requests, nil
		})
		must(b, err)
		describe(b, what, r, rate)
		busy, elsewhere := u.Processors()
		b.Logf("%s: %.2f of %d processors are busy with it, %.2f with something else: each request takes the API server %.2f ms, etcd %.2f ms, webhooks and load %.2f ms; the API server allocates %.0f kB",
			what, busy, runtime.GOMAXPROCS(0), elsewhere, ms(u.APIServer), ms(u.Etcd), ms(u.Own), u.Allocated/1000)
		return r
	}
	b.ResetTimer()
	r := measured("through the API server", load, admissionRate, admissionLasting, admissionWindows)
	measured("through the API server, half the rate", load, admissionRate/2, admissionLasting/2, admissionWindows/2)
	bare, err := w.NewTwin(ctx, admission.Shapeless, load)
	must(b, err)
	without := measured("a custom resource without our admission", bare, admissionRate, admissionLasting/2, admissionWindows/2)
	report(b, r)
	b.ReportMetric(ms(without.Quantile(0.99)), "p99-ms-without")
	verdict(b, "p99 through the API server", r.Quantile(0.99), throughTheAPIServer)
}

// BenchmarkAdmissionWhileCertificatesAreRotated sends 200 requests a second while certificates that live two minutes are rotated every minute, and the authority every four: none may
// fail. BENCH_ROTATION=10m says how long. All go through the API server; where a machine cannot bear that, BENCH_ROTATION_API=50 sends so many through it, and the rest directly to the
// webhooks, as an API server would.
func BenchmarkAdmissionWhileCertificatesAreRotated(b *testing.B) {
	lasting, through := rotationLasting, admissionRate
	if text := os.Getenv("BENCH_ROTATION"); text != "" {
		var err error
		lasting, err = time.ParseDuration(text)
		must(b, err)
	}
	if text := os.Getenv("BENCH_ROTATION_API"); text != "" {
		var err error
		through, err = strconv.Atoi(text)
		must(b, err)
	}
	w, load := newAdmission(b, fast)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	direct, err := w.NewDirect(ctx, load)
	must(b, err)
	seen, beside := make(chan admission.Watched, 1), make(chan admission.Report, 1)
	windows := max(1, int(lasting/(10*time.Second)))
	go func() { seen <- w.Watch(ctx, time.Second) }()
	go func() { beside <- admission.Run(ctx, direct, admissionRate-through, lasting, windows) }()
	r := admission.Run(b.Context(), load, through, lasting, windows)
	directly := <-beside
	cancel()
	watched := <-seen
	report(b, r)
	describe(b, "through the API server", r, through)
	if directly.Requests > 0 {
		describe(b, "directly", directly, admissionRate-through)
	}
	b.ReportMetric(float64(watched.Rotations), "rotations")
	b.Logf("%s: %d rotations of the certificate, %d of them with the authority; %d handshakes with two replicas, %d refused, %d too slow to count; no certificate was served with less than %s to live",
		lasting, watched.Rotations, watched.Authorities, watched.Handshakes, len(watched.Refused), watched.Slow, watched.Shortest.Round(time.Second))
	if err := watched.Err(); err != nil {
		b.Error(err)
	}
	if want := int(lasting/time.Minute) - 1; watched.Rotations < want {
		b.Errorf("%d rotations in %s, want %d or more", watched.Rotations, lasting, want)
	}
}

// BenchmarkAdmissionInProcess is what the operator itself takes for one request: from its JSON to the answer's, as the webhook server handles it.
func BenchmarkAdmissionInProcess(b *testing.B) {
	w, _ := newAdmission(b, webhooks.Lifetimes{})
	handler := w.Replicas[0].Manager.GetWebhookServer().(*webhook.DefaultServer).WebhookMux()
	is := quickstart(b)
	was := is.DeepCopy()
	must(b, unstructured.SetNestedField(is.Object, int64(7), "spec", "mqttBroker", "replicas"))
	review := func(op admissionv1.Operation, was *unstructured.Unstructured) []byte {
		text, err := admission.Review(op, is, was)
		must(b, err)
		return text
	}
	for _, c := range []struct {
		name, path string
		request    []byte
	}{
		{"Default", webhooks.PathDefaultCluster, review(admissionv1.Create, nil)},
		{"Create", webhooks.PathValidateCluster, review(admissionv1.Create, nil)},
		{"Update", webhooks.PathValidateCluster, review(admissionv1.Update, was)},
	} {
		b.Run(c.name, func(b *testing.B) {
			var took []time.Duration
			b.ReportAllocs()
			for b.Loop() {
				begin := time.Now()
				req := httptest.NewRequestWithContext(b.Context(), http.MethodPost, c.path, bytes.NewReader(c.request))
				req.Header.Set("Content-Type", "application/json")
				answer := httptest.NewRecorder()
				handler.ServeHTTP(answer, req)
				took = append(took, time.Since(begin))
				var got admissionv1.AdmissionReview
				if answer.Code != http.StatusOK || !bytes.Contains(answer.Body.Bytes(), []byte(`"allowed":true`)) {
					_ = json.Unmarshal(answer.Body.Bytes(), &got)
					b.Fatalf("%d %s", answer.Code, answer.Body)
				}
			}
			r := admission.Report{Windows: windows(took, 10)}
			b.ReportMetric(ms(r.Quantile(0.5)), "p50-ms")
			b.ReportMetric(ms(r.Quantile(0.99)), "p99-ms")
			if len(took) >= 1000 { // of fewer, one slow one is the percentile
				verdict(b, c.name+", p99 in process", r.Quantile(0.99), inProcess)
			}
		})
	}
}

// windows are equal parts of what was measured, each sorted.
func windows(took []time.Duration, n int) [][]time.Duration {
	var out [][]time.Duration
	for part := range slices.Chunk(took, max(1, (len(took)+n-1)/n)) {
		slices.Sort(part)
		out = append(out, part)
	}
	return out
}

// quickstart is the sample, as the API server would send it. It names nothing that would have to be read first, such as a destination of backups that another cluster may own.
func quickstart(b *testing.B) *unstructured.Unstructured {
	b.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "config", "samples", "quickstart.yaml"))
	must(b, err)
	var c v1alpha1.RobustMQCluster
	must(b, yaml.UnmarshalStrict(text, &c))
	c.Default()
	c.Namespace, c.UID = "default", "4f5c0b5e-0000-4000-8000-000000000000"
	object, err := kruntime.DefaultUnstructuredConverter.ToUnstructured(&c)
	must(b, err)
	return &unstructured.Unstructured{Object: object}
}
