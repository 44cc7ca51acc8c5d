package bench

import (
	"cmp"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/test/admission"
	"github.com/robustmq/robustmq-operator/webhooks"
)

const (
	costRounds   = 3
	costRequests = 200
	// costLimit is how many times as much the API server may allocate for a cluster's request, with schema, rules and webhooks, as for one about a custom resource of the same size without any:
	// 2.5 was seen.
	costLimit = 2.75
)

// BenchmarkAdmissionCost says where the processor time of a request goes, and so what of a latency is ours: the same requests about kinds with the same content, of which each has what
// the one before lacks. All are measured in turns in one run, as processor time and allocations, which a busy machine changes far less than latencies.
func BenchmarkAdmissionCost(b *testing.B) {
	ctx := b.Context()
	w, quickstart := newAdmission(b, webhooks.Lifetimes{})
	maps, err := w.NewConfigMaps(quickstart)
	must(b, err)
	steps := []struct {
		name string
		load admission.Asker
		each []admission.Usage
	}{{name: "a ConfigMap of the same size (creates)", load: maps}}
	for _, twin := range []struct {
		name string
		of   admission.Twin
	}{
		{"a custom resource without a schema", admission.Shapeless}, {"and its schema", admission.Ruleless}, {"and its rules (CEL)", admission.Unasked},
	} {
		l, err := w.NewTwin(ctx, twin.of, quickstart)
		must(b, err)
		steps = append(steps, struct {
			name string
			load admission.Asker
			each []admission.Usage
		}{name: twin.name, load: l})
	}
	steps = append(steps, steps[0])
	steps[len(steps)-1].name, steps[len(steps)-1].load = "and its webhooks: a RobustMQCluster", quickstart
	for i := range steps {
		must(b, admission.Burst(ctx, steps[i].load, costRequests/4)) // connections and caches are made
	}
	b.ResetTimer()
	for range costRounds {
		for i := range steps {
			u, err := w.Measure(ctx, func() (int, error) { return costRequests, admission.Burst(ctx, steps[i].load, costRequests) })
			must(b, err)
			steps[i].each = append(steps[i].each, u)
		}
	}
	var each []admission.Usage
	for _, s := range steps {
		u := median(s.each)
		b.Logf("%-40s API server %5.2f ms and %5.0f kB, etcd %.2f ms, webhooks and load %.2f ms of processor time a request", s.name+":", ms(u.APIServer), u.Allocated/1000, ms(u.Etcd), ms(u.Own))
		each = append(each, u)
	}
	floor, all := each[1], each[len(each)-1]
	ratio := float64(all.APIServer) / float64(floor.APIServer)
	b.Logf("of the API server's %.2f ms, %.2f are any custom resource's, %.2f our schema's, %.2f our rules', and %.2f go into asking the webhooks; %.1f times a ConfigMap's, %.1f times a custom resource's without a schema",
		ms(all.APIServer), ms(floor.APIServer), ms(each[2].APIServer-floor.APIServer), ms(each[3].APIServer-each[2].APIServer), ms(all.APIServer-each[3].APIServer),
		float64(all.APIServer)/float64(each[0].APIServer), ratio)
	b.Logf("%d requests/s keep %.2f of this machine's %d processors busy; about custom resources without a schema %.2f", admissionRate, all.At(admissionRate), runtime.GOMAXPROCS(0), floor.At(admissionRate))
	b.ReportMetric(ms(all.APIServer), "apiserver-ms/request")
	b.ReportMetric(all.Allocated/1000, "apiserver-kB/request")
	b.ReportMetric(ratio, "times-a-bare-resource")
	b.ReportMetric(0, "ns/op") // says nothing: the number of requests is given
	if got := all.Allocated / floor.Allocated; got > costLimit {
		b.Errorf("for a request the API server allocates %.2f times as much as for one about a custom resource without a schema, want at most %.2f times", got, costLimit)
	}
}

// median takes each figure's.
func median(of []admission.Usage) admission.Usage {
	return admission.Usage{
		APIServer: middle(of, func(u admission.Usage) time.Duration { return u.APIServer }), Etcd: middle(of, func(u admission.Usage) time.Duration { return u.Etcd }),
		Own: middle(of, func(u admission.Usage) time.Duration { return u.Own }), Allocated: middle(of, func(u admission.Usage) float64 { return u.Allocated }),
	}
}

func middle[T cmp.Ordered](of []admission.Usage, figure func(admission.Usage) T) T {
	var each []T
	for _, u := range of {
		each = append(each, figure(u))
	}
	slices.Sort(each)
	return each[len(each)/2]
}
