package rules

import (
	"reflect"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// Operation is what is done to an object.
type Operation string

// The operations. Scale is an update of the subresource: a webhook for the object itself is not called for it. Of a deletion old is what is deleted, and new nil.
const (
	Create Operation = "Create"
	Update Operation = "Update"
	Scale  Operation = "Scale"
	Delete Operation = "Delete"
)

// Action is what follows from a violation.
type Action string

// The actions, strictest first. Audit and Off come from policies alone: a table's own actions are Deny and Warn.
const (
	// Deny refuses the change.
	Deny Action = "Deny"
	// Warn lets it through and says so to whoever makes it.
	Warn Action = "Warn"
	// Audit lets it through in silence; it is counted in the status and the metric of the policy that asked for it.
	Audit Action = "Audit"
	// Off is as if there were no rule.
	Off Action = "Off"
)

// strictness orders the actions.
var strictness = map[Action]int{Off: 0, Audit: 1, Warn: 2, Deny: 3}

// Stricter reports whether a is stricter than b.
func (a Action) Stricter(b Action) bool { return strictness[a] > strictness[b] }

// Context is what a rule may know beside the objects. Rules read nothing themselves.
type Context struct {
	Operation Operation
	// Around is what else lives in the object's namespace; nil when that is not known, and then the rules about it say nothing.
	Around *Around
	// Policies that hold in the object's namespace, in the order of their names; none where there are none or where they cannot be read.
	Policies []Policy
	// ServerImage is what the operator runs where a cluster names no image, with {version} in it; empty: manifests.DefaultServerImage.
	ServerImage string
}

// Violation is one thing that a rule has against an object.
type Violation struct {
	// Rule is the name of the rule; Evaluate fills it in.
	Rule string
	// Field and Value are what to change; they stand in front of the message when it is shown.
	Field *field.Path
	Value any
	// Message says what is wrong with the value, and why that matters: "is even: …".
	Message string
	// WayOut says what to do instead, where it is more precise than the rule's.
	WayOut string
	// Severity is what follows; empty means the rule's default.
	Severity Action
	// Escape takes this violation alone off, where its rule as a whole has no escape.
	Escape v1alpha1.UnsafeEscape
	// Policies are the names of those that made it what it is: that asked for it, or made its action stricter. None: the table alone.
	Policies []string
	// Standing: a policy would deny it, and the object was so before, so the change is let through with a warning.
	Standing bool
	// beyond is how far a value is past a limit of a policy, in a unit of the rule's own; 0 where values have no order.
	beyond int64
}

// Rule is one row of a table.
type Rule[T any] struct {
	// Name is its name in denials, policies and the documentation. It never changes.
	Name string
	// Kinds that the rule is about.
	Kinds []string
	// Operations for which it is asked.
	Operations []Operation
	// DefaultAction of its violations.
	DefaultAction Action
	// Escape takes the rule off when it is listed in spec.unsafe; empty: nothing does.
	Escape v1alpha1.UnsafeEscape
	// Partly: the escape takes off only what names it (Violation.Escape), not the whole rule.
	Partly bool
	// Requirement is the field of a RobustMQPolicy without which the rule says nothing; empty: the rule needs no policy.
	Requirement string
	// Why the rule exists, in one sentence.
	Why string
	// WayOut says what to do instead, in one sentence without its first capital and last dot.
	WayOut string
	// Check is the rule. old is nil when there was none; it changes neither.
	Check func(old, new *T, ctx Context) []Violation
}

// Evaluate asks every rule of a table that is for the operation, and returns the violations in the order of the table, without those that are Off.
// escapes are the rules that the object takes off.
//
// The strictest of the policies in ctx decides what follows; none of them lowers what the table itself denies.
// What only a policy denies is let through with a warning where old has it too, to the same extent or worse: a new policy blocks no unrelated change, and no step in its own direction.
func Evaluate[T any](table []Rule[T], old, new *T, ctx Context, escapes func(v1alpha1.UnsafeEscape) bool) []Violation {
	var out []Violation
	for _, r := range table {
		if !slices.Contains(r.Operations, ctx.Operation) || r.Escape != "" && !r.Partly && escapes(r.Escape) {
			continue
		}
		var before []Violation // what the rule has against old, when it is first asked for
		asked := false
		for _, v := range r.judge(old, new, ctx) {
			if v.Escape != "" && escapes(v.Escape) || v.Severity == Off {
				continue
			}
			if old != nil && v.Severity == Deny && len(v.Policies) > 0 {
				if !asked {
					then := ctx
					then.Operation = Create
					before, asked = r.judge(nil, old, then), true
				}
				if slices.ContainsFunc(before, v.noWorseThan) {
					v.Severity, v.Standing = Warn, true
				}
			}
			out = append(out, v)
		}
	}
	return out
}

// judge asks the rule and fills in what its violations leave to the row and to the policies.
func (r *Rule[T]) judge(old, new *T, ctx Context) []Violation {
	out := r.Check(old, new, ctx)
	for i := range out {
		v := &out[i]
		v.Rule = r.Name
		if v.WayOut == "" {
			v.WayOut = r.WayOut
		}
		if v.Severity == "" {
			v.Severity = r.DefaultAction
		}
		if len(v.Policies) == 0 {
			v.Severity, v.Policies = ctx.decide(r.Name, v.Severity)
		}
	}
	return out
}

// noWorseThan reports whether w, of the object as it was, is the same violation to the same extent or to a greater one.
func (v Violation) noWorseThan(w Violation) bool {
	return w.Field.String() == v.Field.String() && slices.Equal(w.Policies, v.Policies) && w.Severity == v.Severity &&
		(reflect.DeepEqual(w.Value, v.Value) && w.Message == v.Message || v.beyond != 0 && v.beyond <= w.beyond)
}

// Text is the violation without its field and value: rule and policies, what is wrong, and the way out.
func (v Violation) Text() string {
	s := v.Rule
	switch len(v.Policies) {
	case 0:
	case 1:
		s += " (policy " + v.Policies[0] + ")"
	default:
		s += " (policies " + strings.Join(v.Policies, ", ") + ")"
	}
	return s + ": " + v.Finding()
}

// Finding is what is wrong and the way out, without rule, field and value.
func (v Violation) Finding() string {
	if v.WayOut == "" {
		return v.Message
	}
	return v.Message + "; " + v.WayOut
}

// Warning is the violation as one line for a user who is let through.
func (v Violation) Warning() string {
	s := v.Field.String() + ": " + v.Text()
	if v.Standing {
		s += " (it was so before, so this change is let through)"
	}
	return s
}

// Denied are the violations that deny.
func Denied(vs []Violation) []Violation { return filter(vs, Deny) }

// Warned are the violations that only warn.
func Warned(vs []Violation) []Violation { return filter(vs, Warn) }

func filter(vs []Violation, a Action) []Violation {
	return slices.DeleteFunc(slices.Clone(vs), func(v Violation) bool { return v.Severity != a })
}

// Error is the violations that deny as an API error, or nil: 422 Invalid, as the schema's own.
func Error(kind schema.GroupKind, name string, vs []Violation) *apierrors.StatusError {
	var list field.ErrorList
	for _, v := range Denied(vs) {
		list = append(list, field.Invalid(v.Field, v.Value, v.Text()))
	}
	if len(list) == 0 {
		return nil
	}
	return apierrors.NewInvalid(kind, name, list)
}

// Summary joins violations into one message for a condition or an event.
func Summary(vs []Violation) string {
	lines := make([]string, 0, len(vs))
	for _, v := range vs {
		if v.Severity == Deny { // in the very words of the webhook, with the value
			lines = append(lines, field.Invalid(v.Field, v.Value, v.Text()).Error())
			continue
		}
		lines = append(lines, v.Warning())
	}
	return strings.Join(lines, "\n")
}
