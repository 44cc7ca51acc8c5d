package simulated

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/store/s3test"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

func failedWith(t *testing.T, w *world.World, name string, reasons ...string) *v1alpha1.RobustMQBackup {
	t.Helper()
	b := awaitStage(t, w, name, v1alpha1.BackupComplete, v1alpha1.BackupFailed)
	if c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionComplete); b.Status.Stage != v1alpha1.BackupFailed || !slices.Contains(reasons, c.Reason) {
		t.Errorf("backup %s: %s; want %v", name, why(b), reasons)
	}
	return b
}

// hung makes the bucket answer no request of a method whose path has a part in it, and reports when there was one.
func hung(b *world.Bucket, method, part string) <-chan struct{} {
	reached := make(chan struct{})
	first := true
	b.Faults.Choose(func(r *http.Request) s3test.Fault { // called by one at a time
		if r.Method != method || !strings.Contains(r.URL.Path, part) {
			return s3test.None
		}
		if first {
			first = false
			close(reached)
		}
		return s3test.Hung
	})
	return reached
}

// Whatever dies, at whatever stage: the backup fails or is complete, no manifest is left of one that failed, and the next one works.
func TestWhateverDiesWhileABackupIsMadeTheBackupFailsOrIsComplete(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{JobDeadline: 8 * time.Second})
	_, bucket := savable(t, w)
	killJob := func(name string) {
		for _, p := range jobPods(t, w, name) {
			w.Kubelet.Crash(p.Name)
		}
	}
	for i, x := range []struct {
		what         string
		method, part string
		do           func(name string)
		reasons      []string
	}{
		{"its program, while it uploads", http.MethodPut, "/files.tar.zst", killJob, []string{v1alpha1.ReasonCrashed}},
		{"its program, while it reads back", http.MethodHead, "/files.tar.zst", killJob, []string{v1alpha1.ReasonCrashed}},
		{"its program, before the manifest", http.MethodPut, "/manifest.json", killJob, []string{v1alpha1.ReasonCrashed}},
		{"its program, for its memory", http.MethodPut, "/files.tar.zst", func(name string) {
			for _, p := range jobPods(t, w, name) {
				w.Kubelet.KillForMemory(p.Name)
			}
		}, []string{v1alpha1.ReasonOOMKilled}},
		{"its pod", http.MethodPut, "/files.tar.zst", func(name string) {
			for _, p := range jobPods(t, w, name) {
				if err := w.Client.Delete(w.Context(), &p); err != nil {
					t.Error(err)
				}
			}
		}, []string{v1alpha1.ReasonInterrupted, v1alpha1.ReasonPodLost, v1alpha1.ReasonCrashed}},
		{"its Job", http.MethodPut, "/files.tar.zst", func(name string) {
			j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name + "-backup", Namespace: w.Namespace}}
			if err := w.Client.Delete(w.Context(), j, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
				t.Error(err)
			}
		}, []string{v1alpha1.ReasonInterrupted, v1alpha1.ReasonJobLost, v1alpha1.ReasonPodLost}},
		{"the bucket", http.MethodPut, "/files.tar.zst", func(string) {}, []string{v1alpha1.ReasonStoreUnavailable, v1alpha1.ReasonDeadline}},
	} {
		name := fmt.Sprintf("b%d", i)
		reached := hung(bucket, x.method, x.part)
		back(t, w, name)
		select {
		case <-reached:
		case <-time.After(world.Patience):
			t.Fatalf("%s: the Job never came so far: %s\n%s", x.what, why(backupOf(t, w, name)), w.Describe())
		}
		x.do(name)
		b := failedWith(t, w, name, x.reasons...)
		bucket.Faults.Choose(nil)
		bucket.Age(time.Hour) // the lock of one that was killed is void
		t.Logf("%s: %s", x.what, why(b))
		if slices.Contains(manifestsOf(bucket), name) {
			t.Errorf("%s: a manifest was left: %v", x.what, bucket.Objects())
		}
	}
	back(t, w, "after")
	completed(t, w, "after")
}

