package policies

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/fstest"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/robustmq/robustmq-operator/internal/validate"
)

const definitions = "../../config/crd"

// TestTheRulesOfADefinitionCostTheAPIServerLittle: what the smallest cluster's rules allocate in every API server, at each create and at each change, measured as allocations because those
// are the same on every machine, however busy it is. The functions are the API server's own. Without the rules the same objects cost about 270 kB at a create, and 680 kB at an update.
func TestTheRulesOfADefinitionCostTheAPIServerLittle(t *testing.T) {
	ruled, bare := definitionsOf(t, func(map[string]any) {}), definitionsOf(t, func(schema map[string]any) { delete(schema, "x-kubernetes-validations") })
	was := quickstart(t)
	is := was.DeepCopy()
	must(t, unstructured.SetNestedField(is.Object, int64(7), "spec", "mqttBroker", "replicas"))
	for _, c := range []struct {
		name  string
		old   *unstructured.Unstructured
		limit float64 // kB
	}{
		{"a create", nil, 215},
		{"an update", was, 345},
	} {
		t.Run(c.name, func(t *testing.T) {
			with, without := allocated(t, ruled, is, c.old), allocated(t, bare, is, c.old)
			t.Logf("%.0f kB with the rules, %.0f kB without", with, without)
			if got := with - without; got > c.limit || got < c.limit/2 {
				t.Errorf("the rules allocate %.0f kB, want at most %.0f and not much less, or the limit says nothing (api/v1alpha1/doc.go says what is dear)", got, c.limit)
			}
		})
	}
}

// allocated is how many kB the API server's judgement of an object allocates.
func allocated(t *testing.T, d *validate.Definitions, is, was *unstructured.Unstructured) float64 {
	t.Helper()
	judge := func() {
		_, errs, err := d.Admit(t.Context(), is, was)
		must(t, err)
		must(t, errs.ToAggregate())
	}
	judge() // compiles
	const runs = 50
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		judge()
	}
	runtime.ReadMemStats(&after)
	return float64(after.TotalAlloc-before.TotalAlloc) / runs / 1000
}

// definitionsOf are the installed ones, each object in their schemas changed.
func definitionsOf(t *testing.T, change func(schema map[string]any)) *validate.Definitions {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(definitions, "robustmq.io_robustmqclusters.yaml"))
	must(t, err)
	var crd map[string]any
	must(t, yaml.Unmarshal(text, &crd))
	each(crd, change)
	text, err = yaml.Marshal(crd)
	must(t, err)
	d, err := validate.Load(fstest.MapFS{"clusters.yaml": {Data: text}})
	must(t, err)
	return d
}

// each visits every object in a document.
func each(value any, visit func(map[string]any)) {
	switch v := value.(type) {
	case map[string]any:
		visit(v)
		for _, inner := range v {
			each(inner, visit)
		}
	case []any:
		for _, inner := range v {
			each(inner, visit)
		}
	}
}

func quickstart(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile("../../config/samples/quickstart.yaml")
	must(t, err)
	text, err = yaml.YAMLToJSON(text)
	must(t, err)
	u := &unstructured.Unstructured{}
	must(t, u.UnmarshalJSON(text))
	return u
}
