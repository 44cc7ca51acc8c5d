package policies

import (
	"encoding/json"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// property is a field in the OpenAPI that the API server serves, which `kubectl explain` prints.
type property struct {
	Description          string              `json:"description"`
	Ref                  string              `json:"$ref"`
	AllOf                []property          `json:"allOf"`
	Properties           map[string]property `json:"properties"`
	Items                *property           `json:"items"`
	AdditionalProperties json.RawMessage     `json:"additionalProperties"`
	Kinds                []struct {
		Kind string `json:"kind"`
	} `json:"x-kubernetes-group-version-kind"`
}

// foreign are the fields whose contents Kubernetes itself documents.
var foreign = []string{"affinity", "tolerations", "topologySpreadConstraints", "clientsFrom", "monitoringFrom", "imagePullSecrets", "namespaceSelector"}

func TestEveryFieldOfEverySpecIsDocumentedWhereItIsServed(t *testing.T) {
	s := server(t)
	d, err := discovery.NewDiscoveryClientForConfig(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	paths, err := d.OpenAPIV3().Paths()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := paths["apis/"+v1alpha1.GroupVersion.String()].Schema("application/json")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Components struct {
			Schemas map[string]property `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(raw, &document); err != nil {
		t.Fatal(err)
	}
	kinds, fields := 0, 0
	for _, schema := range document.Components.Schemas {
		if len(schema.Kinds) != 1 || !strings.HasPrefix(schema.Kinds[0].Kind, "RobustMQ") || strings.HasSuffix(schema.Kinds[0].Kind, "List") {
			continue
		}
		kinds++
		walk(schema.Kinds[0].Kind+".spec", schema.Properties["spec"], func(path string, p property) {
			fields++
			description := p.Description
			for _, a := range p.AllOf {
				description += a.Description
			}
			if words := len(strings.Fields(description)); words < 4 {
				t.Errorf("%s is documented in %d words: %q", path, words, description)
			}
		})
	}
	if kinds != 4 || fields < 150 {
		t.Errorf("%d kinds with %d fields: the API server serves no documentation of them", kinds, fields)
	}
	t.Logf("%d kinds, %d fields", kinds, fields)
}

// walk visits a field and those in it, but not into what is Kubernetes' own.
func walk(path string, p property, visit func(string, property)) {
	visit(path, p)
	for _, f := range foreign {
		if strings.HasSuffix(path, "."+f) {
			return
		}
	}
	for name, child := range p.Properties {
		walk(path+"."+name, child, visit)
	}
	if p.Items != nil {
		for name, child := range p.Items.Properties {
			walk(path+"[]."+name, child, visit)
		}
	}
}

func TestKubectlExplainsThePlacementCentreAsADocumentWould(t *testing.T) {
	s := server(t)
	out, err := s.Kubectl(t.Context(), "default", "", "explain", "robustmqcluster.spec.placementCenter")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text := strings.Join(strings.Fields(out), " ")
	for _, want := range []string{"raft quorum that holds the metadata", "Default: 3 members of 10Gi", "replicas <integer>", "3 bear the loss of one", "Example: 50Gi", "never shrink", "can only be chosen when the cluster is created"} {
		if !strings.Contains(text, want) {
			t.Errorf("it lacks %q", want)
		}
	}
	t.Logf("%s", out)
}

func TestADryRunOnTheServerJudgesAndStoresNothing(t *testing.T) {
	s := server(t)
	s.webhooks(t, true)
	n := s.tenant(t, nil)
	for manifest, want := range map[string]string{members(3, ""): "", members(4, ""): "PlacementCenterOdd", members(3, ", config: {\"\": {broker_id: 7}}"): "ConfigReserved"} {
		for _, how := range [][]string{{}, {"--server-side"}} {
			err := n.kubectl(t, manifest, append([]string{"apply", "--dry-run=server", "-f", "-"}, how...)...)
			if (err == nil) != (want == "") || want != "" && !strings.Contains(err.Error(), want) {
				t.Errorf("%v: %v; want %q", how, err, want)
			}
		}
	}
	var list v1alpha1.RobustMQClusterList
	if err := n.List(t.Context(), &list, client.InNamespace(n.namespace)); err != nil || len(list.Items) != 0 {
		t.Errorf("after a dry run: %d clusters, %v", len(list.Items), err)
	}
	// The same through the API, all at once.
	u := bare(n.namespace)
	u.Object["spec"] = map[string]any{"version": "0.4.11"}
	if err := n.Create(t.Context(), u, &client.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Error(err)
	}
	if err := n.List(t.Context(), &list, client.InNamespace(n.namespace)); err != nil || len(list.Items) != 0 {
		t.Errorf("after a dry run: %d clusters, %v", len(list.Items), err)
	}
}
