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

// lifeOf names the data that a marker stands for: it changes when the volume gets other data, and never when the agent adds to its marker what it learned.
func lifeOf(marker *protocol.Marker) string {
	return fmt.Sprintf("%s %d %d", marker.Origin, marker.Generation, marker.Written.UnixNano())
}
