package rules

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/spelling"
)

type robustMQPolicy = v1alpha1.RobustMQPolicy

var policyKinds = []string{"RobustMQPolicy"}

// Policies is the table of rules for a RobustMQPolicy itself. What they refuse is ignored where it slipped through, and the rest of the policy holds.
var Policies = []Rule[robustMQPolicy]{
	{
		Name: "RulesKnown", Kinds: policyKinds, Operations: always, DefaultAction: Deny, Check: rulesKnown,
		Why: "An action for a rule that does not exist has no effect, and looks as if it had one.",
	},
	{
		Name: "RulesOnlyStricter", Kinds: policyKinds, Operations: always, DefaultAction: Deny, Check: rulesOnlyStricter,
		Why:    "What the operator itself refuses would harm the cluster, whoever allows it.",
		WayOut: "leave the rule out; where it has an escape, a cluster can list that in spec.unsafe",
	},
	{
		Name: "RulesHaveRequirements", Kinds: policyKinds, Operations: always, DefaultAction: Deny, Check: rulesHaveRequirements,
		Why: "The action of a requirement says what follows where the same policy's requirement is broken; without one nothing ever is.",
	},
	{
		Name: "SelectorReadable", Kinds: policyKinds, Operations: always, DefaultAction: Deny, Check: selectorReadable,
		Why: "A policy whose selector cannot be read holds nowhere.",
	},
	{
		Name: "RequirementsReadable", Kinds: policyKinds, Operations: always, DefaultAction: Deny, Check: requirementsReadable,
		Why: "A requirement that cannot be read is not held.",
	},
	{
		Name: "PolicyAdvised", Kinds: policyKinds, Operations: always, DefaultAction: Warn, Check: policyAdvised,
		Why: "A policy that does nothing, or a rule that changes nothing, is seldom what was meant.",
	},
}

// RobustMQPolicy judges a policy; old is nil when it is created.
func RobustMQPolicy(old, new *v1alpha1.RobustMQPolicy, ctx Context) []Violation {
	return Evaluate(Policies, old, new, ctx, func(v1alpha1.UnsafeEscape) bool { return false })
}

// ruleNames are the names that a policy can give an action to, in the order of the tables.
func ruleNames() []string {
	var names []string
	for _, r := range Clusters {
		names = append(names, r.Name)
	}
	for _, r := range PolicyRules {
		names = append(names, r.Name)
	}
	return names
}

func ruleAt(i int) *field.Path { return spec.Child("rules").Index(i) }

func rulesKnown(_, new *robustMQPolicy, _ Context) []Violation {
	var out []Violation
	names := ruleNames()
	for i, r := range new.Spec.Rules {
		if slices.Contains(names, r.Name) {
			continue
		}
		v := Violation{Field: ruleAt(i).Child("name"), Value: r.Name, Message: "there is no rule of that name", WayOut: "leave it out; docs/policies.md lists the rules"}
		if near := nearest(r.Name, names); near != "" {
			v.WayOut = fmt.Sprintf("write %s, or leave it out", near)
		}
		out = append(out, v)
	}
	return out
}

// nearest returns the name that a word was probably meant to be, or "".
func nearest(word string, names []string) string {
	best, at := "", len(word)/3+1 // more than a third of the letters wrong is another word
	for _, n := range names {
		if d := spelling.Distance(strings.ToLower(word), strings.ToLower(n), at); d < at {
			best, at = n, d
		}
	}
	return best
}

func rulesOnlyStricter(_, new *robustMQPolicy, _ Context) []Violation {
	var out []Violation
	for i, r := range new.Spec.Rules {
		if own := builtIn(r.Name); own != nil && own.DefaultAction == Deny && Deny.Stricter(actionOf(r)) {
			out = append(out, Violation{Field: ruleAt(i).Child("action"), Value: r.Action, Message: fmt.Sprintf("%s denies by itself, and no policy can lower it to %s", r.Name, r.Action)})
		}
	}
	return out
}

func builtIn(name string) *Rule[cluster] {
	i := slices.IndexFunc(Clusters, func(r Rule[cluster]) bool { return r.Name == name })
	if i < 0 {
		return nil
	}
	return &Clusters[i]
}

