package topology

import (
	"fmt"
	"slices"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/quorum"
)

// adoptVolumes lets the volumes in that the user named, one a pass.
func adoptVolumes(s Snapshot, _ Health, p *Plan) bool {
	for _, m := range s.Members {
		if s.adopts(m) {
			p.step(Step{Kind: StepAdopt, Pod: m.Pod, NodeID: m.NodeID, Reason: "the annotation says to take this volume over as it is"})
			return false
		}
	}
	return true
}

// founding says why nobody is started yet beside the only voter, or nil: RobustMQ may still give up at the end of its start, when another server makes its MQTT user at the same moment, and a newcomer
// that finds nobody founds a cluster of its own.
func founding(s Snapshot, h Health) *Wait {
	voters := h.voters(s.Wanted.Groups[0]) // the group of which its agent speaks
	if len(voters) != 1 {
		return nil
	}
	m, ok := s.node(voters[0])
	if !ok || m.Agent == nil || !m.Agent.Founding || m.Agent.StartedFor > s.Limits.Founding {
		return nil
	}
	return &Wait{Reason: v1alpha1.ReasonFounding, Message: fmt.Sprintf("%s is the only voter: nobody is started beside it before its own start has come to its end", m.Pod)}
}

// adopts reports whether the pod's foreign volume is to be taken over, and is not yet.
func (s Snapshot) adopts(m Member) bool {
	return m.Agent != nil && !m.Agent.GateOpen && m.Agent.GateReason == GateForeign && slices.Contains(s.Wanted.Adopt, m.Pod)
}

// found decides whether member 0 founds the cluster: once, when nothing anywhere says that there ever was one.
//
// Three records are consulted, because each can be lost alone: the status, the marks on the volume claims (both in Wanted.Founded) and the volumes themselves, so every member's agent must
// have been asked. The order is: the founder's own marker (durable before its first start), then the record, and only then may anybody join: an operator that dies in between
// finds a founder without a record, and nothing that could be lost with it.
func found(s Snapshot, h Health, p *Plan) bool {
	members := s.of(v1alpha1PlacementCenter)
	if s.Wanted.Founded {
		return foundedGoesOn(s, p)
	}
	if len(members) == 0 {
		return false
	}
	if !unmarkOld(s, members, p) {
		return false
	}
	for _, m := range members {
		if s.ours(m) && !unopened(m) && m.Agent.Marker.Generation >= s.Wanted.Generation && m.Agent.Marker.Origin != OriginFounded {
			p.step(Step{Kind: StepMarkFounded, Reason: m.Pod + " holds data of this cluster: it was founded before"})
			return false
		}
	}
	for _, m := range members {
		if s.wantedOf(m) && m.Agent == nil {
			p.wait(v1alpha1.ReasonFounding, "the cluster is founded when every member's volume has been seen empty; %s cannot be asked yet", m.Pod)
			return false
		}
	}
	founder := members[0]
	if outdated(s, founder) {
		p.trouble(v1alpha1.ReasonOldGeneration, "nothing is founded while the volume of %s holds data of before the cluster was given up", founder.Pod)
		return false
	}
	for _, m := range members[1:] {
		if m.Agent != nil && !m.Agent.VolumeEmpty {
			p.trouble(v1alpha1.ReasonForeignVolume, "nothing is founded while the volume of %s holds data: %s", m.Pod, m.Agent.GateMessage)
			return false
		}
	}
	switch {
	case awaitsOrder(founder):
		p.step(Step{Kind: StepFound, Pod: founder.Pod, NodeID: founder.NodeID, Reason: "every volume of the placement centre is empty and no record of a founding exists"})
		return false
	case !s.ours(founder):
		p.wait(v1alpha1.ReasonFounding, "%s cannot found the cluster yet: %s", founder.Pod, founder.Agent.GateMessage)
		return false
	case h.leadsAll(founder.NodeID):
		p.step(Step{Kind: StepMarkFounded, Reason: founder.Pod + " leads every raft group"})
		return false
	case s.Seen[Symptom{SymptomHalfFounded, founder.Pod}] > s.Limits.FoundRollback && founder.Agent.VolumeInitialised:
		// RobustMQ: a process that dies between founding its first and its last group never founds the rest. Nobody joined, nothing is recorded: begin again.
		p.step(Step{Kind: StepStop, Pod: founder.Pod, NodeID: founder.NodeID, Cures: SymptomHalfFounded, Reason: "it founded only some of the raft groups; before anybody joins it begins again"})
		return false
	}
	p.wait(v1alpha1.ReasonFounding, "%s is founding the cluster", founder.Pod)
	return false
}

