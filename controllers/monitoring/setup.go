package monitoring

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/registration"
	"github.com/robustmq/robustmq-operator/controllers/trigger"
)

// Names of the controllers in logs and metrics.
const (
	monitorsName   = "robustmqmonitoring"
	dashboardsName = "robustmqdashboards"
)

// How soon a pass that failed is tried again, at first and at most.
const firstRetry, lastRetry = 200 * time.Millisecond, time.Minute

// Options shape the controllers, which have names of their own.
type Options struct {
	registration.Options
	// Namespaces that are watched; empty: all.
	Namespaces []string
}

// SetupWithManager fills what the reconciler was not given with its defaults and registers it.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, o Options) error {
	if r.Client == nil {
		r.Client = mgr.GetClient()
	}
	r.Client = r.Work.Client(monitorsName, r.Client)
	if r.Reader == nil {
		r.Reader = mgr.GetAPIReader()
	}
	if r.Record == nil {
		r.Record = NewRecord()
	}
	if r.Timings == (Timings{}) {
		r.Timings = DefaultTimings()
	}
	r.keeper.client, r.keeper.reader = r.Client, r.Reader
	objects, err := metadata.NewForConfig(mgr.GetConfig())
	if err != nil {
		return fmt.Errorf("client for the kinds of the Prometheus operator: %w", err)
	}
	namespaces := o.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	for kind, into := range map[*kind]**follower{&serviceMonitors: &r.monitors, &prometheusRules: &r.rules} {
		*into = &follower{
			kind: *kind, namespaces: namespaces, selector: labels.Set{v1alpha1.LabelManaged: v1alpha1.ManagedBy}.String(),
			client: objects, log: mgr.GetLogger().WithName("monitoring"), lookAgain: r.Timings.LookAgain,
		}
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named(monitorsName).
		WithOptions(o.Controller(firstRetry, lastRetry)).
		For(&v1alpha1.RobustMQCluster{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, trigger.Deleted()))).
		WatchesRawSource(following(r.all, ofCluster, r.monitors, r.rules)).
		Complete(r.Work.Reconciler(monitorsName, r))
}

// following runs followers for as long as the controller runs: what they tell goes into its queue. all are the requests for everything there is, one those that an object gives rise to.
func following(all func(context.Context) []reconcile.Request, one func(*metav1.PartialObjectMetadata) []reconcile.Request, followers ...*follower) source.Source {
	return source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		add := func(requests []reconcile.Request) {
			for _, r := range requests {
				queue.Add(r)
			}
		}
		for _, f := range followers {
			f.changed = func() { add(all(ctx)) }
			f.seen = func(o *metav1.PartialObjectMetadata) { add(one(o)) }
			go f.run(ctx)
		}
		return nil
	})
}

// all clusters.
func (r *Reconciler) all(ctx context.Context) []reconcile.Request {
	var list v1alpha1.RobustMQClusterList
	if err := r.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "listing clusters")
		return nil
	}
	requests := make([]reconcile.Request, 0, len(list.Items))
	for i := range list.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return requests
}

// ofCluster: the objects of a cluster have its name.
func ofCluster(o *metav1.PartialObjectMetadata) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(o)}}
}
