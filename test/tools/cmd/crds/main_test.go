package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const definition = `---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
spec:
  versions:
  - schema:
      openAPIV3Schema:
        description: a cluster
        properties:
          affinity:
            description: where pods go
            properties:
              description:
                description: a field of this name
                type: string
              terms:
                description: a list
                items:
                  anyOf:
                  - description: one of them
                  type: string
          image:
            description: an image
            type: string
`

func TestOnlyWhatIsBelowAForeignFieldLosesItsDescription(t *testing.T) {
	out, err := shorten([]byte(definition), []string{"affinity"})
	if err != nil {
		t.Fatal(err)
	}
	for _, kept := range []string{"a cluster", "where pods go", "an image", "              description:\n                type: string"} {
		if !strings.Contains(string(out), kept) {
			t.Errorf("%q is gone:\n%s", kept, out)
		}
	}
	for _, dropped := range []string{"a field of this name", "a list", "one of them"} {
		if strings.Contains(string(out), dropped) {
			t.Errorf("%q is still there:\n%s", dropped, out)
		}
	}
}

func TestADefinitionThatIsTooLargeIsRefusedAndOtherFilesAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	other := "kind: Kustomization # a comment\n"
	for name, content := range map[string]string{"crd.yaml": definition, "kustomization.yaml": other} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(dir, nil, 10_000); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "kustomization.yaml")); err != nil || string(got) != other {
		t.Errorf("a file that defines no kind became %q (%v)", got, err)
	}
	if err := run(dir, nil, 100); err == nil || !strings.Contains(err.Error(), "no more than 100") {
		t.Errorf("a definition above the limit: %v", err)
	}
}
