package restore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

func TestARestoreThatNothingDisturbsIsCompleteAndLetsGoOfWhatWasThereBefore(t *testing.T) {
	w := newWorld(t, newRestore(), newCluster())
	x := w.run(60)
	if x.Status.Stage != v1alpha1.RestoreComplete || !slices.Equal(w.dataOf(), []string{"new"}) {
		t.Fatalf("%s\n%s", w.story(), strings.Join(w.events, "\n"))
	}
	for _, a := range w.agents {
		if !a.running || a.placement != nil || a.role == v1alpha1.RolePlacementCenter && a.marker.Generation != 2 {
			t.Errorf("%s", w.story())
			break
		}
	}
	s := x.Status
	if s.Generation != 2 || s.Term != 4 || s.Source.ManifestSHA256 != digits || s.Source.Version != "0.4.11" || len(s.Members) != 3 || s.Progress.Percent != 100 || s.StoppedTime.IsZero() || s.CompletionTime.IsZero() || s.Awaits != "" {
		t.Errorf("status %+v", s)
	}
	if s.OrphanTopicCount != 1 || !slices.Equal(s.OrphanTopics, []string{"x/late"}) {
		t.Errorf("orphans %d: %v", s.OrphanTopicCount, s.OrphanTopics)
	}
	if v := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionVerified); !strings.HasSuffix(v.Message, "as in the manifest: 1 topics; otherwise than in the manifest: 3 users in the manifest, and 7 now (brokers and clients may have changed that since they are back)") {
		t.Errorf("%s", v.Message)
	}
	for _, c := range s.Conditions {
		if c.Status != metav1.ConditionTrue {
			t.Errorf("condition %+v", c)
		}
	}
	var stages []string
	for _, e := range w.events {
		stages = append(stages, strings.SplitN(e, ":", 2)[0])
	}
	want := []string{
		"Normal RestoreValidating", "Normal Restoring", "Normal Restoring", "Normal Restoring", "Normal Restoring", "Normal RestoreVerified", "Normal Restoring", "Normal RestoreComplete",
	}
	if !slices.Equal(stages, want) {
		t.Errorf("events:\n%s", strings.Join(w.events, "\n"))
	}
	if len(w.broken) > 0 {
		t.Error(w.broken)
	}
}

func TestARestoreIsKilledBeforeAndAfterEveryCallAndEndsTheSame(t *testing.T) {
	t.Parallel()
	for at := 1; ; at++ {
		w := newWorld(t, newRestore(), newCluster())
		calls := 0
		w.die = func(string) bool { calls++; return calls == at }
		r := w.operator()
		for range 80 {
			x := w.restore()
			if x.Ended() && len(x.Finalizers) == 0 {
				break
			}
			if !w.pass(r) {
				r = w.operator() // another one, which remembers nothing
			}
			w.step()
		}
		if x := w.restore(); x.Status.Stage != v1alpha1.RestoreComplete || !slices.Equal(w.dataOf(), []string{"new"}) || len(x.Finalizers) > 0 || len(w.broken) > 0 {
			t.Fatalf("killed at call %d: %v\n%s\n%s", at, w.broken, w.story(), strings.Join(w.log, "\n"))
		}
		if calls < at {
			if at < 40 {
				t.Errorf("killed at %d calls only", at)
			}
			t.Logf("killed at each of %d calls", at-1)
			return
		}
	}
}

// TestHoweverItGoesNoTwoMembersEverRunOnDifferentData is the walk: the operator dies, Jobs die and lie, pods go and come back, configurations arrive when they like, and a person may change their
// mind; the end is one of two, for all members.
func TestHoweverItGoesNoTwoMembersEverRunOnDifferentData(t *testing.T) {
	t.Parallel()
	const seeds = uint64(40) // 150 of them were walked when this was written
	ends := map[v1alpha1.RestoreStage]int{}
	for seed := range seeds {
		w, end := walk(t, seed)
		if end == "" {
			t.Fatalf("seed %d did not end\n%s\n%s", seed, w.story(), strings.Join(w.log, "\n"))
		}
		if len(w.broken) > 0 {
			t.Fatalf("seed %d: %v\n%s\n%s", seed, w.broken, w.story(), strings.Join(w.log, "\n"))
		}
		want := "old"
		if end == v1alpha1.RestoreComplete {
			want = "new"
		}
		if !slices.Equal(w.dataOf(), []string{want}) {
			t.Fatalf("seed %d ended %s with %v\n%s\n%s", seed, end, w.dataOf(), w.story(), strings.Join(w.log, "\n"))
		}
		ends[end]++
	}
	t.Logf("%d walks: %v", seeds, ends)
	for _, stage := range []v1alpha1.RestoreStage{v1alpha1.RestoreComplete, v1alpha1.RestoreAborted, v1alpha1.RestoreFailed} {
		if ends[stage] == 0 {
			t.Errorf("no walk ended %s: it does not try what it should", stage)
		}
	}
}

