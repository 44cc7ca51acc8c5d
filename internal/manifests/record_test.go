package manifests

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"
)

// The recordings that equal_test.go reads are made by
//
//	KUBEBUILDER_ASSETS=<folder with kube-apiserver and etcd> go test ./internal/manifests -run TestRecord -record
//
// Everything that Equal is to agree with is asked of a real API server: whether applying again would change the object.
var record = flag.Bool("record", false, "record objects as a real API server has them (needs KUBEBUILDER_ASSETS)")

func TestRecordWhatAnAPIServerMakesOfTheObjects(t *testing.T) {
	if !*record {
		t.Skip("only with -record; the recordings are in testdata/recorded")
	}
	r := startRecorder(t)
	for _, name := range []string{"production", "single"} {
		cluster, in := sample(t, name)
		r.namespace(cluster.Namespace)
		for _, object := range everything(t, cluster, in) {
			r.checkConverged(object)
			if name == "production" {
				r.keep(object, strings.ToLower(object.GetObjectKind().GroupVersionKind().Kind)+"-"+short(cluster.Name, object.GetName())+"-as-applied")
			}
		}
	}

	cluster, in := sample(t, "production")
	r.statefulSets(StatefulSet(cluster, in, "PlacementCenter"))
	r.services(ClientService(cluster, in))
}

func short(cluster, name string) string {
	if name == cluster {
		return "client"
	}
	return strings.TrimPrefix(name, cluster+"-")
}

// statefulSets records what others do to a StatefulSet.
func (r *recorder) statefulSets(set *appsv1.StatefulSet) {
	key := client.ObjectKeyFromObject(set)
	edit := func(name string, change func(*appsv1.StatefulSet)) {
		r.t.Helper()
		live := &appsv1.StatefulSet{}
		r.must(r.Get(r.ctx, key, live))
		change(live)
		r.must(r.Update(r.ctx, live, client.FieldOwner("kubectl-edit")))
		r.keep(set, "statefulset-"+name)
		r.apply(set)
	}
	edit("others-added-a-sidecar", func(s *appsv1.StatefulSet) {
		s.Spec.Template.Spec.Containers = append(s.Spec.Template.Spec.Containers, corev1.Container{Name: "proxy", Image: "proxy"})
		s.Spec.Template.Spec.Containers[0].Env = append(s.Spec.Template.Spec.Containers[0].Env, corev1.EnvVar{Name: "ADDED", Value: "yes"})
		s.Annotations = map[string]string{"policies.example.com/seen": "yes"}
		s.Spec.Template.Labels["injected"] = "yes"
	})
	edit("others-changed-the-image", func(s *appsv1.StatefulSet) { s.Spec.Template.Spec.Containers[0].Image = "other" })
	edit("others-removed-a-probe", func(s *appsv1.StatefulSet) { s.Spec.Template.Spec.Containers[0].ReadinessProbe = nil })
	edit("others-changed-tolerations", func(s *appsv1.StatefulSet) {
		s.Spec.Template.Spec.Tolerations = append(s.Spec.Template.Spec.Tolerations, corev1.Toleration{Key: "x", Operator: corev1.TolerationOpExists})
	})
	edit("others-removed-a-label", func(s *appsv1.StatefulSet) { delete(s.Labels, labelName) })

	live := &appsv1.StatefulSet{}
	r.must(r.Get(r.ctx, key, live))
	r.must(r.SubResource("scale").Update(r.ctx, live, client.WithSubResourceBody(&autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: 1}}), client.FieldOwner("kubectl")))
	r.keep(set, "statefulset-others-scaled-it")
	r.apply(set)

	r.must(r.Get(r.ctx, key, live))
	live.Status.Replicas, live.Status.CurrentRevision = 5, "x"
	r.must(r.Status().Update(r.ctx, live, client.FieldOwner("kube-controller-manager")))
	r.keep(set, "statefulset-controller-wrote-the-status")

	without := set.DeepCopy()
	without.Spec.Template.Spec.PriorityClassName = ""
	r.keep(without, "statefulset-we-no-longer-want-a-field")
	without = set.DeepCopy()
	without.Spec.Template.Spec.Containers[0].Env = without.Spec.Template.Spec.Containers[0].Env[:1]
	r.keep(without, "statefulset-we-no-longer-want-a-list-item")
	reordered := set.DeepCopy()
	env := reordered.Spec.Template.Spec.Containers[0].Env
	env[0], env[1] = env[1], env[0]
	reordered.Spec.Template.Spec.Volumes[0], reordered.Spec.Template.Spec.Volumes[1] = reordered.Spec.Template.Spec.Volumes[1], reordered.Spec.Template.Spec.Volumes[0]
	r.keepAs(reordered, "statefulset-we-list-in-another-order", true) // the API server would reorder; for a pod nothing changes, and Equal spares the write
}

