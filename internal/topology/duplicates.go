package topology

import (
	"fmt"
	"maps"
	"slices"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// Registration is how a node is registered: under which host, and when it was so last, in Unix seconds of the metadata leader.
type Registration struct {
	Host string
	At   uint64
}

// Duplicate is another process that is registered under a node's id. RobustMQ refuses neither: the registration goes back and forth between them every few seconds, and messages and votes with it.
type Duplicate struct {
	// Host is where the other process is, by its own word; empty when it says the same as the true one: then it is an older pod of this name that runs on where nobody sees it.
	Host string
}

// manyRegistrations within Limits.Duplicate, of a server that was not restarted, are those of two. A server registers again by itself when the leader forgot it, which takes 30 s each time: at most three times a minute.
const manyRegistrations = 4

// Sightings remembers which registrations were not their nodes' own. The true and the false one take turns, so that a single look proves nothing against a duplicate. Like Tracker it lives in memory
// only. The zero value is ready for use.
type Sightings struct {
	foreign map[uint64]sighting
	last    map[uint64]uint64      // when each node was registered last
	changes map[uint64][]time.Time // when a node was seen registered anew although it was not restarted
}

type sighting struct {
	host string
	at   time.Time
}

// Observe takes what is seen now and returns the duplicates of the last Limits.Duplicate, by node id.
func (t *Sightings) Observe(now time.Time, s Snapshot) map[uint64]Duplicate {
	if t.last == nil {
		t.foreign, t.last, t.changes = map[uint64]sighting{}, map[uint64]uint64{}, map[uint64][]time.Time{}
	}
	old := func(at time.Time) bool { return now.Sub(at) > s.Limits.Duplicate }
	maps.DeleteFunc(t.foreign, func(_ uint64, f sighting) bool { return old(f.at) })
	for id, r := range s.Registrations {
		m, ok := s.node(id)
		if !ok || m.Host == "" || r.Host == "" {
			continue
		}
		before, known := t.last[id]
		t.last[id] = r.At
		// A server says what was in its configuration when it was started.
		if m.Agent != nil && m.Agent.ConfigStale {
			continue
		}
		if r.Host != m.Host {
			t.foreign[id] = sighting{r.Host, now}
			continue
		}
		if known && before != r.At && m.Agent != nil && m.Agent.StartedFor > s.Limits.Duplicate {
			t.changes[id] = append(t.changes[id], now)
		}
	}
	out := map[uint64]Duplicate{}
	for id, times := range t.changes {
		t.changes[id] = slices.DeleteFunc(times, old)
		if len(t.changes[id]) >= manyRegistrations {
			out[id] = Duplicate{}
		}
	}
	for id, f := range t.foreign {
		out[id] = Duplicate{Host: f.host}
	}
	return out
}

// duplicated reports whether another process is registered under the node's id.
func (s Snapshot) duplicated(id uint64) bool {
	_, twice := s.Duplicates[id]
	return twice
}

// stopDuplicates names the processes that have a node id of this cluster without being that node, and stops those that are the cluster's own: a pod that runs with another's id. Anything else is not
// the operator's to stop; an older pod of the same name stops by itself as soon as its agent sees that it was replaced.
func stopDuplicates(s Snapshot, _ Health, p *Plan) bool {
	for _, id := range slices.Sorted(maps.Keys(s.Duplicates)) {
		m, ok := s.node(id)
		if !ok {
			continue
		}
		host := s.Duplicates[id].Host
		if host == "" {
			p.trouble(v1alpha1.ReasonDuplicateNode, "node %d is registered again and again although %s was not restarted: another process has its id and its name, such as an older pod of that name on a Kubernetes node that nobody sees. Find and end it: power that machine off, and delete its Node",
				id, m.Pod)
			continue
		}
		intruder := slices.IndexFunc(s.Members, func(o Member) bool { return o.Host == host && o.NodeID != id })
		if intruder < 0 {
			p.trouble(v1alpha1.ReasonDuplicateNode, "another process at %s is registered as node %d, which is %s: what is meant for one reaches the other. Stop it, or give it a broker_id and meta_addrs of its own; what it was acknowledged to store is not part of this cluster", host, id, m.Pod)
			continue
		}
		other := s.Members[intruder]
		p.trouble(v1alpha1.ReasonDuplicateNode, "%s is registered as node %d, which is %s: it is stopped", other.Pod, id, m.Pod)
		if serving(other) {
			p.step(Step{Kind: StepStop, Pod: other.Pod, NodeID: other.NodeID, Reason: fmt.Sprintf("it is registered as node %d, which is %s", id, m.Pod)})
			return false
		}
	}
	return true
}
