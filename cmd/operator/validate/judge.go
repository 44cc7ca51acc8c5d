package validate

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/validate"
	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

// Input is what there is to judge, and what is known.
type Input struct {
	// Files are judged. Policies and namespaces among them apply to the others.
	Files validate.Contents
	// Existing is what there is already: an object of the same kind, namespace and name makes the one that is judged a change of it. Policies and namespaces apply.
	Existing validate.Contents
	// KnowsExisting: Existing is all there is, so that rules about what lives beside an object can be asked.
	KnowsExisting bool
	// Policies apply, and are not judged.
	Policies validate.Contents
	// ServerImage is what runs where a cluster names no image, with {version} in it: policies about images judge that one.
	ServerImage string
}

// Judge says what would come of applying the files.
func Judge(ctx context.Context, defs *validate.Definitions, in Input) (*Report, error) {
	r := &Report{Version: FormatVersion, Objects: []Object{}, Unreadable: []Unreadable{}, PassedOver: []PassedOver{}}
	for _, c := range []validate.Contents{in.Files, in.Existing, in.Policies} {
		for _, u := range c.Unreadable {
			r.Unreadable = append(r.Unreadable, Unreadable{Place{u.File, u.Number, u.Line}, u.Message})
		}
	}
	for _, p := range in.Files.PassedOver {
		r.PassedOver = append(r.PassedOver, PassedOver{Place{p.File, p.Number, p.Line}, p.Kind})
	}
	w, err := newWorld(ctx, defs, in)
	if err != nil {
		return nil, err
	}
	for _, d := range in.Files.Documents {
		if isNamespace(d.Object) {
			r.PassedOver = append(r.PassedOver, PassedOver{Place{d.File, d.Number, d.Line}, "v1 Namespace"})
			continue
		}
		o, err := w.judge(ctx, d)
		if err != nil {
			return nil, err
		}
		r.Objects = append(r.Objects, o)
	}
	r.finish()
	return r, nil
}

// mine reports whether an object is one to look at: of our group, or meant to be, or a Namespace for its labels.
func mine(apiVersion, kind string) bool {
	group, _, _ := strings.Cut(apiVersion, "/")
	return group == v1alpha1.GroupVersion.Group || strings.HasPrefix(kind, "RobustMQ") || apiVersion == "v1" && kind == "Namespace"
}

func isNamespace(u *unstructured.Unstructured) bool {
	return u.GetAPIVersion() == "v1" && u.GetKind() == "Namespace"
}

func (w *world) judge(ctx context.Context, d *validate.Document) (Object, error) {
	u := d.Object
	o := Object{
		Place: Place{d.File, d.Number, d.Line}, APIVersion: u.GetAPIVersion(), Kind: u.GetKind(), Namespace: w.namespace(u),
		Name: u.GetName(), Findings: []Finding{},
	}
	if o.Name == "" && u.GetGenerateName() != "" {
		o.Name = u.GetGenerateName() + "*"
	}
	if e := w.unserved(u.GroupVersionKind()); e != nil {
		o.Findings = append(o.Findings, fromSchema(d, e))
		o.Verdict = Refused
		return o, nil
	}
	old := w.existing(u)
	is, errs, err := w.definitions.Admit(ctx, u, old)
	if err != nil {
		return o, fmt.Errorf("%s, document %d: %w", d.File, d.Number, err)
	}
	for _, e := range errs {
		o.Findings = append(o.Findings, fromSchema(d, e))
	}
	// As on the API server, the rules are asked about what the schema lets in, so nothing is said twice.
	if ask := tables[u.GetKind()]; ask != nil && len(errs) == 0 {
		c := w.context(is, old)
		if old != nil {
			if old, err = w.definitions.Stored(old); err != nil {
				return o, fmt.Errorf("the %s %s that exists: %w", u.GetKind(), u.GetName(), err)
			}
		}
		vs, err := ask(old, is, c)
		if err != nil {
			return o, fmt.Errorf("%s, document %d: %w", d.File, d.Number, err)
		}
		o.Findings = append(o.Findings, fromRules(d, vs)...)
	}
	slices.SortStableFunc(o.Findings, func(a, b Finding) int { return strings.Compare(string(a.Severity), string(b.Severity)) })
	o.Verdict = verdict(o.Findings)
	return o, nil
}

// unserved says that nothing is known of a kind.
func (w *world) unserved(kind schema.GroupVersionKind) *field.Error {
	if w.definitions.Knows(kind) {
		return nil
	}
	ours := schema.GroupKind{Group: v1alpha1.GroupVersion.Group, Kind: kind.Kind}
	if version, ok := w.definitions.Served(ours); ok {
		return field.Invalid(field.NewPath("apiVersion"), kind.GroupVersion().String(), fmt.Sprintf("there is no %s of that version; write %s/%s", kind.Kind, ours.Group, version))
	}
	return field.Invalid(field.NewPath("kind"), kind.Kind, fmt.Sprintf("%s has no such kind; those that there are: %s", ours.Group, strings.Join(w.definitions.Kinds(), ", ")))
}

// named finds the rule in front of a message of the schema.
var named = regexp.MustCompile(`^([A-Z][A-Za-z0-9]+)( \([^)]*\))?: `)

func fromSchema(d *validate.Document, e *field.Error) Finding {
	f := Finding{Severity: SeverityError, Rule: "Schema", Field: e.Field, Message: e.ErrorBody(), Line: d.LineOf(e.Field)}
	if m := named.FindStringSubmatch(e.Detail); m != nil {
		f.Rule = m[1]
	}
	if text, ok := validate.UnknownField(e); ok {
		f.Message = text
	}
	if f.Field == "" || f.Field == "<nil>" {
		f.Field = "(object)"
	}
	f.Value = written(e.BadValue)
	return f
}

func fromRules(d *validate.Document, vs []rules.Violation) []Finding {
	var out []Finding
	for _, v := range vs {
		f := Finding{Severity: SeverityWarning, Rule: v.Rule, Field: v.Field.String(), Line: d.LineOf(v.Field.String())}
		switch v.Severity {
		case rules.Deny:
			f.Severity, f.Message = SeverityError, field.Invalid(v.Field, v.Value, v.Text()).ErrorBody()
		case rules.Warn:
			f.Message = strings.TrimPrefix(v.Warning(), f.Field+": ")
		default:
			continue
		}
		f.Value = written(v.Value)
		out = append(out, f)
	}
	return out
}

// written is a value as it stands in the manifest, if it is short.
func written(v any) *string {
	const longest = 256
	switch v.(type) {
	case string, bool, int, int32, int64, float64:
	default:
		return nil // whole objects say nothing, and the kinds of strings are the rules' own
	}
	s := fmt.Sprint(v)
	if len(s) > longest {
		return nil
	}
	return &s
}
