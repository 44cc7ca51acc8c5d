package cluster

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/registration"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/monitoring"
)

// arrivingName is the name in logs and metrics.
const arrivingName = "robustmqarrivals"

// ArrivingPods has the kubelet look at a server's pod that was made anew once more than it would by itself.
//
// A kubelet hears of a pod, and asks for its volume claim, within a tenth of a second. The API server grants it that when it has heard itself that the pod is on this node, which takes it a little longer
// when it is busy: "forbidden: no relationship found between node and this object" (seen on Kubernetes 1.37, at 2 of 5 pods of a busy machine). The kubelet then lets the pod lie for 10 to 15 s, and who
// publishes to a topic that it leads stands still for as long. It looks at once when anything about the pod changes; so a mark is set on it. A kubelet that was refused nothing finds nothing to do.
type ArrivingPods struct {
	client.Client
	// Work counts its passes and writes.
	Work *monitoring.Work
	// Now is time.Now unless a test says otherwise.
	Now func() time.Time
}

const (
	// lookAgain is how long after the first mark the second is set, if the pod has not begun to start by then. It is the last: what still fails then takes a person, or its time.
	lookAgain = 1500 * time.Millisecond
	// lookedTwice is the second mark (v1alpha1.AnnotationLooked). The first is the time at which it was set.
	lookedTwice = "twice"
	// claimedBefore is how much older its volume claim is than a pod that was made anew. The first of its name has a claim that is made with it, and nobody waits for it yet.
	claimedBefore = 5 * time.Second
)

// SetupWithManager registers the controller.
func (r *ArrivingPods) SetupWithManager(mgr ctrl.Manager, o registration.Options) error {
	if r.Now == nil {
		r.Now = time.Now
	}
	return setupOfPods(mgr, o, arrivingName, r.Work, &r.Client, r, arrives)
}

// Reconcile sets the next mark.
func (r *ArrivingPods) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var pod corev1.Pod
	if err := r.Get(ctx, request.NamespacedName, &pod); err != nil || !arrives(&pod) {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	now := r.Now()
	mark, next := now.UTC().Format(time.RFC3339Nano), lookAgain
	if first, ok := pod.Annotations[v1alpha1.AnnotationLooked]; ok {
		at, err := time.Parse(time.RFC3339Nano, first)
		if wait := at.Add(lookAgain).Sub(now); err == nil && wait > 0 {
			return ctrl.Result{RequeueAfter: wait}, nil
		}
		mark, next = lookedTwice, 0
	} else if anew, err := r.madeAnew(ctx, &pod); err != nil || !anew {
		return ctrl.Result{}, err
	}
	err := r.Patch(ctx, &pod, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"uid":%q,"annotations":{%q:%q}}}`, pod.UID, v1alpha1.AnnotationLooked, mark)))
	return ctrl.Result{RequeueAfter: next}, client.IgnoreNotFound(err)
}

// madeAnew reports whether there was a pod of this name before.
func (r *ArrivingPods) madeAnew(ctx context.Context, pod *corev1.Pod) (bool, error) {
	var claim corev1.PersistentVolumeClaim
	if err := r.Get(ctx, types.NamespacedName{Namespace: pod.Namespace, Name: manifests.VolumeClaimOf(pod.Name)}, &claim); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	return pod.CreationTimestamp.Sub(claim.CreationTimestamp.Time) > claimedBefore, nil
}

// arrives reports whether it is a server's pod whose kubelet has begun nothing yet, and may be told to look at it.
func arrives(pod *corev1.Pod) bool {
	return isServer(pod) && pod.DeletionTimestamp == nil && pod.Spec.NodeName != "" && pod.Status.Phase == corev1.PodPending && pod.Status.PodIP == "" && pod.Annotations[v1alpha1.AnnotationLooked] != lookedTwice
}
