package monitoring

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Steps exports how long steps took to bring what they were for. The kinds are a closed set; clusters are no label, so that the series stay few.
type Steps struct {
	*prometheus.HistogramVec
}

// NewSteps makes the metric; whoever makes it registers it.
func NewSteps() *Steps {
	return &Steps{prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "robustmq_operator_step_duration_seconds",
		Help:    "How long it took from a step (an order to an agent, a pod made anew) until what it was for was seen: its pod in service, or gone if it was to go.",
		Buckets: []float64{1, 2, 4, 8, 15, 30, 60, 120, 300, 900, 3600},
	}, []string{"step"})}
}

// Converged counts a step that has brought what it was for.
func (s *Steps) Converged(step string, took time.Duration) {
	s.WithLabelValues(step).Observe(took.Seconds())
}
