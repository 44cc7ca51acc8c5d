package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// computeStatus says what was seen, what is being done and what is waited for. It reads nothing of the earlier status but what cannot be seen again
// (identity, version) and the times at which conditions changed. A converged cluster gets the same status every time: nothing in it moves.
func computeStatus(p *pass, health topology.Health, plan topology.Plan, now time.Time) v1alpha1.RobustMQClusterStatus {
	next := *p.cluster.Status.DeepCopy()
	next.ObservedGeneration = p.cluster.Generation
	next.ClusterUID, next.Generation, next.Founded = p.id.uid, p.generationToTell(), p.id.founded
	next.Upgrade = p.hop.recorded(next.Upgrade, now, func(at time.Time) string { return manifests.UpgradeBackupName(p.cluster, at) })
	if next.Founded && (next.Version == "" || allRun(p, health)) {
		next.Version = p.version.String()
		if next.Upgrade != nil && next.Upgrade.Opened {
			next.Upgrade = nil
		}
	}
	next.Leader = leaderColumn(health, p.snapshot.Wanted.Groups)
	next.Members = memberRows(p, health)
	next.PlacementCenter = *roleStatus(p, health, v1alpha1.RolePlacementCenter)
	next.MQTTBroker = *roleStatus(p, health, v1alpha1.RoleMQTTBroker)
	next.JournalServer = nil
	if p.desired.Spec.JournalServer != nil {
		next.JournalServer = roleStatus(p, health, v1alpha1.RoleJournalServer)
	}
	set := conditionSetter(&next, p.cluster.Generation, now)
	ready(p, health, plan, set)
	quorumHealthy(p, health, set)
	progressing(p, plan, set)
	degraded(plan, set)
	configApplied(p, next, set)
	versionSupported(p, set)
	paused(p.cluster, set)
	monitoringAvailable(p, &next, set)
	return next
}

// refusedStatus is the status of a cluster that nothing is done for: the conditions say why, everything else stays as it was seen last.
func refusedStatus(cluster *v1alpha1.RobustMQCluster, reason, message string, now time.Time) v1alpha1.RobustMQClusterStatus {
	next := *cluster.Status.DeepCopy()
	next.ObservedGeneration = cluster.Generation
	set := conditionSetter(&next, cluster.Generation, now)
	set(v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
	set(v1alpha1.ConditionProgressing, metav1.ConditionFalse, reason, "nothing is written for this cluster until it is corrected")
	set(v1alpha1.ConditionDegraded, metav1.ConditionTrue, reason, message)
	for _, absent := range []string{v1alpha1.ConditionQuorumHealthy, v1alpha1.ConditionConfigApplied, v1alpha1.ConditionVersionSupported} {
		if meta.FindStatusCondition(next.Conditions, absent) == nil {
			set(absent, metav1.ConditionUnknown, reason, "not looked at: "+message)
		}
	}
	paused(cluster, set)
	return next
}

type setCondition func(condition string, status metav1.ConditionStatus, reason, message string)

func conditionSetter(status *v1alpha1.RobustMQClusterStatus, generation int64, now time.Time) setCondition {
	return func(condition string, value metav1.ConditionStatus, reason, message string) {
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{
			Type: condition, Status: value, Reason: reason, Message: bounded(message), ObservedGeneration: generation, LastTransitionTime: metav1.NewTime(now),
		})
	}
}

// bounded keeps a message inside what the schema of conditions allows (32768 bytes), with room for people.
func bounded(s string) string {
	const limit = 4000
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}

func ready(p *pass, health topology.Health, plan topology.Plan, set setCondition) {
	var out []string
	for _, m := range p.snapshot.Members {
		if m.Ordinal < p.snapshot.Wanted.Replicas[m.Role] && !health.InService(m) {
			out = append(out, m.Pod)
		}
	}
	problem := health.QuorumProblem()
	switch {
	case p.cluster.Spec.Hibernated && len(plan.Waits) == 0:
		set(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonHibernated, "spec.hibernated is true: no pod runs, and the volumes are kept")
	case len(out) == 0 && problem == "" && (p.cluster.Spec.Paused || plan.Serves()):
		set(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAllInService, "every member is in service")
	case len(plan.Waits) > 0:
		set(v1alpha1.ConditionReady, metav1.ConditionFalse, plan.Waits[0].Reason, waitText(plan.Waits))
	case problem != "":
		set(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonMembersMissing, problem)
	case len(out) == 0:
		set(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonChanging, stepText(plan.Steps[0]))
	default:
		set(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonMembersMissing, "not in service yet: "+strings.Join(out, ", "))
	}
}

