package topology

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/robustmq/robustmq-operator/internal/quorum"
)

// Census is what a member's database was counted to hold while it stood at one position.
type Census struct {
	// Life names the data that was counted: it changes when the volume gets other data.
	Life string
	// Applied are the applied positions of all raft groups, in a form that is equal when they are.
	Applied string
	// Families are the column families that the raft groups write.
	Families map[string]Family
}

// Family is a column family (meta_data, meta_metadata): how many keys it has, and a digest of them, in hexadecimal digits, that is equal when the keys are. Values are left out: members differ
// in them, because many end with the time at which the member applied them.
type Family struct {
	Keys   uint64
	Digest string
}

// Round is one census of every member that could be counted, by node id.
type Round map[uint64]Census

// verdict is what one round says.
type verdict struct {
	// odd are those whose keys are not those of the majority, with the words for it.
	odd map[uint64]string
	// sound are those whose keys are the majority's.
	sound []uint64
	// unsure says why the members differ and nobody can be named; empty when they do not, or too few could be compared.
	unsure string
}

// judge compares the members that were counted at one and the same position.
//
// Raft makes members equal at equal positions and promises nothing at different ones, so those at other positions are not compared: in a cluster that is written to without a pause the round
// says little, and the next one is waited for. Keys alone count; values carry the time at which each member applied them.
//
// The keys that a majority of all voters has are the right ones, because what was acknowledged is on a majority. Fewer than that prove nothing: of two members that differ, the larger may be
// the one that missed a deletion. And where the leader is not among the majority, nobody is named: a majority that all took an empty snapshot would outvote the one member that is whole.
func judge(r Round, voters []uint64, leader uint64) verdict {
	v := verdict{odd: map[uint64]string{}}
	for _, position := range slices.Sorted(maps.Values(positionsOf(r, voters))) {
		classes := map[string][]uint64{}
		for _, id := range voters {
			if c, counted := r[id]; counted && c.Applied == position {
				classes[digest(c)] = append(classes[digest(c)], id)
			}
		}
		if len(classes) < 2 {
			for _, class := range classes {
				if len(class) >= quorum.Of(len(voters)) {
					v.sound = class
				}
			}
			continue
		}
		var majority []uint64
		for _, class := range classes {
			if len(class) >= quorum.Of(len(voters)) {
				majority = class
			}
		}
		switch {
		case majority == nil:
			v.unsure = "the members hold different keys at one position, and no majority holds the same: " + whoHolds(r, voters, position)
		case r[leader].Applied != position:
			// The next round may meet the leader at the same position.
		case !slices.Contains(majority, leader):
			v.unsure = fmt.Sprintf("the keys of the leader, node %d, are not those of the majority at the same position: %s", leader, whoHolds(r, voters, position))
		default:
			v.sound = majority
			for _, class := range classes {
				for _, id := range class {
					if !slices.Contains(majority, id) {
						v.odd[id] = fmt.Sprintf("it holds %s where %d of %d voters hold %s at the same position", amounts(r[id]), len(majority), len(voters), amounts(r[majority[0]]))
					}
				}
			}
		}
	}
	return v
}

// positionsOf are the positions of the voters that were counted, each once.
func positionsOf(r Round, voters []uint64) map[string]string {
	out := map[string]string{}
	for _, id := range voters {
		if c, counted := r[id]; counted {
			out[c.Applied] = c.Applied
		}
	}
	return out
}

func digest(c Census) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c.Families)) {
		fmt.Fprintf(&b, "%s %d %s\n", name, c.Families[name].Keys, c.Families[name].Digest)
	}
	return b.String()
}

func amounts(c Census) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(c.Families)) {
		parts = append(parts, fmt.Sprintf("%d keys of %s", c.Families[name].Keys, name))
	}
	return strings.Join(parts, " and ")
}

func whoHolds(r Round, voters []uint64, position string) string {
	var parts []string
	for _, id := range voters {
		if c, counted := r[id]; counted && c.Applied == position {
			parts = append(parts, fmt.Sprintf("node %d %s", id, amounts(c)))
		}
	}
	return strings.Join(parts, ", ")
}

// Differ reports whether members differed in the last round, so that another one is wanted soon.
func Differ(s Snapshot) bool {
	h := assess(s)
	leader, ok := h.Leader(s.Wanted.Groups[0])
	if !ok || len(s.Rounds) == 0 {
		return false
	}
	v := judge(s.Rounds[len(s.Rounds)-1], h.Voters(), leader.NodeID)
	return len(v.odd) > 0 || v.unsure != ""
}

// Voters are those of the metadata group, nil while they change or nobody leads.
func (h Health) Voters() []uint64 { return h.voters(h.s.Wanted.Groups[0]) }
