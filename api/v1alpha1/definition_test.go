package v1alpha1_test

import (
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

// definitions are all that `make generate` made.
func definitions(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../config/crd/robustmq.io_*.yaml")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	return files
}

// TestEveryDefinitionIsOneThatAnAPIServerTakes asks the API server's own validation: structural schema, CEL that compiles, and its estimated cost.
func TestEveryDefinitionIsOneThatAnAPIServerTakes(t *testing.T) {
	for _, file := range definitions(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(data, &crd); err != nil {
			t.Fatal(err)
		}
		apiextensionsv1.SetDefaults_CustomResourceDefinition(&crd)
		apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&crd.Spec)
		var internal apiextensions.CustomResourceDefinition
		if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&crd, &internal, nil); err != nil {
			t.Fatal(err)
		}
		internal.Status.StoredVersions = []string{"v1alpha1"}
		for _, e := range validation.ValidateCustomResourceDefinition(t.Context(), &internal) {
			if e.Type == field.ErrorTypeForbidden || e.Type == field.ErrorTypeInvalid || e.Type == field.ErrorTypeRequired {
				t.Errorf("%s: %v", file, e)
			}
		}
	}
}

func TestEveryDefinitionStaysSmallEnoughToBeApplied(t *testing.T) {
	for _, file := range definitions(t) {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		const limit = 250_000 // kubectl apply keeps a copy in an annotation, and all annotations together have 256 KiB
		if info.Size() >= limit {
			t.Errorf("%s: %d bytes, %d allowed", file, info.Size(), limit)
		}
	}
}
