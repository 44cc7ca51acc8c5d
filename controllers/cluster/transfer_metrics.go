package cluster

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// handovers are the metrics of transfers of leadership.
type handovers struct {
	total *prometheus.CounterVec
	gap   prometheus.Histogram
}

// transferMetrics are registered at their first use, once a process.
var transferMetrics = sync.OnceValue(func() *handovers {
	h := &handovers{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "robustmq_leadership_transfers_total",
			Help: "Planned transfers of leadership by outcome: moved, aborted (everything was put back), failed (before anybody was stopped).",
		}, []string{"outcome"}),
		gap: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "robustmq_leadership_transfer_gap_seconds", Help: "For how long nobody led during a planned transfer of leadership.",
			Buckets: []float64{0.5, 1, 1.5, 2, 3, 4, 5, 7, 10},
		}),
	}
	metrics.Registry.MustRegister(h.total, h.gap)
	return h
})

func (h *handovers) seen(outcome string, gap time.Duration) {
	h.total.WithLabelValues(outcome).Inc()
	if outcome == "moved" {
		h.gap.Observe(gap.Seconds())
	}
}
