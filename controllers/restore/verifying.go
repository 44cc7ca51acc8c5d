package restore

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// verifying waits until the members agree with one another and with the backup's manifest, by their own word: raft groups first, then what their databases were counted to hold. It never gives up
// by itself: what it waits for stands in the status, and a person may abort.
func verifying(o *observation, t Timings) verdict {
	if o.found == nil {
		return inspecting(o, t, v1alpha1.RestoreVerifying)
	}
	v := at(v1alpha1.RestoreVerifying, "the members to agree")
	voters := o.voters()
	v.orders = starts(voters)
	problem := o.unproven(voters)
	if problem == "" {
		problem = o.uncounted(voters)
	}
	if problem != "" {
		reason := v1alpha1.ReasonPending
		if o.now.Sub(o.since) >= t.Verify {
			reason = v1alpha1.ReasonMembersDisagree
			problem = fmt.Sprintf("since %s: %s; the annotation %s: \"true\" takes the restore back", t.Verify, problem, v1alpha1.AnnotationAbort)
		}
		v.verified = &opinion{metav1.ConditionFalse, reason, problem}
		return v.awaiting(problem)
	}
	next := at(v1alpha1.RestoreStarting, "brokers and journal servers to come back")
	next.verified = &opinion{metav1.ConditionTrue, v1alpha1.ReasonRestoreVerified, o.proof(voters)}
	return next
}

// unproven says what is not as it shall be in the members' raft groups; empty: one leader with a quorum behind it in each, every voter follows it, the same voters everywhere, and at least
// what the manifest says is applied.
func (o *observation) unproven(voters []member) string {
	if silent := silentOf(voters); silent != "" {
		return silent
	}
	ids, _ := votersOf(o)
	for _, m := range voters {
		if p := o.placement(m); p == nil || p.Phase != protocol.PlacementOpen {
			return m.pod + " does not say that the backup is in force in its volume"
		}
		if !m.state.Gate.Open {
			return fmt.Sprintf("the gate of %s (%s): %s", m.pod, m.state.Gate.Reason, m.state.Gate.Message)
		}
		if k := m.state.Volume.Marker; k != nil && len(k.EmptySnapshot) > 0 {
			return fmt.Sprintf("%s took a snapshot without its entries in %s: it holds less than its position claims", m.pod, strings.Join(slices.Sorted(maps.Keys(k.EmptySnapshot)), ", "))
		}
		if m.state.Server.Phase != protocol.ServerRunning || len(m.state.Raft) == 0 {
			return fmt.Sprintf("the server of %s (%s)", m.pod, m.state.Server.Phase)
		}
	}
	for _, g := range o.found.Inspected.Groups {
		if problem := groupProblem(g, voters, ids); problem != "" {
			return problem
		}
	}
	return ""
}

// groupProblem is what is not as it shall be in one raft group.
func groupProblem(saved archive.Group, voters []member, ids []uint64) string {
	leader := uint64(0)
	for _, m := range voters {
		if g := m.state.Raft[saved.Name]; g.LeadsWithQuorum() {
			if leader != 0 {
				return fmt.Sprintf("nodes %d and %d both lead raft group %s", leader, m.nodeID, saved.Name)
			}
			leader = m.nodeID
		}
	}
	if leader == 0 {
		return fmt.Sprintf("a leader of raft group %s with a quorum behind it", saved.Name)
	}
	for _, m := range voters {
		g, there := m.state.Raft[saved.Name]
		switch {
		case !there || !g.Running:
			return fmt.Sprintf("raft group %s to run on %s", saved.Name, m.pod)
		case !slices.Equal(g.Voters(), ids):
			return fmt.Sprintf("%s to see the voters %v in raft group %s: it sees %v", m.pod, ids, saved.Name, g.Configs)
		case g.CurrentLeader != leader:
			return fmt.Sprintf("%s to follow node %d in raft group %s: it follows %d", m.pod, leader, saved.Name, g.CurrentLeader)
		case appliedIn(g) < saved.LastApplied:
			return fmt.Sprintf("%s to apply entry %d of raft group %s, which the backup holds: it is at %d", m.pod, saved.LastApplied, saved.Name, appliedIn(g))
		}
	}
	return ""
}

func appliedIn(g robustmq.GroupState) uint64 {
	if g.LastApplied == nil {
		return 0
	}
	return g.LastApplied.Index
}

// uncounted says why the members' data is not proven the same; empty: all were counted at one position and hold the same keys.
func (o *observation) uncounted(voters []member) string {
	var first *protocol.Census
	for _, m := range voters {
		c, there := o.counted[m.nodeID]
		switch {
		case !there:
			return fmt.Sprintf("what %s holds to be counted", m.pod)
		case c.Phase == protocol.CensusFailed:
			return fmt.Sprintf("what %s holds to be counted: %s: %s", m.pod, c.Reason, c.Message)
		case c.Phase != protocol.CensusReady:
			return fmt.Sprintf("what %s holds to be counted", m.pod)
		case first == nil:
			first = &c
		case !maps.Equal(first.Applied, c.Applied):
			return fmt.Sprintf("the members to be counted at one position: %s is at another one than %s", m.pod, voters[0].pod)
		case !sameKeys(*first, c):
			return fmt.Sprintf("%s to hold what %s holds at the same position: %s, and %s", m.pod, voters[0].pod, amounts(c), amounts(*first))
		}
	}
	return ""
}

// sameKeys leaves values out: they carry the time at which each member applied them.
func sameKeys(a, b protocol.Census) bool {
	return maps.EqualFunc(a.Families, b.Families, func(a, b protocol.FamilyCensus) bool { return a.Keys == b.Keys && a.KeyDigest == b.KeyDigest })
}

func amounts(c protocol.Census) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(c.Families)) {
		parts = append(parts, fmt.Sprintf("%d keys of %s", c.Families[name].Keys, name))
	}
	return strings.Join(parts, " and ")
}

// proof is what was compared, for people.
func (o *observation) proof(voters []member) string {
	leaders := map[uint64]bool{}
	for _, g := range o.found.Inspected.Groups {
		leaders[voters[0].state.Raft[g.Name].CurrentLeader] = true
	}
	line := fmt.Sprintf("%s hold the same keys (%s) at one position, and at least what the manifest says; node %v leads", names(voters), amounts(o.counted[voters[0].nodeID]), slices.Sorted(maps.Keys(leaders)))
	if voted, _ := votersOf(o); len(leaders) > 1 || !leaders[voted[0]] {
		line += fmt.Sprintf(", elected since they started (the backup came back with node %d)", voted[0])
	}
	return line
}
