package scale

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/apiserver"
)

// What is written here is answered by a controller of the program that is installed, or by nobody: what each of them does has tests of its own, which set their controllers up themselves.
func TestTheProgramAnswersToEveryKindWithTheRightsThatItIsInstalledWith(t *testing.T) {
	apiserver.Need(t)
	program, err := Build(t.Context(), "../..", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	api, err := apiserver.Start(t.Context(), "../..", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := api.Stop(); err != nil {
			t.Error(err)
		}
	})
	kubeconfig, err := (&World{api: api}).account(t.Context(), "../..")
	if err != nil {
		t.Fatal(err)
	}
	operator, err := startOperator(program, api.Dir, kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = operator.Stop() }) // where the test ends early; twice is as good as once

	bucket := &v1alpha1.S3Destination{Bucket: "backups"}
	cluster := &v1alpha1.RobustMQCluster{ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "t"}, Spec: v1alpha1.RobustMQClusterSpec{
		Version: "0.4.11", Bootstrap: &v1alpha1.BootstrapSpec{RestoreFrom: &v1alpha1.RestoreSource{Destination: bucket}},
	}}
	backup := &v1alpha1.RobustMQBackup{ObjectMeta: metav1.ObjectMeta{Name: "b", Namespace: "t"}, Spec: v1alpha1.RobustMQBackupSpec{ClusterName: "nobody"}}
	restore := &v1alpha1.RobustMQRestore{ObjectMeta: metav1.ObjectMeta{Name: "r", Namespace: "t"}, Spec: v1alpha1.RobustMQRestoreSpec{ClusterName: "nobody", Source: v1alpha1.RestoreSource{Destination: bucket}}}
	policy := &v1alpha1.RobustMQPolicy{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: v1alpha1.RobustMQPolicySpec{Requirements: v1alpha1.PolicyRequirements{AllowedEscapes: []v1alpha1.AllowedEscape{}}}}
	for _, o := range []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "t"}}, cluster, backup, restore, policy} {
		if err := api.Client.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		object     client.Object
		conditions *[]metav1.Condition
		kind       string
		reason     string // "": any
	}{
		{cluster, &cluster.Status.Conditions, v1alpha1.ConditionReady, v1alpha1.ReasonWaitingForPods},
		{cluster, &cluster.Status.Conditions, v1alpha1.ConditionMonitoringAvailable, v1alpha1.ReasonKindsMissing},
		{backup, &backup.Status.Conditions, v1alpha1.ConditionComplete, v1alpha1.ReasonWaitingForCluster},
		{restore, &restore.Status.Conditions, v1alpha1.ConditionComplete, v1alpha1.ReasonWaitingForCluster},
		{policy, &policy.Status.Conditions, "Ready", ""},
	} {
		last := ""
		err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
			if err := api.Client.Get(ctx, client.ObjectKeyFromObject(c.object), c.object); err != nil {
				return false, err
			}
			condition := meta.FindStatusCondition(*c.conditions, c.kind)
			last = fmt.Sprintf("%+v", condition)
			return condition != nil && condition.Reason != v1alpha1.ReasonPending && (c.reason == "" || condition.Reason == c.reason), nil
		})
		if err != nil {
			t.Errorf("nobody answers to %T: %v; its condition %s is %s\n%s", c.object, err, c.kind, last, operator.lastWords())
		}
	}
	dashboards := &corev1.ConfigMapList{}
	err = wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		err := api.Client.List(ctx, dashboards, client.InNamespace(apiserver.OperatorNamespace), client.HasLabels{"grafana_dashboard"})
		return len(dashboards.Items) == 4, err
	})
	if err != nil {
		t.Errorf("%d dashboards, %v; want 4\n%s", len(dashboards.Items), err, operator.lastWords())
	}
	log, err := os.ReadFile(operator.log) // before it is told to end, which it calls an error
	if err != nil {
		t.Fatal(err)
	}
	if err := operator.Stop(); err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "forbidden") || strings.Contains(line, `"level":"ERROR"`) {
			t.Errorf("the operator says: %s", line)
		}
	}
}
