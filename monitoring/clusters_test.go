package monitoring_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/robustmq/robustmq-operator/monitoring"
)

func condition(kind string, status metav1.ConditionStatus) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status}
}

func TestAClusterIsExportedAsItWasSeenLast(t *testing.T) {
	c, r := monitoring.NewClusters(), prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	seen := monitoring.Cluster{
		Conditions:   monitoring.ConditionsOf([]metav1.Condition{condition("Ready", metav1.ConditionFalse), condition("Paused", metav1.ConditionUnknown), condition("QuorumHealthy", metav1.ConditionTrue)}),
		Members:      []monitoring.Members{{Role: "placement-center", Desired: 3, Ready: 2}},
		Troubles:     []string{"PodGone"},
		Certificates: []monitoring.Certificate{{Name: "agent", NotAfter: noon}},
	}
	c.Set(cluster, monitoring.Cluster{Troubles: []string{"LeaderLost"}})
	c.Set(cluster, seen)
	wantSeries(t, r, `
# HELP robustmq_operator_certificate_expiry_timestamp_seconds Unix time at which a certificate that the operator keeps for a cluster expires.
# TYPE robustmq_operator_certificate_expiry_timestamp_seconds gauge
robustmq_operator_certificate_expiry_timestamp_seconds{certificate="agent",cluster="c",namespace="ns"} 1.795608e+09
# HELP robustmq_operator_cluster_condition Conditions of a cluster: 1 True, 0 False, -1 Unknown.
# TYPE robustmq_operator_cluster_condition gauge
robustmq_operator_cluster_condition{cluster="c",condition="Paused",namespace="ns"} -1
robustmq_operator_cluster_condition{cluster="c",condition="QuorumHealthy",namespace="ns"} 1
robustmq_operator_cluster_condition{cluster="c",condition="Ready",namespace="ns"} 0
# HELP robustmq_operator_cluster_members Pods of a cluster by role: desired are those that its spec asks for, ready are those of them that are in service.
# TYPE robustmq_operator_cluster_members gauge
robustmq_operator_cluster_members{cluster="c",namespace="ns",role="placement-center",state="desired"} 3
robustmq_operator_cluster_members{cluster="c",namespace="ns",role="placement-center",state="ready"} 2
# HELP robustmq_operator_clusters RobustMQClusters that this replica looks after; 0 on a replica that does not lead.
# TYPE robustmq_operator_clusters gauge
robustmq_operator_clusters 1
# HELP robustmq_operator_trouble 1 while a cluster has a trouble of this kind that is not over; absent otherwise.
# TYPE robustmq_operator_trouble gauge
robustmq_operator_trouble{cluster="c",kind="PodGone",namespace="ns"} 1
`)
	c.Forget(cluster)
	c.Forget(types.NamespacedName{Namespace: "ns", Name: "never seen"})
	if n, err := testutil.GatherAndCount(r); err != nil || n != 1 {
		t.Errorf("%d series of clusters that are gone (the number of clusters is one): %v", n, err)
	}
}

const (
	restoreFailuresHead = `
# HELP robustmq_restore_failures_total Restores that failed, by the reason of their condition Complete.
# TYPE robustmq_restore_failures_total counter
`
	restorePhaseHead = `
# HELP robustmq_restore_phase 1 while a restore of the cluster is in this phase; absent when none is.
# TYPE robustmq_restore_phase gauge
`
)

func TestARestoreIsExportedWhileItIsUnderWayAndItsSuccessStays(t *testing.T) {
	x, r := monitoring.NewRestores(), prometheus.NewPedanticRegistry()
	r.MustRegister(x)
	x.Set(cluster, []monitoring.Restore{{UID: "1", Trigger: "Manual", Phase: "Stopping"}, {UID: "2", Trigger: "Manual", Phase: "Waiting"}, {UID: "3", Trigger: "Manual", Phase: "Waiting"}})
	wantSeries(t, r, restorePhaseHead+`robustmq_restore_phase{cluster="c",namespace="ns",phase="Stopping",trigger="Manual"} 1
robustmq_restore_phase{cluster="c",namespace="ns",phase="Waiting",trigger="Manual"} 1
`, "robustmq_restore_phase")
	x.Set(cluster, []monitoring.Restore{{UID: "1", Trigger: "Manual", Succeeded: noon}})
	x.Set(cluster, nil) // the object was deleted
	wantSeries(t, r, `
# HELP robustmq_restore_last_success_timestamp_seconds When a restore of the cluster became complete last.
# TYPE robustmq_restore_last_success_timestamp_seconds gauge
robustmq_restore_last_success_timestamp_seconds{cluster="c",namespace="ns"} 1.795608e+09
`)
	x.Forget(cluster)
	if n, err := testutil.GatherAndCount(r); err != nil || n != 0 {
		t.Errorf("%d series: %v", n, err)
	}
}

func TestAFailedRestoreIsCountedOnceAndARestartOfTheOperatorIsNone(t *testing.T) {
	x, r := monitoring.NewRestores(), prometheus.NewPedanticRegistry()
	r.MustRegister(x)
	old, lost := monitoring.Restore{UID: "1", Failed: "RestoreRefused"}, monitoring.Restore{UID: "2", Failed: "AgentLost"}
	x.Set(cluster, []monitoring.Restore{old}) // an operator that has just begun
	for range 3 {
		x.Set(cluster, []monitoring.Restore{old, lost})
	}
	x.Set(cluster, nil)
	wantSeries(t, r, restoreFailuresHead+`robustmq_restore_failures_total{cluster="c",namespace="ns",reason="AgentLost"} 1
robustmq_restore_failures_total{cluster="c",namespace="ns",reason="RestoreRefused"} 0
`)
}

func TestOnlyTheReplicaThatWasElectedLeads(t *testing.T) {
	l := monitoring.NewLeader()
	if v := testutil.ToFloat64(l); v != 0 {
		t.Errorf("before anybody is elected: %v", v)
	}
	elected := make(chan struct{})
	l.Follow(elected)
	if v := testutil.ToFloat64(l); v != 0 {
		t.Errorf("another one leads: %v", v)
	}
	close(elected)
	if v := testutil.ToFloat64(l); v != 1 {
		t.Errorf("elected: %v", v)
	}
}
