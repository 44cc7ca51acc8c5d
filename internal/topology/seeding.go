package topology

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/quorum"
)

// Steps of seeding: a volume is filled with the metadata of a living member.
const (
	StepSeed        StepKind = "Seed"        // order: Pod's agent receives the metadata of Via
	StepOpenSeed    StepKind = "OpenSeed"    // let the server start on what was put in place
	StepAbandonSeed StepKind = "AbandonSeed" // remove what is left of a seed that came to nothing
	StepDiscardSeed StepKind = "DiscardSeed" // the member is whole: remove what its seed still keeps
)

// SeedPhase is how far a seed is (the agent's protocol has the same words but for SeedOpen).
type SeedPhase string

// The phases of a seed.
const (
	SeedImaging   SeedPhase = "Imaging"
	SeedReceiving SeedPhase = "Receiving"
	SeedPlacing   SeedPhase = "Placing"
	SeedPlaced    SeedPhase = "Placed"
	SeedFailed    SeedPhase = "Failed"
	SeedOpen      SeedPhase = "Open" // in force; what it was received by, and what was there before, is kept until the member is whole
)

// Seed is what a pod's agent was ordered to receive of another member.
type Seed struct {
	ID    string
	Phase SeedPhase
	Donor uint64
	// Reason and Message of a failed one; of another Message says what it waits for.
	Reason, Message string
	// Bytes of Total were received.
	Bytes, Total int64
	// Applied are the log indexes that the image holds at least, by raft group.
	Applied map[string]uint64
	// Least are the log indexes that it had to hold, by raft group: what the leaders had when the seed was ordered. A group that nobody led is missing.
	Least map[string]uint64
}

// SeedTries is what became of earlier seeds of a pod, since the last one that made it whole.
type SeedTries struct {
	Failed int
	Ago    time.Duration  // since the last failure
	Why    string         // the last failure
	Donors map[uint64]int // how often with whom as the donor
}

// pauseAfter is how long nothing is tried after so many failures: the first pause doubles until the longest.
func (l Limits) pauseAfter(failed int) time.Duration {
	pause := l.SeedPause
	for range failed - 1 {
		pause = min(2*pause, l.SeedPauseMax)
	}
	return pause
}

// seedMembers mends voters whose volume is empty, and brings every seed that was begun to its end. One at a time: each takes an image of a living member and, started, is one that has to catch up.
//
// A voter without its data must not start: RobustMQ votes it in with whatever the log still holds, and it looks healthy. With the image of another member it goes on from there, as long as the
// leader's log still has what follows; from an earlier position the leader would send a snapshot, which RobustMQ 0.4.11 sends without its entries (seen).
func seedMembers(s Snapshot, h Health, p *Plan) bool {
	for _, m := range s.of(v1alpha1PlacementCenter) {
		if m.Agent != nil && m.Agent.Seed != nil && (s.wantedOf(m) || h.votesEverywhere(m)) {
			return tendSeed(s, h, m, p)
		}
	}
	var empty []Member
	for _, m := range s.of(v1alpha1PlacementCenter) {
		if lostVolume(m) && (s.wantedOf(m) || neededToLeave(s, h, m)) {
			empty = append(empty, m)
		}
	}
	// While the groups' memberships differ because of a half member nobody's image fits anybody else either: it goes first.
	for _, m := range empty {
		if h.ledAll() && h.counted(m.NodeID) && len(h.groupsOf(m.NodeID)) < len(s.Wanted.Groups) {
			return rollBackEmpty(h, m, p)
		}
	}
	for _, m := range empty {
		switch {
		case h.known(m.NodeID):
			return orderSeed(s, h, m, p)
		case m.Agent.GateReason != GateAwaitsOrder && h.ledAll() && s.ours(m):
			p.step(Step{Kind: StepWipe, Pod: m.Pod, NodeID: m.NodeID, Reason: "its data is gone, and no member counts it in any raft group: its marker goes, too"})
			return false
		}
	}
	return true
}