// unmarkOld removes what empty volumes are marked with from before the cluster was given up: no data is there, and with it they could not be founded or joined anew.
func unmarkOld(s Snapshot, members []Member, p *Plan) bool {
	for _, m := range members {
		if s.ours(m) && m.Agent.VolumeEmpty && m.Agent.Marker.Generation < s.Wanted.Generation && unsettled(m) == "" {
			p.step(Step{Kind: StepWipe, Pod: m.Pod, NodeID: m.NodeID, Planned: true, Reason: "its volume is empty, and is still marked as one of the cluster that was given up"})
			return false
		}
	}
	return true
}

// LacksMark reports whether the claim of a member is to be marked as one of a founded cluster. A member that leaves and was emptied is none any more.
func (s Snapshot) LacksMark(m Member) bool {
	left := !s.wantedOf(m) && m.Agent != nil && m.Agent.VolumeEmpty
	return m.Role == v1alpha1PlacementCenter && m.ClaimExists && !m.ClaimFounded && !left
}

// foundedGoesOn handles a cluster with a record: the claims of its members all carry the mark, and total loss is never answered by founding.
func foundedGoesOn(s Snapshot, p *Plan) bool {
	members := s.of(v1alpha1PlacementCenter)
	for _, m := range members {
		if s.LacksMark(m) {
			p.step(Step{Kind: StepMarkFounded, Reason: "the volume claim of " + m.Pod + " lacks the record that the cluster was founded"})
			break
		}
	}
	if l := totalLoss(s); l.lost {
		answerLoss(s, l, p)
		return false
	}
	return true
}

// foundStatic starts the members of a statically formed placement centre (RobustMQ up to 0.4.3): all of them, each configured with all, and records the founding when they agree.
// A member that is empty after that is never started: in 0.3.0 it stops the raft of every healthy member that leads.
func foundStatic(s Snapshot, h Health, p *Plan) bool {
	members := s.of(v1alpha1PlacementCenter)
	if s.Wanted.Founded {
		if !foundedGoesOn(s, p) {
			return false
		}
		if !h.ledAll() { // else seedMembers says what is done about it
			for _, m := range members {
				if s.wantedOf(m) && lostVolume(m) {
					p.trouble(v1alpha1.ReasonEmptyVolume, "%s has an empty volume in a cluster that lives: it is not started, because it would stop the others; it needs a copy of a member's data", m.Pod)
				}
			}
		}
		if problem := h.QuorumProblem(); problem != "" {
			p.wait(v1alpha1.ReasonMembersMissing, "%s", problem)
		}
		return h.ledAll()
	}
	if !unmarkOld(s, members, p) {
		return false
	}
	for _, m := range members {
		if s.ours(m) && !unopened(m) && m.Agent.Marker.Origin == OriginRestored {
			p.step(Step{Kind: StepMarkFounded, Reason: m.Pod + " holds what was restored"})
			return false
		}
	}
	for _, m := range members {
		if s.wantedOf(m) && m.Agent == nil {
			p.wait(v1alpha1.ReasonFounding, "the members start together; %s cannot be asked yet", m.Pod)
			return false
		}
	}
	for _, m := range members {
		if s.wantedOf(m) && awaitsOrder(m) {
			p.step(Step{Kind: StepFound, Pod: m.Pod, NodeID: m.NodeID, Reason: "the placement centre of this version is founded by all its members together"})
		}
	}
	if len(p.Steps) > 0 {
		return false
	}
	if problem := h.QuorumProblem(); problem != "" {
		p.wait(v1alpha1.ReasonFounding, "%s", problem)
		return false
	}
	p.step(Step{Kind: StepMarkFounded, Reason: "all members are voters and agree on a leader"})
	return false
}

