package topology

import (
	"fmt"
	"slices"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/quorum"
)

const v1alpha1PlacementCenter = v1alpha1.RolePlacementCenter

// Health is the cluster as its members' own answers show it. What a member says of others (registry, node lists) is used only to find what it lacks.
type Health struct {
	s Snapshot
	// leaders: group -> the member that leads it with a quorum behind it, as it says itself.
	leaders map[string]Member
}

// Assess reads the health out of a snapshot.
func Assess(s Snapshot) Health { return assess(s) }

func assess(s Snapshot) Health {
	h := Health{s: s, leaders: map[string]Member{}}
	for _, group := range s.Wanted.Groups {
		for _, m := range s.of(v1alpha1PlacementCenter) {
			if m.Agent == nil || rogue(s, m) {
				continue
			}
			g, ok := m.Agent.Groups[group]
			if !ok || !g.Leads || !slices.Contains(g.Members, m.NodeID) {
				continue
			}
			// Two leaders of one group can only be two clusters, or an old leader that has not noticed yet: the newer term of the larger membership counts.
			if old, ok := h.leaders[group]; !ok || better(g, old.Agent.Groups[group]) {
				h.leaders[group] = m
			}
		}
	}
	return h
}

func better(a, b Group) bool {
	if len(a.Members) != len(b.Members) {
		return len(a.Members) > len(b.Members)
	}
	return a.Term > b.Term
}

// rogue reports whether the member runs a cluster of its own: it is the only voter of a group and did not found this cluster.
// RobustMQ 0.4.4 and later: an empty node that reaches no peer founds its own cluster, looks healthy and is registered in the true one.
// A true membership never shrinks to one: LeaveCluster refuses below three voters.
func rogue(s Snapshot, m Member) bool {
	if s.Wanted.Static || m.Agent == nil || m.Agent.Marker == nil {
		return false
	}
	if m.Agent.Marker.Origin != OriginJoined {
		return false
	}
	for _, g := range m.Agent.Groups {
		if len(g.Voters) == 1 && g.Voters[0] == m.NodeID {
			return true
		}
	}
	return false
}

// ledAll reports whether every group has a leader with a quorum.
func (h Health) ledAll() bool { return len(h.leaders) == len(h.s.Wanted.Groups) }

// CommonLeader returns the member that leads every group; false while a group has none, or they are led by different members.
func (h Health) CommonLeader() (Member, bool) {
	if !h.ledAll() {
		return Member{}, false
	}
	first := h.leaders[h.s.Wanted.Groups[0]]
	for _, l := range h.leaders {
		if l.NodeID != first.NodeID {
			return Member{}, false
		}
	}
	return first, true
}

// Leader returns the leader of one group.
func (h Health) Leader(group string) (Member, bool) {
	m, ok := h.leaders[group]
	return m, ok
}

func (h Health) leadsAll(id uint64) bool {
	l, ok := h.CommonLeader()
	return ok && l.NodeID == id
}

// voters returns the voters of a group as its leader has them, nil while they change or nobody leads.
func (h Health) voters(group string) []uint64 {
	l, ok := h.leaders[group]
	if !ok {
		return nil
	}
	return l.Agent.Groups[group].Voters
}

// groupsOf returns the groups whose leader counts the node among the voters: of both configurations while the membership changes.
func (h Health) groupsOf(id uint64) []string {
	var out []string
	for _, group := range h.s.Wanted.Groups {
		l, led := h.leaders[group]
		if !led {
			continue
		}
		configs := l.Agent.Groups[group].Configs
		lacks := func(config []uint64) bool { return !slices.Contains(config, id) }
		if slices.Contains(h.voters(group), id) || len(configs) > 0 && !slices.ContainsFunc(configs, lacks) {
			out = append(out, group)
		}
	}
	return out
}

// known reports whether any member, in any group, counts the node among the members of a membership of more than itself.
func (h Health) known(id uint64) bool {
	for _, m := range h.s.of(v1alpha1PlacementCenter) {
		if m.Agent == nil || rogue(h.s, m) || m.NodeID == id {
			continue
		}
		for _, g := range m.Agent.Groups {
			if slices.Contains(g.Members, id) {
				return true
			}
		}
	}
	return false
}

// voterInAll reports whether the node is a voter of every group: by the leaders' word, by its own, with one and the same membership.
func (h Health) voterInAll(id uint64) bool {
	m, ok := h.s.node(id)
	if !ok || m.Agent == nil || len(h.groupsOf(id)) != len(h.s.Wanted.Groups) {
		return false
	}
	for _, group := range h.s.Wanted.Groups {
		g, ok := m.Agent.Groups[group]
		if !ok || !g.Running || !g.uniform() || !slices.Equal(g.Voters, h.voters(group)) {
			return false
		}
	}
	return true
}

