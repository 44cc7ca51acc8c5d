package topology

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/quorum"
)

// Roll is how far a change is that takes one pod after another. The zero value: nothing is rolled.
type Roll struct {
	// Restart and Replace are the pods that still have to be restarted in place, or made anew, in their order.
	Restart, Replace []string
	// Done of Total pods need nothing of it any more.
	Done, Total int
}

func (r Roll) String() string { return fmt.Sprintf("%d of %d pods done", r.Done, r.Total) }

// rollNext brings the next pod to its present configuration, by a restart in place, or to its present template, by making the pod anew: one at a time, and only while everything
// else is as it should be, so that the one that goes is the only one that is missing. It stands last: whatever is to be repaired or changed otherwise comes first.
func rollNext(s Snapshot, h Health, p *Plan) bool {
	pending := rollOrder(s, h)
	if len(pending) == 0 {
		return true
	}
	p.Roll = rollOf(s, pending)
	if len(p.Steps) > 0 {
		return true
	}
	next := pending[0]
	kind, why, reason, doing := rollStep(next)
	if stuck(s, h, next) {
		if next.Agent != nil && !next.TemplateStale && !serving(next) { // replaceBroken sees to the others
			p.step(Step{Kind: StepRestart, Pod: next.Pod, NodeID: next.NodeID, Planned: true, Cures: SymptomStarting, Reason: "its server does not come up, and its configuration was corrected since it was started"})
		}
		return true
	}
	if noteStopped(s, h, reason, p) {
		return true
	}
	if !pullImages(pending, p) {
		return true
	}
	if len(p.Waits) > 0 {
		quiet := !slices.ContainsFunc(p.Waits, func(w Wait) bool { return !w.Background })
		p.wait(reason, "%s; %s is %s when that is settled", p.Roll, next.Pod, doing)
		p.Waits[len(p.Waits)-1].Background = quiet
		return true
	}
	if wait := mayRoll(s, h, next); wait != nil {
		wait.Message = fmt.Sprintf("%s; %s waits to be %s: %s", p.Roll, next.Pod, doing, wait.Message)
		p.Waits = append(p.Waits, *wait)
		return true
	}
	if s.Replicated && !s.Drain.Complete {
		p.AskSegments = true
		p.background(reason, "%s; %s is %s when every copy of every topic is in sync, which is being looked at%s", p.Roll, next.Pod, doing, because(s.Drain.Problem))
		return true
	}
	if short := missingCopies(s, 0); len(short) > 0 {
		p.wait(v1alpha1.ReasonReplicating, "%s; %s is %s when every copy is in sync; these topics lack some: %s", p.Roll, next.Pod, doing, topicsOf(short))
		return true
	}
	if kind != StepRestart && len(h.LeaderOf(next.NodeID)) > 0 && len(s.of(v1alpha1PlacementCenter)) > 1 {
		// A new pod, or a new container, can take longer than the 10 s after which a leader that comes back would no longer keep its term.
		if step, wait, ok := transferAway(s, h, next); ok {
			p.step(step)
			return true
		} else if len(h.voters(s.Wanted.Groups[0])) >= 3 {
			p.Waits = append(p.Waits, wait)
			return true
		}
	}
	p.step(Step{Kind: kind, Pod: next.Pod, NodeID: next.NodeID, Planned: true, Reason: fmt.Sprintf("%s (%d of %d)%s", why, p.Roll.Done+1, p.Roll.Total, behindAfter(s, h, next))})
	return true
}

// rollStep is how a pod gets what is wanted, why, and how that is called: as a reason, and in words. Nothing is taken from a pod that a new container can do.
func rollStep(m Member) (kind StepKind, why, reason, doing string) {
	switch {
	case m.TemplateStale && m.OnlyImage:
		return StepChangeImage, "its image changed", v1alpha1.ReasonReplacing, "given its new image"
	case m.TemplateStale:
		return StepReplace, "its pod template changed", v1alpha1.ReasonReplacing, "made anew"
	}
	return StepRestart, "its configuration changed in what takes a restart", v1alpha1.ReasonRestarting, "restarted in place"
}

// changes reports whether a pod has to be restarted or made anew for what is wanted.
func changes(m Member) bool { return m.TemplateStale || m.Agent != nil && m.Agent.ConfigStale }

// rollOrder lists the pods that have to change, the next one first: broken ones, whatever their role, since they cost nothing and may be mended by it; then the followers of the placement
// centre, the highest ordinal first, so that the quorum runs the new thing before anybody depends on it; journal servers; brokers; and last who leads, the fewest groups first.
func rollOrder(s Snapshot, h Health) []Member {
	var out []Member
	for _, m := range s.Members {
		if s.wantedOf(m) && m.State == PodRunning && changes(m) {
			out = append(out, m)
		}
	}
	rank := func(m Member) int {
		switch led := len(h.LeaderOf(m.NodeID)); {
		case stuck(s, h, m):
			return 0
		case led > 0:
			return 3 + led
		case m.Role == v1alpha1PlacementCenter:
			return 1
		case m.Role == v1alpha1.RoleJournalServer:
			return 2
		}
		return 3
	}
	slices.SortStableFunc(out, func(a, b Member) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(b.Ordinal, a.Ordinal))
	})
	return out
}