// neededToLeave reports whether a voter that is no longer wanted has to be up so that anybody can leave. The highest ordinal is taken out as it is, by the member that leads every group; any other is
// missing to that one's leaving; and where no member leads every group, leadership has to move first, which it does with every voter up only.
func neededToLeave(s Snapshot, h Health, m Member) bool {
	if !s.Wanted.Decommission || !h.ledAll() || !h.votesEverywhere(m) {
		return false
	}
	if _, common := h.CommonLeader(); !common {
		return true
	}
	return slices.ContainsFunc(s.of(v1alpha1PlacementCenter), func(other Member) bool {
		return other.Ordinal > m.Ordinal && other.Ordinal < s.Present[other.Role] && !gone(s, h, other.Role, other.Ordinal)
	})
}

// votesEverywhere reports whether the leaders of all groups count the member as a voter.
func (h Health) votesEverywhere(m Member) bool {
	return len(h.groupsOf(m.NodeID)) == len(h.s.Wanted.Groups)
}

// rollBackEmpty takes a half member out whose volume is empty: nobody's image fits it, as the groups' memberships differ. Once nobody counts it, it joins anew.
func rollBackEmpty(h Health, m Member, p *Plan) bool {
	if v := quorum.MayLeave(m.NodeID, h.Groups()); !v.Allowed {
		p.trouble(v1alpha1.ReasonHalfJoined, "%s has an empty volume and is a voter in %d of %d raft groups; it is not taken out yet: %s", m.Pod, len(h.groupsOf(m.NodeID)), len(h.s.Wanted.Groups), v.Message)
		return true
	}
	leader, _ := h.CommonLeader()
	p.step(Step{Kind: StepLeave, Pod: m.Pod, Via: leader.Pod, NodeID: m.NodeID, Reason: "its join was left half done, and its volume is empty: it is taken out, and joins anew"})
	return false
}

// lostVolume reports whether the pod waits at its gate with an empty volume.
func lostVolume(m Member) bool {
	return awaitsOrder(m) || m.State == PodRunning && m.Agent != nil && !m.Agent.Terminating && m.Agent.VolumeEmpty && !m.Agent.GateOpen && (m.Agent.GateReason == GateDataLost || m.Agent.GateReason == GateOldGeneration)
}

// tendSeed brings a seed further.
func tendSeed(s Snapshot, h Health, m Member, p *Plan) bool {
	seed := m.Agent.Seed
	step := func(kind StepKind, format string, args ...any) bool {
		p.step(Step{Kind: kind, Pod: m.Pod, NodeID: m.NodeID, Reason: fmt.Sprintf(format, args...)})
		return false
	}
	switch seed.Phase {
	case SeedFailed:
		return step(StepAbandonSeed, "its seed from node %d failed (%s): %s", seed.Donor, seed.Reason, seed.Message)
	case SeedPlaced:
		if group, ok := overtaken(h, func(group string) uint64 { return seed.Applied[group] }); ok {
			return step(StepAbandonSeed, "raft group %s went on so far that its leader no longer has what follows the image: it would send a snapshot, which loses data", group)
		}
		return step(StepOpenSeed, "it holds the metadata of node %d", seed.Donor)
	case SeedOpen:
		return tendOpenSeed(s, h, m, p)
	}
	message := fmt.Sprintf("%s is being filled with the metadata of node %d (%s", m.Pod, seed.Donor, seed.Phase)
	if seed.Total > 0 {
		message += fmt.Sprintf(", %d of %d kB", seed.Bytes>>10, seed.Total>>10)
	}
	message += ")"
	if seed.Message != "" {
		message += ": " + seed.Message
	}
	stalled := s.Seen[Symptom{SymptomSeedStalled, m.Pod + " " + seed.ID + " " + string(seed.Phase)}] > s.Limits.SeedStall
	switch {
	case stalled && seed.Phase == SeedImaging:
		return step(StepAbandonSeed, "node %d has been taking its image for longer than %s", seed.Donor, s.Limits.SeedStall)
	case stalled && seed.Phase == SeedPlacing:
		p.trouble(v1alpha1.ReasonSeeding, "%s, for longer than %s", message, s.Limits.SeedStall)
		return true
	}
	p.wait(v1alpha1.ReasonSeeding, "%s", message)
	return true
}