// inService reports whether the member does its work: a voter of every group; a broker that is open, registered and knows the others; a journal server likewise without the door.
func (h Health) inService(m Member) bool {
	if !serving(m) || m.ImagePending || m.Agent.Terminating || h.s.duplicated(m.NodeID) {
		return false
	}
	switch {
	case m.Role == v1alpha1.RolePlacementCenter:
		// A member that was seeded is proven whole first: its MQTT port is open from its start, also while it is a learner that nobody knows. No client is led to it meanwhile, or ever: client
		// Services select brokers, and the members' own Service is for their names only. Servers ask the members in the order of their meta_addrs, which they read at their start.
		return h.voterInAll(m.NodeID) && m.Agent.Seed == nil
	case h.s.Wanted.Islands:
		return m.Agent.MQTTOpen
	case m.Role == v1alpha1.RoleMQTTBroker && !m.Agent.MQTTOpen:
		return false
	}
	return h.registered(m.NodeID) && slices.Contains(m.Agent.Nodes, m.NodeID)
}

// InService reports whether the member does its work.
func (h Health) InService(m Member) bool { return h.inService(m) }

// VoterIn returns the groups in which the node is a voter, by the leaders' word.
func (h Health) VoterIn(id uint64) []string { return h.groupsOf(id) }

// LeaderOf returns the groups that the node leads.
func (h Health) LeaderOf(id uint64) []string {
	var out []string
	for _, group := range h.s.Wanted.Groups {
		if l, ok := h.leaders[group]; ok && l.NodeID == id {
			out = append(out, group)
		}
	}
	return out
}

// Groups returns every group's voters and who of them is in service, for package quorum. Where nobody leads, the voters are not known.
func (h Health) Groups() []quorum.Group {
	var out []quorum.Group
	for _, name := range h.s.Wanted.Groups {
		g := quorum.Group{Name: name, Voters: h.voters(name)}
		if l, ok := h.leaders[name]; ok {
			g.Leader = l.NodeID
			if led := l.Agent.Groups[name]; led.Changing {
				g.Voters, g.Configs = led.Members, led.Configs
			}
		}
		for _, id := range g.Voters {
			m, ok := h.s.node(id)
			if !ok || !serving(m) || m.ImagePending || !m.Agent.Groups[name].Running || m.Agent.Groups[name].Leader == 0 {
				continue
			}
			g.InService = append(g.InService, id)
			if h.leaders[name].Agent.Groups[name].LastApplied > m.Agent.Groups[name].LastApplied+h.s.Limits.Lag {
				g.Lagging = append(g.Lagging, id)
			}
		}
		out = append(out, g)
	}
	return out
}

// QuorumProblem says why the metadata quorum is not whole, empty when it is: every group led with a quorum, one membership everywhere, every wanted member in it.
func (h Health) QuorumProblem() string {
	for _, group := range h.s.Wanted.Groups {
		if _, ok := h.leaders[group]; !ok {
			return fmt.Sprintf("raft group %s has no leader with a quorum behind it", group)
		}
		if h.voters(group) == nil {
			return fmt.Sprintf("the membership of raft group %s is changing", group)
		}
	}
	for _, m := range h.s.of(v1alpha1PlacementCenter) {
		switch {
		case !h.s.wantedOf(m):
		case !h.voterInAll(m.NodeID):
			return fmt.Sprintf("%s is not yet a voter of every raft group by its own word and the leaders'", m.Pod)
		case m.Agent.Seed != nil:
			return fmt.Sprintf("%s was filled with another member's metadata and is not proven whole yet", m.Pod)
		}
	}
	return ""
}

// registry are the nodes that the metadata leader lists; false when nobody leads, or the leader was not asked.
func (h Health) registry() ([]uint64, bool) {
	if len(h.s.Wanted.Groups) == 0 {
		return nil, false
	}
	l, ok := h.leaders[h.s.Wanted.Groups[0]]
	return l.registry(), ok && l.registry() != nil
}

// registered reports whether the metadata leader lists the node.
func (h Health) registered(id uint64) bool {
	l, ok := h.leaders[h.s.Wanted.Groups[0]]
	return ok && slices.Contains(l.Agent.Registry, id)
}

// unregistered reports whether the metadata leader was asked and does not list a node whose server runs.
func (h Health) unregistered(m Member) bool {
	if h.s.Wanted.Islands {
		return false
	}
	l, ok := h.leaders[h.s.Wanted.Groups[0]]
	return ok && l.Agent.Registry != nil && !slices.Contains(l.Agent.Registry, m.NodeID)
}

// missingFromList returns the running nodes that a node's own list lacks. Messages published to a node that another does not know are lost later.
func (h Health) missingFromList(m Member) []uint64 {
	if h.s.Wanted.Islands || !serving(m) || m.Agent.Nodes == nil {
		return nil
	}
	var out []uint64
	for _, other := range h.s.Members {
		if serving(other) && !other.Agent.Terminating && h.registered(other.NodeID) && !slices.Contains(m.Agent.Nodes, other.NodeID) {
			out = append(out, other.NodeID)
		}
	}
	return out
}
