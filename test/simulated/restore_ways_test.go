package simulated

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/test/simulated/network"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// These are the ways in which a restore of RobustMQ 0.4.11 by hand was seen to fail, each with what keeps the operator from going it. Another one, members with new node ids, is refused
// (TestARestoreThatCannotBeGoodIsRefusedBeforeAnythingIsStopped).

// One member restored while the others are empty: those that start end, or found a cluster that is voted in without its data.
// A member that cannot be reached keeps all from being started, whichever it is, also after a total loss.
func TestTheWayThatFailsByStartingOneRestoredMemberBesideEmptyOnesIsClosed(t *testing.T) {
	t.Parallel()
	for i, away := range []string{"c-placement-center-2", memberZero} { // the voted member first, and another one first
		t.Run("without "+away, func(t *testing.T) {
			if i > 0 {
				long(t)
			}
			t.Parallel()
			held := &heldKind{}
			r := rescued(t, world.Options{HoldJob: held.wait})
			w := r.w
			held.set("restore")
			wipeAll(t, w)
			w.Await("the restore", func() (bool, string) { all := restoresOf(t, w); return len(all) == 1, w.Describe() })
			awaitRestore(t, w, "c-loss-1", v1alpha1.RestoreTransferring)
			starts := map[string]int{}
			members := w.Pods(w.Cluster("c"), v1alpha1.RolePlacementCenter)
			for _, pod := range members {
				starts[pod] = len(w.Starts(pod))
			}
			founders := len(w.Founders())
			w.Isolate(away, network.BlackHole)
			for _, p := range restorePods(t, w, "c-loss-1") {
				w.Network.Set(p, away, network.BlackHole)
			}
			held.set("")
			w.Stays(3*time.Minute, "no server", func() (bool, string) {
				for _, pod := range members {
					if n := len(w.Starts(pod)); n != starts[pod] {
						return false, fmt.Sprintf("%s was started", pod)
					}
				}
				return len(w.Founders()) == founders, fmt.Sprint(w.Founders())
			})
			w.Network.Heal()
			x := restoreOf(t, w, "c-loss-1")
			if x.Ended() { // it may have been given up: then nothing was done, and the loss still stands
				t.Fatalf("%s", sayRestore(x))
			}
			r.complete("c-loss-1")
		})
	}
}

// A member that is put back to what it had before the restore, a disk snapshot say: a follower that is so much behind gets a snapshot without its entries and answers as if it had all,
// and a leader resumes in its old term beside the others. Its volume is of an older generation: its server is not started, and the operator, which does not overwrite a voter's data, names it. Emptied
// by hand it is filled from the others.
func TestTheWayThatFailsByPuttingOneMemberBackToOlderDataIsClosed(t *testing.T) {
	t.Parallel()
	for i, victim := range []string{"c-placement-center-2", memberZero} { // a follower, and who leads
		t.Run(victim, func(t *testing.T) {
			if i > 0 {
				long(t)
			}
			t.Parallel()
			r := rescued(t, world.Options{})
			w := r.w
			w.Operator().Crash()
			stopServers(t, w)
			keep := t.TempDir()
			copyTree(t, w.VolumeDir(victim), keep)
			for _, pod := range w.Pods(w.Cluster("c"), v1alpha1.RolePlacementCenter) {
				w.Kubelet.Crash(pod) // what was stopped by hand starts again with its agent
			}
			w.StartOperator()
			formed(t, w)
			r.restore("undo", quick)
			r.complete("undo")

			w.Operator().Crash()
			agent := agents(t, w, w.Cluster("c"))
			must(agent(victim).Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop, Reason: "test"}))(t)
			starts := len(w.Starts(victim))
			w.Wipe(victim)
			copyTree(t, keep, w.VolumeDir(victim))
			w.Kubelet.Crash(victim)
			w.Await("its gate shut for its generation", func() (bool, string) {
				s, err := agent(victim).State(t.Context())
				return err == nil && s.Gate.Reason == protocol.GateOldGeneration, fmt.Sprintf("%+v %v", s.Gate, err)
			})
			w.Stays(30*time.Second, "no start", func() (bool, string) { n := len(w.Starts(victim)); return n == starts, fmt.Sprint(n) })
			w.StartOperator()
			w.AwaitCondition("c", v1alpha1.ConditionDegraded, "True", v1alpha1.ReasonOldGeneration, victim)
			if n := len(w.Starts(victim)); n != starts {
				t.Errorf("%s was started %d times", victim, n-starts)
			}
			w.Wipe(victim)
			w.Kubelet.Crash(victim)
			w.Await("other data", func() (bool, string) {
				m := w.Marker(victim)
				return m != nil && m.Generation == 2 && m.Origin == protocol.OriginSeeded && m.Placement == "", fmt.Sprintf("%+v\n%s", m, w.Describe())
			})
			r.has(r.saved)
			r.marked(2, "")
		})
	}
}

// A registry that is dropped leaves the lists of the nodes incomplete for good, and a vote that is not committed leaves the leaders apart after an election of 12 to 17 s.
// After a restore every node knows every other, and the voted member leads every group at once.
func TestTheWayThatFailsByDroppingTheRegistryOrAnUncommittedVoteIsClosed(t *testing.T) {
	t.Parallel()
	r := rescued(t, world.Options{})
	w := r.w
	c := w.Cluster("c")
	before := allTerms(t, w)
	r.restore("undo", quick)
	awaitRestore(t, w, "undo", v1alpha1.RestoreOpening)
	members := w.Pods(c, v1alpha1.RolePlacementCenter)
	var opened, led time.Time
	w.Await("one leader of every group", func() (bool, string) {
		running := 0
		for _, pod := range members {
			if m := w.Marker(pod); w.ServerOf(pod) != 0 && m != nil && m.Generation == 2 {
				running++
			}
		}
		if opened.IsZero() && running == len(members) {
			opened = time.Now()
		}
		ok, why := w.OneRaft(c)
		if ok && !opened.IsZero() {
			led = time.Now()
		}
		return !led.IsZero(), why
	})
	took := realLife(w, led.Sub(opened))
	t.Logf("one leader of every group %v of real life after the last server was started", took)
	status := must(w.Raft(members[0]))(t)
	for _, group := range robustmq.Groups {
		g := status[group]
		if g.Term != before[group]+1 || g.CurrentLeader != 1 {
			t.Errorf("group %s is led by %d in term %d; wanted member 0 in term %d, for which every member has its vote", group, g.CurrentLeader, g.Term, before[group]+1)
		}
		if ids := g.Voters(); !slices.Equal(ids, world.IDs(1, 3)) {
			t.Errorf("group %s has voters %v", group, ids)
		}
	}
	r.complete("undo")
}
