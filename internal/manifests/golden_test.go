package manifests

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/pki"
)

var update = flag.Bool("update", false, "write the goldens anew")

// samples are the clusters of the goldens: testdata/<name>.yaml is what the user writes, testdata/<name>.golden.yaml what becomes of it.
var samples = []string{"sample-0.4.11", "sample-0.3.0", "production", "single"}

func sample(t testing.TB, name string) (*v1alpha1.RobustMQCluster, Inputs) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	cluster := &v1alpha1.RobustMQCluster{}
	if err := yaml.UnmarshalStrict(text, cluster); err != nil {
		t.Fatal(err)
	}
	cluster.UID = "00000000-0000-4000-8000-000000000001"
	cluster.Default()
	return cluster, inputsFor(cluster)
}

func inputsFor(cluster *v1alpha1.RobustMQCluster) Inputs {
	in := Inputs{
		ClusterUID: "00000000-0000-4000-8000-00000000000a", Generation: 1,
		ServerImage: ServerImage(cluster, "ghcr.io/robustmq/robustmq:v{version}"), AgentImage: "ghcr.io/robustmq/robustmq-agent:v1",
		ClusterDomain: "cluster.local", OperatorNamespace: "robustmq-operator-system",
		Replicas: map[v1alpha1.Role]int32{},
		Traits:   Traits{Islands: cluster.Spec.Version == "0.3.0", PrometheusPort: cluster.Spec.Version == "0.3.0"},
	}
	for _, role := range cluster.Spec.Roles() {
		in.Replicas[role.Role] = role.Replicas
	}
	return in
}

// everything is Objects and, before the StatefulSets as it were, the generated Secrets with values that are plainly no secrets.
func everything(t testing.TB, cluster *v1alpha1.RobustMQCluster, in Inputs) []client.Object {
	t.Helper()
	data := func(s string) map[string][]byte {
		return map[string][]byte{pki.KeyTrust: []byte(s), pki.KeyCert: []byte(s), pki.KeyKey: []byte(s)}
	}
	certs := pki.Secrets{Authority: data("authority"), Agent: data("agent"), Operator: data("operator"), Job: data("job")}
	if GeneratesServerTLS(cluster) {
		certs.Listener = data("listener")
	}
	var all []client.Object
	for _, s := range PKISecrets(cluster, certs) {
		all = append(all, s)
	}
	all = append(all, JWTSecret(cluster, "example"))
	if cluster.Spec.Auth.AdminSecretName == "" {
		all = append(all, AdminSecret(cluster, "example"))
	}
	if cluster.Spec.Auth.MQTTSecretName == "" {
		all = append(all, MQTTSecret(cluster, "example"))
	}
	objects, err := Objects(cluster, in)
	if err != nil {
		t.Fatal(err)
	}
	return append(all, objects...)
}

// render writes objects in the form in which they are applied. Secrets are shown as text: base64 hides a change from whoever reads the diff.
func render(t testing.TB, objects []client.Object) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, object := range objects {
		if secret, ok := object.(*corev1.Secret); ok {
			secret = secret.DeepCopy()
			secret.StringData = map[string]string{}
			for k, v := range secret.Data {
				secret.StringData[k] = string(v)
			}
			secret.Data, object = nil, secret
		}
		applied, err := Applied(object)
		if err != nil {
			t.Fatal(err)
		}
		text, err := yaml.Marshal(applied.Object)
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString("---\n")
		out.Write(text)
	}
	return out.Bytes()
}

func TestTheObjectsOfEverySampleAreTheGoldens(t *testing.T) {
	for _, name := range samples {
		t.Run(name, func(t *testing.T) {
			cluster, in := sample(t, name)
			got, file := render(t, everything(t, cluster, in)), filepath.Join("testdata", name+".golden.yaml")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("the objects differ from %s: go test ./internal/manifests -update writes it anew, git diff shows what changed\n%s", file, firstDifference(got, want))
			}
		})
	}
}

func firstDifference(got, want []byte) string {
	g, w := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range min(len(g), len(w)) {
		if !bytes.Equal(g[i], w[i]) {
			return "got:  " + string(g[i]) + "\nwant: " + string(w[i])
		}
	}
	return "one is longer than the other"
}

func TestTheSameInputGivesTheSameBytesTwice(t *testing.T) {
	for _, name := range samples {
		cluster, in := sample(t, name)
		before := cluster.DeepCopy()
		first := render(t, everything(t, cluster, in))
		for range 20 { // maps are walked in another order each time
			again, _ := sample(t, name)
			if !bytes.Equal(first, render(t, everything(t, again, in))) {
				t.Fatalf("%s: the second time is different", name)
			}
		}
		if a, b := mustYAML(t, before), mustYAML(t, cluster); a != b {
			t.Errorf("%s: building changed the cluster:\n%s\n%s", name, a, b)
		}
	}
}

// The controller builds objects anew only when one of these changes: the cluster's names and labels, its spec, and the inputs.
func TestNothingElseOfAClusterChangesItsObjects(t *testing.T) {
	for _, name := range samples {
		cluster, in := sample(t, name)
		both := func() string {
			return string(render(t, append(everything(t, cluster, in), Absent(cluster, in)...)))
		}
		before := both()
		cluster.ResourceVersion, cluster.Generation, cluster.GenerateName = "7", 7, "generated"
		cluster.CreationTimestamp = metav1.Now()
		cluster.DeletionTimestamp, cluster.DeletionGracePeriodSeconds = &cluster.CreationTimestamp, ptr.To(int64(7))
		cluster.Finalizers, cluster.OwnerReferences, cluster.ManagedFields = []string{"a"}, []metav1.OwnerReference{{UID: "a"}}, []metav1.ManagedFieldsEntry{{Manager: "a"}}
		cluster.TypeMeta = metav1.TypeMeta{}
		cluster.Status = v1alpha1.RobustMQClusterStatus{ClusterUID: "other", Generation: 7, Version: "0.4.9"}
		if after := both(); after != before {
			t.Errorf("%s: %s", name, firstDifference([]byte(after), []byte(before)))
		}
	}
}

func mustYAML(t testing.TB, v any) string {
	t.Helper()
	text, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
