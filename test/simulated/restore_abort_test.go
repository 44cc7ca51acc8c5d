package simulated

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/test/simulated/network"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

var errInterfered = errors.New("the test does not let it through")

// A station is a stage in which a restore can be held for as long as a test wants.
type station struct {
	stage v1alpha1.RestoreStage
	// hold keeps the restore called name there; release takes that back, for the restore and for whatever comes after.
	hold    func(r *rescue, name string)
	release func(r *rescue)
	// stopped: the servers are stopped in it, and what they are started on afterwards must be what they had.
	stopped bool
}

// refuseCalls has some calls to agents fail, and no others.
func refuseCalls(w *world.World, names ...string) {
	w.Interfere(func(_ context.Context, c world.Call) error {
		if slices.Contains(names, c.Name) {
			return errInterfered
		}
		return nil
	})
}

// stations are all stages before the end, in their order. held has the kind of Job that is kept from going on.
func stations(held *heldKind) []station {
	free := func(r *rescue) {
		held.set("")
		r.w.Interfere(nil)
		r.w.Network.Heal()
		r.w.Poison(nil)
		r.bucket.Faults.Choose(nil)
		r.bucket.Age(time.Hour) // the lock of a backup that was given up is void
	}
	holding := func(kind job.Kind) func(*rescue, string) {
		return func(*rescue, string) { held.set(kind) }
	}
	return []station{
		{stage: v1alpha1.RestoreWaiting, release: free, hold: func(r *rescue, name string) { // another operation is under way
			reached := hung(r.bucket, http.MethodPut, "/files.tar.zst")
			back(r.T, r.w, "before-"+name)
			within(r.T, r.w, reached, "a backup to upload")
		}},
		{stage: v1alpha1.RestoreValidating, release: free, hold: holding("inspect")},
		{stage: v1alpha1.RestoreSaving, release: free, hold: func(r *rescue, _ string) { hung(r.bucket, http.MethodPut, "/files.tar.zst") }},
		{stage: v1alpha1.RestoreStopping, release: free, stopped: true, hold: func(r *rescue, _ string) {
			r.w.Interfere(func(_ context.Context, c world.Call) error {
				if c.Name == "Stop" && c.Pod == "c-placement-center-1" {
					return errInterfered
				}
				return nil
			})
		}},
		{stage: v1alpha1.RestoreTransferring, release: free, stopped: true, hold: holding("restore")},
		{stage: v1alpha1.RestoreOpening, release: free, stopped: true, hold: func(r *rescue, _ string) { refuseCalls(r.w, "Place") }},
		{stage: v1alpha1.RestoreOpening, release: free, stopped: true, hold: func(r *rescue, _ string) { refuseCalls(r.w, "OpenPlacement") }},
		{stage: v1alpha1.RestoreVerifying, release: free, stopped: true, hold: func(r *rescue, _ string) { refuseCalls(r.w, "Census") }},
		{stage: v1alpha1.RestoreStarting, release: free, stopped: true, hold: func(r *rescue, _ string) {
			r.w.Poison(func(pod, _, _ string) bool { return slices.Contains([]string{broker(0), broker(1)}, pod) })
		}},
	}
}

// inStage waits until a restore is in a stage and stays in it for a while.
func inStage(r *rescue, name string, stage v1alpha1.RestoreStage) {
	r.Helper()
	awaitRestore(r.T, r.w, name, stage)
	r.w.Stays(10*time.Second, string(stage), func() (bool, string) {
		x := restoreOf(r.T, r.w, name)
		return x.Status.Stage == stage, sayRestore(x)
	})
}

