package config_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// component is the optional kustomization by which cert-manager makes the certificate of the webhooks.
type component struct {
	Resources []string
	Patches   []struct {
		Target struct{ Kind, Name string }
		Patch  string
	}
}

// operations are the JSON patches of a component for objects of a kind; "" stands for the patches of several kinds.
func (c component) operations(t *testing.T, kind string) map[string][]any {
	t.Helper()
	by := map[string][]any{}
	for _, p := range c.Patches {
		if p.Target.Name == "" || p.Target.Kind != kind {
			continue
		}
		var ops []struct {
			Op, Path string
			Value    any
		}
		if err := yaml.UnmarshalStrict([]byte(p.Patch), &ops); err != nil {
			t.Fatal(err)
		}
		for _, o := range ops {
			by[o.Path] = append(by[o.Path], o.Value)
		}
	}
	return by
}

func TestWhatCertManagerMakesIsWhatTheOperatorServesAndTheAPIServerTrusts(t *testing.T) {
	text, err := os.ReadFile("cert-manager/kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		component        `json:",inline"`
		APIVersion, Kind string
	}
	if err := yaml.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	made := map[string]*unstructured.Unstructured{}
	for _, u := range objects(t, "cert-manager") {
		made[u.GetKind()+" "+u.GetName()] = u
	}
	field := func(object string, path ...string) string {
		t.Helper()
		u := made[object]
		if u == nil {
			t.Fatalf("no %s among %d", object, len(made))
		}
		value, _, err := unstructured.NestedString(u.Object, append([]string{"spec"}, path...)...)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	// serving certificate <- issuer <- authority <- self-signed issuer
	serving, authority := "Certificate robustmq-operator-webhook", "Certificate robustmq-operator-webhook-authority"
	if got, want := field("Issuer "+field(serving, "issuerRef", "name"), "ca", "secretName"), field(authority, "secretName"); got != want {
		t.Errorf("the issuer signs with %q, the authority is in %q", got, want)
	}
	if u := made["Issuer "+field(authority, "issuerRef", "name")]; u == nil {
		t.Error("nobody issues the authority")
	}
	if got := field(authority, "privateKey", "rotationPolicy"); got != "Never" {
		t.Errorf("the authority's key is rotated (%q): what was signed before would be refused", got)
	}
	service := find[corev1.Service](t, objects(t, "webhook"), "Service", "robustmq-operator-webhook")
	names, _, err := unstructured.NestedStringSlice(made[serving].Object, "spec", "dnsNames")
	if err != nil || !slices.Contains(names, service.Name+"."+service.Namespace+".svc") {
		t.Errorf("the certificate is for %v, %v; the API server calls %s.%s.svc", names, err, service.Name, service.Namespace)
	}
	configurations := all.operations(t, "")["/metadata/annotations"]
	if len(configurations) != 1 || configurations[0].(map[string]any)["cert-manager.io/inject-ca-from"] != operatorNamespace+"/"+strings.TrimPrefix(serving, "Certificate ") {
		t.Errorf("the authority is injected from %v", configurations)
	}
	theOperatorReadsTheMountedSecret(t, all.operations(t, "Deployment"), field(serving, "secretName"))
}

func theOperatorReadsTheMountedSecret(t *testing.T, patch map[string][]any, secret string) {
	t.Helper()
	const container = "/spec/template/spec/containers/0"
	args := patch[container+"/args/-"]
	mount := patch[container+"/volumeMounts/-"][0].(map[string]any)
	volume := patch["/spec/template/spec/volumes/-"][0].(map[string]any)
	for _, want := range []any{"--webhook-self-signed=false", "--webhook-cert-dir=" + mount["mountPath"].(string)} {
		if !slices.Contains(args, want) {
			t.Errorf("the arguments are %v: want %v", args, want)
		}
	}
	if volume["name"] != mount["name"] || volume["secret"].(map[string]any)["secretName"] != secret {
		t.Errorf("%v is mounted by %v; cert-manager writes into %q", volume, mount, secret)
	}
	// 0440 in YAML is octal; the pod's group has to be able to read it
	pod := find[appsv1.Deployment](t, objects(t, "manager"), "Deployment", "robustmq-operator").Spec.Template.Spec
	if pod.SecurityContext.FSGroup == nil {
		t.Error("no fsGroup: the operator's user could not read the key")
	}
}
