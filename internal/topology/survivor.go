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
func surviveMajority(s Snapshot, h Health, p *Plan) bool {
	if len(h.leaders) > 0 || !s.Wanted.Founded {
		return true
	}
	loss := majorityLoss(s)
	if loss == nil {
		return true
	}
	names := strings.Join(loss.emptyPods(), ", ")
	text := fmt.Sprintf("the volumes of %s are empty, and %d of %d voters do not make a quorum", names, len(loss.whole), loss.voters)
	if loss.problem != "" {
		p.trouble(v1alpha1.ReasonMajorityLost, "%s; nothing is put back: %s", text, loss.problem)
		return true
	}
	p.trouble(v1alpha1.ReasonMajorityLost, "%s; %s survives and its metadata is put into the others; what the lost majority acknowledged and it had not received is gone", text, loss.survivor.Pod)
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
		terms[group] = g.Term + 1
		positions = append(positions, fmt.Sprintf("%s %d", group, g.LastLog))
	}
	p.step(Step{
		Kind: StepSeed, Pod: target.Pod, Via: loss.survivor.Pod, NodeID: target.NodeID, Terms: terms,
		Reason: fmt.Sprintf("the majority is lost (empty: %s), and %s is the longest log that is left (%s)", names, loss.survivor.Pod, strings.Join(positions, ", ")),
	})
	return false
}

// loss is a majority whose volumes are gone.
type loss struct {
	voters   int
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

// majorityLoss looks at every voter's volume; nil when the majority is not known to be lost: a quorum may come back by itself, or somebody's volume was not seen.
func majorityLoss(s Snapshot) *loss {
	voters := votersLeft(s)
	if len(voters) == 0 {
		return nil
	}
	l := &loss{voters: len(voters)}
	for _, id := range voters {
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
	if len(l.whole) >= quorum.Of(len(voters)) || len(l.whole) == 0 || len(l.empty)+len(l.seeding) == 0 {
		return nil
	}
	l.choose(s)
	return l
}

// votersLeft are the voters by the word of the members that still answer; nil where they contradict one another, or where a change was half done.
func votersLeft(s Snapshot) []uint64 {
	var voters []uint64
	for _, m := range s.of(v1alpha1PlacementCenter) {
		if m.Agent == nil || len(m.Agent.Groups) == 0 {
			continue
		}
		for _, group := range s.Wanted.Groups {
			g, ok := m.Agent.Groups[group]
			if !ok || !g.uniform() || voters != nil && !slices.Equal(voters, g.Voters) {
				return nil
			}
			voters = g.Voters
		}
	}
	return voters
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
