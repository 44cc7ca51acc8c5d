package simulated

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/topology"
	"github.com/robustmq/robustmq-operator/test/simulated/network"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// transferSpeed: the steps of a transfer are work, which two busy cores do no faster by being told to.
const transferSpeed = 2

// writePace is between two writes. A member that is away while 1000 entries are written comes back with a hole, which is another test's subject.
const writePace = 50 * time.Millisecond

// writer creates users, one after another, each until it is acknowledged.
type writer struct {
	w      *world.World
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	acked uint64
	last  time.Time
	gap   time.Duration // the longest since the last look, in wall-clock time
}

// write starts a writer at a broker, whose server no transfer touches.
func write(t *testing.T, w *world.World, c *v1alpha1.RobustMQCluster) *writer {
	t.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	x := &writer{w: w, cancel: cancel, done: make(chan struct{}), last: time.Now()}
	agent := agents(t, w, c)("c-mqtt-broker-0")
	go func() {
		defer close(x.done)
		pace := time.NewTicker(writePace)
		defer pace.Stop()
		for n := 0; ctx.Err() == nil; <-pace.C {
			call, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second) // the last write is seen through, so that the keys can be counted
			err := createUser(call, agent, fmt.Sprintf("written-%d", n))
			stop()
			if err != nil {
				continue
			}
			n++
			x.mu.Lock()
			x.acked, x.gap, x.last = x.acked+1, max(x.gap, time.Since(x.last)), time.Now()
			x.mu.Unlock()
		}
	}()
	t.Cleanup(func() { cancel(); <-x.done })
	return x
}

// longest is the longest time without an acknowledged write since the last look, in real life.
func (x *writer) longest() time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	gap := max(x.gap, time.Since(x.last))
	x.gap = 0
	return time.Duration(float64(gap) * x.w.Speed)
}

// goesOn waits until one more write is acknowledged.
func (x *writer) goesOn() {
	count := func() uint64 {
		x.mu.Lock()
		defer x.mu.Unlock()
		return x.acked
	}
	before := count()
	x.w.Await("the writer to go on", func() (bool, string) { return count() > before, "nothing is acknowledged" })
}

// stop ends the writer and says how many writes were acknowledged.
func (x *writer) stop() uint64 {
	x.cancel()
	<-x.done
	return x.acked
}

// leadOn tells the operator who shall lead.
func leadOn(w *world.World, pod string) {
	w.Await("the annotation", func() (bool, string) {
		c := w.Cluster("c")
		before := c.DeepCopy()
		if c.Annotations == nil {
			c.Annotations = map[string]string{}
		}
		c.Annotations[v1alpha1.AnnotationLeadOn] = pod
		err := w.Client.Patch(w.Context(), c, client.MergeFrom(before))
		return err == nil, fmt.Sprint(err)
	})
}

// leads reports whether a pod leads every group, all follow it, and nobody is in a transfer any more.
func leads(w *world.World, name string) (bool, string) {
	c := w.Cluster("c")
	if ok, why := w.OneRaft(c); !ok {
		return false, why
	}
	status, err := w.Raft(name)
	if err != nil {
		return false, err.Error()
	}
	for group, g := range status {
		if !g.LeadsWithQuorum() {
			return false, fmt.Sprintf("%s: %s is led by %d", name, group, g.CurrentLeader)
		}
	}
	for _, p := range w.Pods(c, v1alpha1.RolePlacementCenter) {
		if r := record(w, p); r != nil && r.Phase != protocol.TransferEnded {
			return false, fmt.Sprintf("%s: %+v", p, r)
		}
	}
	return true, ""
}

// record is a member's record of a transfer; nil when there is none.
func record(w *world.World, pod string) *protocol.Transfer {
	text, err := os.ReadFile(filepath.Join(w.VolumeDir(pod), protocol.TransferFile))
	if err != nil {
		return nil
	}
	var r protocol.Transfer
	if json.Unmarshal(text, &r) != nil {
		return nil
	}
	return &r
}

// keysBefore is how many keys of metadata each member holds while nobody writes.
func keysBefore(t *testing.T, w *world.World, c *v1alpha1.RobustMQCluster) uint64 {
	t.Helper()
	return sameKeys(t, w, c)[image.FamilyMetadata].Keys
}

// nodeKeys are the keys of a node's registration: its record and its epoch.
const nodeKeys = 2

// nothingLost checks that every member holds the same keys, and as many more than before as writes were acknowledged; the one that was under way at the end may be there as well.
func nothingLost(t *testing.T, w *world.World, before, acked uint64) {
	t.Helper()
	c := formed(t, w)
	if got := sameKeys(t, w, c)[image.FamilyMetadata].Keys - before; got < acked || got > acked+1 {
		t.Errorf("%d writes were acknowledged, and the members hold %d keys more than before", acked, got)
	}
	t.Logf("%d acknowledged writes, all of them in each member", acked)
}

