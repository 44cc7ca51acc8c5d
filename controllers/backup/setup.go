package backup

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
const controllerName = "robustmqbackup"

// SetupWithManager fills what the reconciler was not given with its defaults and registers it.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, o registration.Options) error {
	name := o.Named(controllerName)
	r.setDefaults(mgr)
	r.Client = r.Work.Client(name, r.Client)
	toBackup := trigger.Labelled(v1alpha1.LabelBackup)
	return ctrl.NewControllerManagedBy(mgr).
		Named(name).
		WithOptions(o.Controller(100*time.Millisecond, 30*time.Second)).
		// Our own status writes need no second look.
		For(&v1alpha1.RobustMQBackup{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, trigger.Deleted()))).
		Watches(&batchv1.Job{}, toBackup).
		Watches(&corev1.Pod{}, toBackup).
		// A cluster that comes, or goes, is what some of its backups wait for, or die of.
		Watches(&v1alpha1.RobustMQCluster{}, handler.EnqueueRequestsFromMapFunc(r.backupsOfCluster), builder.WithPredicates(comesOrGoes())).
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
}

// backupsOfCluster are those of a cluster that have not ended.
func (r *Reconciler) backupsOfCluster(ctx context.Context, cluster client.Object) []reconcile.Request {
	var all v1alpha1.RobustMQBackupList
	if err := r.List(ctx, &all, client.InNamespace(cluster.GetNamespace())); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "listing the backups of a cluster that changed; they are looked at again anyway")
		return nil
	}
	var requests []reconcile.Request
	for i := range all.Items {
		if b := &all.Items[i]; b.Spec.ClusterName == cluster.GetName() && !b.Ended() {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(b)})
		}
	}
	return requests
}

func comesOrGoes() predicate.Predicate {
	return predicate.Or(predicate.GenerationChangedPredicate{}, trigger.Deleted())
}
