package policy

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/registration"
	"github.com/robustmq/robustmq-operator/controllers/trigger"
	"github.com/robustmq/robustmq-operator/monitoring"
)

// controllerName is the name in logs and metrics.
const controllerName = "robustmqpolicy"

// settle is how long the controller waits after a change before it audits: a burst of changes is one audit, and a policy is audited no more than about once in this time.
const settle = 2 * time.Second

// Auditor audits clusters against policies, at every change of a policy, a cluster's spec or a namespace's labels. One replica does.
type Auditor struct {
	// Source holds the policies and the namespaces.
	Source *Source
	// ServerImage is what the operator runs where a cluster names no image, with {version} in it; empty: the usual one.
	ServerImage string
	// Settle is how long to wait for further changes; 2 s when zero.
	Settle time.Duration
	// Now is the time; time.Now when nil.
	Now func() time.Time
	// Metrics takes the metric; the manager's own registry when nil.
	Metrics prometheus.Registerer
	// Work counts passes and writes; nil: nobody counts.
	Work *monitoring.Work

	mgr      ctrl.Manager
	clusters client.Reader
	status   client.SubResourceWriter
	found    *violations
}

// SetupWithManager adds source and auditor to a manager. Neither keeps it from starting, whatever the API server has.
func (a *Auditor) SetupWithManager(mgr ctrl.Manager) error {
	if a.Settle == 0 {
		a.Settle = settle
	}
	if a.Now == nil {
		a.Now = time.Now
	}
	if a.Metrics == nil {
		a.Metrics = metrics.Registry
	}
	a.mgr, a.clusters, a.status, a.found = mgr, mgr.GetCache(), a.Work.Client(controllerName, mgr.GetClient()).Status(), newViolations()
	if err := a.Metrics.Register(a.found.gauge); err != nil {
		return fmt.Errorf("metric of violations: %w", err)
	}
	if err := mgr.Add(a.Source); err != nil {
		return fmt.Errorf("adding the source of policies: %w", err)
	}
	if err := mgr.Add(a); err != nil {
		return fmt.Errorf("adding the audit of policies: %w", err)
	}
	return nil
}

// NeedLeaderElection is true: one replica writes the status.
func (a *Auditor) NeedLeaderElection() bool { return true }

// Start audits from the moment when policies can be read, until the context ends. What goes wrong is said and does not end the operator, whose clusters need no policy.
func (a *Auditor) Start(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-a.Source.synced:
	}
	c, err := a.controller()
	if err == nil {
		err = c.Start(ctx)
	}
	if err != nil && ctx.Err() == nil {
		a.mgr.GetLogger().Error(err, "policies are not audited; they hold at admission all the same")
	}
	return nil
}

// controller is one that the manager does not know: the manager would wait for a kind that need not exist.
func (a *Auditor) controller() (controller.Controller, error) {
	options := registration.Options{SkipNameValidation: true}.Controller(a.Settle, time.Minute)
	options.Reconciler, options.Logger = a.Work.Reconciler(controllerName, a), a.mgr.GetLogger().WithName(controllerName)
	c, err := controller.NewUnmanaged(controllerName, options)
	if err != nil {
		return nil, fmt.Errorf("controller of policies: %w", err)
	}
	for _, s := range []source.Source{
		source.Kind[client.Object](a.Source.cache, &v1alpha1.RobustMQPolicy{}, trigger.After(a.Settle, itself), predicate.GenerationChangedPredicate{}),
		source.Kind[client.Object](a.Source.cache, namespaceMeta(), trigger.After(a.Settle, a.all), predicate.LabelChangedPredicate{}),
		source.Kind[client.Object](a.mgr.GetCache(), &v1alpha1.RobustMQCluster{}, trigger.After(a.Settle, a.all), predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, trigger.Deleted())),
	} {
		if err := c.Watch(s); err != nil {
			return nil, fmt.Errorf("watching for the audit of policies: %w", err)
		}
	}
	return c, nil
}

func itself(_ context.Context, o client.Object) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: o.GetName()}}}
}

// all policies: which of them select a cluster's or a namespace's labels, before or after the change, is for the audit to find.
func (a *Auditor) all(ctx context.Context, _ client.Object) []reconcile.Request {
	var list v1alpha1.RobustMQPolicyList
	if err := a.Source.cache.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		a.mgr.GetLogger().Error(err, "listing policies")
		return nil
	}
	var all []reconcile.Request
	for i := range list.Items {
		all = append(all, itself(ctx, &list.Items[i])...)
	}
	return all
}

// Reconcile audits one policy and writes its status where that differs.
func (a *Auditor) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var p v1alpha1.RobustMQPolicy
	if err := a.Source.cache.Get(ctx, req.NamespacedName, &p); apierrors.IsNotFound(err) {
		a.found.forget(req.Name)
		return reconcile.Result{}, nil
	} else if err != nil {
		return reconcile.Result{}, fmt.Errorf("reading policy %s: %w", req.Name, err)
	}
	clusters, err := a.selected(ctx, &p)
	if err != nil {
		return reconcile.Result{}, err
	}
	f := audit(&p, clusters, a.ServerImage)
	a.found.set(p.Name, f.bySeries)
	is := p.DeepCopy()
	is.Status = f.status(&p, metav1.NewTime(a.Now().Truncate(time.Second)))
	if equality.Semantic.DeepEqual(p.Status, is.Status) {
		return reconcile.Result{}, nil
	}
	if err := a.status.Patch(ctx, is, client.MergeFrom(&p)); client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("writing the status of policy %s: %w", p.Name, err)
	}
	return reconcile.Result{}, nil
}

// selected are the clusters in the namespaces that the policy selects, of those that the operator watches. They are the cache's own and must not be changed.
func (a *Auditor) selected(ctx context.Context, p *v1alpha1.RobustMQPolicy) ([]v1alpha1.RobustMQCluster, error) {
	selector, err := p.Selector()
	if err != nil {
		return nil, nil // it selects none, and the condition says why
	}
	namespaces := &metav1.PartialObjectMetadataList{}
	namespaces.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	if err := a.Source.cache.List(ctx, namespaces, client.MatchingLabelsSelector{Selector: selector}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the namespaces of policy %s: %w", p.Name, err)
	}
	chosen := map[string]bool{}
	for i := range namespaces.Items {
		chosen[namespaces.Items[i].Name] = true
	}
	var list v1alpha1.RobustMQClusterList
	if err := a.clusters.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing clusters for policy %s: %w", p.Name, err)
	}
	var out []v1alpha1.RobustMQCluster
	for _, c := range list.Items {
		if chosen[c.Namespace] && c.DeletionTimestamp.IsZero() {
			out = append(out, c)
		}
	}
	return out, nil
}