// tendOpenSeed watches a member that was started on what it received, until it is whole.
func tendOpenSeed(s Snapshot, h Health, m Member, p *Plan) bool {
	switch {
	case len(m.Agent.EmptySnapshot) > 0 && h.groupsOf(m.NodeID) != nil:
		// Its cure needs the place: it is a faulty member like any other, and is taken out, and seeded once more, by cureFaults.
		p.step(Step{Kind: StepAbandonSeed, Pod: m.Pod, NodeID: m.NodeID,
			Reason: fmt.Sprintf("its leader sent a snapshot of raft group %s without its entries after all", m.Agent.EmptySnapshot[0])})
		return false
	case h.voterInAll(m.NodeID) && serving(m):
		if group, behind := lags(s, h, m); behind {
			p.wait(v1alpha1.ReasonSeeding, "%s holds the metadata of node %d and catches up in raft group %s", m.Pod, m.Agent.Seed.Donor, group)
			return true
		}
		p.step(Step{Kind: StepDiscardSeed, Pod: m.Pod, NodeID: m.NodeID, Reason: "it is whole: a voter of every raft group, at the leaders' position, by everybody's word"})
		return false
	case s.Seen[Symptom{SymptomSeedStalled, m.Pod + " " + m.Agent.Seed.ID + " " + string(SeedOpen)}] > s.Limits.SeedStall:
		p.trouble(v1alpha1.ReasonSeeding, "%s was started on the metadata of node %d and is no voter of every raft group yet (server %s %s)", m.Pod, m.Agent.Seed.Donor, m.Agent.Server, m.Agent.ServerExit)
	default:
		p.wait(v1alpha1.ReasonSeeding, "%s was started on the metadata of node %d and takes its place", m.Pod, m.Agent.Seed.Donor)
	}
	return true
}

// lags names a raft group in which the member is behind its leader.
func lags(s Snapshot, h Health, m Member) (group string, behind bool) {
	for _, group := range s.Wanted.Groups {
		l, ok := h.Leader(group)
		if !ok || l.Agent.Groups[group].LastApplied > m.Agent.Groups[group].LastApplied+s.Limits.Lag {
			return group, true
		}
	}
	return "", false
}

// overtaken names a raft group whose leader no longer has the entry after the given position.
func overtaken(h Health, position func(group string) uint64) (group string, ok bool) {
	for _, group := range h.s.Wanted.Groups {
		if l, led := h.Leader(group); led && l.Agent.Groups[group].Purged > position(group) {
			return group, true
		}
	}
	return "", false
}

// seedUnderWay names the pod that is being seeded; empty when none is.
func seedUnderWay(s Snapshot) string {
	for _, m := range s.of(v1alpha1PlacementCenter) {
		if m.Agent != nil && m.Agent.Seed != nil {
			return m.Pod
		}
	}
	return ""
}

// orderSeed orders a seed of an empty volume, or says why not yet.
func orderSeed(s Snapshot, h Health, m Member, p *Plan) bool {
	lost := h.known(m.NodeID)
	reason, what := v1alpha1.ReasonSeedNeeded, m.Pod+" has to be filled with a member's metadata"
	if lost {
		reason, what = v1alpha1.ReasonEmptyVolume, m.Pod+" has an empty volume although it is a voter"
	}
	if other := seedUnderWay(s); other != "" {
		p.wait(v1alpha1.ReasonSeeding, "%s; it is its turn after %s", what, other)
		return true
	}
	if s.Wanted.NoSeeds != "" {
		p.trouble(reason, "%s, which is not possible: %s", what, s.Wanted.NoSeeds)
		return true
	}
	if tries := s.SeedTries[m.Pod]; tries.Failed > 0 && tries.Ago < s.Limits.pauseAfter(tries.Failed) {
		wait := Wait{Reason: v1alpha1.ReasonSeedFailed, Trouble: tries.Failed > 2}
		wait.Message = fmt.Sprintf("%s is seeded once more %s after failure %d: %s", m.Pod, s.Limits.pauseAfter(tries.Failed), tries.Failed, tries.Why)
		p.Waits = append(p.Waits, wait)
		return true
	}
	from, why := donor(s, h, m)
	if why != "" {
		p.trouble(reason, "%s, and nobody can give it now: %s", what, why)
		return true
	}
	text := fmt.Sprintf("the log no longer begins at its first entry, so it begins with the metadata of %s", from.Pod)
	if lost {
		text = fmt.Sprintf("it is a voter whose volume is empty: it gets the metadata of %s", from.Pod)
	}
	p.step(Step{Kind: StepSeed, Pod: m.Pod, Via: from.Pod, NodeID: m.NodeID, Planned: !lost, Reason: text})
	return false
}

