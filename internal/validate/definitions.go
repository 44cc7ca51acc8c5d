package validate

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// Definitions are the kinds that can be judged.
type Definitions struct {
	byKind map[schema.GroupVersionKind]*definition
}

// definition is one version of one kind. What is expensive is made when the kind is first met: a folder that holds no restore compiles no rule for restores.
type definition struct {
	kind       schema.GroupVersionKind
	namespaced bool
	hasStatus  bool
	schema     *apiextensions.JSONSchemaProps

	once     sync.Once
	err      error
	shape    *structuralschema.Structural
	openAPI  validation.SchemaValidator
	programs *cel.Validator
}

// Load reads every CustomResourceDefinition in a folder of a file system; other YAML files there are passed over.
func Load(files fs.FS) (*Definitions, error) {
	d := &Definitions{byKind: map[schema.GroupVersionKind]*definition{}}
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil, fmt.Errorf("reading the definitions: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() || path.Ext(e.Name()) != ".yaml" {
			continue
		}
		data, err := fs.ReadFile(files, e.Name())
		if err != nil {
			return nil, fmt.Errorf("reading the definition %s: %w", e.Name(), err)
		}
		if err := d.add(data); err != nil {
			return nil, fmt.Errorf("definition %s: %w", e.Name(), err)
		}
	}
	return d, nil
}

func (d *Definitions) add(data []byte) error {
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(data, &crd); err != nil {
		return err
	}
	if crd.Kind != "CustomResourceDefinition" {
		return nil
	}
	apiextensionsv1.SetDefaults_CustomResourceDefinition(&crd)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&crd.Spec)
	for _, v := range crd.Spec.Versions {
		if !v.Served || v.Schema == nil {
			continue
		}
		var internal apiextensions.CustomResourceValidation
		if err := apiextensionsv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(v.Schema, &internal, nil); err != nil {
			return err
		}
		kind := schema.GroupVersionKind{Group: crd.Spec.Group, Version: v.Name, Kind: crd.Spec.Names.Kind}
		d.byKind[kind] = &definition{
			kind: kind, schema: internal.OpenAPIV3Schema, namespaced: crd.Spec.Scope == apiextensionsv1.NamespaceScoped,
			hasStatus: v.Subresources != nil && v.Subresources.Status != nil,
		}
	}
	return nil
}

// Served returns the version of a kind that is known, when that one is not.
func (d *Definitions) Served(kind schema.GroupKind) (version string, ok bool) {
	for k := range d.byKind {
		if k.GroupKind() == kind {
			return k.Version, true
		}
	}
	return "", false
}

// Knows reports whether the kind can be judged.
func (d *Definitions) Knows(kind schema.GroupVersionKind) bool { return d.byKind[kind] != nil }

// Namespaced reports whether objects of the kind live in a namespace.
func (d *Definitions) Namespaced(kind schema.GroupVersionKind) bool {
	return d.byKind[kind] != nil && d.byKind[kind].namespaced
}

// prepare builds what judges, as the API server does when it first serves a kind.
func (d *definition) prepare() error {
	d.once.Do(func() {
		shape, err := structuralschema.NewStructural(d.schema)
		if err != nil {
			d.err = fmt.Errorf("the schema of %s: %w", d.kind.Kind, err)
			return
		}
		if err := defaulting.PruneDefaults(shape); err != nil {
			d.err = fmt.Errorf("the defaults of %s: %w", d.kind.Kind, err)
			return
		}
		openAPI, _, err := validation.NewSchemaValidator(d.schema)
		if err != nil {
			d.err = fmt.Errorf("the schema of %s: %w", d.kind.Kind, err)
			return
		}
		d.shape, d.openAPI = shape, openAPI
		d.programs = cel.NewValidator(shape, true, celconfig.PerCallLimit)
	})
	return d.err
}

// Kinds are the names of the kinds that can be judged, in order.
func (d *Definitions) Kinds() []string {
	var out []string
	for k := range d.byKind {
		out = append(out, k.Kind)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
