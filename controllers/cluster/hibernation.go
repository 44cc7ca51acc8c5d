package cluster

import (
	"fmt"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// rest puts roles to sleep, or lets them sleep on. Going to sleep, the placement centre is the last: brokers end their sessions while their metadata can be written. Waking up, it is
// the first: a broker that starts before it only waits for it. How many pods there were is written on the StatefulSet, because the spec may ask for another number meanwhile,
// and members and brokers that are there leave in an order. An upgrade that cannot roll puts them to sleep in the same order, and waits in between (decideHop).
func (p *pass) rest(health topology.Health) {
	p.inputs.Asleep = map[v1alpha1.Role]int32{}
	led := true // by whom does not matter: who led apart when it went to sleep does so when it wakes up
	for _, group := range p.snapshot.Wanted.Groups {
		_, has := health.Leader(group)
		led = led && has
	}
	for _, view := range p.desired.Spec.Roles() {
		set := p.observed.sets[view.Role]
		asleep := set != nil && manifests.Asleep(set)
		last := view.Role == v1alpha1.RolePlacementCenter
		switch {
		case p.cluster.Spec.Hibernated && (!last || len(p.nodes()) == 0):
		case p.hop != nil && (p.hop.stopMembers || p.hop.stopNodes && !last):
		case !p.cluster.Spec.Hibernated && asleep && !last && !led:
		default:
			continue
		}
		p.inputs.Asleep[view.Role] = p.inputs.Replicas[view.Role]
		p.inputs.Replicas[view.Role] = 0
	}
}

// nodes are the pods of brokers and journal servers that exist.
func (p *pass) nodes() []string {
	var out []string
	for _, m := range p.snapshot.Members {
		if m.Role != v1alpha1.RolePlacementCenter && m.State != topology.PodMissing {
			out = append(out, m.Pod)
		}
	}
	return out
}

// asleep reports whether the cluster is to sleep, or some of its pods still do.
func (p *pass) asleep() bool {
	for _, set := range p.observed.sets {
		if manifests.Asleep(set) {
			return true
		}
	}
	return p.cluster.Spec.Hibernated
}

// restPlan is the plan of a cluster that hibernates: nothing is done but waiting for its pods to stop.
func restPlan(p *pass) topology.Plan {
	var plan topology.Plan
	for _, m := range p.snapshot.Members {
		if m.State != topology.PodMissing {
			plan.Waits = append(plan.Waits, topology.Wait{Reason: v1alpha1.ReasonHibernating, Message: fmt.Sprintf("%s is being stopped", m.Pod)})
		}
	}
	return plan
}
