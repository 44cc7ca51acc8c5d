package restore

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

func TestAMemberThatCannotBeAskedKeepsItsLastWords(t *testing.T) {
	o := seen(v1alpha1.RestoreOpening, placed3(protocol.PlacementPlaced))
	first := computeStatus(o, decide(o, DefaultTimings()), DefaultTimings())
	for _, row := range first.Members {
		if row.ImageSHA256 != digits || row.Generation != 2 || row.Bytes != imageBytes || row.Serving {
			t.Errorf("%+v", row)
		}
	}
	later := seen(v1alpha1.RestoreOpening, placed3(protocol.PlacementPlaced), silence(2), func(o *observation) { o.restore.Status = first })
	second := computeStatus(later, decide(later, DefaultTimings()), DefaultTimings())
	if row := rowOf(second.Members, "c-placement-center-1"); row.ImageSHA256 != digits || row.Generation != 2 {
		t.Errorf("%+v", row)
	}
	// One that was put back says so.
	back := seen(v1alpha1.RestoreAborting, placed3(protocol.PlacementReverted), func(o *observation) { o.restore.Status.Members = second.Members })
	for _, row := range computeStatus(back, decide(back, DefaultTimings()), DefaultTimings()).Members {
		if row.ImageSHA256 != "" {
			t.Errorf("%+v", row)
		}
	}
}

func TestTheDigestsOfAllStandInTheStatusBeforeAnythingIsOpened(t *testing.T) {
	o := seen(v1alpha1.RestoreOpening, placed3(protocol.PlacementPlaced))
	v := decide(o, DefaultTimings())
	if len(ordered(v, open)) != 3 {
		t.Fatalf("%+v", v)
	}
	for _, row := range computeStatus(o, v, DefaultTimings()).Members {
		if row.ImageSHA256 == "" {
			t.Errorf("%+v", row)
		}
	}
}

func TestProgressIsWrittenAtMostEveryFewSeconds(t *testing.T) {
	bytes := func(n int64) func(*observation) {
		return func(o *observation) {
			placed3(protocol.PlacementReceiving)(o)
			push3(o)
			for i := range o.members {
				o.members[i].state.Images.Placement.Received = n
			}
		}
	}
	step := func(was v1alpha1.RobustMQRestoreStatus, at time.Duration, n int64) v1alpha1.RobustMQRestoreStatus {
		o := seen(v1alpha1.RestoreTransferring, bytes(n), func(o *observation) {
			o.restore.Status, o.now = was, noon.Add(at)
			o.restore.Status.Stage = v1alpha1.RestoreTransferring
		})
		return computeStatus(o, decide(o, DefaultTimings()), DefaultTimings())
	}
	first := step(seen(v1alpha1.RestoreTransferring).restore.Status, 0, 100)
	if first.Progress.Bytes != 300 || first.Progress.TotalBytes != 3*imageBytes || first.Progress.Percent != 10 || !strings.HasPrefix(first.Progress.Summary, "10 % of ") {
		t.Fatalf("%+v", first.Progress)
	}
	if soon := step(first, 4*time.Second, 200); !equality.Semantic.DeepEqual(soon, first) {
		t.Errorf("written after 4 s: %+v", soon.Progress)
	}
	if later := step(first, 5*time.Second, 200); later.Progress.Bytes != 600 || later.Members[0].Bytes != 200 {
		t.Errorf("not written after 5 s: %+v", later.Progress)
	}
	if whole := step(first, time.Second, imageBytes); whole.Progress.Percent != 100 {
		t.Errorf("the last byte waits: %+v", whole.Progress)
	}
}

func TestWhatEndedDoesNotMoveAnyMore(t *testing.T) {
	for _, stage := range []v1alpha1.RestoreStage{v1alpha1.RestoreComplete, v1alpha1.RestoreFailed, v1alpha1.RestoreAborted} {
		o := seen(stage, back3, func(o *observation) { o.restore.Annotations = map[string]string{v1alpha1.AnnotationAbort: "true"} })
		if next := computeStatus(o, decide(o, DefaultTimings()), DefaultTimings()); !equality.Semantic.DeepEqual(next, o.restore.Status) {
			t.Errorf("%s: %+v", stage, next)
		}
	}
}

func TestAFailureKeepsItsReasonWhileItIsTakenBack(t *testing.T) {
	o := seen(v1alpha1.RestoreOpening, placed3(protocol.PlacementPlaced), at3(2, func(s *protocol.State) { s.Images.Placement.SHA256 = "" }))
	aborting := computeStatus(o, decide(o, DefaultTimings()), DefaultTimings())
	end := seen(v1alpha1.RestoreAborting, func(o *observation) { o.restore.Status = aborting })
	failed := computeStatus(end, decide(end, DefaultTimings()), DefaultTimings())
	c := meta.FindStatusCondition(failed.Conditions, v1alpha1.ConditionComplete)
	if failed.Stage != v1alpha1.RestoreFailed || c.Reason != v1alpha1.ReasonMembersDisagree || !strings.Contains(c.Message, "says nothing") || failed.CompletionTime.IsZero() || failed.Awaits != "" {
		t.Errorf("%+v", failed)
	}
	if v := meta.FindStatusCondition(failed.Conditions, v1alpha1.ConditionVerified); v.Status != metav1.ConditionFalse {
		t.Errorf("%+v", v)
	}
}

func TestNoOrderIsGivenOnOldNews(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *world, *v1alpha1.RobustMQRestore){
		"a person changed their mind": func(t *testing.T, w *world, x *v1alpha1.RobustMQRestore) { annotate(t, w, x) },
		"it was deleted": func(t *testing.T, w *world, x *v1alpha1.RobustMQRestore) {
			if err := w.kube.Delete(t.Context(), x); err != nil {
				t.Fatal(err)
			}
		},
		"another operator is further": func(t *testing.T, w *world, x *v1alpha1.RobustMQRestore) {
			x.Status.Stage = v1alpha1.RestoreAborting
			if err := w.kube.Status().Update(t.Context(), x); err != nil {
				t.Fatal(err)
			}
		},
		"the cluster is another one": func(t *testing.T, w *world, _ *v1alpha1.RobustMQRestore) {
			c := newCluster()
			if err := w.kube.Delete(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if err := w.kube.Create(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		},
		"": nil,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, newRestore(), newCluster())
			r := w.operator()
			for w.restore().Status.Stage != v1alpha1.RestoreStopping {
				w.pass(r)
				w.jobs(0)
			}
			x := w.restore()
			o, err := r.observe(t.Context(), x)
			if err != nil {
				t.Fatal(err)
			}
			v := decide(o, r.Timings)
			if len(v.orders) == 0 {
				t.Fatalf("%+v", v)
			}
			if change != nil {
				change(t, w, x.DeepCopy())
			}
			if err := r.act(t.Context(), o, v); err != nil {
				t.Fatal(err)
			}
			given := false
			for _, a := range w.agents {
				given = given || a.held
			}
			if given != (change == nil) {
				t.Errorf("orders were given: %t", given)
			}
		})
	}
}
