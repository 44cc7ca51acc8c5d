package robustmq

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// Names of the three raft groups since RobustMQ 0.3.3 (both group counts are rendered as 1).
const (
	GroupMetadata = "metadata_0"
	GroupOffset   = "offset_0"
	GroupData     = "data_0"
)

// Groups lists the raft groups of a placement-centre member (0.3.3 and later).
var Groups = []string{GroupMetadata, GroupOffset, GroupData}

// LogID is a position in a raft log.
type LogID struct {
	Term   uint64
	NodeID uint64
	Index  uint64
}

// GroupState is one raft group as one member sees it (openraft's metrics). Pointers are nil where the server says null.
type GroupState struct {
	Running              bool   // running_state is Ok
	RunningError         string // what else it says, in the server's words
	ID                   uint64
	Term                 uint64 // current_term
	VoteNode             uint64 // whom the member voted for in Term
	VoteCommitted        bool   // the vote was granted by a quorum: that node leads, or led, Term
	LastLogIndex         uint64 // 0 when the log is empty
	LastApplied          *LogID
	Snapshot             *LogID
	Purged               *LogID
	State                string            // Leader, Follower, Candidate, Learner, Shutdown
	CurrentLeader        uint64            // 0 when unknown
	MillisSinceQuorumAck *uint64           // only a leader has it; null or large: no quorum behind it
	Configs              [][]uint64        // membership: one list, or two while it changes; empty when uninitialised
	Nodes                map[uint64]string // id -> address, voters and learners
	MembershipLog        *LogID            // the log entry that made the membership; nil for the one that a member starts with
	Replication          map[uint64]*LogID // only a leader has it
}

// ClusterStatus is the raft state of one member: group name -> state. A 0.3.0 to 0.3.2 server answers for its metadata group only, here under the name "metadata".
type ClusterStatus map[string]GroupState

// ParseClusterStatus decodes the JSON content of the gRPC call ClusterStatus in both of its shapes: a map of groups (0.3.3 and later) or one group (before).
func ParseClusterStatus(content []byte) (ClusterStatus, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(content, &fields); err != nil {
		return nil, fmt.Errorf("cluster status: %w", err)
	}
	if _, single := fields["running_state"]; single {
		g, err := parseGroup(content)
		if err != nil {
			return nil, fmt.Errorf("cluster status: %w", err)
		}
		return ClusterStatus{"metadata": g}, nil
	}
	status := ClusterStatus{}
	for name, raw := range fields {
		g, err := parseGroup(raw)
		if err != nil {
			return nil, fmt.Errorf("cluster status of group %s: %w", name, err)
		}
		status[name] = g
	}
	return status, nil
}

type wireLogID struct {
	LeaderID struct {
		Term   uint64 `json:"term"`
		NodeID uint64 `json:"node_id"`
	} `json:"leader_id"`
	Index uint64 `json:"index"`
}

func (w *wireLogID) logID() *LogID {
	if w == nil {
		return nil
	}
	return &LogID{Term: w.LeaderID.Term, NodeID: w.LeaderID.NodeID, Index: w.Index}
}

func parseGroup(raw []byte) (GroupState, error) {
	var w struct {
		RunningState json.RawMessage `json:"running_state"`
		ID           uint64          `json:"id"`
		CurrentTerm  uint64          `json:"current_term"`
		Vote         struct {
			LeaderID struct {
				NodeID uint64 `json:"node_id"`
			} `json:"leader_id"`
			Committed bool `json:"committed"`
		} `json:"vote"`
		LastLogIndex         *uint64    `json:"last_log_index"`
		LastApplied          *wireLogID `json:"last_applied"`
		Snapshot             *wireLogID `json:"snapshot"`
		Purged               *wireLogID `json:"purged"`
		State                string     `json:"state"`
		CurrentLeader        *uint64    `json:"current_leader"`
		MillisSinceQuorumAck *uint64    `json:"millis_since_quorum_ack"`
		MembershipConfig     struct {
			LogID      *wireLogID `json:"log_id"`
			Membership struct {
				Configs [][]uint64 `json:"configs"`
				Nodes   map[string]struct {
					RPCAddr string `json:"rpc_addr"`
				} `json:"nodes"`
			} `json:"membership"`
		} `json:"membership_config"`
		Replication map[string]*wireLogID `json:"replication"`
	}
	if err := json.Unmarshal(raw, &w); err != nil {
		return GroupState{}, err
	}
	g := GroupState{
		ID: w.ID, Term: w.CurrentTerm, VoteNode: w.Vote.LeaderID.NodeID, VoteCommitted: w.Vote.Committed,
		LastApplied: w.LastApplied.logID(), Snapshot: w.Snapshot.logID(), Purged: w.Purged.logID(),
		State: w.State, MillisSinceQuorumAck: w.MillisSinceQuorumAck, Configs: w.MembershipConfig.Membership.Configs,
		MembershipLog: w.MembershipConfig.LogID.logID(),
	}
	var running map[string]json.RawMessage
	if err := json.Unmarshal(w.RunningState, &running); err == nil {
		_, g.Running = running["Ok"]
	}
	if !g.Running {
		g.RunningError = string(w.RunningState)
	}
	if w.LastLogIndex != nil {
		g.LastLogIndex = *w.LastLogIndex
	}
	if w.CurrentLeader != nil {
		g.CurrentLeader = *w.CurrentLeader
	}
	if n := len(w.MembershipConfig.Membership.Nodes); n > 0 {
		g.Nodes = make(map[uint64]string, n)
	}
	for id, node := range w.MembershipConfig.Membership.Nodes {
		n, err := strconv.ParseUint(id, 10, 64)
		if err != nil {
			return GroupState{}, fmt.Errorf("membership node id %q: %w", id, err)
		}
		g.Nodes[n] = node.RPCAddr
	}
	if w.Replication != nil {
		g.Replication = make(map[uint64]*LogID, len(w.Replication))
	}
	for id, pos := range w.Replication {
		n, err := strconv.ParseUint(id, 10, 64)
		if err != nil {
			return GroupState{}, fmt.Errorf("replication node id %q: %w", id, err)
		}
		g.Replication[n] = pos.logID()
	}
	return g, nil
}

// quorumAckLimit is how old a leader's last acknowledgement by a quorum may be: healthy leaders were seen at 0 to 30 ms, one without quorum grows without end.
const quorumAckLimit = 3000

// LeadsWithQuorum reports whether this member leads the group and a quorum acknowledged it within the last 3 s.
// A leader that lost its quorum calls itself Leader for ever, and one restarted alone says so with a null acknowledgement: only the number tells.
func (g GroupState) LeadsWithQuorum() bool {
	return g.Running && g.State == "Leader" && g.MillisSinceQuorumAck != nil && *g.MillisSinceQuorumAck < quorumAckLimit
}

// Voters returns the voters when the membership is uniform (one configuration), sorted; nil while it changes or before it exists.
func (g GroupState) Voters() []uint64 {
	if len(g.Configs) != 1 {
		return nil
	}
	voters := slices.Clone(g.Configs[0])
	slices.Sort(voters)
	return voters
}

// Learners returns the members that have no vote in any configuration, sorted: those that are being joined, and those that a membership change has left behind.
func (g GroupState) Learners() []uint64 {
	var learners []uint64
	for id := range g.Nodes {
		if !slices.ContainsFunc(g.Configs, func(voters []uint64) bool { return slices.Contains(voters, id) }) {
			learners = append(learners, id)
		}
	}
	slices.Sort(learners)
	return learners
}

// Initialised reports whether the group has a membership.
func (g GroupState) Initialised() bool { return len(g.Configs) > 0 }
