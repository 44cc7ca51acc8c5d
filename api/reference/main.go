// Command reference writes the reference of an API out of its CustomResourceDefinitions: the comments of the Go types, the defaults and the rules, as users meet them.
//
//	reference FOLDER DOCUMENT.md
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"log"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("reference: ")
	if len(os.Args) != 3 {
		log.Fatal("usage: reference FOLDER DOCUMENT.md")
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

// run describes every definition of a folder, one below the other: clusters first, as everything else is about them, then by name.
func run(folder, document string) error {
	files, err := filepath.Glob(filepath.Join(folder, "robustmq.io_*.yaml"))
	if err != nil {
		return fmt.Errorf("listing %s: %w", folder, err)
	}
	if len(files) == 0 {
		return fmt.Errorf("there is no definition in %s", folder)
	}
	slices.SortFunc(files, func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b))
	})
	p := &page{}
	p.line("<!-- Made by `make generate` out of %s; do not edit. -->", "config/crd")
	for i, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(data, &crd); err != nil {
			return fmt.Errorf("reading %s: %w", file, err)
		}
		if i > 0 {
			p.line("")
		}
		p.kind(&crd)
	}
	return os.WriteFile(document, p.Bytes(), 0o644)
}

// rank of a file: 0 for the clusters'.
func rank(file string) int {
	if strings.HasSuffix(file, "_robustmqclusters.yaml") {
		return 0
	}
	return 1
}

// kubernetes are fields whose types are Kubernetes' own: they are described there.
var kubernetes = map[string]string{
	"affinity":                  "Affinity",
	"tolerations":               "[]Toleration",
	"topologySpreadConstraints": "[]TopologySpreadConstraint",
	"clientsFrom":               "[]NetworkPolicyPeer",
	"monitoringFrom":            "[]NetworkPolicyPeer",
	"conditions":                "[]Condition",
	"namespaceSelector":         "LabelSelector",
}

type page struct {
	bytes.Buffer
	known map[string]apiextensionsv1.JSONSchemaProps // what was described already, by the field's name
}

func (p *page) kind(crd *apiextensionsv1.CustomResourceDefinition) {
	p.known = map[string]apiextensionsv1.JSONSchemaProps{}
	v := crd.Spec.Versions[0]
	root := v.Schema.OpenAPIV3Schema
	p.line("# %s (%s/%s)", crd.Spec.Names.Kind, crd.Spec.Group, v.Name)
	p.line("")
	p.line("%s", root.Description)
	p.line("")
	p.line("Short name `%s`, in the categories `%s`; `kubectl explain %s.spec` says the same as this page.",
		strings.Join(crd.Spec.Names.ShortNames, "`, `"), strings.Join(crd.Spec.Names.Categories, "`, `"), crd.Spec.Names.Singular)
	p.rules(root.XValidations)
	spec := root.Properties["spec"]
	p.line("")
	p.line("## spec")
	p.rules(spec.XValidations)
	p.table("spec", spec, false)
	for _, name := range slices.Sorted(maps.Keys(spec.Properties)) {
		if field := spec.Properties[name]; nested(name, field) {
			p.section("spec."+name, field)
		}
	}
	status := root.Properties["status"]
	p.line("")
	p.line("## status")
	p.line("")
	p.line("%s", status.Description)
	p.table("status", status, true)
}

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p *page) section(path string, field apiextensionsv1.JSONSchemaProps) {
	p.line("")
	p.line("## %s", path)
	p.line("")
	p.line("%s", strings.ReplaceAll(field.Description, "<", "&lt;"))
	p.rules(field.XValidations)
	if field.Items != nil && field.Items.Schema != nil { // a list: what each of its elements has
		p.rules(field.Items.Schema.XValidations)
		field = *field.Items.Schema
	}
	p.table(path, field, true)
}

// rules are what CEL refuses, in its own words.
func (p *page) rules(rules apiextensionsv1.ValidationRules) {
	if len(rules) == 0 {
		return
	}
	p.line("")
	for _, r := range rules {
		p.line("* %s", r.Message)
	}
}

