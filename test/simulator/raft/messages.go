package raft

import "context"

// VoteRequest asks for a vote.
type VoteRequest struct {
	Vote Vote   `json:"vote"`
	Last *LogID `json:"last"`
}

// VoteReply answers it: the vote of the node asked, and its last position.
type VoteReply struct {
	Vote    Vote   `json:"vote"`
	Last    *LogID `json:"last"`
	Granted bool   `json:"granted"`
}

// AppendRequest brings entries, or none: a heartbeat.
type AppendRequest struct {
	Vote      Vote    `json:"vote"`
	Prev      *LogID  `json:"prev"`
	Entries   []Entry `json:"entries,omitempty"`
	Committed *LogID  `json:"committed"`
}

// AppendReply answers it. Higher: the follower has seen a greater vote. Conflict: it has something else, or nothing, at Prev; Last tells where it ends.
type AppendReply struct {
	Higher   *Vote  `json:"higher,omitempty"`
	Conflict bool   `json:"conflict,omitempty"`
	Last     *LogID `json:"last"`
}

// SnapshotRequest installs a snapshot. It carries no data: RobustMQ imports 0 entries of whatever it gets.
type SnapshotRequest struct {
	Vote       Vote             `json:"vote"`
	ID         string           `json:"id"`
	Last       LogID            `json:"last"`
	Membership StoredMembership `json:"membership"`
}

// SnapshotReply answers it.
type SnapshotReply struct {
	Vote Vote `json:"vote"`
}

// Transport reaches the same group on another node.
type Transport interface {
	Vote(ctx context.Context, addr, group string, r VoteRequest) (VoteReply, error)
	Append(ctx context.Context, addr, group string, r AppendRequest) (AppendReply, error)
	Snapshot(ctx context.Context, addr, group string, r SnapshotRequest) (SnapshotReply, error)
}
