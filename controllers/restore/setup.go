package restore

import (
	"context"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/registration"
	"github.com/robustmq/robustmq-operator/controllers/trigger"
)

// controllerName is the name in logs and metrics.
const controllerName = "robustmqrestore"

// SetupWithManager fills what the reconciler was not given with its defaults and registers it.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, o registration.Options) error {
	name := o.Named(controllerName)
	r.setDefaults(mgr)
	r.Client = r.Work.Client(name, r.Client)
	byLabel := trigger.Labelled(v1alpha1.LabelRestore)
	ofCluster := func(cluster func(client.Object) string) handler.EventHandler {
		return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, object client.Object) []reconcile.Request {
			return r.restoresOf(ctx, object.GetNamespace(), cluster(object))
		})
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named(name).
		WithOptions(o.Controller(100*time.Millisecond, 30*time.Second)).
		// Our own status writes need no second look; an annotation (abort) does.
		For(&v1alpha1.RobustMQRestore{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}, trigger.Deleted()))).
		Watches(&batchv1.Job{}, byLabel).
		Watches(&v1alpha1.RobustMQBackup{}, byLabel).
		// Pods of its Jobs, and the members, whose agents are asked when they come back.
		Watches(&corev1.Pod{}, byLabel).
		Watches(&corev1.Pod{}, ofCluster(func(o client.Object) string { return o.GetLabels()[v1alpha1.LabelCluster] }), builder.WithPredicates(startsOrGoes())).
		Watches(&v1alpha1.RobustMQCluster{}, ofCluster(client.Object.GetName), builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, trigger.Deleted()))).
		Complete(r.Work.Reconciler(name, r))
}

func (r *Reconciler) setDefaults(mgr ctrl.Manager) {
	if r.Client == nil {
		r.Client = mgr.GetClient()
	}
	if r.Reader == nil {
		r.Reader = mgr.GetAPIReader()
	}
	if r.Events == nil {
		r.Events = mgr.GetEventRecorder(v1alpha1.ManagedBy)
	}
	if r.Now == nil {
		r.Now = time.Now
	}
	if r.Timings == (Timings{}) {
		r.Timings = DefaultTimings()
	}
	if r.ClusterDomain == "" {
		r.ClusterDomain = "cluster.local"
	}
}

// restoresOf are those of a cluster that have not ended.
func (r *Reconciler) restoresOf(ctx context.Context, namespace, cluster string) []reconcile.Request {
	if cluster == "" {
		return nil
	}
	var all v1alpha1.RobustMQRestoreList
	if err := r.List(ctx, &all, client.InNamespace(namespace)); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "listing the restores of a cluster that changed; they are looked at again anyway")
		return nil
	}
	var requests []reconcile.Request
	for i := range all.Items {
		if x := &all.Items[i]; x.Spec.ClusterName == cluster && !x.Ended() {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(x)})
		}
	}
	return requests
}

// startsOrGoes: a pod whose address or end of life changes is one whose agent must be asked anew; its readiness says nothing to a restore.
func startsOrGoes() predicate.Predicate {
	return predicate.Or(trigger.Deleted(), predicate.NewPredicateFuncs(func(object client.Object) bool {
		pod, ok := object.(*corev1.Pod)
		return ok && pod.Status.PodIP != "" && pod.Status.Phase == corev1.PodRunning
	}))
}