// releaseHeld lets go whoever is held without a reason left: an operator that stopped it may have died before it came to the end. What is held with data that never became a whole member
// is emptied first.
func releaseHeld(s Snapshot, h Health, p *Plan) bool {
	for _, m := range s.Members {
		if s.wantedOf(m) && m.Agent != nil && m.Agent.Quiesced && m.Agent.GateOpen {
			p.step(Step{Kind: StepStart, Pod: m.Pod, NodeID: m.NodeID, Planned: true, Reason: "it stays after all: clients are led to it again"})
			return false
		}
		if !held(m) {
			continue
		}
		if m.Role == v1alpha1PlacementCenter && faulty(s, m) && (!h.ledAll() || len(h.groupsOf(m.NodeID)) == len(s.Wanted.Groups)) {
			continue // its data is replaced first: cureFaults; a half member is rolled back
		}
		if m.Role == v1alpha1PlacementCenter && s.Wanted.Decommission && !s.wantedOf(m) {
			if !neededToLeave(s, h, m) {
				continue // it leaves
			}
			p.step(Step{Kind: StepStart, Pod: m.Pod, NodeID: m.NodeID, Planned: true, Reason: "it leaves later: nobody can leave before it is up"})
			return false
		}
		if m.Role != v1alpha1PlacementCenter && s.Wanted.Decommission {
			if !s.wantedOf(m) {
				continue // it is drained
			}
			if s.Wanted.Restore.Stage == v1alpha1.RestoreStarting || m.Agent.RestoreStopped {
				return releaseRestored(s, h, m, p)
			}
			if takeBack(s, h, m, p) {
				return false
			}
			continue
		}
		if m.Role != v1alpha1PlacementCenter || m.Agent.VolumeEmpty || !s.ours(m) {
			p.step(Step{Kind: StepStart, Pod: m.Pod, NodeID: m.NodeID, Reason: "nothing holds it any more"})
			return false
		}
		switch {
		case m.Agent.Marker.Origin == OriginFounded && !s.Wanted.Founded:
			p.step(Step{Kind: StepWipe, Pod: m.Pod, NodeID: m.NodeID, Reason: "the founding was not finished and nobody joined"})
		case (m.Agent.Marker.Origin == OriginJoined || m.Agent.Marker.Origin == OriginSeeded) && !m.Agent.Marker.Member && !h.known(m.NodeID) && h.ledAll():
			p.step(Step{Kind: StepWipe, Pod: m.Pod, NodeID: m.NodeID, Reason: "no member counts it in any raft group: its volume holds nothing of this cluster"})
		case m.Agent.Marker.Member && h.outside(m.NodeID):
			// It left, and is wanted again: what its volume holds belongs to nobody, and it joins anew.
			if proven, why := evacuated(s, h, m); !proven {
				p.wait(v1alpha1.ReasonLeaving, "%s left, and is emptied before it joins anew: %s", m.Pod, why)
				continue
			}
			p.step(Step{Kind: StepWipe, Pod: m.Pod, NodeID: m.NodeID, Planned: true, Reason: "it left every raft group before it was wanted again: it joins anew"})
		case (m.Agent.Marker.Origin == OriginJoined || seeded(m) || m.Agent.Marker.Member && h.counted(m.NodeID)) && h.ledAll() && len(h.groupsOf(m.NodeID)) < len(s.Wanted.Groups):
			// A half member that is held: its leaving has to be finished before its volume may go.
			if !h.counted(m.NodeID) {
				p.wait(v1alpha1.ReasonLeaving, "%s left; every voter has to say so before its volume is emptied", m.Pod)
				continue // a voter that cannot say anything is mended further on
			}
			if v := quorum.MayGo(m.NodeID, h.Groups()); !v.Allowed {
				p.wait(v1alpha1.ReasonHalfJoined, "%s is held until it can be taken out of the raft groups that count it: %s", m.Pod, v.Message)
				continue
			}
			leader, _ := h.Leader(s.Wanted.Groups[0])
			if _, common := h.CommonLeader(); !common && !slices.Contains(leader.Agent.Groups[s.Wanted.Groups[0]].Members, m.NodeID) {
				p.trouble(v1alpha1.ReasonHalfJoined, "%s is held, and raft groups beside %s still count it: it is taken out when one member leads them all", m.Pod, s.Wanted.Groups[0])
				continue
			}
			p.step(Step{Kind: StepLeave, Pod: m.Pod, Via: leader.Pod, NodeID: m.NodeID, Reason: "its join was left half done and is rolled back"})
		case !h.ledAll() && m.Agent.Marker.Origin == OriginJoined && !h.known(m.NodeID):
			p.wait(v1alpha1.ReasonQuorumLost, "%s is held until a quorum says whether it is a member", m.Pod)
			continue
		case (m.Agent.Marker.Member || h.known(m.NodeID)) && !h.ledAll() && s.Seen[Symptom{SymptomHeld, m.Pod}] <= s.Limits.Hold && ledElsewhere(h, m):
			p.wait(v1alpha1.ReasonLeadersApart, "%s is held while another member takes over the raft groups that it led", m.Pod)
			return false
		default:
			p.step(Step{Kind: StepStart, Pod: m.Pod, NodeID: m.NodeID, Reason: "nothing holds it any more"})
		}
		return false
	}
	return true
}