func TestLeadershipMovesWhereTheUserSaysWhileClientsWriteAndNothingIsLost(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 1, ""))
	before := keysBefore(t, w, c)
	x := write(t, w, c)
	x.goesOn()
	leadOn(w, "c-placement-center-1")
	w.Await("the new leader", func() (bool, string) { return leads(w, "c-placement-center-1") })
	x.goesOn()
	t.Logf("longest time without an acknowledged write, in real life: %.1f s", x.longest().Seconds())
	acked := x.stop()
	w.Await("the event", func() (bool, string) {
		moved := events(w, v1alpha1.ReasonLeadershipMoved)
		return len(moved) == 1 && strings.HasPrefix(moved[0].Message, "c-placement-center-1: "), fmt.Sprint(moved)
	})
	nothingLost(t, w, before, acked)
}

func TestLeadershipMovesTenTimesUnderWritesAndNothingIsLost(t *testing.T) {
	long(t)
	t.Parallel()
	w := env.New(t, world.Options{Speed: transferSpeed})
	c := form(t, w, manifest(newest, 3, 1, ""))
	settle(t, w)
	before := keysBefore(t, w, c)
	x := write(t, w, c)
	var table strings.Builder
	for i := range 10 {
		pod := fmt.Sprintf("c-placement-center-%d", (i+1)%3)
		x.goesOn()
		x.longest()
		leadOn(w, pod)
		w.Await(pod+" to lead", func() (bool, string) { return leads(w, pod) })
		x.goesOn()
		fmt.Fprintf(&table, "%2d  to %s  longest time without an acknowledged write %5.2f s\n", i+1, pod, x.longest().Seconds())
	}
	t.Logf("in real life:\n%s", table.String())
	if failed := events(w, v1alpha1.ReasonStepFailed); len(failed) > 0 {
		t.Logf("tries that were put back: %v", failed)
	}
	nothingLost(t, w, before, x.stop())
}

// phases of a transfer in the order of a member's record.
var phases = []protocol.TransferPhase{protocol.TransferReserved, protocol.TransferPrepared, protocol.TransferCommitted, protocol.TransferEnded}

// when waits, closely, until a member's record has come to a phase.
func when(t *testing.T, w *world.World, pod string, phase protocol.TransferPhase) {
	t.Helper()
	deadline := time.Now().Add(world.Patience)
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for time.Now().Before(deadline) {
		if r := record(w, pod); r != nil && slices.Index(phases, r.Phase) >= slices.Index(phases, phase) {
			t.Logf("struck while %s was %s", pod, r.Phase)
			return
		}
		<-ticker.C
	}
	t.Fatalf("%s never was %s: %+v", pod, phase, record(w, pod))
}

func TestAnOperatorOrAMemberKilledAtAnyPointOfATransferLosesNothing(t *testing.T) {
	long(t)
	t.Parallel()
	const leader, target = "c-placement-center-0", "c-placement-center-1"
	for _, c := range []struct {
		name  string
		pod   string // whose record is watched
		phase protocol.TransferPhase
		kill  string // the pod; empty: the operator
	}{
		{"the operator when the target is reserved", target, protocol.TransferReserved, ""},
		{"the operator when the leader is stopped", leader, protocol.TransferPrepared, ""},
		{"the operator when the target is stopped", target, protocol.TransferPrepared, ""},
		{"the operator when the target has its votes", target, protocol.TransferCommitted, ""},
		{"the target when it is reserved", target, protocol.TransferReserved, target},
		{"the target when it is stopped", target, protocol.TransferPrepared, target},
		{"the target when it has its votes", target, protocol.TransferCommitted, target},
		{"the leader while it is held", leader, protocol.TransferPrepared, leader},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := env.New(t, world.Options{Speed: transferSpeed})
			cluster := form(t, w, manifest(newest, 3, 1, ""))
			settle(t, w)
			before := keysBefore(t, w, cluster)
			x := write(t, w, cluster)
			x.goesOn()
			leadOn(w, target)
			when(t, w, c.pod, c.phase)
			if c.kill == "" {
				w.Operator().Crash()
				w.StartOperator()
			} else {
				w.Kubelet.Crash(c.kill)
			}
			w.Await("the wanted leader in the end", func() (bool, string) { return leads(w, target) })
			x.goesOn()
			t.Logf("longest time without an acknowledged write, in real life: %.1f s", x.longest().Seconds())
			nothingLost(t, w, before, x.stop())
		})
	}
}

