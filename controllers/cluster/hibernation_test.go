package cluster

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/topology"
	"github.com/robustmq/robustmq-operator/monitoring"
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

func TestPodsThatSleepAreNotExportedAsMissing(t *testing.T) {
	counts, registry := monitoring.NewOperator(), prometheus.NewPedanticRegistry()
	registry.MustRegister(counts.Clusters)
	r := &Reconciler{Metrics: counts}
	p := &pass{cluster: &v1alpha1.RobustMQCluster{}, memory: &memory{}}
	status := v1alpha1.RobustMQClusterStatus{PlacementCenter: v1alpha1.RoleStatus{Desired: 3}, MQTTBroker: v1alpha1.RoleStatus{Desired: 2}}
	for hibernated, want := range map[bool]float64{false: 5, true: 0} {
		p.cluster.Spec.Hibernated = hibernated
		r.export(p, status)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var got float64
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() == "robustmq_operator_cluster_members" {
					got += m.GetGauge().GetValue()
				}
			}
		}
		if got != want {
			t.Errorf("hibernated %t: %v pods are wanted, want %v", hibernated, got, want)
		}
	}
}
