package topology

import (
	"fmt"
	"slices"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/quorum"
)

// mayDrain says why the engine of a running node may not be taken away now; nil when it may. It holds for every role: a member of the placement centre has copies of messages, too.
//
// What concerns any node that leaves is looked at before the first goes, so that a scale-in that cannot be finished is not begun.
func mayDrain(s Snapshot, h Health, m Member) *Wait {
	wait := func(reason, format string, args ...any) *Wait {
		return &Wait{Reason: reason, Message: fmt.Sprintf(format, args...)}
	}
	trouble := func(reason, format string, args ...any) *Wait {
		return &Wait{Reason: reason, Message: fmt.Sprintf(format, args...), Trouble: true}
	}
	if problem := h.QuorumProblem(); problem != "" {
		return wait(v1alpha1.ReasonQuorumLost, "%s leaves when the placement centre is whole: %s", m.Pod, problem)
	}
	for _, other := range s.Members {
		if other.NodeID == m.NodeID || !s.wantedOf(other) && withoutData(s, h, other) { // its volume goes in its turn
			continue
		}
		if !h.inService(other) {
			return wait(v1alpha1.ReasonScaleInPending, "%s leaves when every other node is in service; %s is not", m.Pod, other.Pod)
		}
		if missing := h.missingFromList(other); len(missing) > 0 {
			return wait(v1alpha1.ReasonRegistryIncomplete, "%s leaves when every node knows every other; %s does not know node %d", m.Pod, other.Pod, missing[0])
		}
	}
	if !s.Drain.Complete {
		return wait(v1alpha1.ReasonScaleInPending, "%s leaves when every topic's copies were looked at%s", m.Pod, because(s.Drain.Problem))
	}
	stay := 0
	for _, n := range s.Wanted.Replicas {
		stay += int(n)
	}
	var single, wide []Segment
	for _, id := range Leaving(s) {
		for _, segment := range s.Drain.naming(id) {
			if segment.alone(id) && (len(segment.Replicas) < 2 || !segment.Readable()) {
				single = append(single, segment)
			}
			if max(segment.Copies, len(segment.Replicas)) > stay {
				wide = append(wide, segment)
			}
		}
	}
	switch {
	case len(single) > 0:
		return trouble(v1alpha1.ReasonNotDrainable,
			"%s stays: the only copy of the messages of these topics is on a node that shall go, and would be lost with it: %s; make them anew with 2 copies or more, or delete them, or set replicas back", m.Pod, topicsOf(single))
	case len(wide) > 0:
		return trouble(v1alpha1.ReasonNotDrainable,
			"%s stays: these topics want more copies than the %d nodes that would stay can hold: %s; make them anew with fewer copies, or keep more nodes", m.Pod, stay, topicsOf(wide))
	}
	if short := missingCopies(s, m.NodeID); len(short) > 0 {
		if s.Seen[Symptom{Kind: SymptomCopiesMissing}] > s.Limits.CopiesMissing {
			return trouble(v1alpha1.ReasonReplicating, "%s stays until every copy is in sync; these topics lack some: %s", m.Pod, topicsOf(short))
		}
		return wait(v1alpha1.ReasonReplicating, "%s leaves when every copy is in sync; these topics lack some: %s", m.Pod, topicsOf(short))
	}
	return nil
}

// missingCopies are the segments that lack a copy in sync and can get it. One that cannot be read waits for a node that is not there; it counts only where it names the node.
func missingCopies(s Snapshot, node uint64) []Segment {
	if !s.Drain.Complete {
		return nil
	}
	return slices.DeleteFunc(s.Drain.short(), func(x Segment) bool { return !x.Readable() && !x.Names(node) })
}

