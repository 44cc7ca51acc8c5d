package topology

import (
	"fmt"
	"slices"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// drainNext takes away the brokers and journal servers that are no longer wanted, the highest ordinal first, one at a time, so that no acknowledged message is lost.
//
// The order is the only one that was seen without loss on RobustMQ 0.4.11: every copy in sync elsewhere; clients led elsewhere; the server stopped; the node unregistered at once
// (never while it runs: it would go on acknowledging into a log that nobody reads; never after its registration has expired: the call succeeds and does nothing, and the
// segments name the dead node for ever); proven that no segment names it and that every copy is in sync again; only then its volume emptied, and the pod may go.
// Each pass decides anew from what is seen, so an operator that died at any point is followed by one that goes on.
func drainNext(s Snapshot, h Health, p *Plan) bool {
	var leaving []Member
	for _, role := range engineRoles {
		for _, m := range slices.Backward(s.of(role)) {
			if !s.wantedOf(m) {
				leaving = append(leaving, m)
			}
		}
	}
	if len(leaving) > 0 && !s.Wanted.Decommission {
		p.trouble(v1alpha1.ReasonNotDrainable, "%s is more than the %d wanted and stays: in this version of RobustMQ the messages of a node cannot be moved to others; set replicas back, or go to 0.4.5 or later first",
			leaving[0].Pod, s.Wanted.Replicas[leaving[0].Role])
		return true
	}
	// Whoever is stopped already comes first: its registration runs out.
	slices.SortStableFunc(leaving, func(a, b Member) int {
		switch {
		case held(a) == held(b):
			return 0
		case held(a):
			return -1
		}
		return 1
	})
	for _, m := range leaving {
		if !drained(s, h, m) {
			return drainMember(s, h, m, p)
		}
	}
	return true
}

// drainMember takes the next step for one node; it returns false while it is between two states in which nothing else may change.
func drainMember(s Snapshot, h Health, m Member, p *Plan) bool {
	_, registryKnown := h.registry()
	switch {
	case !registryKnown:
		p.wait(v1alpha1.ReasonQuorumLost, "%s leaves when the metadata leader says who is registered", m.Pod)
		return true
	case m.State == PodTerminating:
		p.wait(v1alpha1.ReasonWaitingForPods, "%s is on its way out", m.Pod)
		return false
	case emptied(s, h, m):
		p.step(Step{Kind: StepReleaseVolume, Pod: m.Pod, NodeID: m.NodeID, Planned: true, Reason: "no message is on it any more: its volume goes with its pod, as volumeRetention says"})
		return false
	case m.Agent == nil:
		return drainUnseen(s, h, m, p)
	case held(m):
		return drainStopped(s, h, m, p)
	case !m.Agent.GateOpen:
		return drainShut(s, h, m, p)
	case !serving(m) || !h.registered(m.NodeID):
		return drainBroken(s, h, m, p)
	}
	return drainRunning(s, h, m, p)
}

// drainRunning begins: the node serves, and its messages are to be elsewhere before it ends.
func drainRunning(s Snapshot, h Health, m Member, p *Plan) bool {
	if wait := mayDrain(s, h, m); wait != nil {
		p.Waits = append(p.Waits, *wait)
		if wait.Trouble && m.Agent.Quiesced {
			p.step(Step{Kind: StepStart, Pod: m.Pod, NodeID: m.NodeID, Planned: true, Reason: "it cannot leave now: clients are led to it again"})
		}
		return true
	}
	if m.Role == v1alpha1.RoleMQTTBroker && m.Agent.MQTTOpen {
		switch {
		case !m.Agent.Quiesced:
			p.step(Step{Kind: StepQuiesce, Pod: m.Pod, NodeID: m.NodeID, Planned: true, Reason: "it is about to be taken away: new clients are led to the other brokers"})
			return false
		case m.Ready && s.Seen[Symptom{SymptomQuiescing, m.Pod}] <= s.Limits.Quiesce:
			p.wait(v1alpha1.ReasonDraining, "%s is leaving the client Services", m.Pod)
			return false
		}
	}
	for _, step := range stopAndUnregister(h, m) {
		p.step(step)
	}
	return false
}

// stopAndUnregister are the two steps that belong together: while a node is stopped and still registered, publishes to the topics that it led are refused. A pass in between would
// make that gap, 1.2 to 1.6 s, twice as long, and an operator that died in between has 25 s to be replaced by one that goes on (drainStopped).
func stopAndUnregister(h Health, m Member) []Step {
	return []Step{
		{Kind: StepDrain, Pod: m.Pod, NodeID: m.NodeID, Planned: true, Reason: "every message on it has a copy in sync elsewhere: it is stopped, and taken out of the cluster"},
		unregister(h, m),
	}
}

func unregister(h Health, m Member) Step {
	leader, _ := h.Leader(h.s.Wanted.Groups[0])
	return Step{Kind: StepUnregister, Pod: m.Pod, Via: leader.Pod, NodeID: m.NodeID, Planned: true, Reason: "it is stopped: its copies move to the nodes that stay"}
}

// drainStopped goes on with a node that is stopped and held.
func drainStopped(s Snapshot, h Health, m Member, p *Plan) bool {
	named := s.Drain.naming(m.NodeID)
	switch {
	case h.registered(m.NodeID) && m.Agent.StoppedFor <= s.Limits.Unregister:
		p.step(unregister(h, m))
	case h.registered(m.NodeID):
		p.wait(v1alpha1.ReasonDraining, "%s was not unregistered in time: it is started again when its registration has expired", m.Pod)
	case !s.Drain.Complete:
		p.wait(v1alpha1.ReasonDraining, "%s is stopped; whether a segment still names it is being looked at%s", m.Pod, because(s.Drain.Problem))
	case len(named) > 0 && s.Seen[Symptom{SymptomStranded, m.Pod}] > s.Limits.Stranded:
		p.step(Step{Kind: StepStart, Pod: m.Pod, NodeID: m.NodeID, Cures: SymptomStranded,
			Reason: fmt.Sprintf("its registration expired before its copies had moved (%d segments still name it): it comes back with its volume, and leaves again", len(named))})
	case len(named) > 0:
		p.wait(v1alpha1.ReasonDraining, "the copies of %s are being given to other nodes: %d segments still name it", m.Pod, len(named))
	case len(missingCopies(s, m.NodeID)) > 0:
		if other, ok := keptFromRestart(s, h, m); ok {
			p.step(Step{Kind: StepStart, Pod: m.Pod, NodeID: m.NodeID, Planned: true,
				Reason: fmt.Sprintf("it comes back, and leaves later: copies are missing on %s, which the metadata leader does not list, and the quorum bears its restart only with %s", other.Pod, m.Pod)})
			return false
		}
		noteCopies(s, m, p)
	default:
		if _, why := evacuated(s, h, m); why != "" {
			p.wait(v1alpha1.ReasonDraining, "%s is stopped: %s", m.Pod, why)
			return false
		}
		p.step(Step{Kind: StepWipe, Pod: m.Pod, NodeID: m.NodeID, Planned: true, Reason: "no segment and no node names it any more, and every copy is in sync elsewhere"})
	}
	return false
}

// drainShut goes on with a node whose gate is shut for another reason than ours: its volume is empty, lost or unusable.
func drainShut(s Snapshot, h Health, m Member, p *Plan) bool {
	named := s.Drain.naming(m.NodeID)
	if leftBehind(s, m) && h.registered(m.NodeID) {
		forgetLeftBehind(h, m, p)
		return false
	}
	switch {
	case h.registered(m.NodeID):
		p.wait(v1alpha1.ReasonScaleInPending, "%s does not run and is still registered: it leaves when that has expired", m.Pod)
		return false
	case !s.Drain.Complete:
		p.wait(v1alpha1.ReasonScaleInPending, "whether a segment names %s is being looked at%s", m.Pod, because(s.Drain.Problem))
		return false
	case len(named) == 0 && len(missingCopies(s, m.NodeID)) == 0 && s.ours(m):
		p.step(Step{Kind: StepWipe, Pod: m.Pod, NodeID: m.NodeID, Planned: true, Reason: "no segment names it, and its gate is shut: nothing on its volume is needed"})
		return false
	case len(named) == 0:
		noteCopies(s, m, p)
		return false
	case leftBehind(s, m) && s.Seen[Symptom{SymptomStranded, m.Pod}] <= s.Limits.Stranded:
		p.wait(v1alpha1.ReasonDraining, "the copies of %s are being given to other nodes: %d segments still name it", m.Pod, len(named))
		return false
	case replaceable(s, h, m):
		p.step(Step{Kind: StepWipe, Pod: m.Pod, NodeID: m.NodeID, Planned: true, Reason: fmt.Sprintf("its registration expired before its copies had moved (%d segments still name it), and other nodes have all of them in sync", len(named))})
		return false
	}
	if lost := only(named, m.NodeID); len(lost) > 0 {
		p.trouble(v1alpha1.ReasonNotDrainable, "%s cannot be taken away: its gate is shut (%s), and no other node has the messages of the topics %s in sync; bring its volume back, or delete these topics",
			m.Pod, m.Agent.GateMessage, topicsOf(lost))
		return true
	}
	if !awaitsOrder(m) {
		p.trouble(v1alpha1.ReasonScaleInPending, "%s cannot be taken away while its gate is shut (%s): %d segments name it, and their copies move only while it is registered; mend it, or delete its pod and its volume claim, and it is filled from the others first",
			m.Pod, m.Agent.GateMessage, len(named))
		return true
	}
	if s.Seen[Symptom{SymptomStranded, m.Pod}] <= s.Limits.Stranded {
		p.wait(v1alpha1.ReasonDraining, "%s has an empty volume, and %d segments name it", m.Pod, len(named))
		return false
	}
	p.step(Step{Kind: StepOrderJoin, Pod: m.Pod, NodeID: m.NodeID, Cures: SymptomStranded,
		Reason: fmt.Sprintf("its volume is empty while %d segments name it, and copies move only while it is registered: it is filled from the others, and leaves then", len(named))})
	return false
}

// drainBroken waits for a node that was let in and does not serve; where nothing counts on it, it is stopped.
func drainBroken(s Snapshot, h Health, m Member, p *Plan) bool {
	named := s.Drain.naming(m.NodeID)
	switch {
	case s.Seen[Symptom{SymptomStarting, m.Pod}] <= s.Limits.NodeStart:
		p.wait(v1alpha1.ReasonStartingNode, "%s has to be in service before it can be taken away (server %s)", m.Pod, m.Agent.Server)
		return false
	case h.registered(m.NodeID), !s.Drain.Complete, len(named) > 0:
		p.trouble(v1alpha1.ReasonScaleInPending, "%s cannot be taken away: it does not come into service (server %s), and copies move only while a node is registered; mend it, or delete its pod and its volume claim, and it is filled from the others first",
			m.Pod, m.Agent.Server)
		return true
	}
	p.step(Step{Kind: StepDrain, Pod: m.Pod, NodeID: m.NodeID, Planned: true, Reason: "no segment names it, and it does not come into service"})
	return false
}

// drainUnseen waits for a node whose agent cannot be asked.
func drainUnseen(s Snapshot, h Health, m Member, p *Plan) bool {
	named := s.Drain.naming(m.NodeID)
	switch {
	case h.registered(m.NodeID):
		p.wait(v1alpha1.ReasonScaleInPending, "%s leaves when its agent can be asked: %s", m.Pod, m.AgentError)
	case !s.Drain.Complete:
		p.wait(v1alpha1.ReasonScaleInPending, "whether a segment names %s is being looked at%s", m.Pod, because(s.Drain.Problem))
	case m.State == PodRunning:
		p.trouble(v1alpha1.ReasonScaleInPending, "%s cannot be taken away while its agent does not answer: %s", m.Pod, m.AgentError)
	case len(named) > 0:
		p.trouble(v1alpha1.ReasonScaleInPending, "%s cannot be taken away: its pod does not run (%s), %d segments name it, and copies move only while a node is registered; let the pod run, or delete its volume claim and it is filled from the others first",
			m.Pod, orElse(m.Message, "not created or not started yet"), len(named))
	default:
		_, why := evacuated(s, h, m)
		p.wait(v1alpha1.ReasonScaleInPending, "%s leaves soon: %s", m.Pod, why)
	}
	return true
}

// takeBack lets a node go that was held to be taken away and is wanted again; it returns false when there is only something to wait for.
// One that is still registered is simply started. One that was unregistered has a volume that nobody counts on: it starts as a new one.
func takeBack(s Snapshot, h Health, m Member, p *Plan) bool {
	_, known := h.registry()
	named := s.Drain.naming(m.NodeID)
	switch {
	case m.Agent.VolumeEmpty || !s.ours(m), h.registered(m.NodeID):
		p.step(Step{Kind: StepStart, Pod: m.Pod, NodeID: m.NodeID, Planned: true, Reason: "nothing holds it any more"})
	case !known:
		p.wait(v1alpha1.ReasonQuorumLost, "%s is held until the metadata leader says who is registered", m.Pod)
		return false
	case !s.Drain.Complete:
		p.wait(v1alpha1.ReasonStartingNode, "%s starts again; whether its messages were moved is being looked at%s", m.Pod, because(s.Drain.Problem))
		return false
	case len(named) > 0 && s.Seen[Symptom{SymptomStranded, m.Pod}] > s.Limits.Stranded:
		p.step(Step{Kind: StepStart, Pod: m.Pod, NodeID: m.NodeID, Cures: SymptomStranded, Planned: true, Reason: "segments name it: it comes back with its volume"})
	case len(named) > 0:
		p.wait(v1alpha1.ReasonStartingNode, "%s starts again when the copies that it had are with other nodes", m.Pod)
		return false
	default:
		p.step(Step{Kind: StepWipe, Pod: m.Pod, NodeID: m.NodeID, Planned: true, Reason: "its messages were moved before it was wanted again: it starts as a new node"})
	}
	return true
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func because(problem string) string {
	if problem == "" {
		return ""
	}
	return ": " + problem
}
