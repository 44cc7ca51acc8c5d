package cluster

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// tellRecoveries tells of every trouble that is over how long it lasted: as an event at its pod, and in the metric. A cluster that sleeps, or wakes, has none: its pods are gone because somebody said so.
func (r *Reconciler) tellRecoveries(p *pass) {
	if p.asleep() {
		p.memory.watch = topology.Watch{}
		return
	}
	for _, over := range p.memory.watch.Observe(r.Now(), p.snapshot) {
		took := over.Took.Round(100 * time.Millisecond)
		r.Metrics.Over(string(over.Rung), over.Took)
		p.log.Info("trouble is over", "kind", over.Rung, "pod", over.Pod, "took", took.String())
		message := fmt.Sprintf("over after %s: %s", took, over.Rung.Words())
		if over.Pod != "" {
			message = fmt.Sprintf("%s: in service again after %s: %s", over.Pod, took, over.Rung.Words())
		}
		r.event(p.cluster, over.Pod, corev1.EventTypeNormal, v1alpha1.ReasonRecovered, message)
	}
}
