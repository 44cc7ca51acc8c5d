package simulated

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/simulated/network"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// lose has the pods' volumes emptied under stopped servers, while no operator runs.
func lose(t *testing.T, w *world.World, c *v1alpha1.RobustMQCluster, pods ...string) {
	t.Helper()
	w.Operator().Crash()
	agent := agents(t, w, c)
	for _, pod := range pods {
		must(agent(pod).Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop, Reason: "test"}))(t)
		state := must(agent(pod).State(t.Context()))(t)
		must(agent(pod).Wipe(t.Context(), protocol.WipeOrder{Marker: *state.Volume.Marker, Reason: "test"}))(t)
	}
}

// seededWhole waits until the cluster is whole, and checks that nobody got a snapshot without its entries, and that nothing of a seed is left.
func seededWhole(t *testing.T, w *world.World, pods ...string) *v1alpha1.RobustMQCluster {
	t.Helper()
	c := formed(t, w)
	agent := agents(t, w, c)
	for _, pod := range pods {
		w.Await("the seed of "+pod+" to be over", func() (bool, string) {
			s, err := agent(pod).State(t.Context())
			return err == nil && s.Images.Seed == nil && s.Images.Placement == nil, fmt.Sprintf("%+v %v", s.Images, err)
		})
		if m := w.Marker(pod); m.Origin != protocol.OriginSeeded || m.Placement != "" {
			t.Errorf("%s: %+v", pod, m)
		}
	}
	for name, text := range w.Logs() {
		if strings.Contains(text, "recovered 0 entries") {
			t.Errorf("%s: a snapshot was installed, which loses data", name)
		}
	}
	if keys := sameKeys(t, w, c)[image.FamilyMetadata].Keys; keys < usersOfARound {
		t.Errorf("%d keys of metadata, at least the %d users were written", keys, usersOfARound)
	}
	if founders := w.Founders(); !slices.Equal(founders, []string{"c-placement-center-0"}) {
		t.Errorf("servers that founded a cluster: %v, want member 0 once", founders)
	}
	return c
}

func TestAVoterThatLostItsVolumeIsSeededAndHoldsEveryKey(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 1, ""))
	fillLog(t, w, c)
	const lost = "c-placement-center-2"
	lose(t, w, c, lost)
	w.StartOperator()
	seededWhole(t, w, lost)
	w.Await("the events", func() (bool, string) {
		begun, whole := events(w, v1alpha1.ReasonSeeding, lost+":"), events(w, v1alpha1.ReasonSeeded, lost+":")
		return len(begun) == 1 && begun[0].Type == corev1.EventTypeWarning && len(whole) == 1, fmt.Sprint(begun, whole)
	})
}

// Seed 91086 of test/planner: between the order of a seed and its opening another voter goes, and the member that was seeded is the one that is missing to a quorum.
func TestAVoterIsStartedOnItsSeedAlthoughTheQuorumWentMeanwhile(t *testing.T) {
	long(t)
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 1, ""))
	fillLog(t, w, c)
	const lost = "c-placement-center-2"
	agent := agents(t, w, c)
	lose(t, w, c, lost)
	early := errors.New("not before the quorum is lost")
	w.Interfere(func(_ context.Context, call world.Call) error {
		if call.Name == "OpenPlacement" {
			return early
		}
		return nil
	})
	w.StartOperator()
	w.Await("the image to be in place", func() (bool, string) {
		s, err := agent(lost).State(t.Context())
		return err == nil && s.Images.Seed != nil && s.Images.Seed.Phase == protocol.SeedPlaced, fmt.Sprintf("%+v %v", s.Images.Seed, err)
	})
	// The other follower is cut off, for the operator as well: of three voters one is left.
	i := slices.IndexFunc(w.Pods(c, v1alpha1.RolePlacementCenter), func(pod string) bool { return pod != lost && pod != c.Status.Leader })
	away := w.Pods(c, v1alpha1.RolePlacementCenter)[i]
	w.Isolate(away, network.BlackHole)
	w.AwaitCondition("c", v1alpha1.ConditionQuorumHealthy, "False", "", "has no leader with a quorum")
	w.Interfere(nil)
	w.Await("a leader with the member that was seeded", func() (bool, string) {
		for _, pod := range []string{lost, c.Status.Leader} {
			if status, err := w.Raft(pod); err == nil && status[robustmq.GroupMetadata].LeadsWithQuorum() {
				return true, ""
			}
		}
		return false, w.Describe()
	})
	if released := events(w, v1alpha1.ReasonServerReleased, lost+":"); !slices.ContainsFunc(released, func(e world.Event) bool { return strings.Contains(e.Message, "nobody leads") }) {
		t.Errorf("%v", released)
	}
	w.Isolate(away, network.Sound)
	seededWhole(t, w, lost)
}

func TestTwoOfFiveVotersThatLostTheirVolumesAreSeededOneAfterTheOther(t *testing.T) {
	long(t)
	t.Parallel()
	w := env.New(t, world.Options{Nodes: 5})
	c := form(t, w, manifest(newest, 5, 1, ""))
	fillLog(t, w, c)
	lost := []string{"c-placement-center-1", "c-placement-center-4"}
	lose(t, w, c, lost...)
	w.StartOperator()
	seededWhole(t, w, lost...)
}

