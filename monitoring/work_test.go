package monitoring_test

import (
	"context"
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/robustmq/robustmq-operator/monitoring"
)

func newWork(t *testing.T) (*monitoring.Work, *prometheus.Registry) {
	t.Helper()
	w, r := monitoring.NewWork(), prometheus.NewPedanticRegistry()
	if err := r.Register(w); err != nil {
		t.Fatal(err)
	}
	return w, r
}

func TestAPassIsCountedByWhatCameOfIt(t *testing.T) {
	w, r := newWork(t)
	for _, pass := range []func(ctx context.Context) error{
		func(context.Context) error { return nil },
		func(context.Context) error { return nil },
		func(ctx context.Context) error { monitoring.Waiting(ctx); return nil },
		func(ctx context.Context) error { monitoring.Waiting(ctx); monitoring.Changed(ctx); return nil },
		func(ctx context.Context) error { monitoring.Changed(ctx); return errors.New("no") },
	} {
		inner := reconcile.Func(func(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
			return reconcile.Result{}, pass(ctx)
		})
		_, _ = w.Reconciler("c", inner).Reconcile(t.Context(), reconcile.Request{})
	}
	wantSeries(t, r, `
# HELP robustmq_operator_reconciles_total Passes of the controllers by result: unchanged (everything was as it should be), changed (something was written or ordered), waiting (something is waited for), error.
# TYPE robustmq_operator_reconciles_total counter
robustmq_operator_reconciles_total{controller="c",result="changed"} 1
robustmq_operator_reconciles_total{controller="c",result="error"} 1
robustmq_operator_reconciles_total{controller="c",result="unchanged"} 2
robustmq_operator_reconciles_total{controller="c",result="waiting"} 1
`)
	monitoring.Changed(t.Context()) // outside of a pass nothing is noted, and nothing breaks
	monitoring.Waiting(t.Context())
}

func TestWritesAreCountedByKindAndVerbAndMakeThePassAChange(t *testing.T) {
	w, r := newWork(t)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"}}
	c := w.Client("c", fake.NewClientBuilder().WithStatusSubresource(&corev1.Pod{}).Build())
	applied := &unstructured.Unstructured{}
	applied.SetAPIVersion("v1")
	applied.SetKind("ConfigMap")
	applied.SetNamespace("ns")
	applied.SetName("m")
	inner := reconcile.Func(func(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
		return reconcile.Result{}, errors.Join(
			c.Create(ctx, pod), c.Update(ctx, pod), c.Patch(ctx, pod, client.MergeFrom(pod.DeepCopy())), c.Status().Update(ctx, pod), c.Status().Patch(ctx, pod, client.MergeFrom(pod.DeepCopy())),
			c.Apply(ctx, client.ApplyConfigurationFromUnstructured(applied), client.FieldOwner("x")), c.Apply(ctx, applycorev1.Secret("s", "ns"), client.FieldOwner("x")),
			c.Get(ctx, client.ObjectKeyFromObject(pod), pod), c.List(ctx, &corev1.PodList{}), c.Delete(ctx, pod),
		)
	})
	if _, err := w.Reconciler("c", inner).Reconcile(t.Context(), reconcile.Request{}); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), pod); !apierrors.IsNotFound(err) {
		t.Errorf("a refusal is handed through: %v", err)
	}
	wantSeries(t, r, `
# HELP robustmq_operator_reconciles_total Passes of the controllers by result: unchanged (everything was as it should be), changed (something was written or ordered), waiting (something is waited for), error.
# TYPE robustmq_operator_reconciles_total counter
robustmq_operator_reconciles_total{controller="c",result="changed"} 1
robustmq_operator_reconciles_total{controller="c",result="error"} 0
robustmq_operator_reconciles_total{controller="c",result="unchanged"} 0
robustmq_operator_reconciles_total{controller="c",result="waiting"} 0
# HELP robustmq_operator_writes_total Writes to the API server that it took, without events and leases, by kind and verb (create, update, patch, apply, delete; of a status with /status behind its kind).
# TYPE robustmq_operator_writes_total counter
robustmq_operator_writes_total{controller="c",kind="ConfigMap",verb="apply"} 1
robustmq_operator_writes_total{controller="c",kind="Pod",verb="create"} 1
robustmq_operator_writes_total{controller="c",kind="Pod",verb="delete"} 1
robustmq_operator_writes_total{controller="c",kind="Pod",verb="patch"} 1
robustmq_operator_writes_total{controller="c",kind="Pod",verb="update"} 1
robustmq_operator_writes_total{controller="c",kind="Pod/status",verb="patch"} 1
robustmq_operator_writes_total{controller="c",kind="Pod/status",verb="update"} 1
robustmq_operator_writes_total{controller="c",kind="Secret",verb="apply"} 1
`)
}

func TestWhereNobodyCountsClientAndReconcilerAreTheirOwn(t *testing.T) {
	var none *monitoring.Operator
	c := fake.NewClientBuilder().Build()
	if none.Counts().Client("c", c) != c {
		t.Error("the client was wrapped")
	}
	none.Over("LeaderLost", 1)
	none.Converged("Restart", 1)
	none.Transferred("moved", 1)
	none.Forget(cluster)
	var admissions *monitoring.Admissions
	admissions.Allowed("RobustMQCluster")
}
