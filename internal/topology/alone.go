package topology

import (
	"fmt"
	"slices"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// StepAlone makes Pod, one of the two voters that are left, the only voter of a new generation. Its server is held afterwards.
const StepAlone StepKind = "Alone"

// StepSave makes the backup that a placement centre has before it becomes one of a single member.
const StepSave StepKind = "Save"

// One is how a placement centre of several members may come down to one.
type One struct {
	// Allowed: one member is wanted, and the user said that it may be so (AllowShrinkBelowQuorum).
	Allowed bool
	// Backup is the name of the backup that is made first; empty: the cluster has no destination for backups.
	Backup string
	// Begun: it exists. Saved: it can be restored. Failed is why it cannot, in words.
	Begun, Saved bool
	Failed       string
	// FailedAgo is how long ago the last attempt to go on alone failed; 0 when none did.
	FailedAgo time.Duration
}

// The way from three members to one, and why it is this:
//
//  1. The third leaves like any other (leaveNext), by RobustMQ's own call: three voters, and then two, agree to it.
//  2. Out of two RobustMQ takes nobody. But of two voters both make the quorum, so everything that was ever acknowledged is in the log of either. The one that goes is stopped; from then on nothing
//     more is acknowledged.
//     So that a log is all there is to it both are counted first (countedAlike): a member that took a snapshot without its entries, and whose agent did not hear of it, looks as whole as the other one,
//     and what it lacks would be gone with that one.
//  3. The one that stays is stopped, made the only voter in its own database, and begins a new generation (StepAlone): its marker first. Before that nothing has changed, and both start again as
//     they were when it is not done in time.
//  4. The generation is recorded where restores record theirs. A volume of the one before does not start any more, wherever it turns up.
//  5. The one that stays starts when the other is known to be shut. It leads at once.
//  6. The other is unregistered, its copies of messages move, and it leaves like any other node that is stopped.
//
// Each pass decides anew from what is seen, so that an operator that died anywhere in between is followed by one that goes on.

// beginAlone asks whether the last step down may be begun, and begins it: m is the one of the two voters that goes.
func beginAlone(s Snapshot, h Health, m Member, p *Plan) bool {
	stays, ok := partner(s, m)
	switch one := s.Wanted.One; {
	case len(p.Steps) > 0:
		return true
	case !ok || !s.wantedOf(stays) || !h.voterInAll(stays.NodeID) || !h.voterInAll(m.NodeID):
		p.wait(v1alpha1.ReasonScaleInPending, "%s stays until the member that is to go on alone is a whole voter beside it", m.Pod)
		return true
	case h.unregistered(m):
		p.wait(v1alpha1.ReasonScaleInPending, "%s stays until the metadata leader lists it again: copies move only while a node is registered", m.Pod)
		return true // mendLists restarts it
	case len(stays.Agent.EmptySnapshot) > 0 || faulty(s, stays):
		p.trouble(v1alpha1.ReasonScaleInPending, "%s stays: %s, which would go on alone, holds less than its position claims", m.Pod, stays.Pod)
		return true
	case stays.Agent.Staging || stays.Agent.Streaming || stays.Agent.Placing || s.Wanted.Restore.UnderWay():
		p.wait(v1alpha1.ReasonScaleInPending, "%s stays while an image of %s is taken or read, or a restore is under way", m.Pod, stays.Pod)
		return true
	case one.FailedAgo > 0 && one.FailedAgo < s.Limits.SeedPauseMax:
		p.trouble(v1alpha1.ReasonScaleInPending, "%s stays: %s could not be made the only voter; it is tried again %s after that", m.Pod, stays.Pod, s.Limits.SeedPauseMax)
		return true
	}
	if wait := mayDrain(s, h, m); wait != nil {
		p.Waits = append(p.Waits, *wait)
		return true
	}
	if group, behind := lags(s, h, stays); behind {
		p.wait(v1alpha1.ReasonScaleInPending, "%s stays until %s has caught up in raft group %s", m.Pod, stays.Pod, group)
		return true
	}
	saved := "there is no backup of it, as spec.backup names no destination"
	if one := s.Wanted.One; one.Backup != "" {
		saved = "backup " + one.Backup + " has it as it was"
		switch {
		case one.Saved:
		case one.Failed != "":
			p.trouble(v1alpha1.ReasonScaleInPending, "%s stays: the cluster could not be saved first: backup %s: %s; delete that backup to have it tried again, or take spec.backup away", m.Pod, one.Backup, one.Failed)
			return true
		default:
			p.wait(v1alpha1.ReasonScaleInPending, "%s stays until the backup %s has saved the cluster", m.Pod, one.Backup)
			if !one.Begun {
				p.step(Step{Kind: StepSave, Planned: true, Reason: fmt.Sprintf("the placement centre is about to become one of a single member: backup %s saves it first", one.Backup)})
			}
			return true
		}
	}
	if !countedAlike(s, m, stays) {
		p.wait(v1alpha1.ReasonScaleInPending, "%s stays until the data of both was counted at one position and is the same: what only one of them holds would be lost when %s goes on alone", m.Pod, stays.Pod)
		return true
	}
	p.step(Step{Kind: StepStop, Pod: m.Pod, NodeID: m.NodeID, Planned: true, Reason: fmt.Sprintf("%s goes on alone, as spec.unsafe allows: metadata is not served for some seconds; %s", stays.Pod, saved)})
	p.step(aloneStep(stays, m))
	return false
}

func aloneStep(stays, goes Member) Step {
	return Step{Kind: StepAlone, Pod: stays.Pod, NodeID: stays.NodeID, Without: goes.NodeID, Planned: true,
		Reason: fmt.Sprintf("of the two voters it is made the only one, in a new generation; what %s has on its volume never serves again", goes.Pod)}
}

// countedAlike reports whether the last count met the present data of both members at one position, found the same keys, and was made a moment ago.
func countedAlike(s Snapshot, a, b Member) bool {
	same, counted := sameKeys(s, a, b)
	return counted && same && s.RoundAgo <= s.Limits.Counted
}

// sameKeys reports whether the last count found the same keys in both; counted: it met the present data of both at one position.
func sameKeys(s Snapshot, a, b Member) (same, counted bool) {
	if len(s.Rounds) == 0 {
		return false, false
	}
	round := s.Rounds[len(s.Rounds)-1]
	one, there := round[a.NodeID]
	other, too := round[b.NodeID]
	return digest(one) == digest(other), there && too && one.Life == life(a) && other.Life == life(b) && one.Applied == other.Applied
}

// AwaitsCount reports whether somebody stays only until the members' data was counted: it is worth a count of its own.
func AwaitsCount(s Snapshot) bool {
	members := s.of(v1alpha1PlacementCenter)
	if !s.Wanted.One.Allowed || len(members) != 2 || len(assess(s).Voters()) != 2 {
		return false
	}
	return !countedAlike(s, members[0], members[1])
}

// partner is the other one of two voters, in all groups by its own word.
func partner(s Snapshot, m Member) (Member, bool) {
	for _, other := range s.of(v1alpha1PlacementCenter) {
		if other.NodeID == m.NodeID || !serving(other) || !s.ours(other) {
			continue
		}
		two := []uint64{m.NodeID, other.NodeID}
		slices.Sort(two)
		if !slices.ContainsFunc(s.Wanted.Groups, func(group string) bool {
			g := other.Agent.Groups[group]
			return !g.uniform() || !slices.Equal(g.Voters, two)
		}) {
			return other, true
		}
	}
	return Member{}, false
}

// becomeOne goes on with a member that is on its way to be the only voter, or goes back where nothing has changed yet.
func becomeOne(s Snapshot, _ Health, p *Plan) bool {
	if s.Wanted.Static || !s.Wanted.Founded {
		return true
	}
	for _, m := range s.of(v1alpha1PlacementCenter) {
		if beginsAlone(s, m) {
			return startAlone(s, m, p)
		}
		if stays, ok := partner(s, m); ok && outdated(s, m) && (alone(s, stays) || s.Wanted.One.Allowed && adopted(s, stays)) {
			// It was marked, and its agent died before its database was rewritten.
			p.step(aloneStep(stays, m))
			return false
		}
	}
	for _, m := range s.of(v1alpha1PlacementCenter) {
		stays, ok := stoppedForIt(s, m)
		same, counted := sameKeys(s, m, stays)
		switch {
		case !ok:
		// The operator that stopped it had counted both; the one that goes on may know of nothing.
		case (same || !counted) && m.Agent.StoppedFor > 0 && m.Agent.StoppedFor <= s.Limits.Unregister && s.Wanted.One.FailedAgo == 0:
			p.step(aloneStep(stays, m))
			return false
		default:
			// Its registration runs out, and then its copies of messages are stranded.
			p.step(Step{Kind: StepStart, Pod: m.Pod, NodeID: m.NodeID, Reason: fmt.Sprintf("%s was not made the only voter in time: both go on as they were", stays.Pod)})
			return false
		}
	}
	return true
}

// pausesForOne reports whether the last two voters may pause for a restart in place of one of them: the placement centre is on its way to one member, which cannot go on before every node is listed,
// and is not served for as long at its end, too.
func pausesForOne(s Snapshot, m Member) bool {
	_, two := partner(s, m)
	return two && s.Wanted.One.Allowed && serving(m)
}

// stoppedForIt is the member that is about to be the only voter, where m was stopped so that it can be.
func stoppedForIt(s Snapshot, m Member) (Member, bool) {
	if !s.Wanted.One.Allowed || !s.Wanted.Decommission || m.Ordinal == 0 || !held(m) {
		return Member{}, false
	}
	stays, ok := partner(s, m)
	return stays, ok && stays.Ordinal == 0
}

// GoingAlone reports whether a member is on its way to be the only voter: that no other one is in service then is nothing that somebody misses.
func GoingAlone(s Snapshot) bool {
	return slices.ContainsFunc(s.of(v1alpha1PlacementCenter), func(m Member) bool {
		_, stopped := stoppedForIt(s, m)
		return stopped || leftBehind(s, m) || beginsAlone(s, m)
	})
}

// alone reports whether the member was made the only voter of the present generation. It stays so when others have joined since.
func alone(s Snapshot, m Member) bool {
	return s.ours(m) && m.Agent.Marker.Origin == OriginAlone && m.Agent.Marker.Generation == s.Wanted.Generation
}

// beginsAlone reports whether the member was made the only voter and has not started as that yet: nobody else holds data of its generation. Once others have joined it is held for another reason, and nobody
// is stopped for it.
func beginsAlone(s Snapshot, m Member) bool {
	return alone(s, m) && held(m) && !slices.ContainsFunc(s.of(v1alpha1PlacementCenter), func(other Member) bool {
		return other.NodeID != m.NodeID && s.ours(other) && other.Agent.Marker.Generation == s.Wanted.Generation
	})
}

// adopted reports whether the member's volume lost its marker, and a person said to take it over.
func adopted(s Snapshot, m Member) bool {
	return s.ours(m) && m.Agent.Marker.Origin == OriginAdopted && m.Agent.Marker.Generation == s.Wanted.Generation
}

// startAlone lets the only voter go when no other member's server runs or can start: each has been told of the new generation.
func startAlone(s Snapshot, m Member, p *Plan) bool {
	for _, other := range s.of(v1alpha1PlacementCenter) {
		switch {
		case other.NodeID == m.NodeID || other.State == PodMissing || other.State == PodPending:
		case other.Agent == nil:
			p.wait(v1alpha1.ReasonGoingAlone, "%s is the only voter, and starts when the agent of %s says that its server is stopped: %s", m.Pod, other.Pod, other.AgentError)
			return false
		case other.Agent.Server != ServerStopped || other.Agent.GateOpen:
			p.step(Step{Kind: StepStop, Pod: other.Pod, NodeID: other.NodeID, Reason: fmt.Sprintf("%s was made the only voter: what this member has is of an older generation", m.Pod)})
			return false
		case other.Agent.GateReason == GateTransferring, other.Agent.GateReason == GateHeld && s.ours(other) && other.Agent.Marker.Generation < s.Wanted.Generation:
			p.wait(v1alpha1.ReasonGoingAlone, "%s is the only voter, and starts when %s has been told of generation %d", m.Pod, other.Pod, s.Wanted.Generation)
			return false
		}
	}
	p.step(Step{Kind: StepStart, Pod: m.Pod, NodeID: m.NodeID, Planned: true, Reason: "it is the only voter, and no other member can start"})
	return false
}

// leftBehind reports whether the member was left out when another one was made the only voter.
func leftBehind(s Snapshot, m Member) bool {
	return outdated(s, m) && slices.ContainsFunc(s.of(v1alpha1PlacementCenter), func(other Member) bool {
		return other.NodeID != m.NodeID && (alone(s, other) || s.Wanted.One.Allowed && adopted(s, other))
	})
}

// replaceable reports whether nothing is lost with the volume of a member whose data is of an older generation although segments name it: its registration expired before its copies could be moved (an
// operator that was away just then), its server cannot start to be registered again, and every one of them is in sync on another node.
func replaceable(s Snapshot, h Health, m Member) bool {
	_, known := h.registry()
	return outdated(s, m) && known && !h.registered(m.NodeID) && s.Drain.Complete && s.Seen[Symptom{SymptomStranded, m.Pod}] > s.Limits.Stranded && len(only(s.Drain.naming(m.NodeID), m.NodeID)) == 0
}

// forgetLeftBehind has the copies of messages move off a member that was left behind. Its server cannot start, so it may be unregistered at any time; and it has to be before its registration expires,
// 27 s after the only voter's start, as nothing moves then. But a server that has not registered itself yet cannot tell anybody: it deletes the registration, answers an error and moves nothing (seen
// on 0.4.11, test/contract).
func forgetLeftBehind(h Health, m Member, p *Plan) {
	leader, ok := h.Leader(h.s.Wanted.Groups[0])
	if !ok || !leader.Agent.Announced {
		p.wait(v1alpha1.ReasonDraining, "%s is unregistered when the metadata leader has registered itself", m.Pod)
		return
	}
	p.step(unregister(h, m))
}