func quorumHealthy(p *pass, health topology.Health, set setCondition) {
	if p.cluster.Spec.Hibernated {
		set(v1alpha1.ConditionQuorumHealthy, metav1.ConditionUnknown, v1alpha1.ReasonHibernated, "the members are stopped")
		return
	}
	if p.hop != nil && p.hop.stopMembers {
		set(v1alpha1.ConditionQuorumHealthy, metav1.ConditionUnknown, p.hop.wait.Reason, "the members are stopped for an upgrade")
		return
	}
	if problem := health.QuorumProblem(); problem != "" {
		set(v1alpha1.ConditionQuorumHealthy, metav1.ConditionFalse, v1alpha1.ReasonMembersMissing, problem)
		return
	}
	set(v1alpha1.ConditionQuorumHealthy, metav1.ConditionTrue, v1alpha1.ReasonAllInService, "every raft group has a leader with a quorum, and all members agree on one membership")
}

func progressing(p *pass, plan topology.Plan, set setCondition) {
	switch {
	case p.cluster.Spec.Paused:
		set(v1alpha1.ConditionProgressing, metav1.ConditionFalse, v1alpha1.ReasonPaused, "the cluster is paused: it is observed, nothing is changed")
	case len(plan.Steps) > 0:
		set(v1alpha1.ConditionProgressing, metav1.ConditionTrue, v1alpha1.ReasonChanging, stepText(plan.Steps[0]))
	case len(plan.Waits) > 0:
		set(v1alpha1.ConditionProgressing, metav1.ConditionTrue, plan.Waits[0].Reason, waitText(plan.Waits))
	case p.cluster.Spec.Hibernated:
		set(v1alpha1.ConditionProgressing, metav1.ConditionFalse, v1alpha1.ReasonHibernated, "the cluster sleeps until spec.hibernated is false")
	default:
		set(v1alpha1.ConditionProgressing, metav1.ConditionFalse, v1alpha1.ReasonAllInService, "nothing is to be done")
	}
}

// stepText says what is being done, to whom and why.
func stepText(s topology.Step) string {
	if s.Pod == "" {
		return fmt.Sprintf("%s: %s", s.Kind, s.Reason)
	}
	return fmt.Sprintf("%s %s: %s", s.Kind, s.Pod, s.Reason)
}

func degraded(plan topology.Plan, set setCondition) {
	var trouble []topology.Wait
	for _, w := range plan.Waits {
		if w.Trouble {
			trouble = append(trouble, w)
		}
	}
	if len(trouble) == 0 {
		set(v1alpha1.ConditionDegraded, metav1.ConditionFalse, v1alpha1.ReasonAllInService, "no trouble is known")
		return
	}
	set(v1alpha1.ConditionDegraded, metav1.ConditionTrue, trouble[0].Reason, waitText(trouble))
}

// waitText joins what is waited for: the first few in full, then how many more.
func waitText(waits []topology.Wait) string {
	const shown = 4
	var parts []string
	for i, w := range waits {
		if i == shown {
			parts = append(parts, fmt.Sprintf("and %d more", len(waits)-shown))
			break
		}
		parts = append(parts, w.Message)
	}
	return strings.Join(parts, "; ")
}

