package raft

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// LeaderID names a leadership: openraft compares it as a pair, so that two nodes can lead, one after the other, in one term.
type LeaderID struct {
	Term   uint64 `json:"term"`
	NodeID uint64 `json:"node_id"`
}

// Vote is what a node voted for. Committed: a quorum granted it, that node leads the term.
type Vote struct {
	LeaderID  LeaderID `json:"leader_id"`
	Committed bool     `json:"committed"`
}

// Compare orders votes.
func (v Vote) Compare(w Vote) int {
	b := func(x bool) int {
		if x {
			return 1
		}
		return 0
	}
	return cmp.Or(v.LeaderID.compare(w.LeaderID), cmp.Compare(b(v.Committed), b(w.Committed)))
}

func (v Vote) String() string {
	word := "uncommitted"
	if v.Committed {
		word = "committed"
	}
	return fmt.Sprintf("T%d-N%d:%s", v.LeaderID.Term, v.LeaderID.NodeID, word)
}

func (l LeaderID) compare(m LeaderID) int {
	return cmp.Or(cmp.Compare(l.Term, m.Term), cmp.Compare(l.NodeID, m.NodeID))
}

// LogID is a position in a log.
type LogID struct {
	LeaderID LeaderID `json:"leader_id"`
	Index    uint64   `json:"index"`
}

func (l LogID) String() string {
	return fmt.Sprintf("T%d-N%d-%d", l.LeaderID.Term, l.LeaderID.NodeID, l.Index)
}

// compare orders positions; nil, the empty log, comes first.
func compare(a, b *LogID) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return cmp.Or(a.LeaderID.compare(b.LeaderID), cmp.Compare(a.Index, b.Index))
}

func display(l *LogID) string {
	if l == nil {
		return "None"
	}
	return l.String()
}

// NodeAddr is a member as the membership stores it.
type NodeAddr struct {
	NodeID  uint64 `json:"node_id"`
	RPCAddr string `json:"rpc_addr"`
}

// Membership is who takes part: one list of voters, or two while it changes; Nodes holds voters and learners.
type Membership struct {
	Configs [][]uint64          `json:"configs"`
	Nodes   map[uint64]NodeAddr `json:"nodes"`
}

// StoredMembership is a membership with the entry that brought it.
type StoredMembership struct {
	LogID      *LogID     `json:"log_id"`
	Membership Membership `json:"membership"`
}

func (m Membership) voter(id uint64) bool {
	for _, c := range m.Configs {
		if slices.Contains(c, id) {
			return true
		}
	}
	return false
}

func (m Membership) voters() []uint64 {
	var all []uint64
	for _, c := range m.Configs {
		for _, id := range c {
			if !slices.Contains(all, id) {
				all = append(all, id)
			}
		}
	}
	slices.Sort(all)
	return all
}

// quorum reports whether yes holds for a majority of every list.
func (m Membership) quorum(yes func(uint64) bool) bool {
	if len(m.Configs) == 0 {
		return false
	}
	for _, c := range m.Configs {
		n := 0
		for _, id := range c {
			if yes(id) {
				n++
			}
		}
		if n <= len(c)/2 {
			return false
		}
	}
	return true
}

func (m Membership) clone() Membership {
	c := Membership{Configs: make([][]uint64, 0, len(m.Configs)), Nodes: make(map[uint64]NodeAddr, len(m.Nodes))}
	for _, list := range m.Configs {
		c.Configs = append(c.Configs, slices.Clone(list))
	}
	for id, n := range m.Nodes {
		c.Nodes[id] = n
	}
	return c
}

// Entry is one entry of a log: blank, a command, or a membership.
type Entry struct {
	LogID      LogID       `json:"log_id"`
	Command    []byte      `json:"command,omitempty"`
	Membership *Membership `json:"membership,omitempty"`
}

// ForwardError refuses what only the leader can do.
type ForwardError struct{ Leader *NodeAddr }

// Error is openraft's wording: clients take the address out of it.
func (e *ForwardError) Error() string {
	if e.Leader == nil {
		return "has to forward request to: None, None"
	}
	return fmt.Sprintf("has to forward request to: Some(%d), Some(Node { node_id: %d, rpc_addr: %q })", e.Leader.NodeID, e.Leader.NodeID, e.Leader.RPCAddr)
}

// InProgressError refuses a change of membership while another one runs.
type InProgressError struct{ Membership, Committed *LogID }

func (e *InProgressError) Error() string {
	return fmt.Sprintf("the cluster is already undergoing a configuration change at log %s, last committed membership log id: %s", debug(e.Membership), debug(e.Committed))
}

func debug(l *LogID) string {
	if l == nil {
		return "None"
	}
	return fmt.Sprintf("Some(LogId { leader_id: LeaderId { term: %d, node_id: %d }, index: %d })", l.LeaderID.Term, l.LeaderID.NodeID, l.Index)
}

// FatalError says that the group has stopped for good.
type FatalError struct{ Reason string }

func (e *FatalError) Error() string { return "raft stopped: " + strings.TrimSpace(e.Reason) }
