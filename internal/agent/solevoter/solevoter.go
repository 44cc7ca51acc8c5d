package solevoter

import (
	"context"
	"fmt"
	"slices"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/internal/agent/images"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// group is what has to be known of a raft group of the member.
type group struct {
	name       string
	term       uint64 // the greatest that the member has heard of
	membership *robustmq.LogID
	address    string
	already    bool // it is the only voter
}

// Member is one of two voters as its server described it before it was stopped.
type Member struct {
	id     uint64
	groups []group
}

// Check says whether the member self may go on without the voter other, by the answer of its own server.
//
// It may where self and other, and nobody else, are the voters of every raft group. Then every entry that was ever acknowledged under that membership was agreed to by both, so it is in the log of
// self, whatever other has; and the one before it, which had a third voter, handed over to this one by an entry that is applied here. A membership that is changing, or that is not applied yet, is
// refused: an older one may be in force elsewhere.
//
// A group in which self is the only voter already was made so by an earlier try. The error says in words for a user what is in the way.
func Check(status robustmq.ClusterStatus, self, other uint64) (Member, error) {
	m := Member{id: self}
	two := []uint64{self, other}
	slices.Sort(two)
	for _, name := range robustmq.Groups {
		g, ok := status[name]
		switch {
		case !ok || !g.Running:
			return Member{}, fmt.Errorf("raft group %s does not run here", name)
		case len(g.Configs) != 1:
			return Member{}, fmt.Errorf("the membership of raft group %s is changing (%v)", name, g.Configs)
		case g.Nodes[self] == "":
			return Member{}, fmt.Errorf("raft group %s has no address of node %d", name, self)
		}
		voters := g.Voters()
		already := slices.Equal(voters, []uint64{self})
		switch {
		case !already && !slices.Equal(voters, two):
			return Member{}, fmt.Errorf("the voters of raft group %s are the nodes %v, and not %v", name, voters, two)
		case !already && (g.MembershipLog == nil || g.LastApplied == nil || g.MembershipLog.Index > g.LastApplied.Index):
			return Member{}, fmt.Errorf("the membership of raft group %s is not applied here yet", name)
		}
		m.groups = append(m.groups, group{name: name, term: g.Term, membership: g.MembershipLog, address: g.Nodes[self], already: already})
	}
	return m, nil
}

// Rewrite makes the member the only voter of its groups, in the database of its stopped server: all groups or none. Each gets the membership of the member alone, at the log position of the one that
// it replaces, and a committed vote for the member in a term after every one that it has heard of: it leads at its start, and whatever it writes can be told from what the other could have written.
// The log stays as it is. A database in which nothing is to be changed is not touched.
//
// Errors are those of image.ReadRaftLogs and image.Append; the database is then as it was, or (a disk that failed at the very last) has what was to be written.
func (m Member) Rewrite(ctx context.Context, fsys images.FS, database string) error {
	logs, err := image.ReadRaftLogs(ctx, fsys, database, 0)
	if err != nil {
		return err
	}
	var edits []image.Edit
	for _, g := range m.groups {
		if g.already {
			continue
		}
		log := logs.Groups[g.name]
		term := max(g.term, log.Greatest)
		if log.Vote != nil {
			term = max(term, log.Vote.Term)
		}
		edits = append(edits,
			image.SetVote(g.name, image.Vote{Term: term + 1, Node: m.id, Committed: true}),
			image.SetMembership(g.name, image.Membership{LogID: g.membership, Addresses: map[uint64]string{m.id: g.address}}))
	}
	if len(edits) == 0 {
		return nil
	}
	return image.Append(ctx, fsys, database, edits)
}