func rollOf(s Snapshot, pending []Member) Roll {
	var r Roll
	for _, m := range s.Members {
		if s.wantedOf(m) {
			r.Total++
		}
	}
	for _, m := range pending {
		if m.TemplateStale {
			r.Replace = append(r.Replace, m.Pod)
		} else {
			r.Restart = append(r.Restart, m.Pod)
		}
	}
	r.Done = r.Total - len(pending)
	return r
}

// stuck reports whether a pod has been out of service for so long that waiting is not what it needs.
func stuck(s Snapshot, h Health, m Member) bool {
	return !h.inService(m) && s.Seen[Symptom{SymptomDown, m.Pod}] > s.Limits.NodeStart
}

// down reports whether a pod runs whose server should, and does not answer.
func down(m Member) bool {
	return m.State == PodRunning && m.Agent != nil && !m.Agent.Terminating && !m.Agent.Placing && !serving(m) && !awaitsOrder(m) && !held(m)
}

// replaceBroken makes a pod anew that runs, whose server has not come up for long, and whose template was corrected since: the first pod of a change that went wrong, as a rule.
// Its server serves nobody, so nothing is taken away; it is not left to the order of a roll, because with the leader's pod it may be what the quorum waits for. A broker or journal server that is to
// leave is made anew, too: its copies move only while it is registered. A member of the placement centre leaves as it is.
func replaceBroken(s Snapshot, h Health, p *Plan) bool {
	for _, m := range s.Members {
		if !s.wantedOf(m) && m.Role == v1alpha1PlacementCenter || !m.TemplateStale || !down(m) || !stuck(s, h, m) || s.SetsBehind[m.Role] {
			continue
		}
		p.step(Step{Kind: StepReplace, Pod: m.Pod, NodeID: m.NodeID, Planned: true, Cures: SymptomDown, Reason: "its server does not come up, and its template was corrected since it was made"})
		return false
	}
	return true
}

// noteStopped says at which pod a change has stopped: one that has what is wanted and did not come back with it. Nobody follows it.
func noteStopped(s Snapshot, h Health, reason string, p *Plan) bool {
	for _, m := range s.Members {
		if !s.wantedOf(m) || h.inService(m) || changes(m) {
			continue
		}
		why := stopReason(m)
		if s.Seen[Symptom{SymptomDown, m.Pod}] > s.Limits.NodeStart || s.Seen[Symptom{SymptomPodPending, m.Pod}] > s.Limits.PodPending {
			p.trouble(v1alpha1.ReasonChangeStopped, "%s; the change stops at %s, which does not come back into service (%s): correct the spec, and the correction begins there", p.Roll, m.Pod, why)
			return true
		}
		p.wait(reason, "%s; the next one follows when %s is in service (%s)", p.Roll, m.Pod, why)
		return true
	}
	return false
}

func stopReason(m Member) string {
	switch {
	case m.Agent == nil:
		return orElse(m.Message, "its pod is "+strings.ToLower(string(m.State)))
	case m.ImagePending:
		return "its container has not been started with its new image yet"
	case m.Agent.ConfigFault != "":
		return m.Agent.ConfigFault
	case !m.Agent.GateOpen:
		return orElse(m.Agent.GateMessage, "its gate is shut")
	case m.Agent.Server == ServerRunning:
		return "its server runs and is not in service yet"
	}
	return orElse(m.Agent.ServerExit, "its server is "+strings.ToLower(string(m.Agent.Server)))
}

// mayRoll says why a pod must not be restarted or made anew now, nil when it may: what is seen of the others, now, after the one before it came back.
func mayRoll(s Snapshot, h Health, m Member) *Wait {
	for _, may := range []func(Snapshot, Health, Member) *Wait{rollHeld, configThere, quorumWhole, nobodyLags, quorumStays, everybodyServes, everybodyKnown, nothingCopied, writesCalm, startOver} {
		if wait := may(s, h, m); wait != nil {
			return wait
		}
	}
	return nil
}

// startOver: the server that is taken down has ended its own start, of which what it answers says nothing. Who led and handed that over was started a moment ago; its pod would go only when its server, 20 s later,
// had been given up, and all the while stand still whoever publishes to a topic that it leads.
func startOver(s Snapshot, _ Health, m Member) *Wait {
	if !serving(m) || m.Agent.StartedFor == 0 || m.Agent.StartedFor > s.Limits.StartSettle {
		return nil
	}
	_, _, reason, _ := rollStep(m)
	return waitFor(reason, "its server was started a moment ago, and takes long to end until it has started up")
}