// releaseRestored lets a broker or journal server go that a restore has stopped, one after another. Nothing was moved off it, and nothing on its volume is given up, whoever names it.
func releaseRestored(s Snapshot, h Health, m Member, p *Plan) bool {
	for _, other := range s.Members {
		if other.Role != v1alpha1PlacementCenter && other.Agent != nil && other.Agent.GateOpen && !h.inService(other) && s.Seen[Symptom{SymptomStarting, other.Pod}] <= s.Limits.NodeStart {
			p.wait(v1alpha1.ReasonStartingNode, "%s starts again after %s", m.Pod, other.Pod)
			return true
		}
	}
	if problem := quorumForNodes(s, h); problem != "" {
		p.wait(v1alpha1.ReasonQuorumLost, "%s waits for the placement centre: %s", m.Pod, problem)
		return true
	}
	p.step(Step{Kind: StepStart, Pod: m.Pod, NodeID: m.NodeID, Planned: true, Reason: "the placement centre has its metadata again"})
	return false
}

// ledElsewhere reports whether some group is led by another member: only then is it worth holding m back.
func ledElsewhere(h Health, m Member) bool {
	for _, l := range h.leaders {
		if l.NodeID != m.NodeID {
			return true
		}
	}
	return h.s.Wanted.Replicas[v1alpha1PlacementCenter] > 1 && len(h.leaders) == 0
}

// stopRogues stops members that run a cluster of their own, before anything else may restart: the day the first member stops, every node would follow the rogue.
func stopRogues(s Snapshot, h Health, p *Plan) bool {
	for _, m := range s.of(v1alpha1PlacementCenter) {
		if !rogue(s, m) || m.Agent.Server == ServerStopped {
			continue
		}
		p.trouble(v1alpha1.ReasonRogueMember, "%s runs a raft cluster of its own and is stopped", m.Pod)
		p.step(Step{Kind: StepStop, Pod: m.Pod, NodeID: m.NodeID, Reason: "it is the only voter of a raft group that it did not found: a second cluster"})
		return false
	}
	return true
}

// freeElections restarts, in place, a member that keeps the others from electing a leader (see staleLeader). Started again it stands for election like everybody else.
// The operator gives no votes that lead there (surviveMajority); whoever put data into volumes by hand may have.
func freeElections(s Snapshot, _ Health, p *Plan) bool {
	for _, m := range s.of(v1alpha1PlacementCenter) {
		if s.Seen[Symptom{SymptomStaleLeader, m.Pod}] > s.Limits.StaleLeader && serving(m) {
			p.step(Step{Kind: StepRestart, Pod: m.Pod, NodeID: m.NodeID, Cures: SymptomStaleLeader, Reason: "it calls itself leader of a raft group that nobody leads, and keeps the others from electing one"})
			return false
		}
	}
	return true
}

// cureRaft restarts a member whose raft core has stopped while its process lives: the ports are open, and it will never answer a vote again. It waits for voters that are missing for another
// reason, and not for one whose core has stopped too: of two that need each other in different groups neither would ever be restarted. In place it takes some two seconds, and leaders keep their terms.
func cureRaft(s Snapshot, h Health, p *Plan) bool {
	for _, m := range s.of(v1alpha1PlacementCenter) {
		if s.Seen[Symptom{SymptomRaftDead, m.Pod}] <= s.Limits.RaftDead || !serving(m) {
			continue
		}
		if v := quorum.MayGo(m.NodeID, h.Groups()); !v.Allowed && h.ledAll() && !quorum.MayGo(m.NodeID, h.asIfCured()).Allowed {
			p.trouble(v1alpha1.ReasonServerHung, "the raft core of %s has stopped; its restart waits: %s", m.Pod, v.Message)
			continue
		}
		p.step(Step{Kind: StepRestart, Pod: m.Pod, NodeID: m.NodeID, Cures: SymptomRaftDead, Reason: "a raft core has stopped while the process lives"})
		return false
	}
	return true
}

// asIfCured are the groups as they would be if every raft core that has stopped while its process lives were running.
func (h Health) asIfCured() []quorum.Group {
	groups := h.Groups()
	for i, g := range groups {
		for _, id := range g.Voters {
			if m, ok := h.s.node(id); ok && serving(m) && !m.Agent.Groups[g.Name].Running {
				groups[i].InService = append(groups[i].InService, id)
			}
		}
	}
	return groups
}
