package topology

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/quorum"
)

// RobustMQ has no transfer of leadership: an election costs 31 to 38 s without metadata writes and leaves the groups' leaders on different members. The agents have one, of about two seconds
// (docs/leadership.md). It stops one leader, or as many as the quorum can spare, and the member that shall lead, so nothing may be amiss before it, and it is never done for beauty.

const (
	// StepTransfer makes Pod the leader of the groups that are led by the members that are stopped for it; Via is one of them that must be, where one is to go away.
	StepTransfer StepKind = "Transfer"
	// StepEndTransfer brings a transfer to its end whose operator is gone: Pod is the member that was to lead, Transfer its ID.
	StepEndTransfer StepKind = "EndTransfer"
)

// Transfer is a transfer of leadership that is under way at a member.
type Transfer struct {
	ID     string
	Target uint64 // node id
	// Trouble is why the member cannot bring it to its end.
	Trouble string
}

// Voters that a transfer takes. Of three, one leader and the target are stopped, and the third is there all the time. Of two both are stopped: whatever keeps one of them from coming back leaves nobody
// who could lead. That is borne only for what ends that state, a third voter, where nothing else can bring it.
const (
	enoughVoters = 3
	fewestVoters = 2
)

// walLimit is how large the write-ahead log of a member that is stopped may be, in bytes. It is read while nobody leads, at some 500 MB/s on one core; a restart in place empties it.
const walLimit = 512 << 20

// finishTransfers ends what an operator that died has left half done. The agents end it by themselves within 20 s; asked, sooner.
func finishTransfers(s Snapshot, _ Health, p *Plan) bool {
	for _, m := range s.of(v1alpha1PlacementCenter) {
		if m.Agent == nil || m.Agent.Transfer == nil {
			continue
		}
		t := m.Agent.Transfer
		if t.Trouble != "" {
			p.trouble(v1alpha1.ReasonTransferWaiting, "%s cannot bring a transfer of leadership to its end: %s", m.Pod, t.Trouble)
		}
		target, ok := s.node(t.Target)
		if t.ID == "" || !ok {
			continue // its agent ends it
		}
		p.step(Step{Kind: StepEndTransfer, Pod: target.Pod, NodeID: target.NodeID, Transfer: t.ID, Reason: "a transfer of leadership was left half done"})
		return t.Trouble != ""
	}
	return true
}

// Stops are the leaders that a transfer to a member stops: as many as the quorum can spare beside nobody else, first the one that is to go away. Those that are left lead on, and come next.
func (h Health) Stops(to uint64, first string) []Member {
	var out []Member
	for _, group := range h.s.Wanted.Groups {
		if l, ok := h.leaders[group]; ok && l.NodeID != to && !slices.ContainsFunc(out, func(m Member) bool { return m.NodeID == l.NodeID }) {
			out = append(out, l)
		}
	}
	slices.SortStableFunc(out, func(a, b Member) int {
		rank := func(m Member) int {
			if m.Pod == first {
				return -1
			}
			return len(h.LeaderOf(m.NodeID)) // who leads the fewest first: the others may be brought there next
		}
		return cmp.Compare(rank(a), rank(b))
	})
	if len(h.s.Wanted.Groups) == 0 {
		return nil
	}
	spare := quorum.Tolerates(len(h.voters(h.s.Wanted.Groups[0])))
	if len(h.voters(h.s.Wanted.Groups[0])) == fewestVoters {
		spare = 1 // the one that does not lead afterwards; whether it is worth that says transferable
	}
	return out[:min(len(out), spare)]
}

// transferAway moves the leadership away from a member that is to go: for longer than the 10 s after which a leader that comes back would keep its term, or for good. ok: the step is to be
// done; otherwise the wait says why not. It is a restart in place when that has to come first.
func transferAway(s Snapshot, h Health, m Member) (step Step, wait Wait, ok bool) {
	return transferTo(s, h, enoughVoters, heirs(s, h, m.NodeID), m.Pod, fmt.Sprintf("%s leads %s and is to go", m.Pod, strings.Join(h.LeaderOf(m.NodeID), ", ")))
}

