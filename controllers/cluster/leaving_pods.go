package cluster

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/agents"
	"github.com/robustmq/robustmq-operator/controllers/registration"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/monitoring"
)

// leavingName is the name in logs and metrics.
const leavingName = "robustmqpods"

// LeavingPods tends the pods of servers that are being deleted, whoever deleted them, where a second counts: for as long as a member or broker is away, whoever publishes to the topics that it leads stands still.
//
//  1. Their names leave the DNS first (v1alpha1.LabelNamed; those of members go by themselves). The server outlasts its name (internal/agent/hold.go), and nobody connects to an address that is no more.
//  2. A pod that has ended is removed: what is left of it (its sandbox, its volumes, its control group) the kubelet clears away as well when the object is gone, and until then no other pod of the name is made.
//     That it has ended says its agent, which promises at the same time to start nothing any more in this pod, or its own kubelet, of every container. A pod of which nobody says so stays: what becomes of
//     those is decided with the cluster before one's eyes (topology.StepForceDelete).
type LeavingPods struct {
	client.Client
	// Agents are asked when their pods have ended. Nil: the kubelets' word is waited for.
	Agents agents.Pool
	// Work counts its passes and writes.
	Work *monitoring.Work

	asked sync.Map // by UID: pods whose agents are being asked
}

// SetupWithManager registers the controller.
func (r *LeavingPods) SetupWithManager(mgr ctrl.Manager, o registration.Options) error {
	return setupOfPods(mgr, o, leavingName, r.Work, &r.Client, r, leaves)
}

// setupOfPods registers a controller of the pods that it concerns, which has the manager's client, unless it has one, and whose passes and writes are counted. Where it fails, seconds count: it is tried again soon.
func setupOfPods(mgr ctrl.Manager, o registration.Options, own string, work *monitoring.Work, c *client.Client, r reconcile.Reconciler, concerns func(*corev1.Pod) bool) error {
	name := o.Named(own)
	if *c == nil {
		*c = mgr.GetClient()
	}
	*c = work.Client(name, *c)
	return ctrl.NewControllerManagedBy(mgr).Named(name).
		WithOptions(o.Controller(100*time.Millisecond, 30*time.Second)).
		For(&corev1.Pod{}, builder.WithPredicates(predicate.NewPredicateFuncs(func(object client.Object) bool {
			pod, ok := object.(*corev1.Pod)
			return ok && concerns(pod)
		}))).
		Complete(work.Reconciler(name, r))
}

// Reconcile takes the next step, if the pod is still the one that was seen.
func (r *LeavingPods) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var pod corev1.Pod
	err := r.Get(ctx, request.NamespacedName, &pod)
	switch {
	case err != nil || !leaves(&pod):
	case hasEnded(&pod):
		err = r.remove(ctx, &pod, "kubelet", client.Preconditions{UID: &pod.UID, ResourceVersion: &pod.ResourceVersion})
	default:
		r.askForEnd(ctx, &pod)
		if pod.Labels[v1alpha1.LabelNamed] != "" {
			err = r.Patch(ctx, &pod, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"uid":%q,"labels":{%q:null}}}`, pod.UID, v1alpha1.LabelNamed)))
		}
	}
	return ctrl.Result{}, client.IgnoreNotFound(err)
}

// remove deletes the object of a pod that has ended, by the word of one who knows.
func (r *LeavingPods) remove(ctx context.Context, pod *corev1.Pod, says string, only client.Preconditions) error {
	err := r.Delete(ctx, pod, client.GracePeriodSeconds(0), only)
	if err == nil {
		log.FromContext(ctx).V(1).Info("a pod that had ended was removed", "uid", pod.UID, "says", says)
	}
	return err
}

// askForEnd has the pod removed when its agent says that it has ended, if it says so before its kubelet does. Containers that somebody added to the pod are ended by the kubelet, in their time.
func (r *LeavingPods) askForEnd(ctx context.Context, pod *corev1.Pod) {
	if r.Agents == nil || len(pod.Spec.Containers) > 1 || slices.ContainsFunc(pod.Spec.InitContainers, isSidecar) {
		return
	}
	if _, already := r.asked.LoadOrStore(pod.UID, true); already {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), protocol.TerminationGracePeriod) // the pass ends before
	go func() {
		defer cancel()
		defer r.asked.Delete(pod.UID)
		err := r.awaitEnd(ctx, pod)
		if err == nil {
			err = client.IgnoreNotFound(r.remove(ctx, pod, "agent", client.Preconditions{UID: &pod.UID})) // whatever else of it changes, it does not begin again
		}
		if err != nil {
			log.FromContext(ctx).V(1).Info("the kubelet's word is waited for", "uid", pod.UID, "because", err.Error())
		}
	}()
}

// awaitEnd returns nil when the pod's agent has said that it has ended.
func (r *LeavingPods) awaitEnd(ctx context.Context, pod *corev1.Pod) error {
	var cluster v1alpha1.RobustMQCluster
	if err := r.Get(ctx, types.NamespacedName{Namespace: pod.Namespace, Name: pod.Labels[v1alpha1.LabelCluster]}, &cluster); err != nil {
		return err
	}
	identity, err := agents.Identity(ctx, r.Client, &cluster)
	if err != nil {
		return err
	}
	return agents.AwaitEnd(ctx, r.Agents, &cluster, identity, pod)
}

func isSidecar(c corev1.Container) bool { return c.RestartPolicy != nil }

// leaves reports whether it is a server's pod, and is being deleted.
func leaves(pod *corev1.Pod) bool { return pod.DeletionTimestamp != nil && isServer(pod) }

func isServer(pod *corev1.Pod) bool {
	return slices.ContainsFunc(roles, func(r v1alpha1.Role) bool { return r.Component() == pod.Labels[v1alpha1.LabelRole] })
}

// hasEnded reports whether a pod that leaves runs nothing any more. Its kubelet starts no container of a pod that is being deleted.
func hasEnded(pod *corev1.Pod) bool {
	if len(pod.Status.ContainerStatuses) == 0 || len(pod.Status.ContainerStatuses) < len(pod.Spec.Containers) {
		return false
	}
	return !slices.ContainsFunc(slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses), func(c corev1.ContainerStatus) bool { return c.State.Terminated == nil })
}
