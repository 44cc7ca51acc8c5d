package topology

import (
	"slices"
	"strings"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// Drain is what the nodes that stay know of the messages' segments. Each of them answers from a cache that can stay wrong; of several answers about a segment the one with
// the highest epoch counts, which RobustMQ raises at every change.
type Drain struct {
	// Complete: every topic was looked at. Otherwise nothing follows from what is missing below.
	Complete bool
	// Problem says why it is not complete.
	Problem string
	// Segments are those that name a node that leaves, that lack a copy in sync, or that cannot be read.
	Segments []Segment
}

// Segment is a part of a topic's messages, with its copies.
type Segment struct {
	// Topic with its tenant before it where that is not the default one.
	Topic string
	// Shard and Number say which part of the topic it is.
	Shard  string
	Number uint64
	// Copies the topic was made with; a segment has fewer when there were not enough engines.
	Copies   int
	Replicas []uint64
	// ISR are the replicas in sync. LastISR are those that were so when the last of them went.
	ISR, LastISR []uint64
	Leader       uint64
	Status       string
	Epoch        uint64
}

// SegmentUnavailable is the status of a segment whose replicas in sync are all gone.
const SegmentUnavailable = "Unavailable"

// Names reports whether the segment counts on the node.
func (s Segment) Names(node uint64) bool {
	return s.Leader == node || slices.Contains(s.Replicas, node) || slices.Contains(s.ISR, node) || slices.Contains(s.LastISR, node)
}

// Readable reports whether the segment can be read. One that is about to be deleted counts as readable: nobody waits for its messages.
func (s Segment) Readable() bool { return s.Status != SegmentUnavailable }

// Full reports whether every replica is in sync.
func (s Segment) Full() bool {
	return s.going() || len(s.Replicas) > 0 && !slices.ContainsFunc(s.Replicas, func(id uint64) bool { return !slices.Contains(s.ISR, id) })
}

// going reports whether the segment is being deleted.
func (s Segment) going() bool { return s.Status == "PreDelete" || s.Status == "Deleting" }

// alone reports whether no other node has the segment's messages.
func (s Segment) alone(node uint64) bool {
	return !s.going() && s.Names(node) && !slices.ContainsFunc(s.ISR, func(id uint64) bool { return id != node })
}

// naming are the segments that count on the node, without those that are being deleted.
func (d Drain) naming(node uint64) []Segment {
	var out []Segment
	for _, s := range d.Segments {
		if s.Names(node) && !s.going() {
			out = append(out, s)
		}
	}
	return out
}

// short are the segments that lack a copy in sync.
func (d Drain) short() []Segment {
	var out []Segment
	for _, s := range d.Segments {
		if !s.Full() {
			out = append(out, s)
		}
	}
	return out
}

// topicsOf names the segments' topics, up to five, each once.
func topicsOf(segments []Segment) string {
	const shown = 5
	var names []string
	for _, s := range segments {
		if !slices.Contains(names, s.Topic) {
			names = append(names, s.Topic)
		}
	}
	slices.Sort(names)
	if len(names) > shown {
		names = append(names[:shown:shown], "and more")
	}
	return strings.Join(names, ", ")
}

// Leaving are the ids of the nodes whose segments have to be known: those whose ordinals are no longer wanted, those that are held and wanted again (members once they left), those that a restore left out, and those whose volume is lost.
func Leaving(s Snapshot) []uint64 {
	var out []uint64
	h := assess(s)
	for _, m := range s.Members {
		if !s.wantedOf(m) || volumeLost(s, m) || outdated(s, m) && h.outside(m.NodeID) || held(m) && (m.Role != v1alpha1PlacementCenter || h.outside(m.NodeID)) {
			out = append(out, m.NodeID)
		}
	}
	return out
}

// engineRoles are the roles that are nothing but engines to the others, in the order in which they are taken away.
var engineRoles = []v1alpha1.Role{v1alpha1.RoleMQTTBroker, v1alpha1.RoleJournalServer}