func TestADonorThatCannotBeReachedAnyMoreIsReplacedByAnother(t *testing.T) {
	long(t)
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 1, ""))
	fillLog(t, w, c)
	const donor, lost = "c-placement-center-1", "c-placement-center-2"
	lose(t, w, c, lost)
	// The follower is the donor that is taken first, and these two do not reach one another.
	w.Network.Set(donor, lost, network.BlackHole)
	w.StartOperator()
	w.Await("the first seed to fail", func() (bool, string) {
		failed := events(w, v1alpha1.ReasonSeedFailed, lost+":")
		return len(failed) == 1 && strings.Contains(failed[0].Message, "DonorLost"), fmt.Sprint(failed)
	})
	w.Await("the voter to be whole", func() (bool, string) {
		whole := events(w, v1alpha1.ReasonSeeded, lost+":")
		return len(whole) == 1, w.Describe()
	})
	w.Network.Heal()
	seededWhole(t, w, lost)
	begun := events(w, v1alpha1.ReasonSeeding, lost+":")
	if len(begun) != 2 || !strings.Contains(begun[0].Message, donor) || strings.Contains(begun[1].Message, donor) {
		t.Errorf("%v", begun)
	}
}

func TestASeedIsFoundAgainWhoeverOfTheThreeIsKilledMeanwhile(t *testing.T) {
	long(t)
	t.Parallel()
	const donor, lost = "c-placement-center-1", "c-placement-center-2"
	for _, phase := range []protocol.SeedPhase{protocol.SeedImaging, protocol.SeedReceiving, protocol.SeedPlaced} {
		t.Run("in phase "+string(phase), func(t *testing.T) {
			t.Parallel()
			w := env.New(t, world.Options{})
			c := form(t, w, manifest(newest, 3, 1, ""))
			fillLog(t, w, c)
			agent := agents(t, w, c)
			lose(t, w, c, lost)
			w.StartOperator()
			// It may be faster than it can be looked at: then it is killed in a later phase, which is as good.
			w.Await("a seed", func() (bool, string) {
				s, err := agent(lost).State(t.Context())
				later := map[protocol.SeedPhase]int{protocol.SeedImaging: 1, protocol.SeedReceiving: 2, protocol.SeedPlacing: 3, protocol.SeedPlaced: 4}
				return err == nil && s.Images.Seed != nil && later[s.Images.Seed.Phase] >= later[phase], fmt.Sprintf("%+v %v", s.Images.Seed, err)
			})
			w.Operator().Crash()
			w.Kubelet.Crash(lost)
			w.Kubelet.Crash(donor)
			w.StartOperator()
			seededWhole(t, w, lost)
		})
	}
}

func TestAnOperatorKilledAfterAnyWriteOfASeedLeavesTheVoterWhole(t *testing.T) {
	long(t)
	t.Parallel()
	const lost = "c-placement-center-2"
	for n := 1; n <= 6; n++ {
		t.Run(fmt.Sprint("after write ", n), func(t *testing.T) {
			t.Parallel()
			w := env.New(t, world.Options{Seed: uint64(n)}) //nolint:gosec // small
			c := form(t, w, manifest(newest, 3, 1, ""))
			fillLog(t, w, c)
			lose(t, w, c, lost)
			first := w.StartOperatorUntil(n)
			w.Await("the operator's death, or a whole cluster", func() (bool, string) {
				return first.Dead() || w.IsReady("c"), fmt.Sprintf("%d of %d writes", len(first.Changes()), n)
			})
			w.StartOperator()
			seededWhole(t, w, lost)
		})
	}
}

func TestNewcomersAreSeededOnceTheLogWasPurged(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{Nodes: 5})
	c := form(t, w, manifest(newest, 3, 1, ""))
	fillLog(t, w, c)
	w.Apply(manifest(newest, 5, 1, ""))
	news := []string{"c-placement-center-3", "c-placement-center-4"}
	w.Await("five members", func() (bool, string) {
		for _, pod := range news {
			if len(events(w, v1alpha1.ReasonSeeded, pod+":")) == 0 {
				return false, w.Describe()
			}
		}
		return true, ""
	})
	seededWhole(t, w, news...)
	for _, pod := range news {
		if begun := events(w, v1alpha1.ReasonSeeding, pod+":"); len(begun) != 1 || begun[0].Type != corev1.EventTypeNormal {
			t.Errorf("%s: %v", pod, begun)
		}
	}
}

func TestAVoterWhoseDataIsGoneFromUnderItsMarkerIsSeeded(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	text := manifest(newest, 3, 1, "")
	c := form(t, w, text)
	fillLog(t, w, c)
	remove(t, w, c)
	const lost = "c-placement-center-1"
	if err := os.RemoveAll(filepath.Join(w.VolumeDir(lost), "data")); err != nil {
		t.Fatal(err)
	}
	w.Apply(text)
	w.Await("the voter to be whole", func() (bool, string) { return len(events(w, v1alpha1.ReasonSeeded, lost+":")) == 1, w.Describe() })
	seededWhole(t, w, lost)
}
