package topology

import (
	"cmp"
	"fmt"
	"slices"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/quorum"
)

// Fault is a member that holds other data than its raft position claims. The server says nothing of it: every port is open, raft and metrics are green.
type Fault struct {
	NodeID uint64
	Kind   FaultKind
	// Life names the data that is faulty: with other data the fault is over.
	Life string
	// Why is told to people.
	Why string
}

// FaultKind is how a fault came to light.
type FaultKind string

// The kinds of faults.
const (
	FaultEmptySnapshot FaultKind = "EmptySnapshot" // it took a snapshot without its entries
	FaultKeysDiffer    FaultKind = "KeysDiffer"    // it holds other keys than the majority at the same position
	FaultDiverged      FaultKind = "Diverged"      // it leads with a log that lacks what its followers have
)

// cureFaults takes a faulty member out, has its metadata replaced, and lets it in again.
//
// What is done to whom: an empty snapshot is a sign of its own, written down by the agent; other keys than the majority's count only when two rounds say so one after the other, because a
// single reading may have met what was just being applied. Never two members at once, never one whose going costs the quorum. One that leads hands the leadership to a sound member first: an
// election would cost half a minute; where that cannot be done it is only told. The volume is not emptied: the messages in it are not at fault.
func cureFaults(s Snapshot, h Health, p *Plan) bool {
	if s.Wanted.Static || s.Wanted.Islands {
		return true // no member can be compared, or seeded, there
	}
	faults, unsure := findFaults(s, h)
	// Of a member that is taken away nothing is needed, unless nobody can leave before it is up.
	faults = slices.DeleteFunc(faults, func(f Fault) bool {
		m, ok := s.node(f.NodeID)
		return ok && !s.wantedOf(m) && !neededToLeave(s, h, m)
	})
	if unsure != "" {
		p.trouble(v1alpha1.ReasonDataDiffers, "%s; nobody is taken out while that is not decided: compare a backup with the members", unsure)
	}
	if len(faults) == 0 {
		return true
	}
	f := faults[0]
	if i := slices.IndexFunc(faults, func(f Fault) bool { m, ok := s.node(f.NodeID); return ok && held(m) }); i >= 0 {
		f = faults[i] // who is down for it already is missing to all others until it is mended
	}
	m, ok := s.node(f.NodeID)
	if !ok || m.Agent == nil {
		return true
	}
	p.trouble(v1alpha1.ReasonFaultyMember, "%s is faulty: %s", m.Pod, f.Why)
	if m.Agent.Seed != nil {
		return false // its metadata is being replaced: seedMembers brings that to its end
	}
	if missing := missingBeside(s, h, m); missing != "" {
		p.trouble(v1alpha1.ReasonFaultyMember, "%s is mended when no other voter is missing: %s", m.Pod, missing)
		return true
	}
	if held(m) {
		return replaceMetadata(s, h, m, f, p)
	}
	if m.Agent.Server == ServerStopped {
		return true // somebody else's affair
	}
	if led := h.LeaderOf(m.NodeID); len(led) > 0 && f.Kind != FaultDiverged {
		step, wait, ok := transferAway(s, h, m)
		if ok {
			p.step(step)
			return false
		}
		p.trouble(v1alpha1.ReasonFaultyMember, "%s leads %s, and another member has to lead before it can be mended: %s", m.Pod, led[0], wait.Message)
		return true
	}
	if v := quorum.MayGo(m.NodeID, h.Groups()); !v.Allowed {
		p.trouble(v1alpha1.ReasonFaultyMember, "%s has to be stopped, which waits: %s", m.Pod, v.Message)
		return true
	}
	p.step(Step{Kind: StepStop, Pod: m.Pod, NodeID: m.NodeID, Reason: "it is faulty: " + f.Why})
	return false
}

// replaceMetadata has the metadata of a stopped member replaced by a sound one's. Its volume is not emptied first: the messages in it are not at fault, and may be the only copy.
func replaceMetadata(s Snapshot, h Health, m Member, f Fault, p *Plan) bool {
	if tries := s.SeedTries[m.Pod]; tries.Failed > 0 && tries.Ago < s.Limits.pauseAfter(tries.Failed) {
		p.trouble(v1alpha1.ReasonFaultyMember, "%s gets the metadata of another member once more %s after failure %d: %s", m.Pod, s.Limits.pauseAfter(tries.Failed), tries.Failed, tries.Why)
		return false
	}
	from, why := donor(s, h, m)
	if why != "" {
		p.trouble(v1alpha1.ReasonFaultyMember, "%s is stopped, and nobody can give it its metadata now: %s", m.Pod, why)
		return false
	}
	p.step(Step{Kind: StepSeed, Pod: m.Pod, Via: from.Pod, NodeID: m.NodeID, Reason: fmt.Sprintf("its metadata is replaced by that of %s: %s", from.Pod, f.Why)})
	return false
}

