package dashboards

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
)

func TestAGrafanaDashboardLeadsToTheFileInItsConfigMap(t *testing.T) {
	boards, err := All()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]bool{}
	for _, b := range boards {
		made := ConfigMap(b, "robustmq-operator-system", map[string]string{SidecarLabel: "1"})
		object := GrafanaDashboard(b, "robustmq-operator-system", nil)
		if name, _, _ := unstructured.NestedString(object.Object, "spec", "configMapRef", "name"); name != made.Name || object.GetNamespace() != made.Namespace {
			t.Errorf("%s refers to ConfigMap %s", object.GetName(), name)
		}
		key, _, _ := unstructured.NestedString(object.Object, "spec", "configMapRef", "key")
		if made.Data[key] != string(b.JSON) || len(made.Data) != 1 {
			t.Errorf("%s refers to key %s", object.GetName(), key)
		}
		if files[key] {
			t.Errorf("two ConfigMaps have the key %s", key)
		}
		files[key] = true
		if problems := append(validation.IsConfigMapKey(key), validation.IsDNS1123Subdomain(made.Name)...); len(problems) > 0 {
			t.Errorf("%s, %s: %v", made.Name, key, problems)
		}
		if made.Labels[SidecarLabel] != "1" {
			t.Errorf("%s has labels %v", made.Name, made.Labels)
		}
		if selected, found, err := unstructured.NestedStringMap(object.Object, "spec", "instanceSelector", "matchLabels"); err != nil || !found || len(selected) > 0 {
			t.Errorf("%s selects %v (%v)", object.GetName(), selected, err)
		}
	}
}
