package policies

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/cel-go/cel"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/validate"
)

// halfGiven is the condition by which the API server asks the webhook for defaults.
func halfGiven(t *testing.T) func(*unstructured.Unstructured) bool {
	t.Helper()
	f, err := os.Open("../../config/webhook/manifests.yaml")
	must(t, err)
	defer f.Close()
	var config admissionregistrationv1.MutatingWebhookConfiguration
	must(t, utilyaml.NewYAMLOrJSONDecoder(f, 4096).Decode(&config)) // the first document
	for _, condition := range config.Webhooks[0].MatchConditions {
		if condition.Name != "a-listener-is-half-given" {
			continue
		}
		env, err := cel.NewEnv(cel.Variable("object", cel.DynType))
		must(t, err)
		ast, issues := env.Compile(condition.Expression)
		must(t, issues.Err())
		program, err := env.Program(ast)
		must(t, err)
		return func(u *unstructured.Unstructured) bool {
			t.Helper()
			out, _, err := program.Eval(map[string]any{"object": u.Object})
			must(t, err)
			return out.Value().(bool)
		}
	}
	t.Fatal("the first webhook has no condition a-listener-is-half-given")
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lacksDefaults reports whether something that was left out in a spec is still missing when the schema has filled in what it can. Of a spec that the schema refuses it is false, false.
func lacksDefaults(t *testing.T, definitions *validate.Definitions, u *unstructured.Unstructured) (stored *unstructured.Unstructured, lacks, allowed bool) {
	t.Helper()
	stored, errs, err := definitions.Admit(t.Context(), u, nil)
	must(t, err)
	if stored == nil || len(errs) > 0 {
		return stored, false, false
	}
	var is, complete v1alpha1.RobustMQCluster
	must(t, runtime.DefaultUnstructuredConverter.FromUnstructured(stored.Object, &is))
	is.DeepCopyInto(&complete)
	complete.Default()
	return stored, !equality.Semantic.DeepEqual(is.Spec, complete.Spec), true
}

// TestTheWebhookIsAskedForDefaultsExactlyWhereTheSchemaLacksOne: everything that is left out in a spec that the schema allows is filled in by the schema itself, but for the other half of a
// listener. A condition that is too narrow would store specs with holes, and one that is too wide would cost a call for nothing.
func TestTheWebhookIsAskedForDefaultsExactlyWhereTheSchemaLacksOne(t *testing.T) {
	definitions, err := validate.Load(os.DirFS("../../config/crd"))
	must(t, err)
	asked := halfGiven(t)
	check := func(what string, u *unstructured.Unstructured) {
		t.Helper()
		stored, lacks, allowed := lacksDefaults(t, definitions, u)
		if stored == nil {
			return // of a shape that never comes to a webhook
		}
		if wants := asked(stored); allowed && lacks != wants {
			t.Errorf("%s: defaults are missing after the schema's: %t; the webhook is asked: %t", what, lacks, wants)
		}
	}
	var complete *unstructured.Unstructured
	for _, c := range corpus(t) {
		for _, u := range c.Documents {
			if u.GetKind() != "RobustMQCluster" {
				continue
			}
			check(c.Path, u)
			if stored, lacks, allowed := lacksDefaults(t, definitions, u); allowed && !lacks && complete == nil {
				complete = stored
			}
		}
	}
	listeners := reflect.TypeFor[v1alpha1.ListenersSpec]()
	for field := range listeners.Fields() {
		if field.Type != reflect.TypeFor[*v1alpha1.ListenerSpec]() {
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		for what, half := range map[string]map[string]any{"its port alone": {"port": int64(2883)}, "only on": {"enabled": true}, "nothing": {}} {
			u := complete.DeepCopy()
			must(t, unstructured.SetNestedMap(u.Object, half, "spec", "listeners", name))
			check("listener "+name+" with "+what, u)
		}
	}
}

func TestTheConditionOfDefaultsBearsEveryShape(t *testing.T) {
	asked := halfGiven(t)
	for _, object := range []map[string]any{
		{}, {"spec": nil}, {"spec": "x"}, {"spec": map[string]any{}}, {"spec": map[string]any{"listeners": nil}}, {"spec": map[string]any{"listeners": []any{"mqtt"}}},
		{"spec": map[string]any{"listeners": map[string]any{"mqtt": nil, "ws": "x", "quic": []any{}, "other": map[string]any{}}}},
	} {
		if asked(&unstructured.Unstructured{Object: object}) {
			t.Errorf("%v: asked about something that the schema refuses", object)
		}
	}
}
