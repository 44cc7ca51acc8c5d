package rules

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

var versionField = spec.Child("version")

func versionKnown(_, new *cluster, _ Context) []Violation {
	v, err := robustmq.ParseVersion(new.Spec.Version)
	if err == nil {
		err = robustmq.Supported(v)
	}
	if err != nil {
		return []Violation{{Field: versionField, Value: new.Spec.Version, Message: err.Error()}} // says the way out itself
	}
	return nil
}

// versions returns what the cluster runs and what it shall run; false where nothing can be compared.
// The status says what was run: a spec.version that never came to run may be taken back, or a mistyped one would be the end of the cluster.
func versions(old, new *cluster) (was, is robustmq.Version, ok bool) {
	if old == nil || old.Spec.Version == new.Spec.Version {
		return was, is, false
	}
	was, wasErr := robustmq.ParseVersion(old.RunningVersion())
	is, isErr := robustmq.ParseVersion(new.Spec.Version)
	return was, is, wasErr == nil && isErr == nil
}

func versionForward(old, new *cluster, _ Context) []Violation {
	was, is, ok := versions(old, new)
	if !ok || !is.Less(was) {
		return nil
	}
	return []Violation{{Field: versionField, Value: new.Spec.Version, Message: fmt.Sprintf("the cluster runs %s, and %s does not read what it wrote", was, is)}}
}

func versionHop(old, new *cluster, _ Context) []Violation {
	was, is, ok := versions(old, new)
	if !ok || is.Less(was) || robustmq.CanRoll(was, is) {
		return nil
	}
	return []Violation{{
		Field: versionField, Value: new.Spec.Version,
		Message: fmt.Sprintf("servers of %s and %s cannot run side by side or read one another's data (those that can: %s)", was, is, robustmq.Lookup(robustmq.Newest).UpgradeRange),
		WayOut:  fmt.Sprintf("keep %s, create a new cluster with %s, or list AllowIncompatibleUpgrade in spec.unsafe for an upgrade with everything stopped", was, is),
	}}
}

func versionCapabilities(old, new *cluster, _ Context) []Violation {
	v, err := robustmq.ParseVersion(new.Spec.Version)
	if err != nil || robustmq.Supported(v) != nil {
		return nil // VersionKnown says so
	}
	t := robustmq.Lookup(v)
	var out []Violation
	if t.Warning != "" {
		out = append(out, Violation{Field: versionField, Value: new.Spec.Version, Message: t.Warning})
	}
	if was, is, ok := versions(old, new); ok && !is.Less(was) && !robustmq.CanRoll(was, is) {
		if err := robustmq.Inherits(was, is); err != nil {
			out = append(out, Violation{
				Field: versionField, Value: new.Spec.Version, Message: fmt.Sprintf("%v; the upgrade waits and does not begin", err),
				WayOut: fmt.Sprintf("set it back to %s, and create a new cluster with %s", was, is),
			})
		}
	}
	if out2 := fixedMembers(old, new, v, t); out2 != nil {
		out = append(out, *out2)
	}
	if t.Tier == robustmq.TierIslands && new.Spec.JournalServer != nil {
		out = append(out, Violation{
			Field: spec.Child("journalServer"), Value: new.Spec.JournalServer.Replicas, Severity: Deny,
			Message: fmt.Sprintf("with RobustMQ %s every broker is a node of its own, and nothing would use journal servers", v),
			WayOut:  fmt.Sprintf("leave it out, or use version %q", robustmq.Newest),
		})
	}
	return append(out, protocols(new, v, t)...)
}

// fixedMembers refuses another number of members where the version cannot change it once the cluster stands.
func fixedMembers(old, new *cluster, v robustmq.Version, t robustmq.Traits) *Violation {
	if old == nil || !old.Status.Founded || t.MembershipChanges() || old.Spec.PlacementCenter.Replicas == new.Spec.PlacementCenter.Replicas {
		return nil
	}
	return &Violation{
		Field: spec.Child("placementCenter", "replicas"), Value: new.Spec.PlacementCenter.Replicas, Severity: Deny,
		Message: fmt.Sprintf("the members of a placement centre of RobustMQ %s cannot change once it was founded", v),
		WayOut:  fmt.Sprintf("keep %d, or create a new cluster with version %q", old.Spec.PlacementCenter.Replicas, robustmq.Newest),
	}
}

// chosenPorts is the first version in which the ports of Kafka and AMQP can be chosen.
var chosenPorts = robustmq.Version{Major: 0, Minor: 4, Patch: 1}

func protocols(new *cluster, v robustmq.Version, t robustmq.Traits) []Violation {
	var out []Violation
	has := map[string]bool{"kafka": t.Kafka, "amqp": t.AMQP, "nats": t.NATS}
	usual := map[string]int32{"kafka": 9092, "amqp": 5672}
	for _, l := range new.Spec.Listeners.Effective() {
		at, known := spec.Child("listeners", l.Name), slices.Contains([]string{"kafka", "amqp", "nats"}, l.Name)
		switch {
		case !known || !l.Enabled:
		case !has[l.Name]:
			out = append(out, Violation{
				Field: at.Child("enabled"), Value: true, Message: fmt.Sprintf("RobustMQ %s has no %s listener: the port would be open in the Service and nothing behind it", v, strings.ToUpper(l.Name)),
				WayOut: fmt.Sprintf("use version %q", robustmq.Newest),
			})
		case usual[l.Name] != 0 && l.Port != usual[l.Name] && v.Less(chosenPorts):
			out = append(out, portNotChosen(at, l.Port, usual[l.Name], v))
		}
	}
	return out
}

func portNotChosen(at *field.Path, port, usual int32, v robustmq.Version) Violation {
	return Violation{
		Field: at.Child("port"), Value: port, Message: fmt.Sprintf("RobustMQ %s always listens on %d", v, usual),
		WayOut: fmt.Sprintf("write %d, or use version %q", usual, robustmq.Newest),
	}
}
