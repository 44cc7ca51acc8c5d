package cluster

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

// settledCluster is a cluster whose objects are all there, and were seen as they are wanted.
func settledCluster(t *testing.T) (*Reconciler, *pass) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	server := fake.NewClientBuilder().WithScheme(scheme).Build()
	r := &Reconciler{Client: server, Reader: server, Now: time.Now, Timings: DefaultTimings()}
	cluster := sample("0.4.11")
	cluster.UID = "of-the-cluster"
	p := &pass{log: logr.Discard(), cluster: cluster, desired: cluster.DeepCopy(), memory: &memory{}, observed: &observation{}}
	p.desired.Default()
	p.inputs = manifests.Inputs{ClusterUID: "u", Generation: 1, ServerImage: "server", AgentImage: "agent", ClusterDomain: "cluster.local", OperatorNamespace: "operator"}
	objects, err := manifests.Objects(p.desired, p.inputs)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		live := object.DeepCopyObject().(client.Object)
		if err := r.Create(t.Context(), live); err != nil {
			t.Fatal(err)
		}
		seen, err := comparisonOf(live, object)
		if err != nil {
			t.Fatal(err)
		}
		p.memory.same(refOf(object), seen)
	}
	if err := r.applyObjects(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if len(p.templates) == 0 || len(p.memory.compared) != len(objects) || len(p.memory.objects.absent) == 0 {
		t.Fatalf("not settled: %+v", p.memory.objects)
	}
	return r, p
}

func settled(t *testing.T, r *Reconciler, p *pass) bool {
	t.Helper()
	origin, err := p.originOfObjects()
	if err != nil {
		t.Fatal(err)
	}
	is, err := r.stillSettled(t.Context(), p, origin)
	if err != nil {
		t.Fatal(err)
	}
	return is
}

func TestObjectsAreBuiltAnewWhenWhatTheyAreBuiltFromOrOneOfThemChanges(t *testing.T) {
	change := func(object client.Object, change func()) func(*testing.T, *Reconciler, *pass) {
		return func(t *testing.T, r *Reconciler, _ *pass) {
			t.Helper()
			if err := r.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
				t.Fatal(err)
			}
			change()
			if err := r.Update(t.Context(), object); err != nil {
				t.Fatal(err)
			}
		}
	}
	cluster := sample("0.4.11")
	agents := &corev1.Service{ObjectMeta: manifests.AgentsService(cluster).ObjectMeta}
	labelled := &corev1.Service{ObjectMeta: agents.ObjectMeta}
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace, Name: manifests.WorkloadName(cluster, v1alpha1.RolePlacementCenter)}}
	foreign := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace, Name: cluster.Name}}
	ours := foreign.DeepCopy()
	ours.OwnerReferences = []metav1.OwnerReference{{APIVersion: v1alpha1.GroupVersion.String(), Kind: "RobustMQCluster", Name: cluster.Name, UID: "of-the-cluster", Controller: ptr.To(true)}}
	create := func(object client.Object) func(*testing.T, *Reconciler, *pass) {
		return func(t *testing.T, r *Reconciler, _ *pass) {
			t.Helper()
			if err := r.Create(t.Context(), object); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		what   string
		change func(*testing.T, *Reconciler, *pass)
		want   bool
	}{
		{"nothing", func(*testing.T, *Reconciler, *pass) {}, true},
		{"the status", func(_ *testing.T, _ *Reconciler, p *pass) { p.desired.Status.Version = "0.4.10" }, true},
		{"the spec", func(_ *testing.T, _ *Reconciler, p *pass) {
			p.desired.Spec.MQTTBroker.Replicas++
		}, false},
		{"a size", func(_ *testing.T, _ *Reconciler, p *pass) {
			p.inputs.Replicas = map[v1alpha1.Role]int32{v1alpha1.RoleMQTTBroker: 1}
		}, false},
		{"the agent", func(_ *testing.T, _ *Reconciler, p *pass) { p.inputs.AgentImage = "another" }, false},
		{"a label of the cluster", func(_ *testing.T, _ *Reconciler, p *pass) { p.desired.Labels = map[string]string{"a": "b"} }, false},
		{"the cluster is another", func(_ *testing.T, _ *Reconciler, p *pass) { p.desired.UID = "v" }, false},
		{"somebody changed a Service", change(agents, func() { agents.Spec.PublishNotReadyAddresses = false }), false},
		{"somebody labelled a Service", change(labelled, func() { labelled.Labels["a"] = "b" }), false},
		{"somebody labelled a StatefulSet", change(set, func() { set.Labels["a"] = "b" }), false},
		{"somebody deleted a StatefulSet", func(t *testing.T, r *Reconciler, _ *pass) {
			t.Helper()
			if err := r.Delete(t.Context(), set.DeepCopy()); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"something of ours that nobody wants", create(ours), false},
		{"something of others that nobody wants of us", create(foreign), true},
		{"an upgrade that cannot roll", func(_ *testing.T, _ *Reconciler, p *pass) { p.hop = &hop{pending: true} }, false},
		{"templates are held", func(_ *testing.T, _ *Reconciler, p *pass) { p.templatesHeld = true }, false},
		{"a spec that is refused", func(_ *testing.T, _ *Reconciler, p *pass) { p.upkeepOnly = true }, false},
		{"a StatefulSet is remade", func(_ *testing.T, _ *Reconciler, p *pass) { p.remade = []string{set.Name} }, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			r, p := settledCluster(t)
			built := maps.Clone(p.templates)
			c.change(t, r, p)
			p.templates = nil
			if is := settled(t, r, p); is != c.want {
				t.Fatalf("settled: %t", is)
			}
			if c.want && !maps.Equal(p.templates, built) {
				t.Errorf("templates %v, built as %v", p.templates, built)
			}
		})
	}
}

func TestWhatTheAPIServerRefusedIsNotSettled(t *testing.T) {
	r, p := settledCluster(t)
	refusing := apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, "s", errors.New("exceeded quota"))
	r.Client = interceptor.NewClient(r.Client.(client.WithWatch), interceptor.Funcs{
		Apply: func(context.Context, client.WithWatch, runtime.ApplyConfiguration, ...client.ApplyOption) error {
			return refusing
		},
	})
	p.desired.Spec.MQTTBroker.Replicas++ // all objects are there, as they were wanted before
	if err := r.applyObjects(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if len(p.waits) == 0 || settled(t, r, p) {
		t.Errorf("settled, with %d objects refused", len(p.waits))
	}
}
