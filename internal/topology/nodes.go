package topology

import (
	"fmt"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/quorum"
)

// startNodes lets brokers and journal servers in, one at a time, once the quorum stands.
// Of two that start within 0.1 s one may never learn of the other, and messages published to it are lost later.
func startNodes(s Snapshot, h Health, p *Plan) bool {
	nodes := append(s.of(v1alpha1.RoleMQTTBroker), s.of(v1alpha1.RoleJournalServer)...)
	var next *Member
	for i, m := range nodes {
		if !s.wantedOf(m) || m.State != PodRunning || m.Agent == nil || m.Agent.Terminating {
			continue
		}
		switch {
		case m.Agent.GateOpen && !h.inService(m):
			if s.Seen[Symptom{SymptomStarting, m.Pod}] <= s.Limits.NodeStart {
				p.wait(v1alpha1.ReasonStartingNode, "%s is starting", m.Pod)
				return true
			}
			p.trouble(v1alpha1.ReasonStartingNode, "%s was started and is not in service (server %s)", m.Pod, m.Agent.Server)
		case awaitsOrder(m) && next == nil:
			next = &nodes[i]
		}
	}
	if next == nil {
		return true
	}
	if next.ClaimTerminating {
		// It was drained, and is wanted again before it was gone: what it would store now goes with the claim.
		p.step(Step{Kind: StepReplace, Pod: next.Pod, NodeID: next.NodeID, Planned: true, Reason: "its volume claim is being deleted: it starts with a new one"})
		return false
	}
	if problem := quorumForNodes(s, h); problem != "" {
		p.wait(v1alpha1.ReasonQuorumLost, "%s waits for the placement centre: %s", next.Pod, problem)
		return true
	}
	if wait := founding(s, h); wait != nil {
		p.Waits = append(p.Waits, *wait)
		return true
	}
	if h.registered(next.NodeID) {
		p.wait(v1alpha1.ReasonEmptyVolume, "%s has an empty volume while its node %d is still registered: it starts when that registration has expired", next.Pod, next.NodeID)
		return true
	}
	for _, m := range s.Members {
		if missing := h.missingFromList(m); len(missing) > 0 {
			p.wait(v1alpha1.ReasonRegistryIncomplete, "%s starts when every node knows every other; %s does not know node %d", next.Pod, m.Pod, missing[0])
			return true
		}
	}
	p.step(Step{Kind: StepOrderJoin, Pod: next.Pod, NodeID: next.NodeID, Reason: "the metadata quorum stands and every node knows every other"})
	return false
}

// quorumForNodes says why no further node may be started: the members that can be whole are not yet.
func quorumForNodes(s Snapshot, h Health) string {
	if !h.ledAll() {
		return h.QuorumProblem()
	}
	whole := 0
	for _, m := range s.of(v1alpha1PlacementCenter) {
		if !s.wantedOf(m) {
			continue
		}
		if h.voterInAll(m.NodeID) {
			whole++
			continue
		}
		if !h.known(m.NodeID) && m.Agent != nil {
			return m.Pod + " has not joined yet"
		}
	}
	if need := quorum.Of(int(s.Wanted.Replicas[v1alpha1PlacementCenter])); whole < need {
		return fmt.Sprintf("%d members are whole, %d are needed", whole, need)
	}
	return ""
}

// startIslands lets every broker found its own single node (RobustMQ 0.3.0 to 0.3.7).
func startIslands(s Snapshot, h Health, p *Plan) bool {
	for _, m := range s.of(v1alpha1.RoleMQTTBroker) {
		switch {
		case !s.wantedOf(m) || m.Agent == nil:
		case awaitsOrder(m):
			p.step(Step{Kind: StepOrderJoin, Pod: m.Pod, NodeID: m.NodeID, Reason: "a broker of this version is a single node of its own"})
		case m.Agent.GateOpen && !h.inService(m):
			p.wait(v1alpha1.ReasonStartingNode, "%s is starting", m.Pod)
		}
	}
	return true
}

// mendLists restarts, in place and one at a time, a node that the others do not know or that does not know the others. The lists are caches that stay wrong for ever; a restart fills them.
func mendLists(s Snapshot, h Health, p *Plan) bool {
	for _, m := range s.Members {
		if serving(m) || m.Agent == nil || !m.Agent.GateOpen {
			continue
		}
		if s.Seen[Symptom{SymptomStarting, m.Pod}] <= s.Limits.NodeStart {
			return true // somebody is restarting: one at a time
		}
	}
	for _, m := range s.Members {
		if !serving(m) || m.Agent.Terminating {
			continue
		}
		missing := h.missingFromList(m)
		var reason string
		cure := SymptomListIncomplete
		switch {
		case s.Seen[Symptom{SymptomUnregistered, m.Pod}] > s.Limits.RegistryShort:
			reason, cure = "its server runs and the metadata leader does not list it", SymptomUnregistered
		case s.Seen[Symptom{SymptomListIncomplete, m.Pod}] > s.Limits.ListIncomplete:
			reason = fmt.Sprintf("its node list lacks node %d, which runs", missing[0])
		case len(missing) > 0:
			p.wait(v1alpha1.ReasonRegistryIncomplete, "%s does not know node %d yet", m.Pod, missing[0])
			continue
		case h.unregistered(m):
			p.wait(v1alpha1.ReasonRegistryIncomplete, "the metadata leader does not list %s yet", m.Pod)
			continue
		default:
			continue
		}
		if v := quorum.MayGo(m.NodeID, h.Groups()); !v.Allowed && !pausesForOne(s, m) {
			p.trouble(v1alpha1.ReasonRegistryIncomplete, "%s needs a restart (%s), which waits: %s", m.Pod, reason, v.Message)
			continue
		}
		p.step(Step{Kind: StepRestart, Pod: m.Pod, NodeID: m.NodeID, Cures: cure, Reason: reason})
		return false
	}
	return true
}
