package simulated

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// some are a few of the numbers from 1 to n, evenly spread; with SIM_LONG all of them.
func some(n, few int) []int {
	if allStages() {
		few = n
	}
	few = min(few, n)
	var chosen []int
	for i := range few {
		chosen = append(chosen, 1+(2*i+1)*n/(2*few))
	}
	return slices.Compact(chosen)
}

// The operator is killed after writes to the API, and after orders to agents, that a restore consists of; another one takes over. One of the two is every act of it.
func TestAnOperatorKilledAfterAnyActOfARestoreLeavesItComplete(t *testing.T) {
	t.Parallel()
	r := rescued(t, world.Options{})
	w := r.w
	settle(t, w)
	writes, orders := len(w.Operator().Changes()), len(w.Operator().Orders())
	r.restore("recorded", quick)
	r.complete("recorded")
	made, given := w.Operator().Changes()[writes:], w.Operator().Orders()[orders:]
	t.Logf("a restore takes %d writes: %v", len(made), made)
	t.Logf("and %d orders: %v", len(given), given)
	one := func(name, what string, start func() *world.Operator) {
		r.change()
		settle(t, w)
		dying := start()
		r.restore(name, quick)
		w.Await("the operator's death, or a restore that has ended", func() (bool, string) {
			x := restoreOf(t, w, name)
			return dying.Dead() || x.Ended(), sayRestore(x)
		})
		t.Logf("%s: killed after %s: %v, %s", name, what, dying.Dead(), sayRestore(restoreOf(t, w, name)))
		w.StartOperator()
		r.complete(name)
	}
	for _, n := range some(len(made), 1) {
		one(fmt.Sprintf("write-%d", n), made[n-1].String(), func() *world.Operator { return w.StartOperatorUntil(n) })
	}
	for _, n := range some(len(given), 2) {
		one(fmt.Sprintf("order-%d", n), given[n-1].String(), func() *world.Operator { return w.StartOperatorUntilOrder(n) })
	}
}

// restorePods are the pods of a restore's Jobs that have not ended.
func restorePods(t *testing.T, w *world.World, name string) []string {
	t.Helper()
	var pods corev1.PodList
	if err := w.Client.List(w.Context(), &pods, client.InNamespace(w.Namespace), client.MatchingLabels{v1alpha1.LabelRestore: name}); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range pods.Items {
		if p.Status.Phase == corev1.PodPending || p.Status.Phase == corev1.PodRunning {
			names = append(names, p.Name)
		}
	}
	return names
}

// receiving holds a restore before its first byte, makes every line to a member slow, lets it go on, and returns when the members together have a part of what there is.
func (r *rescue) receiving(held *heldKind, name string, part float64) {
	r.Helper()
	held.set("restore")
	r.restore(name, quick)
	awaitRestore(r.T, r.w, name, v1alpha1.RestoreTransferring)
	r.w.Await("the Job to run", func() (bool, string) { p := restorePods(r.T, r.w, name); return len(p) > 0, fmt.Sprint(p) })
	if part == 0 {
		return
	}
	c := r.w.Cluster("c")
	members := r.w.Pods(c, v1alpha1.RolePlacementCenter)
	for _, pod := range members {
		r.w.Network.Slow(pod, 30*time.Millisecond)
	}
	held.set("")
	agent := agents(r.T, r.w, c)
	r.w.Await(fmt.Sprintf("%.0f %% of the bytes", 100*part), func() (bool, string) {
		received, total := int64(0), int64(0)
		for _, pod := range members {
			s, err := agent(pod).State(r.Context())
			if err != nil || s.Images.Placement == nil {
				continue
			}
			received, total = received+s.Images.Placement.Received, total+s.Images.Placement.Total
		}
		over := restoreOf(r.T, r.w, name).Status.Stage != v1alpha1.RestoreTransferring
		return over || total > 0 && float64(received) >= part*float64(total), fmt.Sprintf("%d of %d", received, total)
	})
}

// One cluster with more to receive than a few packets, and one restore after another of it.
func TestARestoreBearsWhatBefallsItsJobAndItsMembers(t *testing.T) {
	t.Parallel()
	held := &heldKind{}
	r := rescued(t, world.Options{HoldJob: held.wait}, func(r *rescue) { fillLog(r.T, r.w, r.w.Cluster("c")) })
	for _, step := range []struct {
		name string
		do   func(r *rescue, held *heldKind)
	}{
		{"it goes on where its Job was killed", goesOnAfterItsJob},
		{"it goes on when a member's agent is started again", goesOnAfterAnAgent},
		{"it keeps the pace of its slowest member", keepsThePace},
		{"servers start in any order, and one leads", startsInAnyOrder},
		{"a member whose agent says that it built something else ends it, and all have what they had", isLiedTo},
	} {
		if !t.Run(step.name, func(t *testing.T) {
			of := *r
			of.T = t
			step.do(&of, held)
			if !slices.Equal(of.users(), of.present) {
				of.change()
			}
			r.present = of.present
		}) {
			return // what follows builds upon it
		}
	}
}

