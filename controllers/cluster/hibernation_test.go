package cluster

import (
	"testing"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

func TestBrokersWakeUpWhenEveryRaftGroupIsLedBeItByDifferentMembers(t *testing.T) {
	for what, c := range map[string]struct {
		leaders [3]uint64 // of the raft groups; 0: nobody
		wakes   bool
	}{
		"by one":        {[3]uint64{1, 1, 1}, true},
		"by two":        {[3]uint64{1, 2, 1}, true},
		"one by nobody": {[3]uint64{1, 1, 0}, false},
	} {
		p := standing(t, nil)
		for i, group := range robustmq.Groups {
			for j := range p.snapshot.Members {
				m := &p.snapshot.Members[j]
				if m.Role != v1alpha1.RolePlacementCenter {
					continue
				}
				g := m.Agent.Groups[group]
				g.Leads, g.Leader = m.NodeID == c.leaders[i], c.leaders[i]
				m.Agent.Groups[group] = g
			}
		}
		set := p.observed.sets[v1alpha1.RoleMQTTBroker]
		set.Annotations = map[string]string{v1alpha1.AnnotationAwake: "2"}
		p.inputs.Replicas = map[v1alpha1.Role]int32{v1alpha1.RolePlacementCenter: 3, v1alpha1.RoleMQTTBroker: 2}
		p.rest(topology.Assess(p.snapshot))
		if woken := p.inputs.Replicas[v1alpha1.RoleMQTTBroker] == 2; woken != c.wakes {
			t.Errorf("led %s: brokers wake up %v, want %v", what, woken, c.wakes)
		}
	}
}
