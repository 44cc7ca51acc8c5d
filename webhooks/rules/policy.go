package rules

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// Policy is a RobustMQPolicy as the rules see it: what can be read of it, ready to be asked.
type Policy struct {
	// Name of the RobustMQPolicy; denials repeat it.
	Name string
	// Actions that it gives to rules, by their names.
	Actions map[string]Action

	requirements *v1alpha1.PolicyRequirements
	versions     []versionRange // nil: every version
	registries   []string       // nil: every registry
}

// NewPolicy reads a policy. A part that cannot be read requires nothing (RobustMQPolicy names it); what is left holds.
func NewPolicy(p *v1alpha1.RobustMQPolicy) Policy {
	out := Policy{Name: p.Name, Actions: map[string]Action{}, requirements: &p.Spec.Requirements}
	for _, r := range p.Spec.Rules {
		out.Actions[r.Name] = Action(r.Action)
		if r.Action == "" {
			out.Actions[r.Name] = Deny
		}
	}
	out.versions, _ = versionRanges(p.Spec.Requirements.Versions)
	out.registries, _ = registries(p.Spec.Requirements.ImageRegistries)
	return out
}

// PoliciesFor are those of the policies that select a namespace with the given labels, in the order of their names. One whose selector cannot be read selects none.
func PoliciesFor(policies []v1alpha1.RobustMQPolicy, namespace map[string]string) []Policy {
	var out []Policy
	for i := range policies {
		if s, err := policies[i].Selector(); err == nil && s.Matches(labels.Set(namespace)) {
			out = append(out, NewPolicy(&policies[i]))
		}
	}
	slices.SortFunc(out, func(a, b Policy) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Speaks are the rules that the policy speaks of, by their names, with what follows from them: its requirements, and the rules that it gives an action to. Those that are Off are left out.
func (p *Policy) Speaks() map[string]Action {
	out := map[string]Action{}
	for name, asked := range requirementsOf(p.requirements) {
		if asked && p.action(name) != Off {
			out[name] = p.action(name)
		}
	}
	for _, r := range Clusters {
		a, named := p.Actions[r.Name]
		if !named {
			continue
		}
		if r.DefaultAction == Deny {
			a = Deny
		}
		if a != Off {
			out[r.Name] = a
		}
	}
	return out
}

// AuditCluster is what a policy has against a cluster as it is: its requirements, and the rules that it names. Rules about changes say nothing here.
func AuditCluster(c *v1alpha1.RobustMQCluster, p Policy, serverImage string) []Violation {
	vs := Cluster(nil, c, Context{Operation: Create, Policies: []Policy{p}, ServerImage: serverImage})
	return slices.DeleteFunc(vs, func(v Violation) bool {
		_, named := p.Actions[v.Rule]
		return !named && !slices.Contains(v.Policies, p.Name)
	})
}

// action of a requirement: they deny where the policy says nothing else.
func (p *Policy) action(requirement string) Action {
	if a, ok := p.Actions[requirement]; ok {
		return a
	}
	return Deny
}

// decide returns what follows from a violation of a rule whose own action is the given one, and the policies that made it stricter.
// Of several policies the strictest wins, and a policy that does not name the rule says nothing. What the table denies stays denied.
func (c Context) decide(rule string, own Action) (Action, []string) {
	if own == Deny {
		return own, nil
	}
	var strictest Action
	var names []string
	for _, p := range c.Policies {
		switch a, ok := p.Actions[rule]; {
		case !ok:
		case strictest == "" || a.Stricter(strictest):
			strictest, names = a, []string{p.Name}
		case a == strictest:
			names = append(names, p.Name)
		}
	}
	switch {
	case strictest == "":
		return own, nil
	case strictest.Stricter(own):
		return strictest, names
	}
	return strictest, nil
}
