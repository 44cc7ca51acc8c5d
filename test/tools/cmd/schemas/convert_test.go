package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const swagger = `{"definitions": {
 "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": {"type": "object", "properties": {"name": {"type": "string"}, "labels": {"type": "object", "additionalProperties": {"type": "string"}}}},
 "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": "string"},
 "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": "string", "format": "int-or-string"},
 "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent": {"type": "object", "x-kubernetes-group-version-kind": [{"group": "", "kind": "WatchEvent", "version": "v1"}, {"group": "apps", "kind": "WatchEvent", "version": "v1"}]},
 "Thing": {"type": "object", "required": ["metadata"], "x-kubernetes-group-version-kind": [{"group": "apps", "kind": "Thing", "version": "v1"}], "properties": {
  "apiVersion": {"type": "string"}, "kind": {"type": "string"},
  "metadata": {"$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"},
  "memory": {"$ref": "#/definitions/io.k8s.apimachinery.pkg.api.resource.Quantity"},
  "port": {"$ref": "#/definitions/io.k8s.apimachinery.pkg.util.intstr.IntOrString"},
  "note": {"type": "string"}}}}}`

const crd = `
kind: CustomResourceDefinition
spec:
  group: robustmq.io
  names: {kind: Cluster}
  versions:
  - name: v1alpha1
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [replicas]
            properties:
              replicas: {type: integer, minimum: 1, default: 3}
              cpu: {anyOf: [{type: integer}, {type: string}], x-kubernetes-int-or-string: true, pattern: "^[0-9]+m?$"}
              config: {type: object, x-kubernetes-preserve-unknown-fields: true, properties: {a: {type: string}}}
`

func TestASchemaRefusesWhatTheAPIServerWouldSilentlyDrop(t *testing.T) {
	api, err := parseOpenAPI([]byte(swagger))
	if err != nil {
		t.Fatal(err)
	}
	schemas := api.kinds()
	if len(schemas) != 1 {
		t.Fatalf("%d schemas, although only Thing belongs to one group", len(schemas))
	}
	if err := api.customKinds([]byte(crd), schemas); err != nil {
		t.Fatal(err)
	}
	const thing, cluster = "apps_thing_v1.json", "robustmq.io_cluster_v1alpha1.json"
	for _, c := range []struct {
		name, schema, doc string
		valid             bool
	}{
		{"a plain object", thing, `{"metadata": {"name": "x", "labels": {"any": "label"}}, "memory": "1Gi", "port": "http"}`, true},
		{"numbers where the API reads them too", thing, `{"metadata": {}, "memory": 1, "port": 80}`, true},
		{"a null, which means absent", thing, `{"metadata": {}, "note": null}`, true},
		{"an unknown field", thing, `{"metadata": {}, "memroy": "1Gi"}`, false},
		{"an unknown field of a referred type", thing, `{"metadata": {"nmae": "x"}}`, false},
		{"a missing field", thing, `{"memory": "1Gi"}`, false},
		{"a custom object", cluster, `{"apiVersion": "robustmq.io/v1alpha1", "kind": "Cluster", "metadata": {"name": "x"}, "spec": {"replicas": 3, "cpu": "100m", "config": {"b": 1}}}`, true},
		{"a number as quantity", cluster, `{"spec": {"replicas": 3, "cpu": 1}}`, true},
		{"a quantity of the wrong form", cluster, `{"spec": {"replicas": 3, "cpu": "much"}}`, false},
		{"a custom object with an unknown field", cluster, `{"spec": {"replicas": 3, "replica": 3}}`, false},
		{"a value out of range", cluster, `{"spec": {"replicas": 0}}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := validate(t, schemas[c.schema], c.doc)
			if (err == nil) != c.valid {
				t.Errorf("valid should be %v: %v", c.valid, err)
			}
		})
	}
}

func TestAFileWithoutADefinitionIsAnError(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "swagger.json")
	if err := os.WriteFile(file, []byte(swagger), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(file, filepath.Join(dir, "out"), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "out", "apps_thing_v1.json")); err != nil {
		t.Error(err)
	}
	if err := run(file, filepath.Join(dir, "out"), []string{file}); err == nil || !strings.Contains(err.Error(), "no CustomResourceDefinition") {
		t.Errorf("got %v", err)
	}
}

func validate(t *testing.T, schema object, doc string) error {
	t.Helper()
	data, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", parsed); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	instance, err := jsonschema.UnmarshalJSON(strings.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	return compiled.Validate(instance)
}
