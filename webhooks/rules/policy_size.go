package rules

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

func minimumMembers(c *cluster, p *Policy, _ Context) []Violation {
	least, n := p.requirements.MinimumPlacementCenterReplicas, c.Spec.PlacementCenter.Replicas
	if least == nil || n >= *least {
		return nil
	}
	return []Violation{{
		Field: spec.Child("placementCenter", "replicas"), Value: n, Message: fmt.Sprintf("%d members are fewer than %d, the least that a placement centre must have here", n, *least),
		WayOut: fmt.Sprintf("write %d or more", *least|1), beyond: int64(*least) - int64(n), // an even number is no way out
	}}
}

func maximumMembers(c *cluster, p *Policy, _ Context) []Violation {
	m := p.requirements.Maximum
	if m == nil {
		return nil
	}
	return tooMany(spec.Child("placementCenter", "replicas"), "members", c.Spec.PlacementCenter.Replicas, m.PlacementCenterReplicas)
}

func maximumBrokers(c *cluster, p *Policy, _ Context) []Violation {
	m := p.requirements.Maximum
	if m == nil {
		return nil
	}
	return tooMany(spec.Child("mqttBroker", "replicas"), "brokers", c.Spec.MQTTBroker.Replicas, m.Brokers)
}

func maximumJournalServers(c *cluster, p *Policy, _ Context) []Violation {
	m, j := p.requirements.Maximum, c.Spec.JournalServer
	if m == nil || j == nil || m.JournalServers == nil {
		return nil
	}
	if *m.JournalServers == 0 {
		return []Violation{{Field: spec.Child("journalServer"), Value: j.Replicas, Message: "journal servers are not allowed here", WayOut: "leave spec.journalServer out: brokers store messages too", beyond: int64(j.Replicas)}}
	}
	return tooMany(spec.Child("journalServer", "replicas"), "journal servers", j.Replicas, m.JournalServers)
}

func tooMany(at *field.Path, what string, n int32, most *int32) []Violation {
	if most == nil || n <= *most {
		return nil
	}
	return []Violation{{
		Field: at, Value: n, Message: fmt.Sprintf("%d %s are more than %d, the most that a cluster may have here", n, what, *most),
		WayOut: fmt.Sprintf("write %d or less", *most), beyond: int64(n) - int64(*most),
	}}
}

func maximumStorage(c *cluster, p *Policy, _ Context) []Violation {
	m := p.requirements.Maximum
	if m == nil || m.Storage == nil {
		return nil
	}
	var out []Violation
	for _, r := range c.Spec.Roles() {
		if size := storageOf(r.RoleSpec); size.Cmp(*m.Storage) > 0 {
			out = append(out, Violation{
				Field: spec.Child(r.Field, "storage"), Value: size.String(), Message: fmt.Sprintf("a volume of %s is larger than %s, the most that one may have here", size.String(), m.Storage),
				WayOut: fmt.Sprintf("write %s or less", m.Storage), beyond: size.Value() - m.Storage.Value(),
			})
		}
	}
	return out
}

func maximumResources(c *cluster, p *Policy, _ Context) []Violation {
	m := p.requirements.Maximum
	if m == nil || m.Resources == nil {
		return nil
	}
	var out []Violation
	for _, r := range c.Spec.Roles() {
		at := spec.Child(r.Field, "resources")
		out = append(out, tooMuch(r.Resources, corev1.ResourceCPU, m.Resources.CPU, at)...)
		out = append(out, tooMuch(r.Resources, corev1.ResourceMemory, m.Resources.Memory, at)...)
	}
	return out
}

// tooMuch compares what a pod asks for, and is limited to, with the most that it may have. CPU without a limit is what nobody else wants; memory without one is not given back.
func tooMuch(r *v1alpha1.ResourcesSpec, name corev1.ResourceName, most *resource.Quantity, at *field.Path) []Violation {
	if most == nil {
		return nil
	}
	flat := r != nil && (r.CPU != nil || r.Memory != nil)
	asked := r.Requirements()
	var out []Violation
	above := func(q resource.Quantity, at *field.Path) {
		if q.Cmp(*most) > 0 {
			out = append(out, Violation{
				Field: at, Value: q.String(), Message: fmt.Sprintf("%s of %s are more than %s, the most that a pod may have here", q.String(), name, most),
				WayOut: fmt.Sprintf("write %s or less", most), beyond: q.MilliValue() - most.MilliValue(),
			})
		}
	}
	if q, ok := asked.Requests[name]; ok && flat {
		above(q, at.Child(string(name)))
	} else if ok {
		above(q, at.Child("requests").Key(string(name)))
	}
	switch q, ok := asked.Limits[name]; {
	case ok && !flat: // in the flat form it is the request
		above(q, at.Child("limits").Key(string(name)))
	case !ok && name == corev1.ResourceMemory:
		out = append(out, Violation{
			Field: at.Child("limits").Key(string(name)), Message: fmt.Sprintf("without a limit of memory a pod can take all that its node has, and %s is the most that one may have here", most),
			WayOut: fmt.Sprintf("set one of %s or less", most),
		})
	}
	return out
}
