package admission_test

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/apiserver"
	"github.com/robustmq/robustmq-operator/webhooks"
)

// gone is an API server from which the operator was removed and its webhook configurations were not, and in it a cluster, one with a finalizer, one that is protected, and a policy.
type gone struct {
	*testing.T
	client.Client
	before client.Client // what was there before
}

func newGone(t *testing.T) *gone {
	t.Helper()
	w := start(t, 0, webhooks.Lifetimes{})
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	// The webhooks are not asked about what the operator's account does: so there can be something.
	config := rest.CopyConfig(w.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: apiserver.OperatorUser, Groups: []string{"system:masters"}}
	g := &gone{T: t}
	var err error
	if g.Client, err = client.New(w.Config, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	if g.before, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*v1alpha1.RobustMQCluster{cluster("plain"), cluster("held"), cluster("protected"), cluster("last")} {
		switch c.Name {
		case "held":
			c.Finalizers = []string{"example.com/wait"}
		case "protected":
			c.Annotations = map[string]string{protection: "true"}
		}
		g.must(g.before.Create(t.Context(), c))
	}
	g.must(g.before.Create(t.Context(), policy("p")))
	return g
}

const protection = "robustmq.io/deletion-protection"

func cluster(name string) *v1alpha1.RobustMQCluster {
	c := &v1alpha1.RobustMQCluster{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	c.Spec.Version = "0.4.11"
	c.Spec.PlacementCenter.Replicas, c.Spec.MQTTBroker.Replicas = 3, 3
	return c
}

func policy(name string) *v1alpha1.RobustMQPolicy {
	least := int32(1)
	p := &v1alpha1.RobustMQPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	p.Spec.Requirements.MinimumPlacementCenterReplicas = &least
	return p
}

func (g *gone) must(err error) {
	g.Helper()
	if err != nil {
		g.Fatal(err)
	}
}

// refused wants an error that says which webhook did not answer.
func (g *gone) refused(what, webhook string, err error) {
	g.Helper()
	if err == nil || !strings.Contains(err.Error(), `failed calling webhook "`+webhook+`"`) {
		g.Errorf("%s: %v, want a refusal that names %s", what, err, webhook)
	}
}

func (g *gone) patch(o client.Object, text string) error {
	return g.Patch(g.Context(), o, client.RawPatch(types.MergePatchType, []byte(text)))
}

func (g *gone) noLongerThere(o client.Object) {
	g.Helper()
	key := client.ObjectKeyFromObject(o)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(3 * time.Minute); ; {
		err := g.Get(g.Context(), key, o)
		if apierrors.IsNotFound(err) {
			return
		}
		select {
		case <-deadline:
			state, _ := yaml.Marshal(o)
			g.Fatalf("%T %s is still there: %v\n%s", o, key, err, state)
		case <-tick.C:
		}
	}
}

// served waits until the objects of a definition can be listed, from what the API server has read of its storage as well.
func (g *gone) served(d *apiextensionsv1.CustomResourceDefinition) {
	g.Helper()
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(schema.GroupVersionKind{Group: d.Spec.Group, Version: d.Spec.Versions[0].Name, Kind: d.Spec.Names.ListKind})
	err := wait.PollUntilContextTimeout(g.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		return g.List(ctx, list, &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: "0"}}) == nil, nil
	})
	if err != nil {
		g.Fatalf("%s cannot be listed: %v", d.Name, err)
	}
}

// TestAnOperatorThatIsGoneBlocksNothingButNewSpecs: its webhook configurations are left behind with failurePolicy Fail, and nobody answers.
func TestAnOperatorThatIsGoneBlocksNothingButNewSpecs(t *testing.T) {
	g := newGone(t)
	ctx := t.Context()

	// Refused, in words that say why: what nobody could judge.
	g.refused("a new cluster", "clusters.robustmq.io", g.Create(ctx, cluster("new")))
	half := cluster("half")
	half.Spec.Listeners.MQTT = &v1alpha1.ListenerSpec{Port: 2883}
	g.refused("one of which a listener is half given", "default.clusters.robustmq.io", g.Create(ctx, half))
	g.refused("another spec", "clusters.robustmq.io", g.patch(cluster("plain"), `{"spec":{"mqttBroker":{"replicas":5}}}`))
	g.refused("a scaling", "scale.clusters.robustmq.io", g.SubResource("scale").Patch(ctx, cluster("plain"), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":5}}`))))
	g.refused("a new policy", "policies.robustmq.io", g.Create(ctx, policy("new")))

	// Everything else goes on.
	for what, err := range map[string]error{
		"a label":                g.patch(cluster("plain"), `{"metadata":{"labels":{"a":"b"}}}`),
		"an annotation":          g.patch(cluster("plain"), `{"metadata":{"annotations":{"a":"b"}}}`),
		"the status":             g.Status().Patch(ctx, cluster("plain"), client.RawPatch(types.MergePatchType, []byte(`{"status":{"founded":true}}`))),
		"a policy's label":       g.patch(policy("p"), `{"metadata":{"labels":{"a":"b"}}}`),
		"other people's objects": g.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "x"}}),
		"deletion":               g.Delete(ctx, cluster("plain")),
		"deletion of one that somebody's finalizer holds": g.Delete(ctx, cluster("held")),
		"deletion of a policy":                            g.Delete(ctx, policy("p")),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	g.must(g.patch(cluster("held"), `{"metadata":{"finalizers":null}}`))
	g.noLongerThere(cluster("held"))
	g.noLongerThere(cluster("plain"))

	// Protected is protected, and whoever may take the protection off still may.
	g.refused("deletion of a protected cluster", "deletion.clusters.robustmq.io", g.Delete(ctx, cluster("protected")))
	g.must(g.patch(cluster("protected"), `{"metadata":{"annotations":{"`+protection+`":null}}}`))

	// What a namespace that is deleted does with its contents.
	g.must(g.DeleteAllOf(ctx, &v1alpha1.RobustMQCluster{}, client.InNamespace("default")))
	g.noLongerThere(cluster("protected"))
	g.noLongerThere(cluster("last"))
}

// TestTheDefinitionsGoFirst: with clusters in them, protected ones too, and with nobody behind the webhooks.
func TestTheDefinitionsGoFirst(t *testing.T) {
	g := newGone(t)
	g.must(g.patch(cluster("held"), `{"metadata":{"finalizers":null}}`)) // somebody else's: he would be waited for
	var all apiextensionsv1.CustomResourceDefinitionList
	g.must(g.List(t.Context(), &all))
	if len(all.Items) < 2 {
		t.Fatalf("%d definitions", len(all.Items))
	}
	// The API server clears a definition's objects out through a storage that it makes when somebody first asks. One that is still being made when the definition goes is asked again at intervals
	// that double (5 ms to 1000 s; "storage is (re)initializing"): minutes on a busy machine. Definitions that were never used before they went are not what this is about.
	for i := range all.Items {
		g.served(&all.Items[i])
	}
	for i := range all.Items {
		g.must(g.Delete(t.Context(), &all.Items[i]))
	}
	for i := range all.Items {
		g.noLongerThere(&all.Items[i])
	}
	// What is left of the installation is left alone by its remains, and can go.
	g.must(g.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "x"}}))
	g.must(g.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "robustmq-operator-system"}}))
}
