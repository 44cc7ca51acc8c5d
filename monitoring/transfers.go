package monitoring

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Transfers exports planned transfers of leadership, of all clusters together: the events name the cluster.
type Transfers struct {
	total *prometheus.CounterVec
	gap   prometheus.Histogram
}

// NewTransfers makes the metrics; whoever makes them registers them.
func NewTransfers() *Transfers {
	t := &Transfers{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "robustmq_leadership_transfers_total",
			Help: "Planned transfers of leadership by outcome: moved, aborted (everything was put back), failed (before anybody was stopped).",
		}, []string{"outcome"}),
		gap: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "robustmq_leadership_transfer_gap_seconds", Help: "For how long nobody led during a planned transfer of leadership.",
			Buckets: []float64{0.5, 1, 1.5, 2, 3, 4, 5, 7, 10},
		}),
	}
	for _, outcome := range []string{"moved", "aborted", "failed"} {
		t.total.WithLabelValues(outcome) // so that an increase has the first one
	}
	return t
}

// Seen counts a transfer that has ended. The gap counts only when it moved.
func (t *Transfers) Seen(outcome string, gap time.Duration) {
	t.total.WithLabelValues(outcome).Inc()
	if outcome == "moved" {
		t.gap.Observe(gap.Seconds())
	}
}

// Describe sends what there can be.
func (t *Transfers) Describe(ch chan<- *prometheus.Desc) {
	t.total.Describe(ch)
	t.gap.Describe(ch)
}

// Collect sends what there is.
func (t *Transfers) Collect(ch chan<- prometheus.Metric) {
	t.total.Collect(ch)
	t.gap.Collect(ch)
}
