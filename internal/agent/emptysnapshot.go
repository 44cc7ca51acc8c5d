package agent

import (
	"maps"
	"strings"

	"github.com/robustmq/robustmq-operator/internal/agent/process"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// RobustMQ up to 0.4.11 installs snapshots without their entries: the member's position moves, its data does not, and nothing that the server says of itself is wrong afterwards
// (seen-formation.md: 21 of 1701 tenants, every port open). Two signs betray the moment: the server's own line, and purged == snapshot. The second fades with the next snapshot, about 100
// entries later, which under load is seconds. So what was seen once is written into the volume's marker, and stays there until the volume gets other data.

// recoveredNothing is the server's line, after "[metadata] " or another raft state machine's name (seen, log-snapshot-install-incomplete.txt).
const recoveredNothing = "] Successfully recovered 0 entries from snapshot"

// machineOf returns the raft state machine whose empty snapshot a line of the server tells of.
func machineOf(line string) (string, bool) {
	before, _, ok := strings.Cut(line, recoveredNothing)
	if !ok {
		return "", false
	}
	at := strings.LastIndexByte(before, '[')
	if at < 0 || before[at+1:] == "" {
		return "", false
	}
	return before[at+1:], true
}

// heard takes a line of the server whose output it is. What it means is noted by somebody else: the output is locked here.
func (a *Agent) heard(output *process.Output, line string) {
	if machine, ok := machineOf(line); ok {
		go a.guarded("server output", func() { a.noteEmptySnapshot(output, machine) })
	}
}

func (a *Agent) noteEmptySnapshot(output *process.Output, machine string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.child == nil || a.child.output != output {
		return
	}
	for _, group := range a.mounted.traits.RaftGroups {
		if name, _, _ := strings.Cut(group, "_"); name == machine {
			a.known.tookNothing(group, 0)
		}
	}
	a.o.Log.Warn("the server took a snapshot without its entries: it holds less than its position claims", "machine", machine)
	a.notify()
	a.look()
}

// tookNothing notes an empty snapshot of a group; index 0 is one whose position is not known yet.
func (k *known) tookNothing(group string, index uint64) {
	if k.empty == nil {
		k.empty = map[string]uint64{}
	}
	k.empty[group] = max(k.empty[group], index)
}

// lookForEmptySnapshots finds groups whose log begins right behind their snapshot: it was installed. A healthy member keeps about 1000 entries before its snapshots (seen).
func (k *known) lookForEmptySnapshots(status robustmq.ClusterStatus) {
	for name, g := range status {
		_, noted := k.empty[name]
		switch {
		case g.Snapshot == nil || g.Purged == nil:
		case noted && k.empty[name] == 0, g.Snapshot.Index > 0 && *g.Snapshot == *g.Purged:
			k.tookNothing(name, g.Snapshot.Index)
		}
	}
}

// emptyIn adds what is known of empty snapshots to a marker; false when it is there already.
func (k *known) emptyIn(m *protocol.Marker) bool {
	changed := false
	all := maps.Clone(m.EmptySnapshot)
	for group, index := range k.empty {
		if had, there := all[group]; there && had >= index {
			continue
		}
		if all == nil {
			all = map[string]uint64{}
		}
		all[group], changed = index, true
	}
	m.EmptySnapshot = all
	return changed
}
