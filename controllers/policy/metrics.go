package policy

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// violations is the metric of what clusters have against them. It has one line for each rule that a policy speaks of, so there are at most as many as policies times rules.
type violations struct {
	mu    sync.Mutex
	gauge *prometheus.GaugeVec
	known map[string]map[series]int // by policy: what is exported now
}

func newViolations() *violations {
	return &violations{
		gauge: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "robustmq_policy_violations",
			Help: "What clusters that exist have against them, by RobustMQPolicy, rule and what would follow if they were created now.",
		}, []string{"policy", "rule", "action"}),
		known: map[string]map[series]int{},
	}
}

// set exports what an audit found. What it no longer speaks of goes, and what stays is never missing in between.
func (v *violations) set(policy string, found map[series]int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for s, n := range found {
		v.gauge.WithLabelValues(policy, s.rule, s.action).Set(float64(n))
	}
	for s := range v.known[policy] {
		if _, ok := found[s]; !ok {
			v.gauge.DeleteLabelValues(policy, s.rule, s.action)
		}
	}
	v.known[policy] = found
}

// forget removes a policy that is gone.
func (v *violations) forget(policy string) {
	v.set(policy, nil)
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.known, policy)
}
