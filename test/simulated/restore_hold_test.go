package simulated

import (
	"context"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// holdAt keeps the first Job of a kind from going on, once it has begun, until goOn is closed.
func holdAt(kind job.Kind, reached chan<- struct{}, goOn <-chan struct{}) func(context.Context, string, job.Kind) {
	first := make(chan struct{}, 1)
	first <- struct{}{}
	return func(ctx context.Context, _ string, its job.Kind) {
		if its != kind {
			return
		}
		select {
		case <-first:
			close(reached)
		default:
		}
		select {
		case <-goOn:
		case <-ctx.Done():
		}
	}
}

// heldKind keeps Jobs of one kind from going on for as long as it is set.
type heldKind struct {
	mu   sync.Mutex
	kind job.Kind
}

func (h *heldKind) set(kind job.Kind) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kind = kind
}

func (h *heldKind) is(kind job.Kind) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.kind == kind
}

// wait is world.Options.HoldJob.
func (h *heldKind) wait(ctx context.Context, _ string, kind job.Kind) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for h.is(kind) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// allStages: with SIM_LONG everything that a test does again in each of many stages is done in all of them, else in a few.
func allStages() bool { return os.Getenv("SIM_LONG") != "" }

// within waits until a channel is closed.
func within(t *testing.T, w *world.World, reached <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-reached:
	case <-time.After(world.Patience):
		t.Fatalf("waited %v for %s\n%s", world.Patience, what, w.Describe())
	}
}

// stopServers stops every server of the placement centre, as a person would through its agent; it stays so as long as the agent lives.
func stopServers(t *testing.T, w *world.World) {
	t.Helper()
	c := w.Cluster("c")
	agent := agents(t, w, c)
	for _, pod := range w.Pods(c, v1alpha1.RolePlacementCenter) {
		must(agent(pod).Server(t.Context(), protocol.ServerOrder{Action: protocol.ServerStop, Reason: "test"}))(t)
	}
}

// copyTree copies a folder's content into another one.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func failedFor(x *v1alpha1.RobustMQRestore, reasons ...string) bool {
	c := meta.FindStatusCondition(x.Status.Conditions, v1alpha1.ConditionComplete)
	return x.Status.Stage == v1alpha1.RestoreFailed && c != nil && slices.Contains(reasons, c.Reason)
}