func configApplied(p *pass, next v1alpha1.RobustMQClusterStatus, set setCondition) {
	var restart, image, replace, faulty, arriving, pending []string
	for _, m := range p.snapshot.Members {
		switch {
		case m.Ordinal < p.snapshot.Wanted.Replicas[m.Role] && (m.OnlyImage || m.ImagePending):
			image = append(image, m.Pod)
		case m.TemplateStale && m.Ordinal < p.snapshot.Wanted.Replicas[m.Role]:
			replace = append(replace, m.Pod)
		case m.Agent == nil:
		case m.Agent.ConfigFault != "":
			faulty = append(faulty, fmt.Sprintf("%s: %s", m.Pod, m.Agent.ConfigFault))
		case m.Agent.ConfigStale:
			restart = append(restart, m.Pod)
		case p.snapshot.Wanted.Sources[m.Role] != "" && m.Agent.Source != p.snapshot.Wanted.Sources[m.Role]:
			arriving = append(arriving, m.Pod)
		case len(m.Agent.LivePending) > 0:
			pending = append(pending, fmt.Sprintf("%s (%s)", m.Pod, strings.Join(m.Agent.LivePending, ", ")))
		}
	}
	switch {
	case len(faulty) > 0:
		set(v1alpha1.ConditionConfigApplied, metav1.ConditionFalse, v1alpha1.ReasonConfigInvalid, strings.Join(faulty, "; "))
	case p.cluster.Spec.Version != p.desired.Spec.Version:
		set(v1alpha1.ConditionConfigApplied, metav1.ConditionFalse, v1alpha1.ReasonVersionPending, hopText(p))
	case next.Version != "" && next.Version != p.desired.Spec.Version:
		pods, of := notYet(p)
		set(v1alpha1.ConditionConfigApplied, metav1.ConditionFalse, v1alpha1.ReasonVersionPending,
			fmt.Sprintf("upgrade from RobustMQ %s to %s: %d of %d pods run it; still to come: %s", next.Version, p.desired.Spec.Version, of-len(pods), of, strings.Join(pods, ", ")))
	case len(restart)+len(image)+len(replace) > 0:
		set(v1alpha1.ConditionConfigApplied, metav1.ConditionFalse, v1alpha1.ReasonConfigPending, rollText(restart, image, replace))
	case len(pending) > 0:
		set(v1alpha1.ConditionConfigApplied, metav1.ConditionFalse, v1alpha1.ReasonConfigPending, "settings that a running server takes in are still to be given to: "+strings.Join(pending, ", "))
	case len(arriving) > 0:
		set(v1alpha1.ConditionConfigApplied, metav1.ConditionFalse, v1alpha1.ReasonConfigPending, "the new configuration has not reached these pods yet: "+strings.Join(arriving, ", "))
	default:
		set(v1alpha1.ConditionConfigApplied, metav1.ConditionTrue, v1alpha1.ReasonAllInService, "every server that runs goes by the present configuration")
	}
}

// hopText says what becomes of a version that cannot run beside the one that runs.
func hopText(p *pass) string {
	if p.hop != nil && p.hop.wait.Message != "" {
		return p.hop.wait.Message
	}
	return fmt.Sprintf("the cluster runs RobustMQ %s, and spec.version is %q: nothing is done about it now", p.desired.Spec.Version, p.cluster.Spec.Version)
}

// rollText says which pods a change still has to reach, and how it reaches them.
func rollText(restart, image, replace []string) string {
	var parts []string
	if len(restart) > 0 {
		parts = append(parts, "still to be restarted in place for a newer configuration: "+strings.Join(restart, ", "))
	}
	if len(image) > 0 {
		parts = append(parts, "still to be given another image, or to be started with it: "+strings.Join(image, ", "))
	}
	if len(replace) > 0 {
		parts = append(parts, "still to be made anew from a newer pod template: "+strings.Join(replace, ", "))
	}
	return strings.Join(parts, "; ")
}

func versionSupported(p *pass, set setCondition) {
	switch {
	case p.traits.Tier == robustmq.TierIslands:
		set(v1alpha1.ConditionVersionSupported, metav1.ConditionFalse, v1alpha1.ReasonIslandsOnly, p.traits.Warning)
	case p.traits.Tier == robustmq.TierLimited:
		set(v1alpha1.ConditionVersionSupported, metav1.ConditionFalse, v1alpha1.ReasonLimitedVersion, p.traits.Warning)
	case p.traits.Warning != "":
		set(v1alpha1.ConditionVersionSupported, metav1.ConditionUnknown, v1alpha1.ReasonUnknownVersion, p.traits.Warning)
	default:
		set(v1alpha1.ConditionVersionSupported, metav1.ConditionTrue, v1alpha1.ReasonSupported, fmt.Sprintf("RobustMQ %s is fully supported", p.version))
	}
}

func paused(cluster *v1alpha1.RobustMQCluster, set setCondition) {
	if cluster.Spec.Paused {
		set(v1alpha1.ConditionPaused, metav1.ConditionTrue, v1alpha1.ReasonPaused, "spec.paused is true: the cluster is observed, nothing is changed")
		return
	}
	set(v1alpha1.ConditionPaused, metav1.ConditionFalse, v1alpha1.ReasonNotPaused, "changes are carried out")
}

