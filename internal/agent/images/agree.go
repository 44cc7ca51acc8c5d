package images

import (
	"fmt"
	"maps"
	"slices"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// No table of an image is read, so what its edits need (vote, membership and its log entry) is what the server said of itself before and after the links were made: equal, it was so in between.

// agree compares what the server said before and after; nil, with the groups as they are in the image. Every wanted group must be there. The error says what differs: another image may have more luck.
// changing: a membership that is being changed is taken, too.
func agree(before, after robustmq.ClusterStatus, wanted []string, changing bool) (map[string]protocol.ImageGroup, error) {
	groups := make(map[string]protocol.ImageGroup, len(wanted))
	for _, name := range wanted {
		b, there := before[name]
		a, still := after[name]
		switch {
		case !there || !still:
			return nil, &raftError{fmt.Sprintf("the server does not name raft group %s", name)}
		case !b.Running:
			return nil, &raftError{fmt.Sprintf("raft group %s does not run: %s", name, b.RunningError)}
		case !b.Initialised():
			return nil, &raftError{fmt.Sprintf("raft group %s has no membership yet", name)}
		case len(b.Configs) > 1 && !changing:
			return nil, &raftError{fmt.Sprintf("the membership of raft group %s is being changed", name)}
		case b.Term != a.Term || b.VoteNode != a.VoteNode || b.VoteCommitted != a.VoteCommitted:
			return nil, &raftError{fmt.Sprintf("the vote of raft group %s changed from node %d in term %d to node %d in term %d", name, b.VoteNode, b.Term, a.VoteNode, a.Term)}
		case !sameMembership(b, a):
			return nil, &raftError{fmt.Sprintf("the membership of raft group %s changed", name)}
		}
		g := protocol.ImageGroup{
			Vote:             protocol.RaftVote{Term: b.Term, NodeID: b.VoteNode, Committed: b.VoteCommitted},
			Membership:       protocol.RaftMembership{LogID: b.MembershipLog, Voters: b.Voters(), Addresses: b.Nodes},
			LastApplied:      b.LastApplied,
			LastAppliedAfter: a.LastApplied,
			Leader:           b.CurrentLeader,
		}
		if len(b.Configs) > 1 {
			g.Configs = b.Configs
		}
		groups[name] = g
	}
	return groups, nil
}

func sameMembership(a, b robustmq.GroupState) bool {
	return slices.EqualFunc(a.Configs, b.Configs, slices.Equal) && maps.Equal(a.Nodes, b.Nodes) && sameLogID(a.MembershipLog, b.MembershipLog)
}

func sameLogID(a, b *robustmq.LogID) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}
