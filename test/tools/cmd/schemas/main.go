// schemas writes JSON schemas for kubeconform, which by itself would download them: of the built-in kinds out of Kubernetes'
// own OpenAPI file, and of custom kinds out of CustomResourceDefinitions. Each file stands alone and allows no unknown field.
//
//	schemas -swagger FILE -out DIR               the built-in kinds
//	schemas -swagger FILE -out DIR CRD.yaml...   the kinds that these files define
//
// A file is named GROUP_KIND_VERSION.json, the kind in lower case, as in kubeconform's
// '{{.Group}}_{{.ResourceKind}}_{{.ResourceAPIVersion}}.json'.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("schemas: ")
	swagger := flag.String("swagger", "", "OpenAPI v2 file of Kubernetes")
	out := flag.String("out", "", "folder for the schemas")
	flag.Parse()
	if *swagger == "" || *out == "" {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*swagger, *out, flag.Args()); err != nil {
		log.Fatal(err)
	}
}

func run(swagger, out string, crds []string) error {
	data, err := os.ReadFile(swagger)
	if err != nil {
		return err
	}
	builtin, err := parseOpenAPI(data)
	if err != nil {
		return fmt.Errorf("reading %s: %w", swagger, err)
	}
	schemas := builtin.kinds()
	if len(crds) > 0 {
		schemas = map[string]object{}
		for _, file := range crds {
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if err := builtin.customKinds(data, schemas); err != nil {
				return fmt.Errorf("reading %s: %w", file, err)
			}
		}
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for name, schema := range schemas {
		data, err := json.Marshal(schema)
		if err != nil {
			return fmt.Errorf("encoding %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(out, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// fileName is what kubeconform asks for. It takes the first part of apiVersion for the group, which for the core group is the version.
func fileName(group, kind, version string) string {
	if group == "" {
		group = version
	}
	return group + "_" + strings.ToLower(kind) + "_" + version + ".json"
}