// donor is whose metadata the target gets: a follower that is in service in every raft group, whose vote does not name the target, the nearest to the leaders' logs; the leader only if there
// is no other, one whose machine is about to be drained likewise, and who failed before after everybody who failed less often. Nobody who is being seeded, is faulty, or whose image somebody else is reading. The second result says why there is none.
func donor(s Snapshot, h Health, target Member) (found Member, why string) {
	why = "no other member is a voter of every raft group by everybody's word"
	var fit []Member
	for _, m := range s.of(v1alpha1PlacementCenter) {
		if m.NodeID == target.NodeID || !serving(m) || !h.voterInAll(m.NodeID) {
			continue
		}
		switch group := votesFor(s, m, target.NodeID); {
		case m.Agent.Terminating, m.Agent.Fenced:
			why = m.Pod + " is being ended or cannot reach the others"
		case m.Agent.Seed != nil, len(m.Agent.EmptySnapshot) > 0, faulty(s, m):
			why = m.Pod + " is not known to be whole itself"
		case m.Agent.Staging, m.Agent.Streaming, m.Agent.Placing:
			why = "an image of " + m.Pod + " is being taken or read"
		case group != "":
			why = fmt.Sprintf("the vote of %s in raft group %s names %s itself: it is led by another first", m.Pod, group, target.Pod)
		default:
			fit = append(fit, m)
		}
	}
	if len(fit) == 0 {
		return Member{}, why
	}
	failed := s.SeedTries[target.Pod].Donors
	return slices.MinFunc(fit, func(a, b Member) int {
		return cmp.Or(cmp.Compare(failed[a.NodeID], failed[b.NodeID]), compareBool(s.cordoned(a), s.cordoned(b)), cmp.Compare(len(h.LeaderOf(a.NodeID)), len(h.LeaderOf(b.NodeID))), cmp.Compare(h.lag(a), h.lag(b)), cmp.Compare(a.NodeID, b.NodeID))
	}), ""
}

// votesFor names a raft group in which the member's vote names the node; empty when none does.
func votesFor(s Snapshot, m Member, id uint64) string {
	for _, group := range s.Wanted.Groups {
		if g := m.Agent.Groups[group]; g.Vote == id || g.Leader == id {
			return group
		}
	}
	return ""
}

// lag is by how many entries the member is behind the leaders, in all raft groups together.
func (h Health) lag(m Member) uint64 {
	sum := uint64(0)
	for group, l := range h.leaders {
		if led, own := l.Agent.Groups[group].LastApplied, m.Agent.Groups[group].LastApplied; led > own {
			sum += led - own
		}
	}
	return sum
}

// seeded reports whether the member came by its data through a seed and has never been whole since.
func seeded(m Member) bool {
	return m.Agent != nil && m.Agent.Marker != nil && m.Agent.Marker.Origin == OriginSeeded && !m.Agent.Marker.Member
}

