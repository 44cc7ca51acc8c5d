package bench

import (
	"testing"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/robustmq/robustmq-operator/test/apiserver"
)

// What is compared is remembered, and of a StatefulSet the cache has no template: neither may hide a change.
func TestWhatSomebodyChangedByHandIsPutBackAndNothingElseIsWritten(t *testing.T) {
	apiserver.Need(t)
	log.SetLogger(logr.Discard())
	r, writes, cluster := converged(t)
	named := func(suffix string) client.ObjectKey {
		return client.ObjectKey{Namespace: cluster.Namespace, Name: cluster.Name + suffix}
	}
	pass := func() {
		t.Helper()
		_, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: cluster})
		must(t, err)
	}
	grace := func(o client.Object) bool {
		return *o.(*appsv1.StatefulSet).Spec.Template.Spec.TerminationGracePeriodSeconds == 5
	}
	for _, c := range []struct {
		what   string
		key    client.ObjectKey
		object client.Object
		patch  string
		wrong  func(client.Object) bool
	}{
		{"the template of a StatefulSet", named("-mqtt-broker"), &appsv1.StatefulSet{}, `{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":5}}}}`, grace},
		{"the template again, in the same way", named("-mqtt-broker"), &appsv1.StatefulSet{}, `{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":5}}}}`, grace},
		{"a label of a StatefulSet", named("-mqtt-broker"), &appsv1.StatefulSet{}, `{"metadata":{"labels":{"app.kubernetes.io/name":"mine"}}}`, func(o client.Object) bool {
			return o.GetLabels()["app.kubernetes.io/name"] == "mine"
		}},
		{"whom a Service selects", named(""), &corev1.Service{}, `{"spec":{"selector":{"app.kubernetes.io/name":"mine"}}}`, func(o client.Object) bool {
			return o.(*corev1.Service).Spec.Selector["app.kubernetes.io/name"] == "mine"
		}},
		{"whom a PodDisruptionBudget protects", named("-placement-center"), &policyv1.PodDisruptionBudget{}, `{"metadata":{"labels":{"app.kubernetes.io/name":"mine"}}}`, func(o client.Object) bool {
			return o.GetLabels()["app.kubernetes.io/name"] == "mine"
		}},
	} {
		must(t, r.Reader.Get(t.Context(), c.key, c.object))
		must(t, r.Patch(t.Context(), c.object, client.RawPatch(types.MergePatchType, []byte(c.patch)), client.FieldOwner("somebody")))
		if !c.wrong(c.object) {
			t.Fatalf("%s was not changed", c.what)
		}
		await(t, c.what+" to be put back", func() bool {
			pass()
			must(t, r.Reader.Get(t.Context(), c.key, c.object))
			return !c.wrong(c.object)
		})
	}
	await(t, "rest", func() bool {
		before := *writes
		pass()
		return *writes == before
	})
}
