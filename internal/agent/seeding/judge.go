package seeding

import (
	"fmt"
	"net"
	"slices"

	"github.com/robustmq/robustmq-operator/internal/agent/images"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/quorum"
)

// check judges an order by itself.
func check(o protocol.SeedOrder) error {
	if err := images.CheckID(o.ID); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(o.Donor)
	switch {
	case o.ClusterUID == "" || o.NodeID == 0 || o.Generation < 0:
		return refuse(protocol.ReasonBadRequest, "clusterUID %.80q, nodeID %d, generation %d: whose volume is it?", o.ClusterUID, o.NodeID, o.Generation)
	case err != nil || host == "" || port == "":
		return refuse(protocol.ReasonBadRequest, "donor %.80q is not host:port", o.Donor)
	case o.DonorNodeID == 0 || o.DonorNodeID == o.NodeID:
		return refuse(protocol.ReasonBadRequest, "donorNodeID %d: a node is seeded from another one", o.DonorNodeID)
	}
	return images.CheckEdits(protocol.PlacementEdits{Votes: o.Votes})
}

// placement is the request for what an order's image becomes here.
func placement(o protocol.SeedOrder, files []protocol.ImageFile) protocol.PlacementRequest {
	r := protocol.PlacementRequest{
		ID: o.ID, Origin: protocol.OriginSeeded, ClusterUID: o.ClusterUID, NodeID: o.NodeID, Generation: o.Generation, Edits: protocol.PlacementEdits{Votes: o.Votes},
	}
	for _, f := range files {
		r.Files = append(r.Files, protocol.PlacementFile{Name: f.Name, Size: f.Size, SHA256: f.SHA256})
	}
	return r
}

// judgePeer says whether what answers is the donor, and of this cluster.
func judgePeer(o protocol.SeedOrder, p protocol.Peer) error {
	switch {
	case p.NodeID != o.DonorNodeID:
		return &failure{protocol.SeedDonorWrong, fmt.Sprintf("node %d answers at %s, not node %d", p.NodeID, o.Donor, o.DonorNodeID)}
	case p.ClusterUID != o.ClusterUID || p.Generation != o.Generation:
		return &failure{protocol.SeedDonorWrong, fmt.Sprintf("the donor's volume is of cluster %q generation %d, this is cluster %s generation %d (an agent of an older version does not say whose its volume is)",
			p.ClusterUID, p.Generation, o.ClusterUID, o.Generation)}
	}
	return nil
}

// judgeImage says whether an image may become this node's volume. A vote that names the node would make it lead at once, in a term that it does not know the log of; an image that lacks
// what was committed when the node still had its volume would let the cluster forget it. Of groups that do not all have one and the same membership it is the donor's word alone that is known, so nothing
// may ever have been agreed upon without it.
func judgeImage(o protocol.SeedOrder, found map[string]protocol.ImageGroup, groups []string) error {
	unfit := func(format string, args ...any) error {
		return &failure{protocol.SeedUnfit, fmt.Sprintf(format, args...)}
	}
	var voters []uint64
	for i, name := range groups {
		g, ok := found[name]
		configs := [][]uint64{g.Membership.Voters}
		if len(g.Configs) > 0 {
			configs = g.Configs
		}
		_, voted := o.Votes[name]
		switch {
		case !ok:
			return unfit("the donor's image has no raft group %s", name)
		case o.Changing && !quorum.Indispensable(o.DonorNodeID, configs):
			return unfit("the membership of raft group %s is %v, in which something may have been agreed upon without the donor, node %d", name, configs, o.DonorNodeID)
		case o.Changing && !voted && g.Vote.NodeID != o.DonorNodeID:
			return unfit("the order has no vote for raft group %s, in which the donor did not vote for itself but for node %d", name, g.Vote.NodeID)
		case o.Changing: // the groups differ, and that is known
		case len(g.Configs) > 0:
			return unfit("the membership of raft group %s is being changed: %v", name, g.Configs)
		case !slices.Contains(g.Membership.Voters, o.DonorNodeID):
			return unfit("the donor, node %d, is no voter of raft group %s (%v)", o.DonorNodeID, name, g.Membership.Voters)
		case i > 0 && !sameIDs(voters, g.Membership.Voters):
			return unfit("the voters of raft group %s are %v, of %s %v: a join or a leave is half done", name, g.Membership.Voters, groups[0], voters)
		case len(o.Votes) > 0 && !voted:
			return unfit("the order has votes, and none for raft group %s", name)
		}
		switch {
		case voted && o.Votes[name].Term <= g.Vote.Term:
			return unfit("the ordered vote of raft group %s is of term %d, the donor's of term %d: it must be newer", name, o.Votes[name].Term, g.Vote.Term)
		case len(o.Votes) == 0 && g.Vote.NodeID == o.NodeID:
			return unfit("the vote of raft group %s (term %d) names node %d itself", name, g.Vote.Term, o.NodeID)
		case o.Least[name] > 0 && (g.LastApplied == nil || g.LastApplied.Index < o.Least[name]):
			return unfit("the image ends before entry %d of raft group %s, which the leader had when the seed was ordered", o.Least[name], name)
		}
		voters = g.Membership.Voters
	}
	return nil
}

func sameIDs(a, b []uint64) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// applied are the positions that an image holds at least.
func applied(found map[string]protocol.ImageGroup) map[string]uint64 {
	out := make(map[string]uint64, len(found))
	for name, g := range found {
		if g.LastApplied != nil {
			out[name] = g.LastApplied.Index
		}
	}
	return out
}