// keptFromRestart is a node that has to be restarted because the leader does not list it (it takes part in no copying then), and cannot be while m, a voter, is stopped.
func keptFromRestart(s Snapshot, h Health, m Member) (Member, bool) {
	if m.Role != v1alpha1PlacementCenter || len(h.groupsOf(m.NodeID)) == 0 {
		return Member{}, false
	}
	for _, other := range s.of(v1alpha1PlacementCenter) {
		if other.NodeID != m.NodeID && serving(other) && s.Seen[Symptom{SymptomUnregistered, other.Pod}] > s.Limits.RegistryShort && !quorum.MayGo(other.NodeID, h.Groups()).Allowed {
			return other, true
		}
	}
	return Member{}, false
}

func noteCopies(s Snapshot, m Member, p *Plan) {
	short := missingCopies(s, m.NodeID)
	if s.Seen[Symptom{Kind: SymptomCopiesMissing}] > s.Limits.CopiesMissing {
		p.trouble(v1alpha1.ReasonReplicating, "%s is stopped, and its volume is kept until every copy is in sync; these topics lack some: %s", m.Pod, topicsOf(short))
		return
	}
	p.wait(v1alpha1.ReasonReplicating, "%s is stopped, and its volume is kept until every copy is in sync; these topics lack some: %s", m.Pod, topicsOf(short))
}

// only are the segments that nobody but the node has in sync.
func only(segments []Segment, node uint64) []Segment {
	return slices.DeleteFunc(slices.Clone(segments), func(s Segment) bool { return !s.alone(node) })
}

// evacuated reports whether nothing counts on the node any more, with a proof: the metadata leader does not list it, no segment names it, and no node that runs lists it. why says what is missing.
func evacuated(s Snapshot, h Health, m Member) (proven bool, why string) {
	registry, known := h.registry()
	switch {
	case !known:
		return false, "the metadata leader was not asked who is registered"
	case slices.Contains(registry, m.NodeID):
		return false, "it is registered"
	case !s.Drain.Complete:
		return false, "whether a segment names it is being looked at" + because(s.Drain.Problem)
	}
	if n := len(s.Drain.naming(m.NodeID)); n > 0 {
		return false, fmt.Sprintf("%d segments name it", n)
	}
	for _, other := range s.Members {
		if other.NodeID != m.NodeID && serving(other) && slices.Contains(other.Agent.Nodes, m.NodeID) {
			return false, other.Pod + " still lists it"
		}
	}
	return true, ""
}

// drained reports whether a node that is no longer wanted may go with its pod, and where volumeRetention says so with its volume: nothing counts on it, its server does not run, and its volume holds nothing of this cluster.
// A pod that does not run and that nothing counts on may go as it is.
func drained(s Snapshot, h Health, m Member) bool {
	return withoutData(s, h, m) && (!s.Wanted.VolumesGo || !m.ClaimExists || m.ClaimTerminating || foreign(s, m))
}

// emptied reports whether all is done for a node but the deletion of its volume claim.
func emptied(s Snapshot, h Health, m Member) bool { return withoutData(s, h, m) && !drained(s, h, m) }

func withoutData(s Snapshot, h Health, m Member) bool {
	if proven, _ := evacuated(s, h, m); !proven {
		return false
	}
	switch m.State {
	case PodMissing, PodPending:
		return true
	case PodRunning:
		return m.Agent != nil && !m.Agent.GateOpen && m.Agent.Server == ServerStopped && !s.ours(m)
	}
	return false
}

// foreign reports whether the volume holds what is not this cluster's: it is never deleted.
func foreign(s Snapshot, m Member) bool { return m.Agent != nil && !m.Agent.VolumeEmpty && !s.ours(m) }

// stranded reports whether segments name a node that neither runs nor is registered: what UnRegisterNode should have moved, and did not, because the registration had expired before.
func stranded(s Snapshot, h Health, m Member) bool {
	registry, known := h.registry()
	return s.Drain.Complete && (held(m) || awaitsOrder(m) || outdated(s, m)) && known && !slices.Contains(registry, m.NodeID) && len(s.Drain.naming(m.NodeID)) > 0
}
