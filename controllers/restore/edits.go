package restore

import (
	"fmt"
	"path"
	"slices"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/volume"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

// votersOf are the node ids of the restored placement centre's voters, in order: those of the backup, as topics and raft logs name them. Without all of them the restore is refused, unless the
// user does without (AllowFewerNodes): then those that exist are all that there are, and a quorum of them decides.
func votersOf(o *observation) (ids []uint64, problem string) {
	if o.found == nil || o.found.Inspected == nil {
		return nil, "the backup was not looked at"
	}
	for i, g := range o.found.Inspected.Groups {
		voters := slices.Sorted(slices.Values(g.Membership.Voters))
		switch {
		case i == 0:
			ids = voters
		case !slices.Equal(ids, voters):
			return nil, fmt.Sprintf("the raft groups of the backup have different voters: %v, and %v in group %s", ids, voters, g.Name)
		}
	}
	there := slices.DeleteFunc(slices.Clone(ids), func(id uint64) bool {
		return !slices.ContainsFunc(o.members, func(m member) bool { return m.wanted && m.nodeID == id })
	})
	switch {
	case len(there) == 0:
		return nil, fmt.Sprintf("none of the backup's voters %v is a node of this cluster", ids)
	case len(there) < len(ids) && !o.allows(v1alpha1.AllowFewerNodes):
		return nil, fmt.Sprintf("the backup's placement centre has the nodes %v, and this cluster only %v of them: give it as many first (spec.placementCenter.replicas), or list AllowFewerNodes in spec.unsafe of another restore", ids, there)
	}
	return there, ""
}

// voters are the members with those ids, each there whether its pod exists or not.
func (o *observation) voters() []member {
	ids, _ := votersOf(o)
	var out []member
	for _, m := range o.members {
		if slices.Contains(ids, m.nodeID) {
			out = append(out, m)
		}
	}
	return out
}

// term is that of the vote: above every one that the backup has or a member has shown, now or in an earlier pass of this restore. An old member that nobody remembers (a volume that comes back)
// then never shares a log position with the new ones.
func term(o *observation) int64 {
	highest := uint64(0)
	if o.found != nil && o.found.Inspected != nil {
		for _, g := range o.found.Inspected.Groups {
			highest = max(highest, g.Term, g.Vote.Term, g.Membership.Term)
		}
	}
	for _, m := range o.members {
		if m.state == nil {
			continue
		}
		for _, g := range m.state.Raft {
			highest = max(highest, g.Term)
		}
		if t := m.state.Transfer; t != nil {
			for _, term := range t.Terms {
				highest = max(highest, term)
			}
			for _, g := range t.Groups {
				highest = max(highest, g.Vote.Term)
			}
		}
	}
	return max(o.restore.Status.Term, signed(highest)+1)
}

// editsOf is what is changed in the backup, the same for every member and in every pass: the term stands in the status, the rest follows from backup and spec.
func editsOf(o *observation) (protocol.PlacementEdits, error) {
	voters, problem := votersOf(o)
	if problem != "" {
		return protocol.PlacementEdits{}, fmt.Errorf("voters of the restored placement centre: %s", problem)
	}
	in := manifests.Inputs{ClusterDomain: o.domain, ClusterUID: o.cluster.Status.ClusterUID}
	addresses := map[uint64]string{}
	for _, id := range voters {
		addresses[id] = manifests.RaftAddress(o.cluster, in, int32(id-v1alpha1.RolePlacementCenter.BaseNodeID())) //nolint:gosec // at most 7
	}
	edits := protocol.PlacementEdits{Votes: map[string]protocol.RaftVote{}, Memberships: map[string]protocol.RaftMembership{}}
	for _, g := range o.found.Inspected.Groups {
		edits.Votes[g.Name] = protocol.RaftVote{Term: unsigned(o.restore.Status.Term), NodeID: voters[0], Committed: true}
		m := protocol.RaftMembership{Voters: voters, Addresses: addresses}
		if at := g.Membership; at.Term != 0 || at.NodeID != 0 || at.Index != 0 {
			m.LogID = &robustmq.LogID{Term: at.Term, NodeID: at.NodeID, Index: at.Index}
		}
		edits.Memberships[g.Name] = m
	}
	if !moved(o) {
		return edits, nil
	}
	var err error
	edits.Registry, err = registryOf(o, in)
	return edits, err
}

// moved reports whether the nodes have other addresses than those in the backup: only the same cluster surely has the same. A registry that is written anew with the same addresses is as good as
// one that was kept; one with other addresses, or none, leaves nodes that never learn of each other (5 of 5 tries).
func moved(o *observation) bool {
	found := o.found.Inspected
	return found.ClusterUID != o.cluster.Status.ClusterUID || found.ClusterName != o.cluster.Name || found.Namespace != o.cluster.Namespace
}

// registryOf are the records of all nodes that the spec asks for, as their servers register themselves.
func registryOf(o *observation, in manifests.Inputs) ([]protocol.RegistryNode, error) {
	version, err := robustmq.ParseVersion(o.cluster.RunningVersion())
	if err != nil {
		return nil, fmt.Errorf("node registry: %w", err)
	}
	var nodes []protocol.RegistryNode
	for _, view := range o.cluster.Spec.Roles() {
		c, err := manifests.AgentConfig(o.cluster, in, view.Role)
		if err != nil {
			return nil, fmt.Errorf("node registry: %w", err)
		}
		roles, err := config.ServerRoles(c, version)
		if err != nil {
			return nil, fmt.Errorf("node registry: %w", err)
		}
		for ordinal := range view.Replicas {
			nodes = append(nodes, protocol.RegistryNode{
				ID: view.Role.BaseNodeID() + uint64(ordinal), Host: manifests.PodHost(o.cluster, in, view.Role, ordinal), Roles: roles, Ports: c.Ports, //nolint:gosec // not negative
				Folders: []string{path.Join(protocol.VolumeDir, volume.EngineDir)},
			})
		}
	}
	return nodes, nil
}
