package simulated

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// terms are the terms of each group, as member 0's server says.
func terms(t *testing.T, w *world.World, pod string) map[string]uint64 {
	t.Helper()
	status, err := w.Raft(pod)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]uint64{}
	for name, group := range status {
		all[name] = group.Term
	}
	return all
}

func TestALeaderThatCrashesAndIsStartedAgainInPlaceKeepsItsTerm(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 2, ""))
	before := terms(t, w, c.Status.Leader)
	start := time.Now()
	if !w.CrashServer(c.Status.Leader) {
		t.Fatal("no server ran")
	}
	w.Await("the leader to be down", func() (bool, string) { _, err := w.Raft(c.Status.Leader); return err != nil, "it answers" })
	w.Await("the same leader", func() (bool, string) { return w.OneRaft(c) })
	took := time.Duration(float64(time.Since(start)) * w.Speed)
	t.Logf("back after %v of real life", took.Round(time.Second))
	after := terms(t, w, c.Status.Leader)
	for _, group := range robustmq.Groups {
		if before[group] != after[group] {
			t.Errorf("group %s: term %d, then %d", group, before[group], after[group])
		}
	}
	formed(t, w)
}

func TestADeletedPodOfABrokerComesBackIntoService(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	form(t, w, manifest(newest, 3, 2, ""))
	first := pod(t, w, "c-mqtt-broker-1")
	if err := w.Client.Delete(w.Context(), first); err != nil {
		t.Fatal(err)
	}
	w.Await("another pod", func() (bool, string) {
		p := pod(t, w, "c-mqtt-broker-1")
		return p != nil && p.UID != first.UID, "the old one"
	})
	formed(t, w)
}

// cutMemberZero takes the power from member 0's machine for three minutes of real life and reports every registry that the survivors showed.
func cutMemberZero(t *testing.T, w *world.World, c *v1alpha1.RobustMQCluster) (least []uint64) {
	t.Helper()
	node := w.Kubelet.NodeOf("c-placement-center-0")
	for _, p := range w.AllPods(c) {
		if p != "c-placement-center-0" && w.Kubelet.NodeOf(p) == node {
			t.Fatalf("%s shares the machine of member 0: the test wants one dead pod", p)
		}
	}
	least = w.NodeIDs(c)
	w.Kubelet.PowerCut(node)
	over := time.Now().Add(w.Scaled(3 * time.Minute))
	w.Await("three minutes", func() (bool, string) {
		for _, p := range []string{"c-placement-center-1", "c-placement-center-2"} {
			if ids, err := w.Registry(p); err == nil && len(ids) < len(least) {
				least = ids
			}
		}
		return time.Now().After(over), ""
	})
	w.Kubelet.PowerOn(node)
	return least
}

func TestAfterAPowerCutOfMemberZeroOnlyTheDeadNodeLeavesTheRegistryAndAllSettles(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{Nodes: 6})
	c := form(t, w, manifest(newest, 3, 2, ""))
	least := cutMemberZero(t, w, c)
	want := slices.DeleteFunc(w.NodeIDs(c), func(id uint64) bool { return id == 1 })
	if !slices.Equal(least, want) {
		t.Errorf("the registry fell to %v, want %v", least, want)
	}
	formed(t, w)
}

// The same without the heartbeat relay: a red demonstration of what it is for (RobustMQ sends its heartbeats one after another, and the dead address comes first).
func TestWithoutTheRelayAPowerCutOfMemberZeroEmptiesTheRegistry(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{Nodes: 6, RelayOff: true})
	c := form(t, w, manifest(newest, 3, 2, ""))
	least := cutMemberZero(t, w, c)
	if want := slices.DeleteFunc(w.NodeIDs(c), func(id uint64) bool { return id == 1 }); len(least) >= len(want) {
		t.Errorf("the registry fell to %v only: either the relay runs, or the simulator no longer shows what a real server does", least)
	}
}

func TestAFullOutageOfAllPodsEndsByItself(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 2, ""))
	for _, node := range w.Kubelet.Nodes() {
		w.Kubelet.PowerCut(node)
	}
	w.Await("all pods not ready", func() (bool, string) {
		for _, name := range w.AllPods(c) {
			if isReady(pod(t, w, name)) {
				return false, name
			}
		}
		return true, ""
	})
	for _, node := range w.Kubelet.Nodes() {
		w.Kubelet.PowerOn(node)
	}
	formed(t, w)
	if founders := w.Founders(); len(founders) != 1 {
		t.Errorf("servers that founded a cluster: %v, want one", fmt.Sprint(founders))
	}
}
