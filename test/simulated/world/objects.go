package world

import (
	"cmp"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/yaml"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// everything lists the kinds that a world may hold, owners first.
func everything() []client.Object {
	return []client.Object{
		&v1alpha1.RobustMQRestore{}, &v1alpha1.RobustMQBackup{}, &v1alpha1.RobustMQCluster{}, &batchv1.Job{}, &appsv1.StatefulSet{}, &corev1.Pod{}, &corev1.PersistentVolumeClaim{}, &corev1.Secret{}, &corev1.ConfigMap{}, &corev1.Service{}, &corev1.ServiceAccount{},
		&policyv1.PodDisruptionBudget{}, &networkingv1.NetworkPolicy{}, &networkingv1.Ingress{}, &eventsv1.Event{},
	}
}

// Apply creates the cluster of a manifest, or brings it to the manifest's spec, as `kubectl apply --server-side` does.
func (w *World) Apply(manifest string) *v1alpha1.RobustMQCluster {
	w.T.Helper()
	u := map[string]any{}
	if err := yaml.Unmarshal([]byte(manifest), &u); err != nil {
		w.T.Fatalf("manifest: %v", err)
	}
	o := unstructuredOf(u)
	o.SetNamespace(w.Namespace)
	if err := w.Client.Apply(w.ctx, client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("kubectl"), client.ForceOwnership); err != nil {
		w.T.Fatalf("apply: %v", err)
	}
	return w.Cluster(o.GetName())
}

// Versions are the resource versions of all objects of the world, but for events.
func (w *World) Versions() map[string]string {
	w.T.Helper()
	all := map[string]string{}
	for _, kind := range everything() {
		if _, ok := kind.(*eventsv1.Event); ok {
			continue
		}
		list := listOf(w, kind)
		for _, o := range list {
			all[o.kind+"/"+o.name] = o.version
		}
	}
	return all
}

// Objects are all objects of the world but its Secrets, as JSON, by kind and name.
func (w *World) Objects() map[string]string {
	w.T.Helper()
	all := map[string]string{}
	for _, kind := range everything() {
		if _, ok := kind.(*corev1.Secret); ok {
			continue
		}
		gvk, err := apiutil.GVKForObject(kind, w.Env.Scheme)
		if err != nil {
			w.T.Fatal(err)
		}
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
		if err := w.Client.List(w.ctx, list, client.InNamespace(w.Namespace)); err != nil {
			w.T.Fatalf("list %s: %v", gvk.Kind, err)
		}
		for _, o := range list.Items {
			text, err := o.MarshalJSON()
			if err != nil {
				w.T.Fatal(err)
			}
			all[gvk.Kind+" "+o.GetName()] = string(text)
		}
	}
	return all
}

// Event is one event of the namespace.
type Event struct {
	When                    time.Time
	Object, Reason, Message string
	Type                    string // Normal or Warning
}

// Events are the namespace's events, oldest first.
func (w *World) Events() []Event {
	var list eventsv1.EventList
	if err := w.Client.List(w.ctx, &list, client.InNamespace(w.Namespace)); err != nil {
		w.T.Logf("list events: %v", err)
		return nil
	}
	var all []Event
	for _, e := range list.Items {
		when := e.EventTime.Time
		if when.IsZero() {
			when = e.DeprecatedFirstTimestamp.Time
		}
		all = append(all, Event{When: when, Object: e.Regarding.Name, Reason: e.Reason, Message: e.Note, Type: e.Type})
	}
	slices.SortStableFunc(all, func(a, b Event) int { return cmp.Compare(a.When.UnixNano(), b.When.UnixNano()) })
	return all
}