// moveGroup moves the leadership of one group as an operator would, and of no other.
func moveGroup(t *testing.T, w *world.World, c *v1alpha1.RobustMQCluster, group, from, to string) {
	t.Helper()
	agent := agents(t, w, c)
	// A server that is still starting takes long to end: the operator's own rule.
	w.Await("both to have run for a while", func() (bool, string) {
		for _, pod := range []string{from, to} {
			s, err := agent(pod).State(t.Context())
			if err != nil || s.Server.Started == nil || time.Since(*s.Server.Started) <= w.Scaled(topology.DefaultLimits().StartSettle) {
				return false, fmt.Sprintf("%s: %+v %v", pod, s.Server, err)
			}
		}
		return true, ""
	})
	state := must(agent(to).State(t.Context()))(t)
	order := func(pod string, action protocol.TransferAction) {
		t.Helper()
		must(agent(pod).Transfer(t.Context(), protocol.TransferOrder{
			ID: "test-" + group, Action: action, Target: state.NodeID, Terms: map[string]uint64{group: state.Raft[group].Term + 1},
		}))(t)
	}
	order(to, protocol.TransferReserve)
	order(from, protocol.TransferPrepare)
	order(to, protocol.TransferPrepare)
	order(to, protocol.TransferCommit)
	if c.Spec.PlacementCenter.Replicas == 2 {
		order(from, protocol.TransferRelease) // the target leads only when the other follows
	}
	w.Await("the group's new leader", func() (bool, string) {
		status, err := w.Raft(to)
		return err == nil && status[group].LeadsWithQuorum(), fmt.Sprintf("%+v %v", status[group], err)
	})
	order(from, protocol.TransferRelease)
	w.Await("everybody in place", func() (bool, string) { return w.OneRaft(c) })
}

// broughtTogether has the operator make the placement centre one of so many members, and waits until one of them leads every group. Leadership has to have been moved for that.
func broughtTogether(t *testing.T, w *world.World, members int, x *writer) {
	t.Helper()
	w.Apply(manifest(newest, members, 1, ""))
	w.StartOperator()
	w.AwaitFor(2*world.Patience, fmt.Sprintf("%d members with one leader", members), func() (bool, string) {
		now := w.Cluster("c")
		if len(w.Pods(now, v1alpha1.RolePlacementCenter)) != members || now.Status.Leader == "" {
			return false, w.Describe()
		}
		return leads(w, now.Status.Leader)
	})
	moved := events(w, v1alpha1.ReasonLeadershipMoved)
	if len(moved) == 0 {
		t.Error("nobody's leadership was moved")
	}
	t.Logf("%v; longest time without an acknowledged write, in real life: %.1f s", moved, x.longest().Seconds())
}

func TestLeadersThatAreApartAreBroughtTogetherBeforeAMemberJoins(t *testing.T) {
	long(t)
	t.Parallel()
	w := env.New(t, world.Options{Speed: transferSpeed, Nodes: 5})
	c := form(t, w, manifest(newest, 3, 1, ""))
	settle(t, w)
	before := keysBefore(t, w, c)
	w.Operator().Crash()
	moveGroup(t, w, c, robustmq.GroupData, "c-placement-center-0", "c-placement-center-1")
	moveGroup(t, w, c, robustmq.GroupOffset, "c-placement-center-0", "c-placement-center-2")
	x := write(t, w, c)
	x.goesOn()
	broughtTogether(t, w, 5, x)
	nothingLost(t, w, before+2*nodeKeys, x.stop())
}

func TestTwoVotersThatAreLedApartAreBroughtTogetherForTheThird(t *testing.T) {
	long(t)
	t.Parallel()
	w := env.New(t, world.Options{Speed: transferSpeed, Nodes: 5})
	c := form(t, w, manifest(newest, 2, 1, "  unsafe: [AllowEvenPlacementCenter]\n"))
	settle(t, w)
	before := keysBefore(t, w, c)
	w.Operator().Crash()
	moveGroup(t, w, c, robustmq.GroupData, "c-placement-center-0", "c-placement-center-1")
	x := write(t, w, c)
	x.goesOn()
	broughtTogether(t, w, 3, x)
	nothingLost(t, w, before+nodeKeys, x.stop())
}

func TestATargetThatIsBehindIsNotMadeTheLeaderAndAllIsAsItWas(t *testing.T) {
	long(t)
	t.Parallel()
	const leader, target = "c-placement-center-0", "c-placement-center-1"
	w := env.New(t, world.Options{Speed: transferSpeed})
	c := form(t, w, manifest(newest, 3, 1, ""))
	settle(t, w)
	was := terms(t, w, leader)
	before := keysBefore(t, w, c)
	x := write(t, w, c)
	x.goesOn()
	x.longest()
	w.Network.Set(leader, target, network.BlackHole)
	leadOn(w, target)
	w.Await("a try that is put back", func() (bool, string) {
		return told(w, v1alpha1.ReasonStepFailed, "everything is as it was"), fmt.Sprint(events(w, v1alpha1.ReasonStepFailed))
	})
	w.Network.Set(leader, target, network.Sound)
	x.goesOn()
	gap := x.longest()
	t.Logf("%v; longest time without an acknowledged write, in real life: %.1f s", events(w, v1alpha1.ReasonStepFailed), gap.Seconds())
	// The third member was touched by nothing: it tells whether there was an election.
	if now := terms(t, w, "c-placement-center-2"); !maps.Equal(now, was) {
		t.Errorf("terms %v, then %v: a leader that is back within 10 s goes on in its term", was, now)
	}
	w.Await("a later try", func() (bool, string) { return leads(w, target) })
	nothingLost(t, w, before, x.stop())
}
