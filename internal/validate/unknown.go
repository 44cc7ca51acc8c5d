package validate

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/robustmq/robustmq-operator/internal/spelling"
)

// unknownField says that a field does not exist, and which one is probably meant.
func (d *definition) unknownField(path string) *field.Error {
	text := "unknown field: " + d.kind.Kind + " has no such field; "
	if near := d.nearest(path); near != "" {
		text += fmt.Sprintf("did you mean %s? Otherwise take it out", near)
	} else {
		text += "take it out"
	}
	return field.Forbidden(field.NewPath(path), text)
}

// UnknownField reports whether an error of Admit is about a field that does not exist, and what it says.
func UnknownField(e *field.Error) (text string, ok bool) {
	return e.Detail, e.Type == field.ErrorTypeForbidden && strings.HasPrefix(e.Detail, "unknown field: ")
}

// nearest is the field beside the unknown one, or anywhere below spec, whose name resembles it most; "" if none does.
func (d *definition) nearest(path string) string {
	parent, name, found := cutLast(path)
	if !found {
		parent, name = "", path
	}
	if s := at(d.shape, parent); s != nil {
		if near := closest(name, s.Properties); near != "" {
			return strings.TrimPrefix(parent+"."+near, ".")
		}
	}
	// A field that was put on the wrong level: the same name elsewhere, if there is one only.
	var elsewhere []string
	each(d.shape, "", func(path, property string) {
		if property == name && !strings.HasPrefix(path, "status.") && strings.Count(path, ".") <= 2 {
			elsewhere = append(elsewhere, path)
		}
	})
	if len(elsewhere) == 1 {
		return elsewhere[0]
	}
	return ""
}

// cutLast cuts a path before its last field.
func cutLast(path string) (parent, name string, found bool) {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

// at walks to the schema of a path such as spec.backup.schedules[0].
func at(s *schema.Structural, path string) *schema.Structural {
	for _, step := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' }) {
		if s == nil {
			return nil
		}
		switch {
		case strings.HasSuffix(step, "]") && s.Items != nil:
			s = s.Items
		case s.AdditionalProperties != nil && s.AdditionalProperties.Structural != nil:
			s = s.AdditionalProperties.Structural
		default:
			p, ok := s.Properties[step]
			if !ok {
				return nil
			}
			s = &p
		}
	}
	return s
}

// each visits the properties of a schema.
func each(s *schema.Structural, prefix string, visit func(path, property string)) {
	for name, p := range s.Properties {
		path := strings.TrimPrefix(prefix+"."+name, ".")
		visit(path, name)
		each(&p, path, visit)
	}
}

// closest is the property whose name is nearest, at most a third of its letters away; the case of letters counts for nothing.
func closest(name string, properties map[string]schema.Structural) string {
	best, least := "", len(name)/3+1
	names := make([]string, 0, len(properties))
	for p := range properties {
		names = append(names, p)
	}
	slices.Sort(names) // of two that are as near, always the same
	for _, p := range names {
		d := spelling.Distance(strings.ToLower(name), strings.ToLower(p), least)
		if len(name) >= 4 && strings.Contains(strings.ToLower(p), strings.ToLower(strings.TrimSuffix(name, "s"))) {
			d = min(d, least-1) // brokers: mqttBroker
		}
		if d < least {
			best, least = p, d
		}
	}
	return best
}