// joinSeeded makes a newcomer that runs on a member's metadata a voter. It starts as a learner that nobody knows and does nothing by itself; JoinCluster makes it a voter, and the leader sends
// it what its log has after the image. That must still be there: else the newcomer is emptied and begins anew.
func joinSeeded(s Snapshot, h Health, m Member, p *Plan) bool {
	in := h.groupsOf(m.NodeID)
	if !serving(m) {
		if s.Seen[Symptom{SymptomHalfJoined, m.Pod}] > s.Limits.JoinRollback {
			p.trouble(v1alpha1.ReasonHalfJoined, "%s was seeded, and its server does not answer (%s)", m.Pod, m.Agent.ServerExit)
		} else {
			p.wait(v1alpha1.ReasonJoiningMember, "%s was seeded and is starting", m.Pod)
		}
		return false
	}
	for _, group := range s.Wanted.Groups {
		// What it has not told is not 0: nothing is concluded from a server that is still opening its groups.
		if g, ok := m.Agent.Groups[group]; !ok || !g.Running || g.LastLog == 0 {
			if s.Seen[Symptom{SymptomHalfJoined, m.Pod}] > s.Limits.JoinRollback {
				p.step(Step{Kind: StepRestart, Pod: m.Pod, NodeID: m.NodeID, Cures: SymptomHalfJoined, Reason: "it was seeded, and its server does not open raft group " + group})
				return false
			}
			p.wait(v1alpha1.ReasonJoiningMember, "%s was seeded and has not opened raft group %s yet", m.Pod, group)
			return false
		}
	}
	group, late := overtaken(h, func(group string) uint64 { return m.Agent.Groups[group].LastLog })
	switch {
	case len(m.Agent.EmptySnapshot) > 0:
		group, late = m.Agent.EmptySnapshot[0], true
	case h.known(m.NodeID) && s.Seen[Symptom{SymptomHalfJoined, m.Pod}] <= s.Limits.HalfJoin:
		// It is on its way in: from now on raft itself keeps what it needs.
		p.wait(v1alpha1.ReasonJoiningMember, "%s is joining: voter in %d of %d raft groups", m.Pod, len(in), len(s.Wanted.Groups))
		return false
	}
	if late {
		if v := quorum.MayGo(m.NodeID, h.Groups()); !v.Allowed {
			p.trouble(v1alpha1.ReasonHalfJoined, "%s has to be seeded once more, and is not stopped yet: %s", m.Pod, v.Message)
			return true // what the quorum lacks is mended further on
		}
		p.step(Step{Kind: StepStop, Pod: m.Pod, NodeID: m.NodeID, Cures: SymptomHalfJoined,
			Reason: fmt.Sprintf("the leader of raft group %s cannot send what follows its metadata: it is emptied and seeded once more", group)})
		return false
	}
	if v := quorum.MayJoin(m.NodeID, h.Groups()); !v.Allowed {
		reason := v1alpha1.ReasonJoiningMember
		leader, common := h.CommonLeader()
		// A half member keeps every other voter from being seeded: nobody's image fits while the groups' memberships differ. So it does not wait for one for ever.
		if s.Seen[Symptom{SymptomHalfJoined, m.Pod}] > s.Limits.JoinRollback && quorum.MayLeave(m.NodeID, h.Groups()).Allowed {
			p.step(Step{Kind: StepStop, Pod: m.Pod, NodeID: m.NodeID, Cures: SymptomHalfJoined, Reason: "its join was left half done and cannot be finished, and is rolled back: " + v.Message})
			return false
		}
		if !common || leader.NodeID == m.NodeID {
			reason = v1alpha1.ReasonLeadersApart
			bringTogether(s, h, p)
		}
		p.wait(reason, "%s was seeded and waits to join: %s", m.Pod, v.Message)
		return false
	}
	leader, _ := h.CommonLeader()
	p.step(Step{Kind: StepJoin, Pod: m.Pod, Via: leader.Pod, NodeID: m.NodeID, Addr: m.Addr, Cures: SymptomHalfJoined, Planned: len(in) == 0,
		Reason: fmt.Sprintf("it was seeded, and becomes a voter (it is one in %d of %d raft groups)", len(in), len(s.Wanted.Groups))})
	return false
}
