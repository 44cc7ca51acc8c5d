package manifests

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Equal says whether applying wanted (see Applied) as manager would change nothing: live has every field of wanted, with that value and as manager's own, and manager owns no other field.
// Fields that others added, and defaults that the API server filled in, do not count. It fails only when live cannot be read, which a write would not mend.
//
// The API server writes down in metadata.managedFields what each manager owns, in a form that also says which lists are keyed (and by what) and which values are one piece.
// So no schema is needed, and it holds for kinds of other people as well. An object from a cache that drops managedFields is never equal.
func Equal(live client.Object, wanted *unstructured.Unstructured, manager string) (bool, error) {
	owned, err := ownedFields(live, manager)
	if err != nil || owned == nil {
		return false, err
	}
	have, err := contentOf(live)
	if err != nil {
		return false, err
	}
	want := maps.Clone(wanted.Object)
	// Kind and name are nobody's fields: the API server leaves them out of what managers own.
	delete(want, "apiVersion")
	delete(want, "kind")
	metadata, _ := want["metadata"].(map[string]any)
	metadata = maps.Clone(metadata)
	delete(metadata, "name")
	delete(metadata, "namespace")
	if want["metadata"] = metadata; len(metadata) == 0 {
		delete(want, "metadata")
	}
	return sameMap(owned, have, want), nil
}

// ownedFields is what manager owns by apply; nil when it never applied the object.
func ownedFields(live client.Object, manager string) (fieldTree, error) {
	for _, e := range live.GetManagedFields() {
		if e.Manager != manager || e.Operation != metav1.ManagedFieldsOperationApply || e.Subresource != "" || e.FieldsV1 == nil {
			continue
		}
		tree := fieldTree{}
		if err := json.Unmarshal([]byte(withOwner(e.FieldsV1.GetRawString(), live)), &tree); err != nil {
			return nil, fmt.Errorf("read the fields owned by %s: %w", manager, err)
		}
		return tree, nil
	}
	return nil, nil
}

// anyOwner stands in owned fields for the uid of the object's controller: no uid has brackets.
const anyOwner = "(owner)"

// ForgetOwner takes the uid of an object's controller out of its managedFields, which then say the same of all objects of one form, whatever cluster they belong to. Equal puts it back.
func ForgetOwner(object metav1.Object) {
	owner := metav1.GetControllerOfNoCopy(object)
	if owner == nil || owner.UID == "" {
		return
	}
	entries := object.GetManagedFields()
	for i, e := range entries {
		if e.FieldsV1 != nil {
			entries[i].FieldsV1 = metav1.NewFieldsV1(strings.ReplaceAll(e.FieldsV1.GetRawString(), ownerKey(string(owner.UID)), ownerKey(anyOwner)))
		}
	}
	object.SetManagedFields(entries)
}

func withOwner(fields string, object metav1.Object) string {
	if owner := metav1.GetControllerOfNoCopy(object); owner != nil {
		return strings.ReplaceAll(fields, ownerKey(anyOwner), ownerKey(string(owner.UID)))
	}
	return fields
}

// ownerKey is the key of an item of ownerReferences, which is JSON in a string of JSON.
func ownerKey(uid string) string { return `{\"uid\":\"` + uid + `\"}` }

// fieldTree is FieldsV1 (sigs.k8s.io/structured-merge-diff): keys are "f:<field>", `k:{<key fields>}` and "v:<value>" for items of lists, and "." for the node itself.
// A node without children is one piece: a scalar, an atomic list or struct, or an empty one.
type fieldTree map[string]fieldTree

const (
	prefixField = "f:"
	prefixKey   = "k:"
	prefixValue = "v:"
)

func (t fieldTree) leaf() bool {
	return len(t) == 0 || len(t) == 1 && t["."] != nil
}

func same(owned fieldTree, have, want any) bool {
	if owned.leaf() {
		return samePiece(have, want)
	}
	switch want := want.(type) {
	case map[string]any:
		have, ok := have.(map[string]any)
		return ok && sameMap(owned, have, want)
	case []any:
		have, ok := have.([]any)
		return ok && sameList(owned, have, want)
	}
	return false
}

// sameMap: the fields that we own are exactly those that we want, each with its value.
func sameMap(owned fieldTree, have, want map[string]any) bool {
	for key, child := range owned {
		if key == "." {
			continue
		}
		name, ok := strings.CutPrefix(key, prefixField)
		if !ok {
			return false
		}
		wanted, ok := want[name]
		if !ok {
			return false // ours once, and no longer wanted
		}
		value, ok := have[name]
		if !ok {
			// Whoever deletes a field takes it from its owners too. One that is ours and not there was dropped by the API server itself, which does not know or not
			// enable it; it would do so again.
			continue
		}
		if !same(child, value, wanted) {
			return false
		}
	}
	for name := range want {
		if _, ok := owned[prefixField+name]; !ok {
			return false
		}
	}
	return true
}

// sameList compares a keyed list or a set. Its order does not count: the API server keeps the order of the first apply.
func sameList(owned fieldTree, have, want []any) bool {
	matched := 0
	for key, child := range owned {
		if key == "." {
			continue
		}
		var matches func(any) bool
		if fields, ok := strings.CutPrefix(key, prefixKey); ok {
			var wantedKey map[string]any
			if json.Unmarshal([]byte(fields), &wantedKey) != nil {
				return false
			}
			matches = func(item any) bool { return hasKey(item, wantedKey) }
		} else if text, ok := strings.CutPrefix(key, prefixValue); ok {
			var value any
			if json.Unmarshal([]byte(text), &value) != nil {
				return false
			}
			matches = func(item any) bool { return samePiece(item, value) }
		} else {
			return false // by index: no list of ours is one
		}
		wanted, value := slices.IndexFunc(want, matches), slices.IndexFunc(have, matches)
		if wanted < 0 || value < 0 || !same(child, have[value], want[wanted]) {
			return false
		}
		matched++
	}
	return matched == len(want)
}

func hasKey(item any, key map[string]any) bool {
	fields, ok := item.(map[string]any)
	if !ok {
		return false
	}
	for name, value := range key {
		if !samePiece(fields[name], value) {
			return false
		}
	}
	return true
}

// samePiece compares a value that is owned as one piece. An empty object that we own may be filled by others, field by field.
func samePiece(have, want any) bool {
	if m, ok := want.(map[string]any); ok && len(m) == 0 {
		_, ok := have.(map[string]any)
		return ok
	}
	return reflect.DeepEqual(numbers(have), numbers(want))
}

// numbers makes every number a float64, as JSON has it, so that 1 is 1 wherever it came from. Ports and counts are far below 2^53.
func numbers(value any) any {
	switch v := value.(type) {
	case int64:
		return float64(v)
	case int32:
		return float64(v)
	case int:
		return float64(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = numbers(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = numbers(v[k])
		}
		return out
	}
	return value
}
