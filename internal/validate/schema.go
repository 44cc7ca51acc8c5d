package validate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/common"
)

// defaultNamespace is where an object goes that names none.
const defaultNamespace = "default"

// Admit holds an object to its definition, as the API server does before it asks a webhook: unknown fields, defaults, schema, CEL, in this order.
// old is the object that exists, or nil when it is created. It returns the object as it would be stored, with its defaults, and what is wrong with it.
// Neither object is changed. An error means that the definition itself, or old, cannot be used.
func (d *Definitions) Admit(ctx context.Context, obj, old *unstructured.Unstructured) (*unstructured.Unstructured, field.ErrorList, error) {
	def := d.byKind[obj.GroupVersionKind()]
	if def == nil {
		return nil, nil, fmt.Errorf("there is no definition of %s", obj.GroupVersionKind())
	}
	if err := def.prepare(); err != nil {
		return nil, nil, err
	}
	is, errs := def.decode(obj)
	if len(errs) > 0 {
		return nil, errs, nil
	}
	if old == nil {
		if def.hasStatus {
			unstructured.RemoveNestedField(is.Object, "status") // a status cannot be created
		}
		return is, def.validate(ctx, is), nil
	}
	was, errs := def.decode(old)
	if len(errs) > 0 {
		return nil, nil, fmt.Errorf("the %s %s that exists cannot be read: %w", old.GetKind(), old.GetName(), errs.ToAggregate())
	}
	if def.hasStatus {
		delete(is.Object, "status") // nor changed together with the spec
		if s, ok := was.Object["status"]; ok {
			is.Object["status"] = runtime.DeepCopyJSONValue(s)
		}
	}
	return is, def.validateUpdate(ctx, is, was), nil
}

// Stored is an object that exists, with its defaults.
func (d *Definitions) Stored(obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	def := d.byKind[obj.GroupVersionKind()]
	if def == nil {
		return nil, fmt.Errorf("there is no definition of %s", obj.GroupVersionKind())
	}
	if err := def.prepare(); err != nil {
		return nil, err
	}
	out, errs := def.decode(obj)
	if len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	return out, nil
}

// decode takes unknown fields away, names them, and fills in defaults.
func (d *definition) decode(obj *unstructured.Unstructured) (*unstructured.Unstructured, field.ErrorList) {
	u := obj.DeepCopy()
	meta, found, unknown, err := objectmeta.GetObjectMetaWithOptions(u.Object, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		return nil, field.ErrorList{field.TypeInvalid(field.NewPath("metadata"), nil, cleaned(err))}
	}
	kind, apiVersion := u.GetKind(), u.GetAPIVersion()
	unknown = append(unknown, pruning.PruneWithOptions(u.Object, d.shape, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})...)
	defaulting.PruneNonNullableNullsWithoutDefaults(u.Object, d.shape)
	coerceErr, more := objectmeta.CoerceWithOptions(nil, u.Object, d.shape, false, objectmeta.CoerceOptions{ReturnUnknownFieldPaths: true})
	if coerceErr != nil {
		return nil, field.ErrorList{coerceErr}
	}
	u.SetKind(kind)
	u.SetAPIVersion(apiVersion)
	if found {
		if err := objectmeta.SetObjectMeta(u.Object, meta); err != nil {
			return nil, field.ErrorList{field.TypeInvalid(field.NewPath("metadata"), nil, cleaned(err))}
		}
	}
	if d.namespaced && u.GetNamespace() == "" {
		u.SetNamespace(defaultNamespace)
	}
	defaulting.Default(u.Object, d.shape)
	var errs field.ErrorList
	for _, path := range append(unknown, more...) {
		errs = append(errs, d.unknownField(path))
	}
	return u, errs
}

// cleaned is the error of a metadata that cannot be read, with the usual cause: YAML reads y, no or 007 as something else than text.
func cleaned(err error) string {
	return strings.TrimPrefix(err.Error(), "json: ") + "; text that YAML could read as a number or as true or false needs quotes"
}

func (d *definition) validate(ctx context.Context, u *unstructured.Unstructured) field.ErrorList {
	errs := d.metadata(u, nil)
	errs = append(errs, validation.ValidateCustomResource(nil, u.Object, d.openAPI)...)
	errs = append(errs, objectmeta.Validate(ctx, nil, u.Object, d.shape, false)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, d.shape, u.Object)...)
	if d.programs == nil || blocks(errs) {
		return errs
	}
	more, _ := d.programs.Validate(ctx, nil, d.shape, u.Object, nil, celconfig.RuntimeCELCostBudget)
	return append(errs, more...)
}

// validateUpdate knows, as the API server does, that what is wrong and was wrong before is no reason to refuse a change of something else.
func (d *definition) validateUpdate(ctx context.Context, is, was *unstructured.Unstructured) field.ErrorList {
	pair := common.NewCorrelatedObject(is.Object, was.Object, &model.Structural{Structural: d.shape})
	errs := d.metadata(is, was)
	errs = append(errs, validation.ValidateCustomResourceUpdate(nil, is.Object, was.Object, d.openAPI, validation.WithRatcheting(pair))...)
	errs = append(errs, objectmeta.Validate(ctx, nil, is.Object, d.shape, false)...)
	if len(listtype.ValidateListSetsAndMaps(nil, d.shape, was.Object)) == 0 {
		errs = append(errs, listtype.ValidateListSetsAndMaps(nil, d.shape, is.Object)...)
	}
	if d.programs == nil || blocks(errs) {
		return errs
	}
	more, _ := d.programs.Validate(ctx, nil, d.shape, is.Object, was.Object, celconfig.RuntimeCELCostBudget, cel.WithRatcheting(pair))
	return append(errs, more...)
}

// metadata judges names, labels and annotations. Of a change only they are: what a manifest leaves out of the metadata stays as it is.
func (d *definition) metadata(is, was *unstructured.Unstructured) field.ErrorList {
	var meta metav1.ObjectMeta
	at := field.NewPath("metadata")
	if m, ok := is.Object["metadata"].(map[string]any); ok {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(m, &meta); err != nil {
			return field.ErrorList{field.Invalid(at, nil, err.Error())}
		}
	}
	errs := apivalidation.ValidateObjectMeta(&meta, d.namespaced, apivalidation.NameIsDNSSubdomain, at)
	if was != nil && meta.Name == was.GetName() {
		return slices.DeleteFunc(errs, func(e *field.Error) bool { return e.Field == "metadata.name" }) // nobody can change it any more
	}
	return errs
}

// blocks reports whether CEL can say nothing about the object: a rule must not see a value of another type than it was compiled for (the same list as the API server's).
func blocks(errs field.ErrorList) bool {
	for _, e := range errs {
		switch e.Type {
		case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
			return true
		}
	}
	return false
}
