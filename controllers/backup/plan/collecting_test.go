package plan_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
)

const collection = "c-backup-collect"

// writable lets the probe succeed.
func (w *world) writable() {
	w.t.Helper()
	w.settle()
	w.endJob(probe, job.Result{Kind: job.Probe, Reason: job.DestinationWritable})
	w.settle()
}

func (w *world) idOf(name string) string {
	w.t.Helper()
	var b v1alpha1.RobustMQBackup
	w.must(w.Get(w.t.Context(), client.ObjectKey{Namespace: w.ns, Name: name}, &b))
	return id(&b)
}

func TestWhatNoRetentionKeepsIsCollectedAfterABackupAndAtMostHourly(t *testing.T) {
	w := newWorld(t)
	often := v1alpha1.BackupSchedule{Name: "often", Cron: "*/20 * * * *", Retention: v1alpha1.RetentionPolicy{KeepLast: ptr.To[int32](1)}}
	w.cluster(often)
	w.writable()
	if w.job(collection) != nil {
		t.Fatal("there is nothing to collect")
	}
	hand := &v1alpha1.RobustMQBackup{}
	hand.Name, hand.Namespace, hand.Spec.ClusterName = "by-hand", w.ns, "c"
	w.must(w.Create(t.Context(), hand))
	w.end("by-hand", "")

	w.now = w.now.Add(10 * time.Minute) // 00:40
	w.settle()
	if len(w.made) != 1 || w.job(collection) != nil {
		t.Fatalf("while %v is being made, nothing is collected", w.made)
	}
	w.end(w.made[0], "")
	w.settle()
	asked := w.asked(collection, job.Collect)
	if len(asked.Collect.Policies) != 1 || asked.Collect.Policies[0] != (job.Policy{Schedule: "often", KeepLast: 1}) {
		t.Errorf("%+v", asked.Collect)
	}
	w.endJob(collection, job.Result{Kind: job.Collect, Reason: job.BackupsCollected, Collected: &job.Collected{Kept: 2}})
	w.settle()
	if told := w.told(v1alpha1.ReasonBackupsCollected); len(told) != 0 {
		t.Errorf("nothing was deleted: %v", told)
	}
	first := w.job(collection).UID

	// Two more within the hour: one collection, at its end.
	for range 2 {
		w.now = w.now.Add(20 * time.Minute)
		w.settle()
		w.end(w.made[len(w.made)-1], "")
		w.settle()
		if w.job(collection).UID != first {
			t.Fatal("twice within an hour")
		}
	}
	w.now = w.now.Add(19 * time.Minute) // 01:39
	if next := w.settle(); next > time.Minute+time.Second {
		t.Errorf("it looks again in %s", next)
	}
	w.now = w.now.Add(59 * time.Second)
	w.settle()
	w.now = w.now.Add(2 * time.Second) // 01:40:01, when a backup is due as well: that comes first
	w.settle()
	if len(w.made) != 4 || w.job(collection).UID != first {
		t.Fatalf("%v; collection %v", w.made, w.job(collection).UID != first)
	}
	w.end(w.made[3], "")
	w.settle()
	if w.job(collection).UID == first {
		t.Fatal("never again")
	}
	expired := w.made[:3]
	said := &job.Collected{Expired: 3, ExpiredIDs: []string{w.idOf(expired[0]), w.idOf(expired[1]), w.idOf(expired[2]), w.idOf("by-hand")}, Objects: 2, Bytes: 99, Kept: 1}
	w.endJob(collection, job.Result{Kind: job.Collect, Reason: job.BackupsCollected, Collected: said})
	w.settle()
	if got, want := fmt.Sprint(w.backups()), fmt.Sprint([]string{"by-hand", w.made[3]}); got != want {
		t.Errorf("%s are left, want %s", got, want)
	}
	st, _ := w.status()
	if st.Collection.ExpiredBackups != 3 || st.Collection.DeletedObjects != 2 || st.Collection.FreedBytes != 99 || st.Collection.Failures != 0 {
		t.Errorf("%s", text(st.Collection))
	}
	if told := w.told(v1alpha1.ReasonBackupsCollected); len(told) != 1 {
		t.Errorf("%v", told)
	}
	if got, err := testutil.GatherAndCount(w.registry, "robustmq_backup_last_collection_timestamp_seconds", "robustmq_backup_last_size_bytes"); got != 3 || err != nil {
		t.Errorf("%d series, %v", got, err)
	}
}