// transferTogether brings leaders together that are apart: on the one that leads most, where it can be. voters: how many it takes.
func transferTogether(s Snapshot, h Health, voters int, why string) (step Step, wait Wait, ok bool) {
	most := mostLeading(s, h)
	candidates := heirs(s, h, 0)
	slices.SortStableFunc(candidates, func(a, b Member) int {
		return cmp.Or(compareBool(s.cordoned(a), s.cordoned(b)), compareBool(a.NodeID != most.NodeID, b.NodeID != most.NodeID))
	})
	return transferTo(s, h, voters, candidates, "", why)
}

// heirs are the members that could lead, the best first: nobody who is known to lack data; on a machine that is not about to be drained; made from the present template and running with the present configuration, since others
// have to go themselves soon, or be restarted before; then the lowest ordinal, whose votes in a new term are below those of every other candidate (docs/leadership.md says what that is good for).
func heirs(s Snapshot, h Health, except uint64) []Member {
	var out []Member
	for _, m := range s.of(v1alpha1PlacementCenter) {
		if m.NodeID != except && s.wantedOf(m) && h.inService(m) && len(m.Agent.EmptySnapshot) == 0 && !faulty(s, m) && !m.Agent.Fenced && m.Agent.ConfigFault == "" && m.State == PodRunning {
			out = append(out, m)
		}
	}
	slices.SortStableFunc(out, func(a, b Member) int {
		return cmp.Or(compareBool(s.cordoned(a), s.cordoned(b)), compareBool(a.TemplateStale, b.TemplateStale), compareBool(a.Agent.ConfigStale, b.Agent.ConfigStale), cmp.Compare(a.Ordinal, b.Ordinal))
	})
	return out
}

// compareBool orders false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func transferTo(s Snapshot, h Health, voters int, candidates []Member, from, why string) (Step, Wait, bool) {
	wait := func(format string, args ...any) (Step, Wait, bool) {
		return Step{}, Wait{Reason: v1alpha1.ReasonTransferWaiting, Message: "leadership is not moved yet: " + fmt.Sprintf(format, args...)}, false
	}
	if problem := transferable(s, h, voters); problem != "" {
		return wait("%s", problem)
	}
	refused := "no member that may lead could take it over"
	for _, m := range candidates {
		if v := quorum.MayTransfer(m.NodeID, h.Groups()); !v.Allowed {
			refused = v.Message
			continue
		}
		stops := h.Stops(m.NodeID, from)
		if len(stops) == 0 {
			refused = "the quorum cannot spare a leader"
			continue
		}
		for _, stopped := range append([]Member{m}, stops...) {
			first := restartFirst(h, stopped, from)
			if first == "" {
				continue
			}
			if v := quorum.MayGo(stopped.NodeID, h.Groups()); !v.Allowed {
				return wait("%s has to be restarted before (%s), and cannot be now: %s", stopped.Pod, first, v.Message)
			}
			return Step{Kind: StepRestart, Pod: stopped.Pod, NodeID: stopped.NodeID, Planned: true, Reason: first + ", before leadership moves"}, Wait{}, true
		}
		return Step{Kind: StepTransfer, Pod: m.Pod, NodeID: m.NodeID, Via: from, Planned: true, Reason: why}, Wait{}, true
	}
	return wait("%s", refused)
}

// restartFirst says why a member that a transfer stops has to be restarted in place before it; empty: it need not be. A new configuration is tried by one server at a time: a transfer starts
// two or more with it, and one that they die of would cost the quorum. Whoever is to go is not kept waiting for its own. Of two voters each is the quorum's: one alone that dies of it costs it as well, and
// one more restart would be one more pause, so both take it with the transfer. (A third member that waits to join has made the list of members longer: one of two is never without a new one.)
func restartFirst(h Health, m Member, from string) string {
	few := len(h.voters(h.s.Wanted.Groups[0])) < enoughVoters
	switch {
	case m.Agent.WALBytes > walLimit:
		return fmt.Sprintf("its write-ahead log of %d MiB is emptied by it", m.Agent.WALBytes>>20)
	case m.Agent.ConfigStale && m.Pod != from && !few:
		return "it takes its new configuration"
	}
	return ""
}

