package topology

import (
	"fmt"
	"slices"
	"strings"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/quorum"
)

// surviveMajority brings a placement centre back whose majority lost its volumes while a complete member is left: the survivor's metadata is put into the empty volumes, until a quorum holds it.
//
// The order, and why:
//  1. Every voter's volume is looked at by its own agent. A volume that cannot be seen may hold what was acknowledged, so one agent that does not answer, one foreign volume, one that only does
//     not start forbids everything. While as many volumes are whole as make a quorum, raft can do it by itself, and nothing is done here.
//  2. All that for Limits.MajorityLost without a break: what mends by itself has mended by then.
//  3. The survivor is the one whose log is at least as long as every other whole member's in every raft group. Where none is, nobody is chosen.
//  4. One empty volume after the other gets the survivor's image. Its votes are replaced: they are of the term after the survivor's own, for nobody, and not committed. That is what the member
//     would hold if it had heard of that term and not voted in it, and so whoever starts on it harms nobody: it acknowledges nothing before a quorum has elected a leader that has the
//     survivor's log, and it listens to nobody of an older term, should a lost volume turn up again.
//     (A vote for the survivor would do for one that followed. One that had led takes it over when it meets it, and then neither leads nor stands for election, while its longer log keeps the
//     others from winning: seen on RobustMQ 0.4.11, test/contract. Meeting a later term in which nobody was voted for, it steps down and stands for election like everybody else.
//     A committed vote would make the survivor lead 20 s sooner, but it would have to stand in the survivor's volume too, which then has to be stopped and edited: the one copy that is left.)
//  5. As soon as a quorum of whole volumes exists they elect a leader, and the ladder's ordinary rung seeds the rest. The survivor's volume is never touched.
//
// What the lost majority had acknowledged and the survivor did not have yet is gone with the volumes; the message says so.
//
// A membership that was being changed when the volumes went, or that one raft group has and another has not yet, leaves more to know: who was asked for what was acknowledged. There the survivor is only one
// without whom nothing can have been agreed upon, in no group and under no membership that there may have been (quorum.Indispensable): the founder while the second member joins, as a rule. It has
// everything, and may lead groups all the while. Votes are replaced only where its own is for somebody else; where it is for itself, the other one follows it at its first word, as if it had never been away.
// (The votes that were lost with the volume bind nobody: none of them has made a leader without this one's.) The change that was half done is then finished as ever (finishJoins).
func surviveMajority(s Snapshot, h Health, p *Plan) bool {
	if !s.Wanted.Founded {
		return true
	}
	loss := majorityLoss(s, h)
	if loss == nil {
		return true
	}
	names := strings.Join(loss.emptyPods(), ", ")
	text := fmt.Sprintf("the volumes of %s are empty, and %d of %d voters do not make a quorum", names, len(loss.whole), len(loss.voters))
	if loss.problem != "" {
		p.trouble(v1alpha1.ReasonMajorityLost, "%s; nothing is put back: %s", text, loss.problem)
		return true
	}
	gone := "what the lost majority acknowledged and it had not received is gone"
	if loss.changing {
		gone = "nothing was acknowledged without it"
	}
	p.trouble(v1alpha1.ReasonMajorityLost, "%s; %s survives and its metadata is put into the others; %s", text, loss.survivor.Pod, gone)
	for _, m := range loss.seeding {
		tendSeed(s, h, m, p)
		return false
	}
	if lasted := s.Seen[Symptom{Kind: SymptomMajorityLost}]; lasted <= s.Limits.MajorityLost {
		p.wait(v1alpha1.ReasonMajorityLost, "nothing is done before this has been so for %s", s.Limits.MajorityLost)
		return false
	}
	target := loss.empty[0]
	if tries := s.SeedTries[target.Pod]; tries.Failed > 0 && tries.Ago < s.Limits.pauseAfter(tries.Failed) {
		p.wait(v1alpha1.ReasonMajorityLost, "%s gets the metadata of %s once more %s after failure %d: %s", target.Pod, loss.survivor.Pod, s.Limits.pauseAfter(tries.Failed), tries.Failed, tries.Why)
		return false
	}
	terms := map[string]uint64{}
	var positions []string
	for _, group := range s.Wanted.Groups {
		g := loss.survivor.Agent.Groups[group]
		if !loss.changing || g.Vote != loss.survivor.NodeID {
			terms[group] = g.Term + 1
		}
		positions = append(positions, fmt.Sprintf("%s %d", group, g.LastLog))
	}
	p.step(Step{
		Kind: StepSeed, Pod: target.Pod, Via: loss.survivor.Pod, NodeID: target.NodeID, Terms: terms, Changing: loss.changing,
		Reason: fmt.Sprintf("the majority is lost (empty: %s), and %s is the longest log that is left (%s)", names, loss.survivor.Pod, strings.Join(positions, ", ")),
	})
	return false
}

