package monitoring

import (
	"context"
	"fmt"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/metadata"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/cluster"
	"github.com/robustmq/robustmq-operator/controllers/trigger"
	"github.com/robustmq/robustmq-operator/monitoring"
	"github.com/robustmq/robustmq-operator/monitoring/dashboards"
)

const (
	// componentDashboards is the role label of their objects.
	componentDashboards = "dashboards"
	// annotationFolder names the folder of Grafana: its charts' sidecar can be told to heed it.
	annotationFolder = "grafana_folder"
	folder           = "RobustMQ"
)

// DefaultDashboardLabels are those by which the sidecar of Grafana's Helm charts finds ConfigMaps with dashboards.
func DefaultDashboardLabels() map[string]string {
	return map[string]string{dashboards.SidecarLabel: "1"}
}

// Dashboards keeps one set of dashboards for all clusters, in the operator's namespace, while any cluster wants them. A set for each would give Grafana several of one uid, and each shows the
// cluster that is chosen anyway.
type Dashboards struct {
	client.Client
	Reader client.Reader
	// Namespace is the operator's own.
	Namespace string
	// Labels by which Grafana finds the ConfigMaps.
	Labels map[string]string
	// All gives the dashboards.
	All func() ([]dashboards.Dashboard, error)
	// Record takes what went wrong.
	Record *Record
	// Work counts passes and writes; nil: nobody counts.
	Work *monitoring.Work
	// Timings are the default ones where they are zero.
	Timings Timings

	keeper          keeper
	configs, custom *follower
}

// SetupWithManager fills what it was not given with its defaults and registers it.
func (d *Dashboards) SetupWithManager(mgr ctrl.Manager, o Options) error {
	if d.Client == nil {
		d.Client = mgr.GetClient()
	}
	d.Client = d.Work.Client(dashboardsName, d.Client)
	if d.Reader == nil {
		d.Reader = mgr.GetAPIReader()
	}
	if d.All == nil {
		d.All = dashboards.All
	}
	if d.Labels == nil {
		d.Labels = DefaultDashboardLabels()
	}
	if d.Record == nil {
		d.Record = NewRecord()
	}
	if d.Timings == (Timings{}) {
		d.Timings = DefaultTimings()
	}
	d.keeper.client, d.keeper.reader = d.Client, d.Reader
	objects, err := metadata.NewForConfig(mgr.GetConfig())
	if err != nil {
		return fmt.Errorf("client for dashboards: %w", err)
	}
	for kind, into := range map[*kind]**follower{&configMaps: &d.configs, &grafanaDashboards: &d.custom} {
		*into = &follower{
			kind: *kind, namespaces: []string{d.Namespace}, selector: labels.Set{v1alpha1.LabelManaged: v1alpha1.ManagedBy, v1alpha1.LabelRole: componentDashboards}.String(),
			client: objects, log: mgr.GetLogger().WithName("monitoring"), lookAgain: d.Timings.LookAgain,
		}
	}
	o.Concurrency = 1
	the := []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: d.Namespace, Name: componentDashboards}}}
	return ctrl.NewControllerManagedBy(mgr).
		Named(dashboardsName).
		WithOptions(o.Controller(firstRetry, lastRetry)).
		Watches(&v1alpha1.RobustMQCluster{}, trigger.After(d.Timings.Settle, func(context.Context, client.Object) []reconcile.Request { return the }),
			builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, trigger.Deleted()))).
		WatchesRawSource(following(
			func(context.Context) []reconcile.Request { return the }, func(*metav1.PartialObjectMetadata) []reconcile.Request { return the }, d.configs, d.custom,
		)).
		Complete(d.Work.Reconciler(dashboardsName, d))
}

// Reconcile makes the dashboards, or removes them; whatever is there with their label and is none of them goes.
func (d *Dashboards) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	if d.configs.availability() == unknown || d.custom.availability() == unknown {
		return ctrl.Result{}, nil // it will be told
	}
	wanted, err := d.wanted(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	outcomes := []outcome{{kind: configMaps, is: d.configs.availability()}}
	note := func(k kind, err error) {
		if err != nil {
			outcomes = append(outcomes, outcome{kind: k, is: available, err: err})
		}
	}
	kept := map[string]bool{}
	for _, o := range wanted {
		kept[keyOf(o)] = true
		if f := d.of(o); f.availability() == available {
			note(f.kind, d.keeper.keep(ctx, o, f.get(client.ObjectKeyFromObject(o))))
		}
	}
	for _, f := range []*follower{d.configs, d.custom} {
		for _, seen := range f.list() {
			if f.availability() == available && seen.DeletionTimestamp == nil && !kept[f.kind.Kind+" "+client.ObjectKeyFromObject(seen).String()] {
				note(f.kind, d.keeper.remove(ctx, f.kind, seen))
			}
		}
	}
	var why *cluster.MonitoringFound
	if found := judge(outcomes); len(wanted) > 0 && found.Status != metav1.ConditionTrue {
		found.Message = "dashboards: " + found.Message
		why = &found
		monitoring.Waiting(ctx)
	}
	d.Record.setDashboards(why)
	return next(outcomes, d.Timings.Refused)
}

func (d *Dashboards) of(o client.Object) *follower {
	if o.GetObjectKind().GroupVersionKind() == configMaps.GroupVersionKind {
		return d.configs
	}
	return d.custom
}

// wanted are the objects of all dashboards while some cluster wants them, and none otherwise.
func (d *Dashboards) wanted(ctx context.Context) ([]client.Object, error) {
	var list v1alpha1.RobustMQClusterList
	if err := d.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing clusters: %w", err)
	}
	if !anyWants(list.Items) {
		return nil, nil
	}
	all, err := d.All()
	if err != nil {
		return nil, fmt.Errorf("dashboards: %w", err)
	}
	var objects []client.Object
	for _, one := range all {
		config := dashboards.ConfigMap(one, d.Namespace, d.labels())
		config.Annotations = map[string]string{annotationFolder: folder}
		objects = append(objects, config)
	}
	for _, one := range all {
		objects = append(objects, dashboards.GrafanaDashboard(one, d.Namespace, d.labels()))
	}
	return objects, nil
}

func anyWants(clusters []v1alpha1.RobustMQCluster) bool {
	for i := range clusters {
		m := clusters[i].Spec.Monitoring
		if clusters[i].DeletionTimestamp.IsZero() && ptr.Deref(m.Enabled, true) && ptr.Deref(m.Dashboards, true) {
			return true
		}
	}
	return false
}

// labels of the objects: those by which Grafana finds them, and ours over them.
func (d *Dashboards) labels() map[string]string {
	l := maps.Clone(d.Labels)
	if l == nil {
		l = map[string]string{}
	}
	maps.Copy(l, map[string]string{
		"app.kubernetes.io/name": v1alpha1.ManagedBy, v1alpha1.LabelRole: componentDashboards, v1alpha1.LabelManaged: v1alpha1.ManagedBy,
	})
	return l
}
