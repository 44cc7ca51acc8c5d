package monitoring

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Recoveries exports how long troubles lasted that are over: the number and the time of each kind. The kinds are a closed set; clusters are no label, so that the series stay few.
type Recoveries struct {
	*prometheus.HistogramVec
}

// NewRecoveries makes the metric; whoever makes it registers it.
func NewRecoveries() *Recoveries {
	return &Recoveries{prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "robustmq_operator_recovery_duration_seconds",
		Help: "How long a trouble of a cluster lasted, from when the operator saw it until what it struck was in service again, by kind (LeaderLost, MajorityLost, DataLost, ServerCrashed, ServerHung, RaftDead, " +
			"Fenced, RogueMember, VolumeEmpty, FaultyMember, RegistryShort, PodGone, NodeLost, DuplicateNode, LogStorm, AgentUnreached).",
		Buckets: []float64{2, 5, 10, 20, 40, 60, 120, 300, 600, 1800, 7200},
	}, []string{"kind"})}
}

// Over counts a trouble that is over. A nil receiver counts nothing.
func (r *Recoveries) Over(kind string, took time.Duration) {
	if r != nil {
		r.WithLabelValues(kind).Observe(took.Seconds())
	}
}