// loss is a majority whose volumes are gone.
type loss struct {
	voters   []uint64
	changing bool     // the groups do not have one and the same membership
	whole    []Member // with data of this cluster
	empty    []Member // volumes seen empty, and not being filled
	seeding  []Member // volumes that are being filled
	survivor Member
	problem  string // why there is no survivor
}

func (l *loss) emptyPods() (pods []string) {
	for _, m := range append(slices.Clone(l.empty), l.seeding...) {
		pods = append(pods, m.Pod)
	}
	slices.Sort(pods)
	return pods
}

// majorityLoss looks at every voter's volume; nil when the majority is not known to be lost: a quorum is there or may come back by itself, or somebody's volume was not seen.
func majorityLoss(s Snapshot, h Health) *loss {
	l := &loss{}
	l.voters, l.changing = votersLeft(s)
	for _, id := range l.voters {
		m, ok := s.node(id)
		switch {
		case !ok || m.State != PodRunning || m.Agent == nil || m.Agent.Terminating:
			return nil
		case m.Agent.Seed != nil && m.Agent.Seed.Phase != SeedOpen:
			l.seeding = append(l.seeding, m)
		case lostVolume(m):
			l.empty = append(l.empty, m)
		case m.Agent.VolumeInitialised && s.ours(m) && m.Agent.Marker.Generation == s.Wanted.Generation:
			l.whole = append(l.whole, m)
		default:
			return nil // foreign, unusable, of an older generation: it may hold what was acknowledged
		}
	}
	if len(l.whole) == 0 || len(l.empty)+len(l.seeding) == 0 || !l.stuck(s, h) {
		return nil
	}
	l.choose(s)
	return l
}

// stuck reports whether the volumes that are whole are no quorum of some group, and nobody leads such a group.
func (l *loss) stuck(s Snapshot, h Health) bool {
	stuck := false
	for _, group := range s.Wanted.Groups {
		short := false
		for _, m := range l.whole {
			short = short || slices.ContainsFunc(m.Agent.Groups[group].configs(), func(voters []uint64) bool { return len(l.wholeOf(voters)) < quorum.Of(len(voters)) })
		}
		if _, led := h.Leader(group); led && short {
			return false // who leads knows better: a quorum was there a moment ago
		}
		stuck = stuck || short
	}
	return stuck
}

// wholeOf are those voters whose volumes are whole.
func (l *loss) wholeOf(voters []uint64) []uint64 {
	return slices.DeleteFunc(slices.Clone(voters), func(id uint64) bool {
		return !slices.ContainsFunc(l.whole, func(m Member) bool { return m.NodeID == id })
	})
}

// votersLeft are the voters by the word of the members that still answer, of all groups and of both memberships where one is being changed. changing: they do not all have one and the same. None: a member
// that answers does not say it of every group.
func votersLeft(s Snapshot) (voters []uint64, changing bool) {
	var first []uint64
	for _, m := range s.of(v1alpha1PlacementCenter) {
		if m.Agent == nil || len(m.Agent.Groups) == 0 {
			continue
		}
		for _, group := range s.Wanted.Groups {
			configs := m.Agent.Groups[group].configs()
			if len(configs) == 0 {
				return nil, false
			}
			for _, config := range configs {
				if first == nil {
					first = config
				}
				changing = changing || !slices.Equal(first, config)
				voters = append(voters, config...)
			}
		}
	}
	slices.Sort(voters)
	return slices.Compact(voters), changing
}

// choose finds the survivor.
func (l *loss) choose(s Snapshot) {
	for _, m := range l.whole {
		switch {
		case !serving(m) || len(m.Agent.Groups) < len(s.Wanted.Groups):
			l.problem = fmt.Sprintf("the server of %s does not answer, so how far its data goes is not known", m.Pod)
			return
		case len(m.Agent.EmptySnapshot) > 0 || faulty(s, m):
			l.problem = fmt.Sprintf("%s is faulty itself: it holds less than its position claims", m.Pod)
			return
		}
	}
	if l.changing {
		for _, m := range l.whole {
			if l.needs(s, m.NodeID) {
				l.survivor = m
				return
			}
		}
		l.problem = "the membership was being changed, or its change was half done, and no member that is left was needed for everything that was agreed upon: what was acknowledged may be in what is lost. " +
			"Restore a backup (RobustMQRestore)"
		return
	}
	for _, m := range l.whole {
		longest := !slices.ContainsFunc(l.whole, func(other Member) bool {
			return slices.ContainsFunc(s.Wanted.Groups, func(group string) bool { return other.Agent.Groups[group].LastLog > m.Agent.Groups[group].LastLog })
		})
		if longest {
			l.survivor = m
			return
		}
	}
	l.problem = "no member has the longest log in every raft group"
}

// needs reports whether nothing was agreed upon without node id, by the word of everybody who is left.
func (l *loss) needs(s Snapshot, id uint64) bool {
	for _, m := range l.whole {
		for _, group := range s.Wanted.Groups {
			if !quorum.Indispensable(id, m.Agent.Groups[group].configs()) {
				return false
			}
		}
	}
	return true
}
