package simulated

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// censusOf is what a running member holds, by its agent's count.
func censusOf(t *testing.T, w *world.World, c *v1alpha1.RobustMQCluster, pod string) (counted protocol.Census) {
	t.Helper()
	agent := agents(t, w, c)(pod)
	id := fmt.Sprintf("test-%d", time.Now().UnixNano())
	w.Await("the census of "+pod, func() (bool, string) {
		census, err := agent.Census(w.Context(), id)
		switch {
		case err != nil:
			return false, err.Error()
		case census.Phase == protocol.CensusFailed: // the next try is another count
			id = fmt.Sprintf("test-%d", time.Now().UnixNano())
		case census.Phase == protocol.CensusReady:
			counted = census
			return true, ""
		}
		return false, fmt.Sprintf("%+v", census)
	})
	return counted
}

// sameKeys waits until all members are counted at one position of their raft groups, where each must hold the very same keys of both families, and returns how many those are.
func sameKeys(t *testing.T, w *world.World, c *v1alpha1.RobustMQCluster) map[string]protocol.FamilyCensus {
	t.Helper()
	pods := w.Pods(c, v1alpha1.RolePlacementCenter)
	counted := map[string]protocol.Census{}
	w.Await("all members to be counted at one position", func() (bool, string) {
		for _, pod := range pods {
			counted[pod] = censusOf(t, w, c, pod)
			if first := counted[pods[0]].Applied; !maps.Equal(counted[pod].Applied, first) {
				return false, fmt.Sprintf("%s is at %v, %s at %v", pod, counted[pod].Applied, pods[0], first)
			}
		}
		return true, ""
	})
	first := counted[pods[0]].Families
	for _, family := range []string{image.FamilyData, image.FamilyMetadata} {
		var held []string
		same := first[family].KeyDigest != ""
		for _, pod := range pods {
			f := counted[pod].Families[family]
			held = append(held, fmt.Sprintf("%s %d", pod, f.Keys))
			same = same && f.Keys == first[family].Keys && f.KeyDigest == first[family].KeyDigest
		}
		if !same {
			t.Errorf("members at one position hold other keys of %s: %s", family, strings.Join(held, ", "))
		}
	}
	t.Logf("%d members hold the same %d and %d keys", len(pods), first[image.FamilyData].Keys, first[image.FamilyMetadata].Keys)
	return first
}

// events are those of a reason whose messages have all the parts, oldest first.
func events(w *world.World, reason string, parts ...string) []world.Event {
	return slices.DeleteFunc(w.Events(), func(e world.Event) bool {
		return e.Reason != reason || slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(e.Message, part) })
	})
}

// told reports whether there is such an event.
func told(w *world.World, reason string, parts ...string) bool {
	return len(events(w, reason, parts...)) > 0
}
