package kube

import (
	"context"
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// budgets keeps the status of PodDisruptionBudgets, by which the API server decides on evictions. Only maxUnavailable as a number and a selector of labels are simulated, and every pod that the selector finds is expected to be there.
type budgets struct{ *ControlPlane }

// budgetsOfPod are those whose selector finds the pod. What is listed here and below is only read, so it is not copied first: with a thousand clusters that would be half of what the simulation costs.
func (r *budgets) budgetsOfPod() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, pod client.Object) []reconcile.Request {
		var all policyv1.PodDisruptionBudgetList
		if err := r.Client.List(ctx, &all, client.InNamespace(pod.GetNamespace()), client.UnsafeDisableDeepCopy); err != nil {
			return nil
		}
		var out []reconcile.Request
		for i := range all.Items {
			selector := all.Items[i].Spec.Selector
			if selector == nil || !labels.SelectorFromValidatedSet(selector.MatchLabels).Matches(labels.Set(pod.GetLabels())) {
				continue
			}
			out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: pod.GetNamespace(), Name: all.Items[i].Name}})
		}
		return out
	})
}

// Reconcile implements reconcile.Reconciler.
func (r *budgets) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if r.namespace(req.Namespace) == nil {
		return reconcile.Result{}, nil
	}
	var budget policyv1.PodDisruptionBudget
	if err := r.Client.Get(ctx, req.NamespacedName, &budget); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if budget.Spec.MaxUnavailable == nil || budget.Spec.MaxUnavailable.Type != intstr.Int {
		return reconcile.Result{}, reconcile.TerminalError(fmt.Errorf("PodDisruptionBudget %s: only a number of maxUnavailable is simulated", req))
	}
	if budget.Spec.Selector == nil || len(budget.Spec.Selector.MatchExpressions) > 0 {
		return reconcile.Result{}, reconcile.TerminalError(fmt.Errorf("PodDisruptionBudget %s: only a selector of matchLabels is simulated", req))
	}
	var pods corev1.PodList
	if err := r.Client.List(ctx, &pods, client.InNamespace(req.Namespace), client.MatchingLabels(budget.Spec.Selector.MatchLabels), client.UnsafeDisableDeepCopy); err != nil {
		return reconcile.Result{}, fmt.Errorf("list pods: %w", err)
	}
	status := *budget.Status.DeepCopy()
	status.ObservedGeneration, status.ExpectedPods, status.CurrentHealthy, status.DisruptedPods = budget.Generation, 0, 0, nil
	for i := range pods.Items {
		pod := &pods.Items[i]
		status.ExpectedPods++
		evicted, asked := budget.Status.DisruptedPods[pod.Name]
		if asked && pod.DeletionTimestamp == nil {
			if status.DisruptedPods == nil {
				status.DisruptedPods = map[string]metav1.Time{}
			}
			status.DisruptedPods[pod.Name] = evicted
			continue
		}
		if pod.DeletionTimestamp == nil && isReady(pod) {
			status.CurrentHealthy++
		}
	}
	status.DesiredHealthy = max(0, status.ExpectedPods-budget.Spec.MaxUnavailable.IntVal)
	status.DisruptionsAllowed = max(0, status.CurrentHealthy-status.DesiredHealthy)
	if reflect.DeepEqual(status, budget.Status) {
		return reconcile.Result{}, nil
	}
	budget.Status = status
	return retryConflict(r.Client.Status().Update(ctx, &budget))
}
