package v1alpha1_test

import (
	"os"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// SecretsSameNamespace: whoever may write our objects in one namespace must not make the operator read Secrets of another. So no field of a spec names a namespace
// (labels by which namespaces are selected name none: NetworkPolicies, affinities, a platform team's policies).
func TestNoFieldOfASpecNamesANamespace(t *testing.T) {
	fields, secrets := 0, 0
	for _, crd := range read(t) {
		for _, v := range crd.Spec.Versions {
			walk(crd.Spec.Names.Kind+".spec", v.Schema.OpenAPIV3Schema.Properties["spec"], func(path, name string) {
				fields++
				if strings.HasSuffix(name, "SecretName") || name == "secretName" {
					secrets++
				}
				if namesNamespace(name) {
					t.Errorf("%s names a namespace: Secrets and other objects are those of the object's own", path)
				}
			})
		}
	}
	if fields < 300 || secrets < 8 {
		t.Errorf("only %d fields and %d references to Secrets were looked at", fields, secrets)
	}
}

func TestAFieldThatNamesANamespaceIsFound(t *testing.T) {
	schema := apiextensionsv1.JSONSchemaProps{Properties: map[string]apiextensionsv1.JSONSchemaProps{
		"list": {Items: &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &apiextensionsv1.JSONSchemaProps{Properties: map[string]apiextensionsv1.JSONSchemaProps{"secretNamespace": {}}}}},
		"map": {AdditionalProperties: &apiextensionsv1.JSONSchemaPropsOrBool{Schema: &apiextensionsv1.JSONSchemaProps{Properties: map[string]apiextensionsv1.JSONSchemaProps{
			"namespace": {}, "namespaceSelector": {}, "name": {},
		}}}},
	}}
	var found []string
	walk("spec", schema, func(path, name string) {
		if namesNamespace(name) {
			found = append(found, path)
		}
	})
	if len(found) != 2 {
		t.Errorf("found %v", found)
	}
}

// namesNamespace reports whether a field could say in which namespace something is. namespaceSelector selects namespaces by their labels, and its neighbour in
// Kubernetes' own affinity terms, namespaces, says whose pods to keep away from: neither makes anybody read anything.
func namesNamespace(name string) bool {
	return strings.Contains(strings.ToLower(name), "namespace") && name != "namespaceSelector" && name != "namespaces"
}

// walk visits every field of a schema, through lists and maps.
func walk(path string, s apiextensionsv1.JSONSchemaProps, visit func(path, name string)) {
	for name, child := range s.Properties {
		visit(path+"."+name, name)
		walk(path+"."+name, child, visit)
	}
	if s.Items != nil && s.Items.Schema != nil {
		walk(path+"[]", *s.Items.Schema, visit)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		walk(path+"{}", *s.AdditionalProperties.Schema, visit)
	}
}

func TestEveryKindHasItsShortName(t *testing.T) {
	want := map[string]string{"RobustMQCluster": "rmqc", "RobustMQBackup": "rmqb", "RobustMQRestore": "rmqr", "RobustMQPolicy": "rmqp"}
	for _, crd := range read(t) {
		if names := crd.Spec.Names; len(names.ShortNames) != 1 || names.ShortNames[0] != want[names.Kind] {
			t.Errorf("%s: %v", names.Kind, names.ShortNames)
		}
		delete(want, crd.Spec.Names.Kind)
	}
	if len(want) > 0 {
		t.Errorf("no definition of %v", want)
	}
}

// read returns every definition.
func read(t *testing.T) []apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	var out []apiextensionsv1.CustomResourceDefinition
	for _, file := range definitions(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(data, &crd); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		out = append(out, crd)
	}
	return out
}
