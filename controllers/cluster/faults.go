package cluster

import (
	"fmt"
	"maps"
	"slices"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// emptySnapshots are the groups of a marker that took a snapshot without its entries.
func emptySnapshots(marker *protocol.Marker) []string {
	return slices.Sorted(maps.Keys(marker.EmptySnapshot))
}

// lifeOf names the data that a marker stands for: it changes when the volume gets other data, also by a snapshot without its entries, so that what was counted before that says nothing of it.
// It does not change with what the agent learns of the data otherwise.
func lifeOf(marker *protocol.Marker) string {
	life := fmt.Sprintf("%s %d %d", marker.Origin, marker.Generation, marker.Written.UnixNano())
	for _, group := range emptySnapshots(marker) {
		life += fmt.Sprintf(" %s %d", group, marker.EmptySnapshot[group])
	}
	return life
}