func goesOnAfterItsJob(r *rescue, held *heldKind) {
	t, w := r.T, r.w
	for i, part := range []float64{0, 0.01, 0.5, 0.9, 1} {
		if !allStages() && i != 2 {
			continue
		}
		name := fmt.Sprintf("killed-%d", i)
		r.receiving(held, name, part)
		pods := restorePods(t, w, name)
		for _, p := range pods {
			w.Kubelet.Crash(p)
		}
		w.Network.Heal()
		held.set("")
		x := r.complete(name)
		t.Logf("%v killed at %.0f %%: %s", pods, 100*part, sayRestore(x))
		if allStages() {
			r.change()
		}
	}
}

func goesOnAfterAnAgent(r *rescue, held *heldKind) {
	w := r.w
	for i, s := range stations(held) {
		if !s.stopped || s.stage == v1alpha1.RestoreStarting || !allStages() && i != 6 { // everything in place
			continue
		}
		name := fmt.Sprintf("agent-%d", i)
		s.hold(r, name)
		r.restore(name, quick)
		inStage(r, name, s.stage)
		w.Kubelet.Crash("c-placement-center-1")
		s.release(r)
		r.complete(name)
	}
	if !allStages() {
		return
	}
	r.change()
	r.receiving(held, "half-way", 0.5)
	w.Kubelet.Crash("c-placement-center-1")
	w.Network.Heal()
	r.complete("half-way")
}

func keepsThePace(r *rescue, held *heldKind) {
	t, w := r.T, r.w
	const slow = "c-placement-center-1"
	held.set("restore")
	r.restore("slow", quick)
	awaitRestore(t, w, "slow", v1alpha1.RestoreTransferring)
	w.Network.Slow(slow, 100*time.Millisecond)
	held.set("")
	seen := map[string]bool{}
	w.Await("the members' progress, and the end of it", func() (bool, string) {
		x := restoreOf(t, w, "slow")
		seen[x.Status.Progress.Summary] = true
		return x.Status.Stage != v1alpha1.RestoreTransferring, sayRestore(x)
	})
	w.Network.Heal()
	r.complete("slow")
	delete(seen, "")
	if len(seen) < 2 {
		t.Errorf("progress was told as %v", seen)
	}
}

func isLiedTo(r *rescue, _ *heldKind) {
	t, w := r.T, r.w
	before := w.Cluster("c").Status.Generation
	const liar = "c-placement-center-2"
	w.Amend(func(pod string, s *protocol.State) {
		if p := s.Images.Placement; pod == liar && p != nil && p.SHA256 != "" {
			lie := *p
			lie.SHA256 = strings.Repeat("0123456789abcdef", 4)
			s.Images.Placement = &lie
		}
	})
	r.restore("lied-to", quick)
	x := awaitRestore(t, w, "lied-to", v1alpha1.RestoreFailed, v1alpha1.RestoreAborted)
	c := meta.FindStatusCondition(x.Status.Conditions, v1alpha1.ConditionComplete)
	if c == nil || c.Reason != v1alpha1.ReasonMembersDisagree || !strings.Contains(c.Message, liar) {
		t.Errorf("%s; want %s, and %s named", sayRestore(x), v1alpha1.ReasonMembersDisagree, liar)
	}
	w.Amend(nil)
	r.untouched(before)
}

// The servers are told to start together. Whatever order and distance comes of it, and whatever order is lost, one member leads every group in the end, with everything.
func startsInAnyOrder(r *rescue, _ *heldKind) {
	t, w := r.T, r.w
	seeds := 1
	if allStages() {
		seeds = 12
	}
	for seed := range seeds {
		l := &lateness{begun: map[world.Call]time.Time{}, late: map[world.Call]time.Duration{}, refusals: map[world.Call]int{}}
		luck := rand.New(rand.NewPCG(uint64(seed), 0x6f70656e)) //nolint:gosec // a seed that is printed
		for _, pod := range w.Pods(w.Cluster("c"), v1alpha1.RolePlacementCenter) {
			for _, name := range []string{"OpenPlacement", "Start"} {
				c := world.Call{Pod: pod, Name: name}
				l.late[c], l.refusals[c] = w.Scaled(time.Duration(luck.Int64N(int64(12*time.Second)))), luck.IntN(3)
			}
		}
		t.Logf("seed %d: late by %v, refused %v times before", seed, l.late, l.refusals)
		w.Interfere(l.wait)
		name := fmt.Sprintf("seed-%d", seed)
		r.restore(name, quick)
		r.complete(name)
		w.Interfere(nil)
		if seed < seeds-1 {
			r.change()
		}
	}
}

// lateness lets calls through only so long after they were made first, and refuses each some times before.
type lateness struct {
	mu       sync.Mutex
	begun    map[world.Call]time.Time
	late     map[world.Call]time.Duration
	refusals map[world.Call]int
}

// wait is for World.Interfere.
func (l *lateness) wait(ctx context.Context, c world.Call) error {
	l.mu.Lock()
	if l.begun[c].IsZero() {
		l.begun[c] = time.Now()
	}
	left, refused := time.Until(l.begun[c].Add(l.late[c])), l.refusals[c] > 0
	if refused {
		l.refusals[c]--
	}
	l.mu.Unlock()
	if refused {
		return errInterfered
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
