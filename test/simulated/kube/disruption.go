package kube

import (
	"context"
	"fmt"
	"reflect"

	appsv1 "k8s.io/api/apps/v1"
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

// budgets keeps the status of PodDisruptionBudgets, by which the API server decides on evictions. Only maxUnavailable as a number, a selector of labels, and pods of StatefulSets are simulated. As many pods are
// expected as the StatefulSets want whose pods there are, not as many as there are; a pod that nobody controls may be well and is not expected.
type budgets struct{ *ControlPlane }

// budgetsOfPod are those whose selector finds the pod. What is listed here and below is only read, so it is not copied first: with a thousand clusters that would be half of what the simulation costs.
func (r *budgets) budgetsOfPod() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, pod client.Object) []reconcile.Request {
		var all policyv1.PodDisruptionBudgetList
		if err := r.Client.List(ctx, &all, append(ofCluster(pod.GetLabels()), client.InNamespace(pod.GetNamespace()), client.UnsafeDisableDeepCopy)...); err != nil {
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
	if r.written.outdated(&budget) {
		return reconcile.Result{}, nil
	}
	if budget.Spec.MaxUnavailable == nil || budget.Spec.MaxUnavailable.Type != intstr.Int {
		return reconcile.Result{}, reconcile.TerminalError(fmt.Errorf("PodDisruptionBudget %s: only a number of maxUnavailable is simulated", req))
	}
	if budget.Spec.Selector == nil || len(budget.Spec.Selector.MatchExpressions) > 0 {
		return reconcile.Result{}, reconcile.TerminalError(fmt.Errorf("PodDisruptionBudget %s: only a selector of matchLabels is simulated", req))
	}
	var pods corev1.PodList
	if err := r.Client.List(ctx, &pods, selecting(req.Namespace, budget.Spec.Selector.MatchLabels)...); err != nil {
		return reconcile.Result{}, fmt.Errorf("list pods: %w", err)
	}
	expected, err := r.expected(ctx, pods.Items)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("PodDisruptionBudget %s: %w", req, err)
	}
	status := *budget.Status.DeepCopy()
	status.ObservedGeneration, status.ExpectedPods, status.CurrentHealthy, status.DisruptedPods = budget.Generation, expected, 0, nil
	for i := range pods.Items {
		pod := &pods.Items[i]
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
	status.DisruptionsAllowed = 0
	if expected > 0 {
		status.DisruptionsAllowed = max(0, status.CurrentHealthy-status.DesiredHealthy)
	}
	if reflect.DeepEqual(status, budget.Status) {
		return reconcile.Result{}, nil
	}
	budget.Status = status
	return r.writeStatus(ctx, &budget)
}

// expected is how many pods the StatefulSets want that control any of these.
func (r *budgets) expected(ctx context.Context, pods []corev1.Pod) (int32, error) {
	wanted := map[types.UID]int32{}
	for i := range pods {
		controller := metav1.GetControllerOf(&pods[i])
		if controller == nil {
			continue
		}
		if _, known := wanted[controller.UID]; known {
			continue
		}
		if controller.Kind != "StatefulSet" {
			return 0, reconcile.TerminalError(fmt.Errorf("pod %s is of a %s: only those of StatefulSets are simulated", pods[i].Name, controller.Kind))
		}
		var set appsv1.StatefulSet
		if err := r.Client.Get(ctx, client.ObjectKey{Namespace: pods[i].Namespace, Name: controller.Name}, &set); client.IgnoreNotFound(err) != nil {
			return 0, err
		}
		if set.UID == controller.UID {
			wanted[set.UID] = int32(len(ordinals(&set)))
		}
	}
	var sum int32
	for _, n := range wanted {
		sum += n
	}
	return sum, nil
}
