package cluster

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/google/uuid"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/registration"
	"github.com/robustmq/robustmq-operator/controllers/trigger"
	"github.com/robustmq/robustmq-operator/internal/pki"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// controllerName is the name in logs and metrics.
const controllerName = "robustmqcluster"

// Options shape the controller.
type Options struct {
	registration.Options
	// NoMachines: the operator may not read Kubernetes nodes and PersistentVolumes.
	NoMachines bool
}

// SetupWithManager fills what the reconciler was not given with its defaults and registers it.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, o Options) error {
	name := o.Named(controllerName)
	r.setDefaults(mgr)
	if err := indexByCluster(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	r.indexed = true
	work := r.Metrics.Counts()
	r.Client = work.Client(name, r.Client)
	if !o.NoMachines && r.Machines == nil {
		r.Machines = mgr.GetClient()
	}
	toCluster := trigger.Labelled(v1alpha1.LabelCluster)
	building := ctrl.NewControllerManagedBy(mgr).
		Named(name).
		// An error is tried again soon, and never later than a quiet cluster is looked at anyway.
		WithOptions(o.Controller(100*time.Millisecond, 30*time.Second)).
		// Our own status writes need no second look; an annotation (adopt this volume) does.
		For(&v1alpha1.RobustMQCluster{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}, trigger.Deleted())))
	// By the label, which all of them carry: to look up the owner's kind at each event was a fortieth of all garbage.
	for _, labelled := range []client.Object{
		&corev1.Pod{}, &corev1.PersistentVolumeClaim{}, &appsv1.StatefulSet{}, &corev1.Service{}, &corev1.Secret{}, &corev1.ServiceAccount{}, &policyv1.PodDisruptionBudget{}, &networkingv1.NetworkPolicy{}, &networkingv1.Ingress{},
	} {
		building = building.Watches(labelled, toCluster)
	}
	if r.Machines != nil {
		building = building.Watches(&corev1.Node{}, handler.EnqueueRequestsFromMapFunc(r.clustersOn), builder.WithPredicates(machineChanges()))
	}
	if r.Restores != nil {
		building = building.Watches(&v1alpha1.RobustMQRestore{}, handler.EnqueueRequestsFromMapFunc(clusterOfRestore), builder.WithPredicates(restoreSteps()))
	}
	return building.Complete(work.Reconciler(name, r))
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
	if r.NewUID == nil {
		r.NewUID = uuid.NewString
	}
	if r.Random == nil {
		r.Random = rand.Reader
	}
	if r.Timings == (Timings{}) {
		r.Timings = DefaultTimings()
	}
	if r.Limits == (topology.Limits{}) {
		r.Limits = topology.DefaultLimits()
	}
	if r.PKIRules == (pki.Rules{}) {
		r.PKIRules = pki.DefaultRules()
	}
	if r.ClusterDomain == "" {
		r.ClusterDomain = "cluster.local"
	}
}