// walk is one life of a restore; end is the stage in which it was last seen.
func walk(t *testing.T, seed uint64) (w *world, end v1alpha1.RestoreStage) {
	chance := random(seed)
	w = newWorld(t, newRestore(), newCluster())
	trouble := func(percent int) bool { return chance.IntN(100) < percent }
	w.die = func(string) bool { return trouble(5) }
	w.jobFails = func(job.Kind) job.Reason {
		switch {
		case trouble(15):
			return []job.Reason{job.AgentLost, job.StoreUnavailable, job.Interrupted, job.Crashed}[chance.IntN(4)]
		case trouble(1):
			return job.BackupBroken
		}
		return ""
	}
	if trouble(15) {
		w.agents[chance.IntN(3)].lies = true
	}
	if trouble(10) {
		w.agents[chance.IntN(3)].fails = []string{protocol.ImageInterrupted, protocol.ImageCorrupt, protocol.ImageNoSpace}[chance.IntN(3)]
	}
	abortAt, deleteAt := -1, -1
	if trouble(30) {
		abortAt = chance.IntN(40)
	} else if trouble(20) {
		deleteAt = chance.IntN(40)
	}
	r := w.operator()
	const storm, passes = 120, 600
	for i := range passes {
		x := w.restore()
		if x == nil || x.Ended() && len(x.Finalizers) == 0 {
			return w, stageOf(x, end)
		}
		end = x.Status.Stage
		if i == storm { // from here on the world is kind, so that there is an end
			w.die, w.jobFails = nil, nil
			for _, a := range w.agents {
				a.fails = ""
			}
		}
		switch i {
		case abortAt:
			annotate(t, w, x)
		case deleteAt:
			if err := w.kube.Delete(context.Background(), x); err != nil {
				t.Fatal(err)
			}
		}
		if !w.pass(r) {
			r = w.operator()
		}
		w.between(chance, i < storm)
	}
	return w, ""
}

// stageOf is how it ended; of one that is gone, what was seen last.
func stageOf(x *v1alpha1.RobustMQRestore, last v1alpha1.RestoreStage) v1alpha1.RestoreStage {
	switch {
	case x != nil:
		return x.Status.Stage
	case last == v1alpha1.RestoreComplete || last == v1alpha1.RestoreFailed:
		return last
	}
	return v1alpha1.RestoreAborted
}

func annotate(t *testing.T, w *world, x *v1alpha1.RobustMQRestore) {
	t.Helper()
	x.Annotations = map[string]string{v1alpha1.AnnotationAbort: "true"}
	if err := w.kube.Update(context.Background(), x); err != nil {
		t.Fatal(err)
	}
}

// between is what happens between two passes.
func (w *world) between(chance *rand.Rand, storm bool) {
	w.clock = w.clock.Add(time.Duration(1+chance.IntN(20)) * time.Second)
	if !storm || chance.IntN(3) > 0 {
		w.jobs(int64(50 + chance.IntN(500)))
	}
	w.backups()
	generation := int64(1)
	if x := w.restore(); x != nil && chance.IntN(2) == 0 {
		generation = x.Status.Generation // a new pod may mount the newest configuration, or what its node still has
	}
	for _, a := range w.agents {
		pod := a.alive
		switch {
		case storm && pod && chance.IntN(100) < 2:
			w.log = append(w.log, "pod "+a.pod+" is killed")
			w.kill(a)
		case !pod && (!storm || chance.IntN(100) < 30):
			w.log = append(w.log, "pod "+a.pod+" is back")
			w.rise(a, generation)
		}
		a.advance()
	}
	if storm && chance.IntN(100) < 3 {
		var list batchv1.JobList
		if err := w.kube.List(context.Background(), &list, client.InNamespace("ns")); err == nil && len(list.Items) > 0 {
			j := &list.Items[chance.IntN(len(list.Items))]
			w.log = append(w.log, "Job "+j.Name+" is removed")
			_ = w.kube.Delete(context.Background(), j)
		}
	}
	w.clusterController(func() bool { return !storm || chance.IntN(100) < 40 })
	if x := w.restore(); x != nil {
		if line := fmt.Sprintf("%s: %s", x.Status.Stage, x.Status.Awaits); len(w.log) == 0 || w.log[len(w.log)-1] != line {
			w.log = append(w.log, line)
		}
	}
}
