package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/internal/agent/images"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// compare orders votes as openraft 0.9.24 does in the build of RobustMQ 0.4.11 (without the feature single-term-leader: vote/leader_id/leader_id_adv.rs): term, then node, then committed.
func compare(a, b protocol.RaftVote) int {
	committed := func(v protocol.RaftVote) int {
		if v.Committed {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(a.Term, b.Term), cmp.Compare(a.NodeID, b.NodeID), cmp.Compare(committed(a), committed(b)))
}

// Position is what a member that was just stopped has of the groups: from the WALs, and what they do not say from the last answer of the server, which then was not written since its start.
// A last entry that neither of them tells is nil in the answer. A group that the server does not know is an error.
func Position(logs *image.RaftLogs, status robustmq.ClusterStatus, groups []string) (map[string]protocol.TransferGroup, error) {
	out := make(map[string]protocol.TransferGroup, len(groups))
	for _, name := range groups {
		said, ok := status[name]
		if !ok {
			return nil, fmt.Errorf("the server does not know raft group %s", name)
		}
		g := protocol.TransferGroup{Vote: protocol.RaftVote{Term: said.Term, NodeID: said.VoteNode, Committed: said.VoteCommitted}}
		log := logs.Groups[name]
		if log.Vote != nil {
			g.Vote = protocol.RaftVote{Term: log.Vote.Term, NodeID: log.Vote.Node, Committed: log.Vote.Committed}
		}
		switch {
		case log.Last != nil:
			g.Last = log.Last
		case log.Truncated: // nobody knows
		case said.LastLogIndex == 0:
			g.Last = &robustmq.LogID{}
		default:
			// The answer has the last entry's index only; its term is known of what was applied, or purged.
			for _, known := range []*robustmq.LogID{said.LastApplied, said.Purged} {
				if known != nil && known.Index == said.LastLogIndex {
					g.Last = known
				}
			}
		}
		out[name] = g
	}
	return out, nil
}

// AtLeast reports whether a log that ends at a has everything of one that ends at b. Of logs whose last entries have the same leader the longer one has the shorter one, and a later leader had
// everything that a quorum had of an earlier one's. Nil: not known, so no.
func AtLeast(a, b *robustmq.LogID) bool {
	if a == nil || b == nil {
		return false
	}
	return cmp.Or(cmp.Compare(a.Term, b.Term), cmp.Compare(a.NodeID, b.NodeID), cmp.Compare(a.Index, b.Index)) >= 0
}

// won is the vote with which the target leads a group.
func (r Record) won(group string) protocol.RaftVote {
	return protocol.RaftVote{Term: r.Terms[group], NodeID: r.Target, Committed: true}
}

// MayCommit says why the target may not take over, or nil: every term is above what it has voted for, so that the vote is no step back.
func (r Record) MayCommit() error {
	if len(r.Terms) == 0 {
		return errors.New("no raft group is named")
	}
	for _, group := range r.groups() {
		before, ok := r.Before[group]
		if !ok || compare(before.Vote, protocol.RaftVote{Term: r.Terms[group]}) >= 0 {
			return fmt.Errorf("raft group %s: the term %d is not above that of the vote (%d)", group, r.Terms[group], before.Vote.Term)
		}
	}
	return nil
}

func (r Record) groups() []string { return slices.Sorted(maps.Keys(r.Terms)) }

// TakeOver are the edits with which the target leads, one a group, to be appended to its WAL as one batch: of every group the vote for itself in the new term, committed. See MayCommit.
func (r Record) TakeOver() []image.Edit {
	var edits []image.Edit
	for _, group := range r.groups() {
		edits = append(edits, setVote(group, r.won(group)))
	}
	return edits
}

func setVote(group string, v protocol.RaftVote) image.Edit {
	return image.SetVote(group, image.Vote{Term: v.Term, Node: v.NodeID, Committed: v.Committed})
}

// Undo gives a target that shall not lead its old votes back. Its server must be gone for good: the database's lock is taken. It may be repeated.
//
// A vote is a promise, and this takes one back. It may be taken back because the target alone can have made entries under it, and there are none: so nothing was ever acknowledged under it,
// and nothing will be. With an entry, or where that cannot be seen, the target keeps its votes (Kept). A vote that somebody else has got of it since is not touched.
// The outcome is TransferUndone or TransferKept. Errors are those of image.ReadRaftLogs and image.Append: then the database is as it was, or has the old votes, and Undo is to be repeated.
func Undo(ctx context.Context, fsys images.FS, database string, r Record) (protocol.TransferOutcome, error) {
	logs, err := image.ReadRaftLogs(ctx, fsys, database, r.WAL)
	if err != nil {
		return "", err
	}
	var edits []image.Edit
	for _, group := range r.groups() {
		log := logs.Groups[group]
		if v := log.Vote; v != nil && compare(protocol.RaftVote{Term: v.Term, NodeID: v.Node, Committed: v.Committed}, r.won(group)) > 0 {
			continue
		}
		if log.Greatest >= r.Terms[group] || !logs.Whole {
			return protocol.TransferKept, nil
		}
		edits = append(edits, setVote(group, r.Before[group].Vote))
	}
	if err := image.Append(ctx, fsys, database, edits); err != nil {
		if errors.Is(err, image.ErrTornStart) {
			return protocol.TransferKept, nil
		}
		return "", err
	}
	return protocol.TransferUndone, nil
}

// led are the groups that are moved and that this member led when it was stopped.
func (r Record) led() []string {
	return slices.DeleteFunc(r.groups(), func(group string) bool {
		v := r.Before[group].Vote
		return v.NodeID != r.Self || !v.Committed
	})
}

// Passed reports whether a former leader may start as it was although it does not know what became of the target: in every group that it led, a quorum of the voters has turned to a newer
// leader, or to a candidate, and can agree to nothing of the old one any more. others are the voters as they answer.
func (r Record) Passed(others map[uint64]robustmq.ClusterStatus) bool {
	for _, group := range r.led() {
		turned := 0
		for _, id := range r.Voters {
			g, ok := others[id][group]
			if id != r.Self && ok && compare(protocol.RaftVote{Term: g.Term, NodeID: g.VoteNode}, protocol.RaftVote{Term: r.Before[group].Vote.Term, NodeID: r.Self}) > 0 {
				turned++
			}
		}
		if turned < len(r.Voters)/2+1 {
			return false
		}
	}
	return true
}

// Yield makes a former leader start without its leadership: with a vote for itself that nobody has granted yet, in a term above the one in which the target would lead. Raft allows that at any
// time. It leads no more in its old term, and whoever is elected now is above the target, which may still believe that it leads (a frozen machine). It may be repeated.
// Its server must be gone for good. Errors are those of image.ReadRaftLogs and image.Append; until it has succeeded the member must not start.
func Yield(ctx context.Context, fsys images.FS, database string, r Record) error {
	logs, err := image.ReadRaftLogs(ctx, fsys, database, 0)
	if err != nil {
		return err
	}
	var edits []image.Edit
	for _, group := range r.led() {
		next := protocol.RaftVote{Term: r.Terms[group] + 1, NodeID: r.Self}
		if v := logs.Groups[group].Vote; v != nil && compare(protocol.RaftVote{Term: v.Term, NodeID: v.Node, Committed: v.Committed}, next) >= 0 {
			continue
		}
		edits = append(edits, setVote(group, next))
	}
	return image.Append(ctx, fsys, database, edits)
}
