package kube

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// protection is the finalizer that the API server puts on every claim; a claim in use goes only after the last pod that uses it.
const protection = "kubernetes.io/pvc-protection"

// claims binds claims (and grows them), and takes their protection off when nobody uses them any more.
type claims struct{ *ControlPlane }

func claimsOfPod() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		var all []reconcile.Request
		for _, name := range claimsUsedBy(o.(*corev1.Pod)) {
			all = append(all, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name}})
		}
		return all
	})
}

func claimsUsedBy(pod *corev1.Pod) []string {
	var names []string
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			names = append(names, v.PersistentVolumeClaim.ClaimName)
		}
	}
	return names
}

// Reconcile implements reconcile.Reconciler.
func (r *claims) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	ns := r.namespace(req.Namespace)
	if ns == nil {
		return reconcile.Result{}, nil
	}
	var claim corev1.PersistentVolumeClaim
	if err := r.Client.Get(ctx, req.NamespacedName, &claim); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if claim.DeletionTimestamp != nil {
		return r.release(ctx, &claim)
	}
	if r.written.outdated(&claim) {
		return reconcile.Result{}, nil
	}
	if ns.HoldClaim != nil && ns.HoldClaim(&claim) {
		if claim.Status.Phase == corev1.ClaimBound {
			return reconcile.Result{}, nil
		}
		return reconcile.Result{RequeueAfter: 5 * retryAfter}, nil
	}
	if claim.Spec.VolumeName == "" {
		claim.Spec.VolumeName = "pv-" + string(claim.UID)
		if err := r.Client.Update(ctx, &claim); err != nil {
			return retryConflict(err)
		}
		r.written.note(&claim)
	}
	request := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	if size, ok := claim.Status.Capacity[corev1.ResourceStorage]; claim.Status.Phase == corev1.ClaimBound && ok && size.Cmp(request) >= 0 {
		return reconcile.Result{}, nil
	}
	claim.Status.Phase = corev1.ClaimBound
	claim.Status.AccessModes = claim.Spec.AccessModes
	claim.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: request}
	return r.writeStatus(ctx, &claim)
}

func (r *claims) release(ctx context.Context, claim *corev1.PersistentVolumeClaim) (reconcile.Result, error) {
	if !slices.Contains(claim.Finalizers, protection) {
		return reconcile.Result{}, nil
	}
	var pods corev1.PodList
	if err := r.Client.List(ctx, &pods, client.InNamespace(claim.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return reconcile.Result{}, fmt.Errorf("list pods: %w", err)
	}
	for i := range pods.Items {
		if slices.Contains(claimsUsedBy(&pods.Items[i]), claim.Name) {
			return reconcile.Result{}, nil // the pod's removal brings us back
		}
	}
	claim.Finalizers = slices.DeleteFunc(claim.Finalizers, func(f string) bool { return f == protection })
	return retryConflict(r.Client.Update(ctx, claim))
}