func TestARestoreThatIsTakenBackInAnyStageLeavesTheClusterAsItWas(t *testing.T) {
	t.Parallel()
	held := &heldKind{}
	r := rescued(t, world.Options{HoldJob: held.wait})
	w := r.w
	for i, s := range stations(held) {
		if !allStages() && i != 3 && i != 7 { // Stopping, and Verifying
			continue
		}
		name := fmt.Sprintf("abort-%d", i)
		s.hold(r, name)
		if s.stage == v1alpha1.RestoreSaving {
			r.restore(name)
		} else {
			r.restore(name, quick)
		}
		inStage(r, name, s.stage)
		begin := time.Now()
		annotateRestore(t, w, name, v1alpha1.AnnotationAbort, "true")
		if s.stage == v1alpha1.RestoreStarting || s.stage == v1alpha1.RestoreStopping || s.stage == v1alpha1.RestoreWaiting {
			s.release(r) // what holds it would keep the cluster from coming back, too
		}
		x := awaitRestore(t, w, name, v1alpha1.RestoreAborted)
		s.release(r)
		t.Logf("%s in stage %s after %v of real life: %s", name, s.stage, realLife(w, time.Since(begin)), sayRestore(x))
		if x.Status.CompletionTime.IsZero() || s.stopped == x.Status.StoppedTime.IsZero() {
			t.Errorf("%s: stopped %v, completed %v", sayRestore(x), x.Status.StoppedTime, x.Status.CompletionTime)
		}
		w.Await("the finalizer to be off", func() (bool, string) {
			left := restoreOf(t, w, name).Finalizers
			return len(left) == 0, fmt.Sprint(left)
		})
		r.untouched(1)
	}
	// And then one is let through.
	r.restore("after", quick)
	r.complete("after")
}

func TestARestoreWhoseObjectIsDeletedInAnyStageLeavesTheClusterAsItWas(t *testing.T) {
	t.Parallel()
	held := &heldKind{}
	r := rescued(t, world.Options{HoldJob: held.wait})
	w := r.w
	for i, s := range stations(held) {
		if !allStages() && i != 4 && i != 6 { // Transferring, and Opening with everything in place
			continue
		}
		name := fmt.Sprintf("delete-%d", i)
		s.hold(r, name)
		if s.stage == v1alpha1.RestoreSaving {
			r.restore(name)
		} else {
			r.restore(name, quick)
		}
		inStage(r, name, s.stage)
		if err := w.Client.Delete(w.Context(), restoreOf(t, w, name)); err != nil {
			t.Fatal(err)
		}
		if s.stage == v1alpha1.RestoreStarting || s.stage == v1alpha1.RestoreStopping || s.stage == v1alpha1.RestoreWaiting {
			s.release(r)
		}
		w.Await(name+" to be gone", func() (bool, string) {
			var x v1alpha1.RobustMQRestore
			err := w.Client.Get(w.Context(), client.ObjectKey{Namespace: w.Namespace, Name: name}, &x)
			return apierrors.IsNotFound(err), fmt.Sprint(err, sayRestore(&x))
		})
		s.release(r)
		r.untouched(1)
	}
	r.restore("after", quick)
	r.complete("after")
}

// A data plane that nobody reaches cannot keep an object for ever: it goes after ten minutes, and says what it leaves.
func TestARestoreThatIsDeletedGoesInTheEndWhenAnAgentCannotBeReached(t *testing.T) {
	long(t)
	t.Parallel()
	held := &heldKind{}
	r := rescued(t, world.Options{HoldJob: held.wait})
	w := r.w
	held.set("restore")
	r.restore("stuck", quick)
	inStage(r, "stuck", v1alpha1.RestoreTransferring)
	const away = "c-placement-center-2"
	w.Isolate(away, network.BlackHole)
	if err := w.Client.Delete(w.Context(), restoreOf(t, w, "stuck")); err != nil {
		t.Fatal(err)
	}
	w.AwaitFor(2*world.Patience, "the object to go", func() (bool, string) {
		err := w.Client.Get(w.Context(), client.ObjectKey{Namespace: w.Namespace, Name: "stuck"}, &v1alpha1.RobustMQRestore{})
		return apierrors.IsNotFound(err), fmt.Sprint(err)
	})
	w.Network.Heal()
	held.set("")
	r.has(r.present)
}

func annotateRestore(t *testing.T, w *world.World, name, key, value string) {
	t.Helper()
	w.Await("the annotation", func() (bool, string) {
		x := restoreOf(t, w, name)
		before := x.DeepCopy()
		if x.Annotations == nil {
			x.Annotations = map[string]string{}
		}
		x.Annotations[key] = value
		err := w.Client.Patch(w.Context(), x, client.MergeFrom(before))
		return err == nil, fmt.Sprint(err)
	})
}
