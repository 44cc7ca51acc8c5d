package plan

import (
	"context"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/registration"
)

// controllerName is the name in logs and metrics.
const controllerName = "robustmqbackupplan"

// SetupWithManager fills what the reconciler was not given with its defaults and registers it.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, o registration.Options) error {
	name := o.Named(controllerName)
	if r.Client == nil {
		r.Client = mgr.GetClient()
	}
	r.Client = r.Work.Client(name, r.Client)
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
	b := ctrl.NewControllerManagedBy(mgr).
		Named(name).
		WithOptions(o.Controller(100*time.Millisecond, time.Minute)).
		For(&v1alpha1.RobustMQCluster{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, matters()))).
		Watches(&v1alpha1.RobustMQBackup{}, r.ofBackups()).
		Owns(&batchv1.Job{}).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(ofJobs))
	if r.Restores != nil {
		b = b.Watches(&v1alpha1.RobustMQRestore{}, handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
			return named(o, o.(*v1alpha1.RobustMQRestore).Spec.ClusterName)
		}))
	}
	return b.Complete(r.Work.Reconciler(name, r))
}

func named(o client.Object, cluster string) []reconcile.Request {
	if cluster == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: o.GetNamespace(), Name: cluster}}}
}

// ofJobs maps the pod of a Job to its cluster: what it waits for is said of the destination.
func ofJobs(_ context.Context, o client.Object) []reconcile.Request {
	if o.GetLabels()[v1alpha1.LabelJob] == "" {
		return nil
	}
	return named(o, o.GetLabels()[v1alpha1.LabelCluster])
}

// matters lets through what changes no generation: the wish to delete, and the identity without which nothing is saved. Our own writes need no second look.
func matters() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		was, is := e.ObjectOld.(*v1alpha1.RobustMQCluster), e.ObjectNew.(*v1alpha1.RobustMQCluster)
		return was.DeletionTimestamp.IsZero() != is.DeletionTimestamp.IsZero() || was.Status.ClusterUID != is.Status.ClusterUID || was.Status.Founded != is.Status.Founded
	}}
}

// ofBackups maps a backup to its cluster when it comes, ends or goes, not at every byte; and notes one whose deletion emptied a place in the bucket.
func (r *Reconciler) ofBackups() handler.EventHandler {
	enqueue := func(o client.Object, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		for _, request := range named(o, o.(*v1alpha1.RobustMQBackup).Spec.ClusterName) {
			q.Add(request)
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			enqueue(e.Object, q)
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			if e.ObjectOld.(*v1alpha1.RobustMQBackup).Ended() != e.ObjectNew.(*v1alpha1.RobustMQBackup).Ended() {
				enqueue(e.ObjectNew, q)
			}
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			b := e.Object.(*v1alpha1.RobustMQBackup)
			if b.Spec.DeletionPolicy == v1alpha1.BackupDeleted && b.Restorable() {
				r.setDeleted(client.ObjectKey{Namespace: b.Namespace, Name: b.Spec.ClusterName}, true)
			}
			enqueue(e.Object, q)
		},
	}
}
