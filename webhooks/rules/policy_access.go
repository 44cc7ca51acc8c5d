package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// encrypted are the listeners that speak TLS; every other one is open to whoever can read the network.
var encrypted = []string{"mqtts", "wss", "quic"}

// tlsRequired holds inside the Kubernetes cluster too: where a Service is reached from changes with its type, which no rule of this one sees.
func tlsRequired(c *cluster, p *Policy, _ Context) []Violation {
	if t := p.requirements.TLS; t == nil || t.Required != nil && !*t.Required {
		return nil
	}
	var out []Violation
	for _, l := range c.Spec.Listeners.Effective() {
		if l.Enabled && !slices.Contains(encrypted, l.Name) {
			out = append(out, Violation{
				Field: spec.Child("listeners", l.Name, "enabled"), Value: true, Message: fmt.Sprintf("%s is offered to clients without TLS, which is required here", l.Name),
				WayOut: fmt.Sprintf("set spec.listeners.%s.enabled to false, and let clients use %s", l.Name, instead(l.Name)),
			})
		}
	}
	if i := c.Spec.Ingress; i != nil && i.TLSSecretName == "" {
		out = append(out, Violation{
			Field: spec.Child("ingress", "tlsSecretName"), Value: "", Message: "the Ingress is served without TLS, which is required here", WayOut: "name a Secret with a certificate of its host",
		})
	}
	return out
}

// instead is what clients of a plain listener can use.
func instead(listener string) string {
	switch listener {
	case "ws":
		return "wss"
	case "admin":
		return "the operator, or kubectl port-forward"
	}
	return "mqtts"
}

func storageClassesAllowed(c *cluster, p *Policy, _ Context) []Violation {
	names := p.requirements.StorageClasses
	if len(names) == 0 {
		return nil
	}
	var out []Violation
	for _, r := range c.Spec.Roles() {
		name := r.StorageClassName
		if name == nil && p.requirements.AllowDefaultStorageClass || name != nil && slices.Contains(names, *name) {
			continue
		}
		v := Violation{Field: spec.Child(r.Field, "storageClassName"), Message: class(name) + " is none of those that volumes may have here", WayOut: "write " + quoted(names)}
		if name != nil {
			v.Value = *name
		} else {
			v.Message = "no class is named, and the default one is none of those that volumes may have here"
		}
		out = append(out, v)
	}
	return out
}

func escapesAllowed(c *cluster, p *Policy, _ Context) []Violation { return forbidden(c.Spec.Unsafe, p) }

func restoreEscapesAllowed(r *restore, p *Policy, _ Context) []Violation {
	return forbidden(r.Spec.Unsafe, p)
}

// forbidden names the list and not its element: where in the list an escape stands does not matter.
func forbidden[E ~string](unsafe []E, p *Policy) []Violation {
	allowed := p.requirements.AllowedEscapes
	if allowed == nil {
		return nil
	}
	var out []Violation
	for _, e := range unsafe {
		if slices.Contains(allowed, v1alpha1.AllowedEscape(e)) {
			continue
		}
		out = append(out, Violation{Field: spec.Child("unsafe"), Value: e, Message: fmt.Sprintf("%s is not among the escapes that are allowed here (%s)", e, escapes(allowed)), WayOut: fmt.Sprintf("take %s out, and keep to the rule that it takes off", e)})
	}
	return out
}

func escapes(list []v1alpha1.AllowedEscape) string {
	if len(list) == 0 {
		return "none is"
	}
	names := make([]string, 0, len(list))
	for _, e := range list {
		names = append(names, string(e))
	}
	return strings.Join(names, ", ")
}

// quoted joins names as a choice: "a", "b" or "c".
func quoted(names []string) string {
	var b strings.Builder
	for i, n := range names {
		switch {
		case i == 0:
		case i == len(names)-1:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", n)
	}
	return b.String()
}
