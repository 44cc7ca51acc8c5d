package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/registration"
	"github.com/robustmq/robustmq-operator/monitoring"
)

// leavingName is the name in logs and metrics.
const leavingName = "robustmqpods"

// LeavingPods tends the pods of servers that are being deleted, whoever deleted them, where a second counts: for as long as a member or broker is away, whoever publishes to the topics that it leads stands still.
//
//  1. Their names leave the DNS first (v1alpha1.LabelNamed; those of members go by themselves). The server outlasts its name (internal/agent/hold.go), and nobody connects to an address that is no more.
//  2. A pod whose containers have all ended, by the word of its own kubelet, is removed: what is left of it (to unmount its volumes, to remove its control group) the kubelet does as well when the object is gone,
//     and until then no other pod of the name is made. A pod whose kubelet is silent says nothing of the kind: what becomes of those is decided with the cluster before one's eyes (topology.StepForceDelete).
type LeavingPods struct {
	client.Client
	// Work counts its passes and writes.
	Work *monitoring.Work
}

// SetupWithManager registers the controller.
func (r *LeavingPods) SetupWithManager(mgr ctrl.Manager, o registration.Options) error {
	name := o.Named(leavingName)
	if r.Client == nil {
		r.Client = mgr.GetClient()
	}
	r.Client = r.Work.Client(name, r.Client)
	return ctrl.NewControllerManagedBy(mgr).Named(name).
		WithOptions(o.Controller(100*time.Millisecond, 30*time.Second)).
		For(&corev1.Pod{}, builder.WithPredicates(predicate.NewPredicateFuncs(func(object client.Object) bool {
			pod, ok := object.(*corev1.Pod)
			return ok && leaves(pod)
		}))).
		Complete(r.Work.Reconciler(name, r))
}

// Reconcile takes the next step, if the pod is still the one that was seen.
func (r *LeavingPods) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var pod corev1.Pod
	err := r.Get(ctx, request.NamespacedName, &pod)
	switch {
	case err != nil || !leaves(&pod):
	case hasEnded(&pod):
		if err = r.Delete(ctx, &pod, client.GracePeriodSeconds(0), client.Preconditions{UID: &pod.UID, ResourceVersion: &pod.ResourceVersion}); err == nil {
			log.FromContext(ctx).V(1).Info("a pod that had ended was removed", "uid", pod.UID)
		}
	case pod.Labels[v1alpha1.LabelNamed] != "":
		err = r.Patch(ctx, &pod, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"uid":%q,"labels":{%q:null}}}`, pod.UID, v1alpha1.LabelNamed)))
	}
	return ctrl.Result{}, client.IgnoreNotFound(err)
}

// leaves reports whether it is a server's pod, and is being deleted.
func leaves(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp != nil && slices.ContainsFunc(roles, func(r v1alpha1.Role) bool { return r.Component() == pod.Labels[v1alpha1.LabelRole] })
}

// hasEnded reports whether a pod that leaves runs nothing any more. Its kubelet starts no container of a pod that is being deleted.
func hasEnded(pod *corev1.Pod) bool {
	if len(pod.Status.ContainerStatuses) == 0 || len(pod.Status.ContainerStatuses) < len(pod.Spec.Containers) {
		return false
	}
	return !slices.ContainsFunc(slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses), func(c corev1.ContainerStatus) bool { return c.State.Terminated == nil })
}
