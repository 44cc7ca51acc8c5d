package rules

import (
	"fmt"
	"slices"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/quorum"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// maxNodes of a role: node ids are 1 + ordinal, 1001 + ordinal and 2001 + ordinal.
const maxNodes = 1000

const maxMembers = 7

func placementCenterSize(_, new *cluster, _ Context) []Violation {
	at, n := spec.Child("placementCenter", "replicas"), new.Spec.PlacementCenter.Replicas
	switch {
	case n < 1:
		return []Violation{{Field: at, Value: n, Message: fmt.Sprintf("%d members cannot hold any metadata", n)}}
	case n > maxMembers:
		return []Violation{{Field: at, Value: n, Message: fmt.Sprintf("%d members are more than %d: every metadata write waits for a majority of them", n, maxMembers)}}
	case n == 1:
		return []Violation{{Field: at, Value: n, Severity: Warn, Message: "a single member bears no failure: while it restarts nothing new can connect, and with its volume all metadata is lost"}}
	case n < 3:
		return []Violation{{Field: at, Value: n, Severity: Warn, Message: fmt.Sprintf("%d members bear no failure", n)}}
	}
	return nil
}

func placementCenterOdd(_, new *cluster, _ Context) []Violation {
	n := new.Spec.PlacementCenter.Replicas
	if n < 1 || n%2 == 1 {
		return nil
	}
	return []Violation{{
		Field: spec.Child("placementCenter", "replicas"), Value: n,
		Message: fmt.Sprintf("%d members bear no more failures than %d", n, n-1),
		WayOut:  fmt.Sprintf("write %d or %d, or list AllowEvenPlacementCenter in spec.unsafe", n-1, n+1),
	}}
}

// noShrinkBelowQuorum compares with the present size: what the spec said, or the pods that still exist when an earlier change is under way. Two small steps in a row are one big one.
func noShrinkBelowQuorum(old, new *cluster, _ Context) []Violation {
	if old == nil {
		return nil
	}
	was, n := old.Spec.PlacementCenter.Replicas, new.Spec.PlacementCenter.Replicas
	if n >= was {
		return nil
	}
	present := int(max(was, old.Status.PlacementCenter.Replicas))
	verdict := quorum.MayShrink(present, int(n))
	if verdict.Allowed {
		return nil
	}
	least := quorum.ShrinkFloor(present) | 1 // an even number is no way out
	return []Violation{{
		Field: spec.Child("placementCenter", "replicas"), Value: n, Message: verdict.Message,
		WayOut: fmt.Sprintf("write %d or more, and go further once the cluster is Ready, or list AllowShrinkBelowQuorum in spec.unsafe", least),
	}}
}

// noShrinkWhileDegraded reads the members' rows of the status: at admission as they were seen last, before the operator acts as it sees them then.
func noShrinkWhileDegraded(old, new *cluster, _ Context) []Violation {
	if old == nil || !old.Status.Founded || new.Spec.PlacementCenter.Replicas >= old.Spec.PlacementCenter.Replicas {
		return nil // of a cluster that was never founded nothing can be lost
	}
	verdict := quorum.MayShrinkNow(seenMembers(old.Status.Members))
	if verdict.Allowed {
		return nil
	}
	return []Violation{{Field: spec.Child("placementCenter", "replicas"), Value: new.Spec.PlacementCenter.Replicas, Message: verdict.Message}}
}

// seenMembers are the members of the placement centre as the rows of a status have them.
func seenMembers(rows []v1alpha1.MemberStatus) []quorum.Member {
	var out []quorum.Member
	for _, row := range rows {
		if row.Role != v1alpha1.RolePlacementCenter {
			continue
		}
		m := quorum.Member{Name: row.Pod, Votes: len(row.VoterIn) > 0, InService: row.InService}
		if started := row.Gate == "Open" || slices.Contains([]string{"Starting", "Running", "Hung", "Exited"}, row.Server); started && !m.InService {
			m.Entering = "is joining"
			if row.Marker == "Seeded" {
				m.Entering = "is being seeded"
			}
		}
		out = append(out, m)
	}
	return out
}

// brokersWithinScale holds for journal servers too: both are nodes that hold copies of messages.
func brokersWithinScale(_, new *cluster, _ Context) []Violation {
	var out []Violation
	for _, r := range new.Spec.Roles()[1:] {
		if r.Replicas < 1 || r.Replicas > maxNodes {
			out = append(out, Violation{Field: spec.Child(r.Field, "replicas"), Value: r.Replicas, Message: fmt.Sprintf("%d is not from 1 to %d", r.Replicas, maxNodes)})
		}
	}
	if len(out) > 0 {
		return out
	}
	engines := new.Spec.Engines()
	at := spec.Child("config").Key("runtime").Key("default_topic_replica_num")
	if copies, ok := configInt(new, "runtime", "default_topic_replica_num"); ok && copies > int64(engines) && !islands(new) {
		return []Violation{{
			Field: spec.Child("mqttBroker", "replicas"), Value: new.Spec.MQTTBroker.Replicas,
			Message: fmt.Sprintf("the cluster would have %d nodes, and %s asks for %d copies of every message, each on a node of its own: topics could not be created", engines, at, copies),
			WayOut:  fmt.Sprintf("keep %d nodes or more, or lower that setting first", copies),
		}}
	}
	return nil
}

func roleLayoutFixed(old, new *cluster, _ Context) []Violation {
	if old == nil || (old.Spec.JournalServer == nil) == (new.Spec.JournalServer == nil) {
		return nil
	}
	v := Violation{Field: spec.Child("journalServer")}
	if new.Spec.JournalServer != nil {
		v.Value, v.Message, v.WayOut = new.Spec.JournalServer.Replicas, "journal servers cannot be added to a cluster that exists", "leave it out, or create a new cluster with it"
	} else {
		v.Message, v.WayOut = "journal servers cannot be taken from a cluster that exists", "put it back, or create a new cluster without it"
	}
	return []Violation{v}
}

// islands reports whether the version's brokers are single nodes of their own.
func islands(c *cluster) bool {
	v, err := robustmq.ParseVersion(c.Spec.Version)
	return err == nil && robustmq.Lookup(v).Tier == robustmq.TierIslands
}