func (r *recorder) services(service *corev1.Service) {
	live := &corev1.Service{}
	r.must(r.Get(r.ctx, client.ObjectKeyFromObject(service), live))
	live.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}
	r.must(r.Status().Update(r.ctx, live, client.FieldOwner("cloud-controller-manager")))
	live.Finalizers = append(live.Finalizers, "service.kubernetes.io/load-balancer-cleanup")
	r.must(r.Update(r.ctx, live, client.FieldOwner("cloud-controller-manager")))
	r.keep(service, "service-with-a-load-balancer")

	fewer := service.DeepCopy()
	fewer.Spec.Ports = fewer.Spec.Ports[1:]
	r.keep(fewer, "service-we-no-longer-want-a-port")
	without := service.DeepCopy()
	without.Annotations = nil
	r.keep(without, "service-we-no-longer-want-annotations")
}

type recorder struct {
	client.Client
	t   *testing.T
	ctx context.Context
}

func startRecorder(t *testing.T) *recorder {
	ctx := t.Context()
	preserve := true
	environment := &envtest.Environment{CRDs: []*apiextensionsv1.CustomResourceDefinition{{
		ObjectMeta: metav1.ObjectMeta{Name: "certificates.cert-manager.io"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: CertificateKind.Group, Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "certificates", Kind: "Certificate"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &preserve}},
			}},
		},
	}}}
	config, err := environment.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = environment.Stop() })
	c, err := client.New(config, client.Options{Scheme: clientgoscheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	return &recorder{Client: c, t: t, ctx: ctx}
}

func (r *recorder) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *recorder) namespace(name string) {
	r.must(client.IgnoreAlreadyExists(r.Create(r.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}})))
}

func (r *recorder) apply(object client.Object) {
	r.t.Helper()
	applied, err := Applied(object)
	r.must(err)
	r.must(r.Apply(r.ctx, client.ApplyConfigurationFromUnstructured(applied), client.FieldOwner(testManager), client.ForceOwnership))
}

// checkConverged applies twice: the second time must change nothing, and Equal must have said so.
func (r *recorder) checkConverged(object client.Object) {
	r.t.Helper()
	r.apply(object)
	before := r.live(object)
	applied, err := Applied(object)
	r.must(err)
	if same, err := Equal(before, applied, testManager); err != nil || !same {
		r.t.Errorf("%s %s: Equal = %v, %v just after it was applied", applied.GetKind(), applied.GetName(), same, err)
	}
	r.apply(object)
	if after := r.live(object); after.GetResourceVersion() != before.GetResourceVersion() {
		r.t.Errorf("%s %s: the second apply changed it", applied.GetKind(), applied.GetName())
	}
}

func (r *recorder) live(object client.Object) client.Object {
	r.t.Helper()
	gvk := object.GetObjectKind().GroupVersionKind()
	var live client.Object = &unstructured.Unstructured{}
	if made, err := clientgoscheme.Scheme.New(gvk); err == nil {
		live = made.(client.Object)
	}
	live.GetObjectKind().SetGroupVersionKind(gvk)
	r.must(r.Get(r.ctx, client.ObjectKeyFromObject(object), live))
	live.GetObjectKind().SetGroupVersionKind(gvk)
	return live
}

// keep records the object as it is, and whether a dry run of applying wanted would change it.
func (r *recorder) keep(wanted client.Object, name string) {
	r.t.Helper()
	before := r.live(wanted)
	applied, err := Applied(wanted)
	r.must(err)
	dry := applied.DeepCopy()
	r.must(r.Apply(r.ctx, client.ApplyConfigurationFromUnstructured(dry), client.FieldOwner(testManager), client.ForceOwnership, client.DryRunAll))
	r.keepAs(wanted, name, fingerprint(r.t, dry) == fingerprint(r.t, before))
}

func (r *recorder) keepAs(wanted client.Object, name string, equal bool) {
	r.t.Helper()
	applied, err := Applied(wanted)
	r.must(err)
	live, err := runtime.DefaultUnstructuredConverter.ToUnstructured(r.live(wanted))
	r.must(err)
	prune(live)
	text, err := yaml.Marshal(recording{Equal: equal, Wanted: applied.Object, Live: live})
	r.must(err)
	r.must(os.MkdirAll("testdata/recorded", 0o755))
	r.must(os.WriteFile(filepath.Join("testdata/recorded", name+".yaml"), text, 0o644))
	if got, err := Equal(r.live(wanted), applied, testManager); err != nil || got != equal {
		r.t.Errorf("%s: Equal = %v, %v; the API server says %v", name, got, err, equal)
	}
}

// fingerprint is the whole object but for what every write changes.
func fingerprint(t *testing.T, object client.Object) string {
	t.Helper()
	content, err := contentOf(object)
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetResourceVersion("")
	u.SetGeneration(0)
	u.SetUID(types.UID(""))
	u.SetCreationTimestamp(metav1.Time{})
	fields := u.GetManagedFields()
	for i := range fields {
		fields[i].Time = nil
	}
	u.SetManagedFields(fields)
	return mustYAML(t, u.Object)
}