// Faults are the faulty members that are known now: to be remembered, and given to the next pass.
func Faults(s Snapshot) []Fault {
	if s.Wanted.Static || s.Wanted.Islands {
		return nil
	}
	faults, _ := findFaults(s, assess(s))
	return faults
}

// findFaults are the faults that were found earlier and are not over, and those that the snapshot shows; one a member, by node id.
func findFaults(s Snapshot, h Health) (faults []Fault, unsure string) {
	found := map[uint64]Fault{}
	add := func(f Fault) {
		if _, known := found[f.NodeID]; !known {
			found[f.NodeID] = f
		}
	}
	for _, f := range s.Faults {
		if m, ok := s.node(f.NodeID); ok && (m.Agent == nil || life(m) == f.Life) {
			add(f)
		}
	}
	var last, before verdict
	if leader, ok := h.Leader(s.Wanted.Groups[0]); ok {
		voters := h.voters(s.Wanted.Groups[0])
		if n := len(s.Rounds); n > 0 {
			last = judge(s.Rounds[n-1], voters, leader.NodeID)
		}
		if n := len(s.Rounds); n > 1 {
			before = judge(s.Rounds[n-2], voters, leader.NodeID)
		}
	}
	for _, m := range s.of(v1alpha1PlacementCenter) {
		if m.Agent == nil || m.Agent.VolumeEmpty || !s.ours(m) {
			continue
		}
		// A member that has the majority's keys is whole, however it came by them: the server took a snapshot that was no newer than its data. That was counted in these data, not in those before.
		if len(m.Agent.EmptySnapshot) > 0 && (!slices.Contains(last.sound, m.NodeID) || s.Rounds[len(s.Rounds)-1][m.NodeID].Life != life(m)) {
			add(Fault{NodeID: m.NodeID, Kind: FaultEmptySnapshot, Life: life(m), Why: fmt.Sprintf("its server took a snapshot of raft group %s without its entries, so it holds less than its position claims", m.Agent.EmptySnapshot[0])})
		}
		why, odd := last.odd[m.NodeID]
		if _, twice := before.odd[m.NodeID]; odd && twice && counted(s, m) {
			add(Fault{NodeID: m.NodeID, Kind: FaultKeysDiffer, Life: life(m), Why: why})
		}
		if s.Seen[Symptom{SymptomDiverged, m.Pod}] > s.Limits.Diverged {
			ahead, _ := aheadOf(s, h, m)
			add(Fault{NodeID: m.NodeID, Kind: FaultDiverged, Life: life(m), Why: fmt.Sprintf("it leads with a log that lacks what %s holds: it was put back to an older state, and what it acknowledges now is on no other member", ahead)})
		}
	}
	for _, f := range found {
		faults = append(faults, f)
	}
	slices.SortFunc(faults, func(a, b Fault) int { return cmp.Compare(a.NodeID, b.NodeID) })
	if last.unsure != "" && before.unsure != "" {
		unsure = last.unsure
	}
	return faults, unsure
}

// counted reports whether the two last rounds were of the data that the member has now.
func counted(s Snapshot, m Member) bool {
	for _, r := range s.Rounds[len(s.Rounds)-2:] {
		if r[m.NodeID].Life != life(m) {
			return false
		}
	}
	return true
}

// life names the data in a member's volume; empty when it has no marker.
func life(m Member) string {
	if m.Agent == nil || m.Agent.Marker == nil {
		return ""
	}
	return m.Agent.Marker.Life
}

// faulty reports whether a fault of the member was found and is not over: it is not to be started as it is.
func faulty(s Snapshot, m Member) bool {
	return slices.ContainsFunc(s.Faults, func(f Fault) bool { return f.NodeID == m.NodeID && f.Life == life(m) })
}

// missingBeside names a voter beside the member that is not whole; empty when all are.
func missingBeside(s Snapshot, h Health, m Member) string {
	if !h.ledAll() {
		return h.QuorumProblem()
	}
	for _, group := range s.Wanted.Groups {
		for _, id := range h.voters(group) {
			if id != m.NodeID && !h.voterInAll(id) {
				return fmt.Sprintf("node %d is not in service in every raft group", id)
			}
		}
	}
	return ""
}

// aheadOf names a follower whose log goes further than that of the leader whom it follows in the same term, by more than what is written between two questions.
// RobustMQ: a leader that was killed and put back to an older state goes on in its old term, and its followers, which have entries of that term that it lacks, do not object (seen).
func aheadOf(s Snapshot, h Health, leader Member) (pod string, ok bool) {
	for group, l := range h.leaders {
		if l.NodeID != leader.NodeID {
			continue
		}
		led := l.Agent.Groups[group]
		for _, m := range s.of(v1alpha1PlacementCenter) {
			if m.NodeID == leader.NodeID || !serving(m) {
				continue
			}
			if g, there := m.Agent.Groups[group]; there && g.Running && g.Leader == leader.NodeID && g.Term == led.Term && g.LastLog > led.LastLog+s.Limits.Lag {
				return m.Pod, true
			}
		}
	}
	return "", false
}
