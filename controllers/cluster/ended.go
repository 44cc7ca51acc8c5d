package cluster

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/registration"
	"github.com/robustmq/robustmq-operator/monitoring"
)

// endedName is the name in logs and metrics.
const endedName = "robustmqpods"

// Ended removes pods of clusters that are being deleted and whose containers have all ended, by the word of their own kubelet: what is left of them (to unmount its volumes, to remove its control group) the
// kubelet does as well when the object is gone, and until it is gone no other pod of the name is made. That is up to a second in which a member or broker is away for nothing. A pod whose kubelet is silent
// says nothing of the kind: what becomes of those is decided with the cluster before one's eyes (topology.StepForceDelete).
type Ended struct {
	client.Client
	// Work counts its passes and writes.
	Work *monitoring.Work
}

// SetupWithManager registers the controller.
func (r *Ended) SetupWithManager(mgr ctrl.Manager, o registration.Options) error {
	name := o.Named(endedName)
	if r.Client == nil {
		r.Client = mgr.GetClient()
	}
	r.Client = r.Work.Client(name, r.Client)
	return ctrl.NewControllerManagedBy(mgr).Named(name).
		WithOptions(o.Controller(100*time.Millisecond, 30*time.Second)).
		For(&corev1.Pod{}, builder.WithPredicates(predicate.NewPredicateFuncs(func(object client.Object) bool {
			pod, ok := object.(*corev1.Pod)
			return ok && hasEnded(pod)
		}))).
		Complete(r.Work.Reconciler(name, r))
}

// Reconcile removes the pod, if it is still the one that was seen.
func (r *Ended) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var pod corev1.Pod
	if err := r.Get(ctx, request.NamespacedName, &pod); err != nil || !hasEnded(&pod) {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	err := r.Delete(ctx, &pod, client.GracePeriodSeconds(0), client.Preconditions{UID: &pod.UID, ResourceVersion: &pod.ResourceVersion})
	if err == nil {
		log.FromContext(ctx).V(1).Info("a pod that had ended was removed", "uid", pod.UID)
	}
	return ctrl.Result{}, client.IgnoreNotFound(err)
}

// hasEnded reports whether a server's pod is being deleted and runs nothing any more. Its kubelet starts no container of a pod that is being deleted.
func hasEnded(pod *corev1.Pod) bool {
	ours := slices.ContainsFunc(roles, func(r v1alpha1.Role) bool { return r.Component() == pod.Labels[v1alpha1.LabelRole] })
	if !ours || pod.DeletionTimestamp == nil || len(pod.Status.ContainerStatuses) == 0 || len(pod.Status.ContainerStatuses) < len(pod.Spec.Containers) {
		return false
	}
	return !slices.ContainsFunc(slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses), func(c corev1.ContainerStatus) bool { return c.State.Terminated == nil })
}
