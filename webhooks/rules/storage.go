package rules

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// eachRole visits the roles that both specs have.
func eachRole(old, new *cluster, visit func(was, is v1alpha1.RoleView, at *field.Path)) {
	if old == nil {
		return
	}
	for _, is := range new.Spec.Roles() {
		for _, was := range old.Spec.Roles() {
			if was.Role == is.Role {
				visit(was, is, spec.Child(is.Field))
			}
		}
	}
}

func storageOnlyGrows(old, new *cluster, _ Context) []Violation {
	var out []Violation
	eachRole(old, new, func(was, is v1alpha1.RoleView, at *field.Path) {
		before, after := storageOf(was.RoleSpec), storageOf(is.RoleSpec)
		if after.Cmp(before) < 0 {
			out = append(out, Violation{
				Field: at.Child("storage"), Value: after.String(), Message: fmt.Sprintf("volumes of %s cannot shrink to %s", before.String(), after.String()),
				WayOut: fmt.Sprintf("write %s or more", before.String()),
			})
		}
	})
	return out
}

func storageOf(r *v1alpha1.RoleSpec) resource.Quantity {
	if r.Storage == nil {
		return resource.MustParse(v1alpha1.DefaultStorage)
	}
	return *r.Storage
}

func storageClassFixed(old, new *cluster, _ Context) []Violation {
	var out []Violation
	eachRole(old, new, func(was, is v1alpha1.RoleView, at *field.Path) {
		if class(was.StorageClassName) != class(is.StorageClassName) {
			out = append(out, Violation{
				Field: at.Child("storageClassName"), Value: is.StorageClassName,
				Message: fmt.Sprintf("volumes of %s cannot move to %s", class(was.StorageClassName), class(is.StorageClassName)),
			})
		}
	})
	return out
}

func class(name *string) string {
	if name == nil {
		return "the default class"
	}
	return fmt.Sprintf("the class %q", *name)
}

func resourcesCoherent(_, new *cluster, _ Context) []Violation {
	var out []Violation
	for _, r := range new.Spec.Roles() {
		at := spec.Child(r.Field)
		if q := r.Storage; q != nil && q.Sign() <= 0 {
			out = append(out, Violation{Field: at.Child("storage"), Value: q.String(), Message: "a volume needs a size above zero", WayOut: "write one such as 10Gi"})
		}
		if r.Resources != nil {
			out = append(out, coherent(r.Resources, at.Child("resources"))...)
		}
	}
	return out
}

func coherent(r *v1alpha1.ResourcesSpec, at *field.Path) []Violation {
	if (r.CPU != nil || r.Memory != nil) && (r.Requests != nil || r.Limits != nil) {
		return []Violation{{
			Field: at, Message: "both forms are given and could contradict one another",
			WayOut: "write either cpu and memory (requests equal limits) or requests and limits",
		}}
	}
	var out []Violation
	positive := func(q *resource.Quantity, at *field.Path) {
		if q != nil && q.Sign() <= 0 {
			out = append(out, Violation{Field: at, Value: q.String(), Message: "the quantity is not above zero", WayOut: "correct it or leave it out"})
		}
	}
	positive(r.CPU, at.Child("cpu"))
	positive(r.Memory, at.Child("memory"))
	for _, name := range sortedNames(r.Requests) {
		request := r.Requests[name]
		positive(&request, at.Child("requests").Key(string(name)))
		if limit, ok := r.Limits[name]; ok && request.Cmp(limit) > 0 {
			out = append(out, Violation{
				Field: at.Child("requests").Key(string(name)), Value: request.String(),
				Message: fmt.Sprintf("the request is above its limit of %s", limit.String()), WayOut: "raise the limit or lower the request",
			})
		}
	}
	for _, name := range sortedNames(r.Limits) {
		limit := r.Limits[name]
		positive(&limit, at.Child("limits").Key(string(name)))
	}
	return out
}

func sortedNames(list corev1.ResourceList) []corev1.ResourceName { return sortedKeys(list) }

func sortedKeys[K ~string, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
