package backup

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// member is one pod of the placement centre, and what its agent said.
type member struct {
	pod, address string // address is the pod's, without port
	nodeID       uint64
	imageDigest  string // of the server's image, if Kubernetes knows it
	// state is nil while the agent does not answer; problem says why.
	state   *protocol.State
	problem string
}

// recoveryPoint is what a backup must hold: where the leaders' logs ended when it was asked for. Every write that was acknowledged before is below.
type recoveryPoint struct {
	at        time.Time
	positions map[string]uint64 // the last index of the leader's log, by raft group
	leaders   map[string]uint64 // node id, by raft group
	terms     map[string]uint64
}

// choice is the member that a backup is taken from.
type choice struct {
	member member
	leader bool // it leads a raft group: no follower had caught up
	point  recoveryPoint
	// counter is the address of a broker's pod that serves, which is asked for numbers; empty: there is none.
	counter string
}

// wait is why a backup does not begin yet.
type wait struct{ reason, message string }

// observePoint reads the recovery point from the leaders, or says why there is none now: no leader, or members that do not agree who they are.
func observePoint(members []member, groups []string, now time.Time) (recoveryPoint, *wait) {
	p := recoveryPoint{at: now, positions: map[string]uint64{}, leaders: map[string]uint64{}, terms: map[string]uint64{}}
	for _, group := range groups {
		var voters []uint64
		for _, m := range members {
			if !m.serves() {
				continue
			}
			g, ok := m.state.Raft[group]
			if !ok || !g.Initialised() {
				continue
			}
			if len(g.Configs) > 1 || len(g.Nodes) > len(g.Configs[0]) {
				return recoveryPoint{}, &wait{v1alpha1.ReasonMembershipChanging, fmt.Sprintf("the membership of raft group %s is changing, as %s sees it: the backup is taken when that is over", group, m.pod)}
			}
			if voters == nil {
				voters = g.Voters()
			} else if !slices.Equal(voters, g.Voters()) {
				return recoveryPoint{}, &wait{v1alpha1.ReasonMembershipChanging, fmt.Sprintf("the members do not agree who votes in raft group %s: %v, and %v as %s sees it", group, voters, g.Voters(), m.pod)}
			}
			if !g.LeadsWithQuorum() {
				continue
			}
			if other, twice := p.leaders[group]; twice && p.terms[group] == g.Term {
				return recoveryPoint{}, &wait{v1alpha1.ReasonQuorumLost, fmt.Sprintf("members %d and %d both say that they lead raft group %s", other, m.nodeID, group)}
			}
			if g.Term >= p.terms[group] {
				p.leaders[group], p.terms[group], p.positions[group] = m.nodeID, g.Term, g.LastLogIndex
			}
		}
		if _, led := p.leaders[group]; !led {
			return recoveryPoint{}, &wait{v1alpha1.ReasonQuorumLost, fmt.Sprintf("no leader of raft group %s is acknowledged by a quorum: %s", group, problems(members))}
		}
	}
	return p, nil
}

// stands reports whether the point is still one: another leader may have dropped what the former one had not committed.
func (p recoveryPoint) stands(now recoveryPoint) bool {
	return !p.at.IsZero() && maps.Equal(p.leaders, now.leaders) && maps.Equal(p.terms, now.terms)
}

// choose takes a follower that votes in all groups and has applied what the recovery point asks for. When none has for as long as patience, counted from the point, any voter that has will do.
func choose(members []member, groups []string, p recoveryPoint, now time.Time, patience time.Duration) (choice, *wait) {
	var followers, leaders []member
	lagging := []string{}
	others := false
	for _, m := range members {
		leads := slices.Contains(slices.Collect(maps.Values(p.leaders)), m.nodeID)
		others = others || !leads && m.votes(groups)
		behind := m.behind(groups, p)
		switch {
		case behind != "":
			lagging = append(lagging, behind)
		case leads:
			leaders = append(leaders, m)
		default:
			followers = append(followers, m)
		}
	}
	switch {
	case len(followers) > 0:
		return choice{member: followers[0], point: p}, nil
	case len(leaders) > 0 && (!others || now.Sub(p.at) >= patience):
		return choice{member: leaders[0], leader: true, point: p}, nil
	}
	return choice{}, &wait{v1alpha1.ReasonWaitingForMember, "no member can be saved from yet: " + strings.Join(lagging, "; ")}
}

// serves reports whether the member's server answers, and goes on to.
func (m member) serves() bool {
	return m.state != nil && m.state.Server.Phase == protocol.ServerRunning && !m.state.Fenced && !m.state.Terminating && len(m.state.Raft) > 0
}

// votes reports whether the member answers and votes in every group.
func (m member) votes(groups []string) bool {
	return m.serves() && !slices.ContainsFunc(groups, func(group string) bool { return !slices.Contains(m.state.Raft[group].Voters(), m.nodeID) })
}

// behind says what the member lacks to be saved from, or "".
func (m member) behind(groups []string, p recoveryPoint) string {
	switch {
	case m.state == nil:
		return fmt.Sprintf("the agent of %s does not answer (%s)", m.pod, m.problem)
	case !m.serves():
		return m.pod + " does not serve"
	}
	for _, group := range groups {
		g, ok := m.state.Raft[group]
		switch {
		case !ok || !g.Running:
			return fmt.Sprintf("raft group %s does not run on %s", group, m.pod)
		case !slices.Contains(g.Voters(), m.nodeID):
			return fmt.Sprintf("%s is no voter of raft group %s", m.pod, group)
		case g.Term != p.terms[group]:
			return fmt.Sprintf("%s is in term %d of raft group %s, its leader in term %d", m.pod, g.Term, group, p.terms[group])
		case applied(g) < p.positions[group]:
			return fmt.Sprintf("%s has applied entry %d of raft group %s and needs %d", m.pod, applied(g), group, p.positions[group])
		}
	}
	return ""
}

func applied(g robustmq.GroupState) uint64 {
	if g.LastApplied == nil {
		return 0
	}
	return g.LastApplied.Index
}

// problems are why members cannot be asked.
func problems(members []member) string {
	var out []string
	for _, m := range members {
		switch {
		case m.state == nil:
			out = append(out, fmt.Sprintf("the agent of %s does not answer (%s)", m.pod, m.problem))
		case !m.serves():
			out = append(out, m.pod+" does not serve")
		}
	}
	if len(out) == 0 {
		return "every member answers"
	}
	return strings.Join(out, "; ")
}

// counterOf is the address of the first pod that is ready. Members of the placement centre keep no users in their caches, so brokers are asked how many there are.
func counterOf(brokers []corev1.Pod) string {
	var first *corev1.Pod
	for i := range brokers {
		p := &brokers[i]
		ready := slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue })
		if ready && p.Status.PodIP != "" && p.DeletionTimestamp.IsZero() && (first == nil || p.Name < first.Name) {
			first = p
		}
	}
	if first == nil {
		return ""
	}
	return first.Status.PodIP
}

// sortMembers puts them in the order of their node ids, those that did not answer last.
func sortMembers(members []member) {
	slices.SortStableFunc(members, func(a, b member) int {
		if (a.state == nil) != (b.state == nil) {
			if a.state == nil {
				return 1
			}
			return -1
		}
		return cmp.Or(cmp.Compare(a.nodeID, b.nodeID), strings.Compare(a.pod, b.pod))
	})
}
