package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"k8s.io/apimachinery/pkg/util/yaml"
)

type object = map[string]any

const (
	definitionPrefix = "#/definitions/"
	objectMeta       = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
	gvkExtension     = "x-kubernetes-group-version-kind"
)

// openAPI holds the definitions of an OpenAPI v2 file, made strict already.
type openAPI struct {
	definitions map[string]object
	named       map[string]object // the definitions that are kinds, as they stand in the file
}

func parseOpenAPI(data []byte) (*openAPI, error) {
	var doc struct{ Definitions map[string]object }
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	if doc.Definitions[objectMeta] == nil {
		return nil, fmt.Errorf("no definition of %s", objectMeta)
	}
	api := &openAPI{definitions: map[string]object{}, named: map[string]object{}}
	for name, d := range doc.Definitions {
		if d[gvkExtension] != nil {
			api.named[name] = d
		}
		api.definitions[name] = strict(d)
		// The file calls these strings only; YAML authors write `cpu: 1` and `port: 8080`, and the API takes both.
		if d["format"] == "int-or-string" || strings.HasSuffix(name, ".api.resource.Quantity") {
			api.definitions[name] = object{"type": []any{"string", "number"}}
		}
	}
	return api, nil
}

// kinds returns one schema for each built-in kind, by file name. Kinds that belong to every group (DeleteOptions, WatchEvent)
// are nobody's manifest and are left out.
func (api *openAPI) kinds() map[string]object {
	schemas := map[string]object{}
	for name, d := range api.named {
		list, _ := d[gvkExtension].([]any)
		if len(list) != 1 {
			continue
		}
		gvk, _ := list[0].(object)
		group, _ := gvk["group"].(string)
		kind, _ := gvk["kind"].(string)
		version, _ := gvk["version"].(string)
		schemas[fileName(group, kind, version)] = api.closed(api.definitions[name])
	}
	return schemas
}

// customKinds adds one schema for each version of each CustomResourceDefinition in a YAML stream; it is an error if there is none.
func (api *openAPI) customKinds(data []byte, schemas map[string]object) error {
	found := 0
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	for {
		var crd struct {
			Kind string
			Spec struct {
				Group    string
				Names    struct{ Kind string }
				Versions []struct {
					Name   string
					Schema struct{ OpenAPIV3Schema object }
				}
			}
		}
		if err := decoder.Decode(&crd); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		if crd.Kind != "CustomResourceDefinition" {
			continue
		}
		for _, v := range crd.Spec.Versions {
			root := v.Schema.OpenAPIV3Schema
			properties, ok := root["properties"].(object)
			if !ok {
				return fmt.Errorf("kind %s %s has no properties", crd.Spec.Names.Kind, v.Name)
			}
			properties = maps.Clone(properties)
			for _, implied := range []string{"apiVersion", "kind"} {
				properties[implied] = object{"type": "string"}
			}
			properties["metadata"] = object{"$ref": definitionPrefix + objectMeta}
			root = maps.Clone(root)
			root["properties"] = properties
			schemas[fileName(crd.Spec.Group, crd.Spec.Names.Kind, v.Name)] = api.closed(strict(root))
			found++
		}
	}
	if found == 0 {
		return errors.New("no CustomResourceDefinition in it")
	}
	return nil
}

// closed returns the schema with every definition that it refers to, directly or not.
func (api *openAPI) closed(schema object) object {
	needed := map[string]any{}
	var visit func(any)
	visit = func(node any) {
		switch n := node.(type) {
		case object:
			if ref, ok := n["$ref"].(string); ok {
				name := strings.TrimPrefix(ref, definitionPrefix)
				if needed[name] == nil {
					needed[name] = api.definitions[name]
					visit(api.definitions[name])
				}
			}
			for _, child := range n {
				visit(child)
			}
		case []any:
			for _, child := range n {
				visit(child)
			}
		}
	}
	visit(schema)
	schema = maps.Clone(schema)
	schema["$schema"] = "http://json-schema.org/draft-07/schema#"
	if len(needed) > 0 {
		schema["definitions"] = needed
	}
	return schema
}

// strict translates an OpenAPI schema, as Kubernetes writes it, to a JSON schema that allows no unknown field: Kubernetes prunes
// unknown fields without a word, so a typing error in a manifest would else go unseen. Defaults and descriptions are dropped.
func strict(in object) object {
	out := object{}
	for keyword, value := range in {
		switch keyword {
		case "description", "default", "example":
		case "properties":
			properties := object{}
			for name, p := range value.(object) {
				properties[name] = optional(strict(p.(object)))
			}
			out[keyword] = properties
		case "items", "not", "additionalProperties":
			if child, ok := value.(object); ok {
				value = strict(child)
			}
			out[keyword] = value
		case "allOf", "anyOf", "oneOf":
			var list []any
			for _, child := range value.([]any) {
				list = append(list, strict(child.(object)))
			}
			out[keyword] = list
		case "exclusiveMinimum", "exclusiveMaximum":
			// booleans in OpenAPI, numbers in JSON schema; the bound itself stays, as an inclusive one
		default:
			if !strings.HasPrefix(keyword, "x-") && keyword != "nullable" && keyword != "format" {
				out[keyword] = value
			}
		}
	}
	if in["x-kubernetes-int-or-string"] == true {
		delete(out, "type")
		if out["anyOf"] == nil && out["allOf"] == nil {
			out["type"] = []any{"integer", "string"}
		}
	}
	open := in["x-kubernetes-preserve-unknown-fields"] == true || in["x-kubernetes-embedded-resource"] == true
	if out["properties"] != nil && out["additionalProperties"] == nil && out["type"] == "object" && !open {
		out["additionalProperties"] = false
	}
	return out
}

// optional lets a field be null, which the API server reads as absent.
func optional(schema object) object {
	if t, ok := schema["type"].(string); ok && schema["enum"] == nil {
		schema["type"] = []any{t, "null"}
	}
	return schema
}