func waitFor(reason, format string, args ...any) *Wait {
	return &Wait{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// rollHeld: what a new pod would need is missing, or a restore counts on what is there.
func rollHeld(s Snapshot, _ Health, _ Member) *Wait {
	if s.RollHeld == nil {
		return nil
	}
	return s.RollHeld
}

// configThere: every pod has the newest configuration mounted, since who has it first is chance and would be the order; and this one can be started with it.
func configThere(s Snapshot, _ Health, m Member) *Wait {
	for _, other := range s.Members {
		wanted := s.Wanted.Sources[other.Role]
		if s.wantedOf(other) && wanted != "" && other.Agent != nil && other.Agent.Source != "" && other.Agent.Source != wanted {
			return waitFor(v1alpha1.ReasonConfigPending, "%s does not have the new configuration yet: its node brings it, usually within a minute", other.Pod)
		}
	}
	for _, other := range s.Members {
		if s.wantedOf(other) && other.Agent != nil && other.Agent.ConfigFault != "" {
			wait := waitFor(v1alpha1.ReasonConfigInvalid, "%s could not be started with its configuration: %s", other.Pod, other.Agent.ConfigFault)
			wait.Trouble = true
			return wait
		}
	}
	if m.TemplateStale && s.SetsBehind[m.Role] {
		return waitFor(v1alpha1.ReasonReplacing, "its StatefulSet is about to take the new template")
	}
	return nil
}

// quorumWhole: every group is led, and every wanted member is a voter of every group by its own word and the leaders'.
func quorumWhole(_ Snapshot, h Health, _ Member) *Wait {
	if problem := h.QuorumProblem(); problem != "" {
		return waitFor(v1alpha1.ReasonMembersMissing, "%s", problem)
	}
	return nil
}

// nobodyLags: every voter has applied what the leaders have, but for what is on its way. Who comes back far behind would be sent a snapshot, in which RobustMQ loses data.
func nobodyLags(s Snapshot, h Health, _ Member) *Wait {
	for _, group := range s.Wanted.Groups {
		l, ok := h.Leader(group)
		if !ok {
			continue
		}
		last := l.Agent.Groups[group].LastLog
		for _, other := range s.of(v1alpha1PlacementCenter) {
			if !s.wantedOf(other) || other.Agent == nil {
				continue
			}
			if applied := other.Agent.Groups[group].LastApplied; applied+s.Limits.Lag < last {
				return waitFor(v1alpha1.ReasonMembersMissing, "%s has applied %d of %d entries of raft group %s", other.Pod, applied, last, group)
			}
		}
	}
	return nil
}

func quorumStays(_ Snapshot, h Health, m Member) *Wait {
	if v := quorum.MayGo(m.NodeID, h.Groups()); !v.Allowed {
		return waitFor(v1alpha1.ReasonMembersMissing, "%s", v.Message)
	}
	return nil
}

// everybodyServes: nobody starts, joins, is missing or goes: one pod at a time.
func everybodyServes(s Snapshot, h Health, _ Member) *Wait {
	for _, other := range s.Members {
		switch {
		case s.wantedOf(other) && !h.inService(other):
			return waitFor(v1alpha1.ReasonStartingNode, "%s is not in service (%s)", other.Pod, stopReasonOf(other))
		case !s.wantedOf(other) && other.State != PodMissing:
			return waitFor(v1alpha1.ReasonScaleInPending, "%s is being taken away", other.Pod)
		}
	}
	return nil
}

func stopReasonOf(m Member) string {
	if m.State != PodRunning {
		return "its pod is " + strings.ToLower(string(m.State))
	}
	return stopReason(m)
}

// everybodyKnown: every node is registered and knows every other, since messages published to one that is not known are lost.
func everybodyKnown(s Snapshot, h Health, _ Member) *Wait {
	for _, other := range s.Members {
		if serving(other) && s.wantedOf(other) && h.unregistered(other) {
			return waitFor(v1alpha1.ReasonRegistryIncomplete, "the metadata leader does not list %s", other.Pod)
		}
		if missing := h.missingFromList(other); len(missing) > 0 {
			return waitFor(v1alpha1.ReasonRegistryIncomplete, "%s does not know node %d", other.Pod, missing[0])
		}
	}
	return nil
}

// nothingCopied: no metadata is being put in place anywhere, and none is being copied from the server that would end. A finished image survives a restart in place, but not its pod.
func nothingCopied(s Snapshot, _ Health, m Member) *Wait {
	for _, other := range s.Members {
		if other.Agent != nil && other.Agent.Placing {
			return waitFor(v1alpha1.ReasonMembersMissing, "metadata is being put in place on %s", other.Pod)
		}
	}
	if m.Agent != nil && (m.Agent.Staging || m.Agent.Streaming && m.TemplateStale) {
		return waitFor(v1alpha1.ReasonRestarting, "an image of its metadata is being taken, for a backup or a new member")
	}
	return nil
}