func TestACollectionThatFailsIsTriedAgainLaterAndLater(t *testing.T) {
	w := newWorld(t)
	w.cluster(hourly)
	w.writable()
	w.now = w.now.Add(30 * time.Minute)
	w.settle()
	w.end(w.made[0], "")
	w.settle()
	for i, wait := range []time.Duration{time.Minute, 2 * time.Minute} {
		w.endJob(collection, job.Result{Kind: job.Collect, Reason: job.Busy, Message: "pod/restore-1 is at work in the bucket"})
		w.settle()
		last := w.job(collection).UID
		w.now = w.now.Add(wait - time.Second)
		w.settle()
		if w.job(collection).UID != last {
			t.Fatalf("attempt %d comes too soon", i+2)
		}
		w.now = w.now.Add(time.Second)
		w.settle()
		if w.job(collection).UID == last {
			t.Fatalf("attempt %d does not come", i+2)
		}
	}
	if told := w.told(v1alpha1.ReasonCollectionFailed); len(told) != 1 {
		t.Errorf("%v", told)
	}
	if st, _ := w.status(); st.Collection.Reason != "Busy" || st.Collection.Failures != 2 {
		t.Errorf("%s", text(st.Collection))
	}
}

func TestBackupsGoBeforeCollections(t *testing.T) {
	w := newWorld(t)
	w.cluster(hourly)
	w.writable()
	w.now = w.now.Add(30 * time.Minute)
	w.settle()
	w.end(w.made[0], "")
	w.settle()
	hand := &v1alpha1.RobustMQBackup{}
	hand.Name, hand.Namespace, hand.Spec.ClusterName = "by-hand", w.ns, "c"
	w.must(w.Create(t.Context(), hand))
	w.settle()
	if w.job(collection) != nil {
		t.Fatal("a collection that waits for a node keeps a backup waiting")
	}
	w.end("by-hand", "")
	w.settle()

	// One that runs may go on for a while; a schedule waits for it.
	w.now = w.now.Add(58 * time.Minute) // 01:58
	w.pod(w.job(collection), corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: stamp(w.now)}}, corev1.PodRunning)
	w.now = w.now.Add(3 * time.Minute)
	next := w.settle()
	if st, _ := w.status(); len(w.made) != 1 || !strings.Contains(st.Schedules[0].Note, "waits for the collection") || w.job(collection) == nil || next != 2*time.Minute {
		t.Errorf("%v, %s, next in %s", w.made, text(st.Schedules), next)
	}
	w.now = w.now.Add(2 * time.Minute)
	w.settle()
	if w.job(collection) != nil || len(w.made) != 2 {
		t.Errorf("after five minutes it goes on while a backup waits: %v", w.made)
	}
}

func TestFailedBackupsOfASchedulesDoNotPileUp(t *testing.T) {
	w := newWorld(t)
	w.cluster(hourly)
	w.settle()
	w.now = w.now.Add(-30 * time.Minute)
	for range 6 {
		w.now = w.now.Add(time.Hour)
		w.settle()
		w.end(w.made[len(w.made)-1], v1alpha1.ReasonAgentLost)
		w.settle()
	}
	if got, want := fmt.Sprint(w.backups()), fmt.Sprint(w.made[3:]); got != want {
		t.Errorf("%s are left, want %s", got, want)
	}
	st, _ := w.status()
	if st.LastFailure.Backup != w.made[5] || st.LastFailure.Reason != v1alpha1.ReasonAgentLost || !st.LastSuccessTime.IsZero() {
		t.Errorf("%s", text(st))
	}
	if n, err := testutil.GatherAndCount(w.registry, "robustmq_backup_failures_total"); n != 1 || err != nil {
		t.Errorf("%d series, %v", n, err)
	}
	if job := w.job(collection); job != nil {
		t.Error("there is nothing in the bucket to collect")
	}
}
