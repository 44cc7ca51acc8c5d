package cluster

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/monitoring"
)

// noAgents has nothing to close.
type noAgents struct{ AgentPool }

func (noAgents) Forget(string) {}
func (noAgents) Trim(string)   {}

func TestAPassExportsTheStatusThatItComputed(t *testing.T) {
	counts, registry := monitoring.NewOperator(), prometheus.NewPedanticRegistry()
	registry.MustRegister(counts.Clusters, counts.Restores)
	r := &Reconciler{Metrics: counts, Agents: noAgents{}}
	p := &pass{cluster: &v1alpha1.RobustMQCluster{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "c"}}, memory: &memory{}}
	status := v1alpha1.RobustMQClusterStatus{
		Conditions:      []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue}},
		PlacementCenter: v1alpha1.RoleStatus{Desired: 3, Ready: 3}, MQTTBroker: v1alpha1.RoleStatus{Desired: 2, Ready: 1},
	}
	r.export(p, status)
	want := `
# HELP robustmq_operator_cluster_members Pods of a cluster by role: desired are those that its spec asks for, ready are those of them that are in service.
# TYPE robustmq_operator_cluster_members gauge
robustmq_operator_cluster_members{cluster="c",namespace="ns",role="mqtt-broker",state="desired"} 2
robustmq_operator_cluster_members{cluster="c",namespace="ns",role="mqtt-broker",state="ready"} 1
robustmq_operator_cluster_members{cluster="c",namespace="ns",role="placement-center",state="desired"} 3
robustmq_operator_cluster_members{cluster="c",namespace="ns",role="placement-center",state="ready"} 3
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "robustmq_operator_cluster_members"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(registry); err != nil || n != 6 {
		t.Errorf("%d series, want the number of clusters, one condition and four numbers of pods: %v", n, err)
	}
	r.forget(client.ObjectKeyFromObject(p.cluster))
	if n, err := testutil.GatherAndCount(registry); err != nil || n != 1 {
		t.Errorf("%d series of a cluster that is gone, besides the number of clusters: %v", n-1, err)
	}
}

func TestOfARestoreThePhaseTheSuccessOrTheReasonOfItsFailureIsExported(t *testing.T) {
	ended := metav1.NewTime(time.Unix(1_800_000_000, 0))
	complete, failed, aborted := restoreAt("a", v1alpha1.RestoreComplete, 2), restoreAt("b", v1alpha1.RestoreFailed, 2), restoreAt("c", v1alpha1.RestoreAborted, 2)
	complete.Status.CompletionTime, failed.Status.CompletionTime = ended, ended
	failed.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonRestoreRefused}}
	fresh, lost := restoreAt("d", "", 0), restoreAt("e", v1alpha1.RestoreOpening, 3)
	lost.Spec.Trigger = v1alpha1.RestoreTotalLoss
	got := restoresToExport([]v1alpha1.RobustMQRestore{complete, failed, aborted, fresh, lost})
	want := []monitoring.Restore{
		{Trigger: "Manual", Succeeded: ended.Time}, {Trigger: "Manual", Failed: "RestoreRefused"}, {Trigger: "Manual"}, {Trigger: "Manual", Phase: "Waiting"}, {Trigger: "TotalLoss", Phase: "Opening"},
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
}

func TestAClusterThatHibernatesHasNoTrouble(t *testing.T) {
	p := &pass{cluster: &v1alpha1.RobustMQCluster{Spec: v1alpha1.RobustMQClusterSpec{Hibernated: true}}, observed: &observation{}, memory: &memory{}}
	p.snapshot.Wanted.Founded, p.snapshot.Wanted.Groups = true, []string{"metadata_0"}
	r := &Reconciler{Now: time.Now}
	r.tellRecoveries(p)
	if got := p.memory.watch.Rungs(); len(got) > 0 {
		t.Errorf("%v", got)
	}
	p.cluster.Spec.Hibernated = false
	r.tellRecoveries(p)
	if got := p.memory.watch.Rungs(); len(got) == 0 {
		t.Error("awake, nobody leads, and that is no trouble")
	}
}