// leaderColumn is the pod that leads every group, or which group is led by whom.
func leaderColumn(health topology.Health, groups []string) string {
	if m, ok := health.CommonLeader(); ok {
		return m.Pod
	}
	var apart []string
	for _, group := range groups {
		if m, ok := health.Leader(group); ok {
			apart = append(apart, group+" on "+m.Pod)
		}
	}
	if len(apart) == 0 {
		return ""
	}
	return "apart: " + strings.Join(apart, ", ")
}

func roleStatus(p *pass, health topology.Health, role v1alpha1.Role) *v1alpha1.RoleStatus {
	st := &v1alpha1.RoleStatus{
		Desired:  desiredOf(p, role),
		Selector: labels.SelectorFromSet(manifests.Selector(p.desired, role)).String(),
	}
	for _, m := range p.snapshot.Members {
		if m.Role != role {
			continue
		}
		if m.State != topology.PodMissing {
			st.Replicas++
		}
		if health.InService(m) && m.Ordinal < st.Desired {
			st.Ready++ // one that is on its way out is none of those that are wanted
		}
	}
	st.Summary = fmt.Sprintf("%d/%d", st.Ready, st.Desired)
	return st
}

// desiredOf is how many pods of a role the spec asks for, also while a change of it is held back.
func desiredOf(p *pass, role v1alpha1.Role) int32 {
	for _, view := range p.desired.Spec.Roles() {
		if view.Role == role {
			return view.Replicas
		}
	}
	return 0
}

func memberRows(p *pass, health topology.Health) []v1alpha1.MemberStatus {
	rows := make([]v1alpha1.MemberStatus, 0, len(p.snapshot.Members))
	for _, m := range p.snapshot.Members {
		row := v1alpha1.MemberStatus{
			Pod: m.Pod, Ordinal: m.Ordinal, NodeID: int64(m.NodeID), Role: m.Role, InService: health.InService(m),
			Volume: "Unknown", Server: "Unknown", Marker: "Unknown", Gate: "Unknown",
		}
		if m.Role == v1alpha1.RolePlacementCenter {
			row.LeaderOf, row.VoterIn = health.LeaderOf(m.NodeID), health.VoterIn(m.NodeID)
		}
		if a := m.Agent; a != nil {
			state := p.observed.states[m.Pod]
			row.Volume, row.Server, row.Version, row.Restarts = state.Volume.Phase, state.Server.Phase, state.Server.Version, int32(state.Server.Restarts)
			row.Gate = state.Gate.Reason
			row.Marker = "None"
			if a.Marker != nil {
				row.Marker = a.Marker.Origin
				if a.Marker.ClusterUID != p.id.uid || a.Marker.NodeID != m.NodeID {
					row.Marker = "Foreign"
				}
			}
			if m.Role == v1alpha1.RolePlacementCenter && !row.InService {
				row.Positions = positions(a)
			}
		} else if m.State == topology.PodMissing {
			row.Volume, row.Server, row.Gate, row.Marker = "Missing", "Missing", "Missing", "Missing"
		}
		rows = append(rows, row)
	}
	return rows
}

// positions of a member that is not in service, so that a person sees how far it is behind. In service they would only make the status move.
func positions(a *topology.Agent) []v1alpha1.GroupPosition {
	var out []v1alpha1.GroupPosition
	for name, g := range a.Groups {
		out = append(out, v1alpha1.GroupPosition{Group: name, Term: int64(g.Term), LastApplied: int64(g.LastApplied)})
	}
	slices.SortFunc(out, func(a, b v1alpha1.GroupPosition) int { return strings.Compare(a.Group, b.Group) })
	return out
}

// writeStatus patches the status where it differs, and tells what changed as events.
func (r *Reconciler) writeStatus(ctx context.Context, p *pass, next v1alpha1.RobustMQClusterStatus) error {
	if equality.Semantic.DeepEqual(p.cluster.Status, next) {
		return nil
	}
	before := p.cluster.DeepCopy()
	after := p.cluster.DeepCopy()
	after.Status = next
	// Whole, not as a patch of what differs: a required number that is 0 before and after would be in no patch, and the API server would miss it.
	if err := r.Status().Update(ctx, after); err != nil {
		return fmt.Errorf("writing the status of cluster %s: %w", p.cluster.Name, err)
	}
	for _, t := range transitions(before.Status, next) {
		p.log.Info("changed", "step", "none", "pod", t.pod, "reason", t.reason, "message", t.message)
		r.event(after, t.pod, t.kind, t.reason, t.message)
	}
	return nil
}