func (p *page) table(path string, field apiextensionsv1.JSONSchemaProps, deep bool) {
	p.line("")
	p.line("| field | type | default | what it does |")
	p.line("| --- | --- | --- | --- |")
	var repeated []string
	p.rows(path, "", field, deep, &repeated)
	if len(repeated) > 0 {
		p.line("")
		p.line("%s: as above.", strings.Join(repeated, ", "))
	}
}

func (p *page) rows(path, prefix string, field apiextensionsv1.JSONSchemaProps, deep bool, repeated *[]string) {
	for _, name := range slices.Sorted(maps.Keys(field.Properties)) {
		child := field.Properties[name]
		if was, ok := p.known[name]; ok && prefix == "" && deep && nested(name, child) && reflect.DeepEqual(was, child) {
			*repeated = append(*repeated, "`"+name+"`")
			continue
		}
		if prefix == "" && deep && strings.HasPrefix(path, "spec.") {
			p.known[name] = child
		}
		description := child.Description
		if slices.Contains(field.Required, name) {
			description += " **Required.**"
		}
		if bounds := limits(child); bounds != "" {
			description += " " + bounds
		}
		for _, r := range child.XValidations {
			description += " *" + strings.TrimSuffix(r.Message, ".") + ".*"
		}
		p.line("| `%s` | %s | %s | %s |", prefix+name, typeOf(name, child), value(child.Default), cell(description))
		if deep && nested(name, child) {
			inner := child
			if child.Items != nil {
				inner = *child.Items.Schema
			}
			p.rows(path, prefix+name+".", inner, deep, repeated)
		}
	}
}

// nested reports whether a field has fields of its own that are described here.
func nested(name string, field apiextensionsv1.JSONSchemaProps) bool {
	if _, foreign := kubernetes[name]; foreign {
		return false
	}
	if field.Items != nil && field.Items.Schema != nil {
		return len(field.Items.Schema.Properties) > 0
	}
	return len(field.Properties) > 0
}

func typeOf(name string, field apiextensionsv1.JSONSchemaProps) string {
	if t, foreign := kubernetes[name]; foreign {
		return t
	}
	switch {
	case field.XIntOrString:
		return "quantity"
	case field.Items != nil && field.Items.Schema != nil:
		return "[]" + typeOf("", *field.Items.Schema)
	case field.AdditionalProperties != nil && field.AdditionalProperties.Schema != nil:
		return "map of " + typeOf("", *field.AdditionalProperties.Schema)
	case field.Format == "date-time":
		return "time"
	case field.Type == "":
		return "any"
	}
	return field.Type
}

func limits(field apiextensionsv1.JSONSchemaProps) string {
	var s []string
	if len(field.Enum) > 0 {
		var values []string
		for _, e := range field.Enum {
			values = append(values, value(&e))
		}
		s = append(s, "One of "+strings.Join(values, ", ")+".")
	}
	switch {
	case field.Minimum != nil && field.Maximum != nil:
		s = append(s, fmt.Sprintf("%v to %v.", *field.Minimum, *field.Maximum))
	case field.Minimum != nil:
		s = append(s, fmt.Sprintf("At least %v.", *field.Minimum))
	}
	if field.MaxItems != nil {
		s = append(s, fmt.Sprintf("At most %d.", *field.MaxItems))
	}
	return strings.Join(s, " ")
}

func value(v *apiextensionsv1.JSON) string {
	if v == nil || len(v.Raw) == 0 {
		return ""
	}
	var compact bytes.Buffer
	if json.Compact(&compact, v.Raw) != nil || compact.Len() > 80 {
		return "see text"
	}
	return "`" + strings.Trim(compact.String(), `"`) + "`"
}

// cell makes text fit into a table.
func cell(s string) string {
	return strings.NewReplacer("\n", " ", "|", `\|`, "<", "&lt;").Replace(s)
}