// transferable says what is amiss, whoever shall lead. voters: how many it takes.
func transferable(s Snapshot, h Health, voters int) string {
	if s.Wanted.Static || s.Wanted.Islands {
		return "this version of RobustMQ was never seen to bear it"
	}
	if s.TransferFailedAgo > 0 && s.TransferFailedAgo <= s.Limits.TransferRetry {
		return "the last try failed a moment ago"
	}
	for _, group := range s.Wanted.Groups {
		if !slices.Equal(h.voters(group), h.voters(s.Wanted.Groups[0])) {
			return fmt.Sprintf("raft group %s has other voters than %s", group, s.Wanted.Groups[0])
		}
	}
	if n := len(h.voters(s.Wanted.Groups[0])); n < voters {
		return fmt.Sprintf("there are %d voters, and it takes %d", n, voters)
	}
	for _, m := range s.of(v1alpha1PlacementCenter) {
		a := m.Agent
		voter := len(h.groupsOf(m.NodeID)) > 0
		switch {
		case a == nil && !voter:
		case a == nil:
			return m.Pod + " does not answer"
		case a.GateOpen && !serving(m):
			return m.Pod + " is being started"
		case !voter:
		case m.ImagePending:
			return m.Pod + " is about to be started with another image"
		case a.Terminating:
			return m.Pod + " is being ended"
		case a.ConfigFault != "":
			return fmt.Sprintf("%s could not start again: %s", m.Pod, a.ConfigFault)
		case a.StartedFor > 0 && a.StartedFor <= s.Limits.StartSettle:
			return m.Pod + " was started a moment ago, and may still be starting"
		case a.Placing || a.Staging:
			return "an image is being taken of " + m.Pod + ", or put in place there"
		}
	}
	return ""
}

// leaveCordoned moves the leadership away from members whose machine is about to be drained, before they are evicted: their pods take longer to come back than a leader may be away. Like every
// move it waits for a cluster in which nothing else is to be done, and where no member is on another machine nothing is gained by it.
func leaveCordoned(s Snapshot, h Health, p *Plan) bool {
	if s.Wanted.Static || s.Wanted.Islands || !p.Settled() || h.QuorumProblem() != "" || len(h.voters(s.Wanted.Groups[0])) < enoughVoters {
		return true
	}
	to := slices.DeleteFunc(heirs(s, h, 0), s.cordoned)
	for _, m := range s.of(v1alpha1PlacementCenter) {
		if !s.cordoned(m) || len(h.LeaderOf(m.NodeID)) == 0 || len(to) == 0 {
			continue
		}
		if p.moves(transferTo(s, h, enoughVoters, to, m.Pod, fmt.Sprintf("%s leads %s, and its node %s is cordoned", m.Pod, strings.Join(h.LeaderOf(m.NodeID), ", "), m.Node))) {
			return false
		}
	}
	return true
}

// leadAsAsked moves the leadership to the member that the user named. It comes last and waits for a cluster that has nothing else to do: what has to go away is not led back to.
func leadAsAsked(s Snapshot, h Health, p *Plan) bool {
	i := slices.IndexFunc(s.Members, func(m Member) bool { return m.Pod == s.Wanted.LeadOn && m.Role == v1alpha1PlacementCenter })
	if i < 0 || !p.Settled() || h.QuorumProblem() != "" || h.leadsAll(s.Members[i].NodeID) {
		return true
	}
	m := s.Members[i]
	if s.cordoned(m) {
		p.background(v1alpha1.ReasonTransferWaiting, "%s shall lead, and leadership is not moved to it: its node %s is cordoned", m.Pod, m.Node)
		return true
	}
	only := slices.DeleteFunc(heirs(s, h, 0), func(heir Member) bool { return heir.NodeID != m.NodeID })
	return !p.moves(transferTo(s, h, enoughVoters, only, "", "the annotation says that it shall lead"))
}

// moves takes the step of a move that nothing else waits for; where there is none the reason is noted, and the cluster is settled all the same.
func (p *Plan) moves(step Step, wait Wait, ok bool) bool {
	if ok {
		p.step(step)
		return true
	}
	wait.Background = true
	p.Waits = append(p.Waits, wait)
	return false
}
