//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/e2e/live"
	"github.com/robustmq/robustmq-operator/test/e2e/messages"
)

// purgedAfter is how many metadata entries make RobustMQ cut off the beginning of its log (seen: about 1100): from then on an empty member would be voted in with almost nothing.
const purgedAfter = 1300

// TestThePlacementCentreGrowsShrinksAndHealsWithAPurgedLog takes a cluster with metadata through its life: 3 to 5 members and back, under writes that never stop; one volume emptied, and then the
// volumes of a majority. After each step every member holds the same keys.
func TestThePlacementCentreGrowsShrinksAndHealsWithAPurgedLog(t *testing.T) {
	onlyLong(t)
	onBed(t)
	s := newScene(t, "members")
	c := small("members")
	s.apply(c)
	s.ready(3 * time.Minute)
	s.fill(purgedAfter)
	s.sameKeys("metadata was written")

	for _, size := range []int32{5, 3} {
		writes, acknowledged := s.writeUsers("written")
		begin := time.Now()
		c.Spec.PlacementCenter.Replicas = size
		s.apply(c)
		s.members(size, 8*time.Minute)
		took := time.Since(begin)
		acks, refused, last := writes.Stop()
		figures.add(fmt.Sprintf("placement centre to %d members, purged log, under writes", size), "%.1f s; %d users acknowledged, %d calls refused; longest gap between acknowledgements %.1f s",
			took.Seconds(), len(acks), refused, messages.LongestGap(acks, begin, time.Now()).Seconds())
		if len(acks) == 0 {
			t.Errorf("nothing was written meanwhile: %v", last)
		}
		if lost := s.missingUsers(acknowledged()); len(lost) > 0 {
			t.Errorf("%d of %d acknowledged users are lost: %v", len(lost), len(acks), lost)
		}
		s.sameKeys(fmt.Sprintf("the placement centre went to %d members", size))
	}

	s.loses("one emptied volume", 5*time.Minute, 1)
	s.loses("two of three emptied volumes", 12*time.Minute, 1, 2)
}

// fill makes so many users.
func (s *scene) fill(count int) {
	s.Helper()
	access, err := messages.Reach(s.Context(), k8s, s.cluster())
	s.must(err)
	for i := range count {
		if _, err := access.Admin(int32(i%2)).CreateUser(s.Context(), fmt.Sprintf("filled-%d", i), "secret"); err != nil { //nolint:gosec // 0 or 1
			s.Fatalf("user %d: %v", i, err)
		}
	}
}

// members waits until the cluster is Ready with so many members, all of them voters of every raft group by everybody's word, and nobody else.
func (s *scene) members(count int32, within time.Duration) {
	s.Helper()
	s.await(fmt.Sprintf("Ready with %d members", count), within, func(c *v1alpha1.RobustMQCluster) bool {
		return live.IsReady(c) && c.Status.ObservedGeneration == c.Generation && c.Status.PlacementCenter.Ready == count && c.Status.PlacementCenter.Replicas == count
	})
	s.carriedOut(within) // Ready comes and goes while the servers get the new list, and until they have it the next change of the membership is refused
	var want []uint64
	for ordinal := range count {
		want = append(want, v1alpha1.RolePlacementCenter.BaseNodeID()+uint64(ordinal)) //nolint:gosec // below 7
	}
	for ordinal := range int(count) {
		state, err := s.state(s.Context(), s.member(ordinal))
		s.must(err)
		for _, group := range robustmq.Groups {
			if g := state.Raft[group]; !slices.Equal(g.Voters(), want) {
				s.Errorf("member %d sees voters %v in %s, want %v", ordinal, g.Voters(), group, want)
			}
		}
	}
}

// sameKeys counts what every member holds, when all are at one position, and compares.
func (s *scene) sameKeys(when string) {
	s.Helper()
	members := int(s.cluster().Spec.PlacementCenter.Replicas)
	s.must(live.Until(s.Context(), "the same keys on every member after "+when, time.Second, 2*time.Minute, func(ctx context.Context) (bool, string, error) {
		var first protocol.Census
		for ordinal := range members {
			census, err := s.census(ctx, s.member(ordinal))
			if err != nil {
				return false, err.Error(), nil //nolint:nilerr // it is tried again
			}
			if ordinal == 0 {
				first = census
				continue
			}
			for group, at := range census.Applied {
				if at != first.Applied[group] {
					return false, fmt.Sprintf("member %d is at %v in %s, member 0 at %v", ordinal, at, group, first.Applied[group]), nil
				}
			}
			for family, has := range census.Families {
				if want := first.Families[family]; has.Keys != want.Keys || has.KeyDigest != want.KeyDigest {
					return false, fmt.Sprintf("member %d has %d keys in %s, member 0 %d, at the same positions", ordinal, has.Keys, family, want.Keys), nil
				}
			}
		}
		return true, fmt.Sprint(first.Families), nil
	}))
}

// census has an agent count, and waits for it.
func (s *scene) census(ctx context.Context, key client.ObjectKey) (protocol.Census, error) {
	agent, err := s.agent(ctx, key)
	if err != nil {
		return protocol.Census{}, err
	}
	id := fmt.Sprintf("e2e-%d", time.Now().UnixNano())
	var census protocol.Census
	err = live.Until(ctx, "a census of "+key.Name, 100*time.Millisecond, 30*time.Second, func(ctx context.Context) (bool, string, error) {
		census, err = agent.Census(ctx, id)
		if err != nil {
			return false, err.Error(), nil //nolint:nilerr // busy, most likely
		}
		return census.Phase != protocol.CensusCounting, string(census.Phase), nil
	})
	if err == nil && census.Phase == protocol.CensusFailed {
		err = fmt.Errorf("%s: %s %s", key.Name, census.Reason, census.Message)
	}
	return census, err
}

// loses empties the volumes of members while their nodes are without power, and waits until the members are back with everything.
func (s *scene) loses(what string, within time.Duration, ordinals ...int) {
	s.Helper()
	before, err := s.census(s.Context(), s.member(0))
	s.must(err)
	type disk struct{ node, volume string }
	var disks []disk
	for _, ordinal := range ordinals {
		pod := s.getPod(s.member(ordinal))
		disks = append(disks, disk{pod.Spec.NodeName, s.volumeOf(pod.Name)})
	}
	begin := time.Now()
	for _, d := range disks {
		s.must(theBed.PowerCut(s.Context(), d.node))
		s.Cleanup(func() { _ = theBed.PowerOn(contextWithoutCancel(s.T), d.node) }) // if the test ends in between
	}
	for _, d := range disks {
		s.must(theBed.WipeVolume(s.Context(), d.node, d.volume))
	}
	for _, d := range disks {
		s.must(theBed.PowerOn(s.Context(), d.node))
	}
	s.await("the loss noticed", 2*time.Minute, func(c *v1alpha1.RobustMQCluster) bool { return !live.IsReady(c) })
	s.members(int32(3), within)
	figures.add(what+", from the power cut to Ready", "%.1f s", time.Since(begin).Seconds())
	s.sameKeys(what)
	after, err := s.census(s.Context(), s.member(0))
	s.must(err)
	for family, had := range before.Families {
		if has := after.Families[family]; has.Keys < had.Keys {
			s.Errorf("%s: %d keys of %s before, %d after", what, had.Keys, family, has.Keys)
		}
	}
	var told []string
	for _, e := range s.events() {
		if !e.At.Before(begin) {
			told = append(told, e.Reason)
		}
	}
	s.Logf("%s: %s", what, strings.Join(told, ", "))
}