// actionOf is the action of an entry, which the schema defaults.
func actionOf(r v1alpha1.PolicyRule) Action {
	if r.Action == "" {
		return Deny
	}
	return Action(r.Action)
}

func rulesHaveRequirements(_, new *robustMQPolicy, _ Context) []Violation {
	var out []Violation
	asked := requirementsOf(&new.Spec.Requirements)
	for i, r := range new.Spec.Rules {
		j := slices.IndexFunc(PolicyRules, func(row Rule[cluster]) bool { return row.Name == r.Name })
		if j >= 0 && !asked[r.Name] {
			out = append(out, Violation{
				Field: ruleAt(i).Child("name"), Value: r.Name, Message: fmt.Sprintf("this policy has no %s, so the rule never applies", PolicyRules[j].Requirement),
				WayOut: fmt.Sprintf("set %s, or leave the rule out", PolicyRules[j].Requirement),
			})
		}
	}
	return out
}

// requirementsOf are the names of the rules that a policy's requirements switch on.
func requirementsOf(r *v1alpha1.PolicyRequirements) map[string]bool {
	b, m := r.Backup, r.Maximum
	out := map[string]bool{
		"PolicyMinimumMembers":  r.MinimumPlacementCenterReplicas != nil,
		"PolicyBackupRequired":  b != nil && (b.Required == nil || *b.Required),
		"PolicyBackupInterval":  b != nil && b.MaximumInterval != nil,
		"PolicyTLSRequired":     r.TLS != nil && (r.TLS.Required == nil || *r.TLS.Required),
		"PolicyVersions":        len(r.Versions) > 0,
		"PolicyImageRegistries": len(r.ImageRegistries) > 0,
		"PolicyStorageClasses":  len(r.StorageClasses) > 0,
		"PolicyEscapes":         r.AllowedEscapes != nil,
	}
	if m != nil {
		out["PolicyMaximumMembers"] = m.PlacementCenterReplicas != nil
		out["PolicyMaximumBrokers"] = m.Brokers != nil
		out["PolicyMaximumJournalServers"] = m.JournalServers != nil
		out["PolicyMaximumStorage"] = m.Storage != nil
		out["PolicyMaximumResources"] = m.Resources != nil
	}
	return out
}

func selectorReadable(_, new *robustMQPolicy, _ Context) []Violation {
	if _, err := new.Selector(); err != nil {
		return []Violation{{
			Field: spec.Child("namespaceSelector"), Message: err.Error(), WayOut: "correct it: In and NotIn need values, Exists and DoesNotExist have none, and labels follow the rules of Kubernetes",
		}}
	}
	return nil
}

func requirementsReadable(_, new *robustMQPolicy, _ Context) []Violation {
	var out []Violation
	at, r := spec.Child("requirements"), new.Spec.Requirements
	if _, err := versionRanges(r.Versions); err != nil {
		out = append(out, Violation{Field: at.Child("versions"), Value: r.Versions, Message: err.Error(), WayOut: `write "0.4.11", "0.4.x" or ">=0.4.9 <0.5.0"`})
	}
	if _, err := registries(r.ImageRegistries); err != nil {
		out = append(out, Violation{Field: at.Child("imageRegistries"), Value: r.ImageRegistries, Message: err.Error(), WayOut: "write a registry, and a path if you like, such as registry.example.com/messaging"})
	}
	return out
}

func policyAdvised(_, new *robustMQPolicy, _ Context) []Violation {
	var out []Violation
	for i, r := range new.Spec.Rules {
		if own := builtIn(r.Name); own != nil && actionOf(r) == Deny && own.DefaultAction == Deny && own.Escape != "" {
			out = append(out, Violation{
				Field: ruleAt(i), Value: r.Name, Message: fmt.Sprintf("%s denies by itself, and a cluster that lists %s in spec.unsafe still takes it off", r.Name, own.Escape),
				WayOut: "leave it out, and forbid the escape by spec.requirements.allowedEscapes",
			})
		}
	}
	on := false
	for _, asked := range requirementsOf(&new.Spec.Requirements) {
		on = on || asked
	}
	if !on && len(new.Spec.Rules) == 0 {
		out = append(out, Violation{Field: spec, Message: "the policy has no rules and no requirements, so it does nothing", WayOut: "add some, or delete it"})
	}
	return out
}