// The operator is killed after every single write of a backup; another one takes over.
func TestAnOperatorKilledAfterAnyWriteOfABackupLeavesItCompleteAndMadeOnce(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	_, bucket := savable(t, w)
	settle(t, w)
	before := len(w.Operator().Changes())
	withFinalizer := func(b *v1alpha1.RobustMQBackup) { b.Spec.DeletionPolicy = v1alpha1.BackupDeleted }
	back(t, w, "recorded", withFinalizer)
	completed(t, w, "recorded")
	settle(t, w)
	writes := w.Operator().Changes()[before:]
	t.Logf("a backup takes %d writes: %v", len(writes), writes)
	for n := range writes {
		name := fmt.Sprintf("killed-%d", n)
		dying := w.StartOperatorUntil(n + 1)
		back(t, w, name, withFinalizer)
		w.Await("the operator's death, or a complete backup", func() (bool, string) {
			return dying.Dead() || backupOf(t, w, name).Restorable(), why(backupOf(t, w, name))
		})
		w.StartOperator()
		completed(t, w, name)
	}
	made := 0
	for _, write := range w.Writes() {
		if write.Resource == "jobs" && write.Verb == "create" {
			made++
		}
	}
	if made != len(writes)+1 {
		t.Errorf("%d Jobs were made for %d backups", made, len(writes)+1)
	}
	if got := manifestsOf(bucket); len(got) != len(writes)+1 {
		t.Errorf("the bucket has %d backups of %d: %v", len(got), len(writes)+1, got)
	}
}

func TestABackupOfAClusterThatIsNotThereFailsAtItsDeadlineAndOneThatIsUnderWayDiesWithItsCluster(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	b := w.NewBucket()
	plantCredentials(t, w)
	w.StartOperator()
	back(t, w, "lonely", func(b *v1alpha1.RobustMQBackup) { b.Spec.StartDeadline = &metav1.Duration{Duration: 10 * time.Second} })
	awaitStage(t, w, "lonely", v1alpha1.BackupWaiting)
	failedWith(t, w, "lonely", v1alpha1.ReasonWaitingForCluster)

	w.Apply(manifest(newest, 3, 2, destination(b)))
	back(t, w, "early") // before the cluster stands
	formed(t, w)
	completed(t, w, "early")

	reached := hung(b, http.MethodPut, "/files.tar.zst")
	back(t, w, "late")
	select {
	case <-reached:
	case <-time.After(world.Patience):
		t.Fatal("the Job never uploaded")
	}
	if err := w.Client.Delete(w.Context(), w.Cluster("c")); err != nil {
		t.Fatal(err)
	}
	failedWith(t, w, "late", v1alpha1.ReasonClusterDeleted)
	w.Await("the Job to be removed", func() (bool, string) {
		var j batchv1.Job
		err := w.Client.Get(w.Context(), client.ObjectKey{Namespace: w.Namespace, Name: "late-backup"}, &j)
		return apierrors.IsNotFound(err), fmt.Sprint(err, j.Finalizers)
	})
	if got := manifestsOf(b); !slices.Equal(got, []string{"early"}) {
		t.Errorf("the bucket has %v", got)
	}
}

func TestNoSecretOfABucketIsInAnyLogEventStatusOrJob(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	_, bucket := savable(t, w)
	back(t, w, "good")
	completed(t, w, "good")
	bucket.Faults.Choose(func(r *http.Request) s3test.Fault {
		if r.Method == http.MethodPut {
			return s3test.Echo // a proxy that repeats what it was sent
		}
		return s3test.None
	})
	back(t, w, "bad")
	bad := failedWith(t, w, "bad", v1alpha1.ReasonAccessDenied)
	places := w.Logs()
	for _, e := range w.Events() {
		places["events"] += e.Message + "\n"
	}
	places["status"] = fmt.Sprintf("%+v", bad.Status)
	var j batchv1.Job
	if err := w.Client.Get(w.Context(), client.ObjectKey{Namespace: w.Namespace, Name: "bad-backup"}, &j); err != nil {
		t.Fatal(err)
	}
	places["job"] = fmt.Sprintf("%+v", j)
	for place, text := range places {
		if strings.Contains(text, world.BucketSecretKey) {
			t.Errorf("%s holds the key of the bucket", place)
		}
	}
}
