package monitoring

import "github.com/prometheus/client_golang/prometheus"

// Leader exports whether this replica is the one that acts.
type Leader struct {
	prometheus.GaugeFunc
	elected <-chan struct{}
}

// NewLeader makes the metric of a replica that does not lead; whoever makes it registers it, and says with Follow when that changes.
func NewLeader() *Leader {
	l := &Leader{}
	l.GaugeFunc = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "robustmq_operator_leader",
		Help: "1 on the replica that leads, 0 on those that wait to. A replica that loses its lease ends, so it does not fall back to 0.",
	}, func() float64 {
		select {
		case <-l.elected: // nil blocks for ever
			return 1
		default:
			return 0
		}
	})
	return l
}

// Follow takes the channel that is closed when the replica is elected (manager.Elected). It is called before the metric is scraped.
func (l *Leader) Follow(elected <-chan struct{}) { l.elected = elected }
