package plan_test

import (
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/job"
)

const reading = "c-backup-verify"

func TestTheNewestBackupIsReadAgainWhenSomebodyAskedForIt(t *testing.T) {
	w := newWorld(t)
	w.cluster(hourly)
	w.writable()
	w.change(func(c *v1alpha1.RobustMQCluster) {
		c.Spec.Backup.VerifyEvery = &metav1.Duration{Duration: 24 * time.Hour}
	})
	verified := func() metav1.Condition {
		var c v1alpha1.RobustMQCluster
		w.must(w.Get(t.Context(), client.ObjectKey{Namespace: w.ns, Name: "c"}, &c))
		if found := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionBackupsVerified); found != nil {
			return *found
		}
		return metav1.Condition{}
	}
	w.now = w.now.Add(30 * time.Minute)
	w.settle()
	if c := verified(); c.Status != metav1.ConditionUnknown || w.job(reading) != nil {
		t.Errorf("there is nothing to read yet: %s", text(c))
	}
	w.end(w.made[0], "")
	w.settle()
	if w.job(reading) != nil {
		t.Error("it reads beside a collection, which would wait for it")
	}
	w.endJob(collection, job.Result{Kind: job.Collect, Reason: job.BackupsCollected, Collected: &job.Collected{Kept: 1}})
	w.settle()
	asked := w.asked(reading, job.Verify)
	if asked.Verify.ID != w.idOf(w.made[0]) || asked.Verify.Mode != archive.Full {
		t.Errorf("%+v", asked.Verify)
	}
	w.endJob(reading, job.Result{Kind: job.Verify, Reason: job.BackupBroken, Message: "tables/ab is not what the manifest says"})
	w.settle()
	if c := verified(); c.Status != metav1.ConditionFalse || c.Reason != v1alpha1.ReasonBackupBroken {
		t.Errorf("%s", text(c))
	}
	if told := w.told(v1alpha1.ReasonBackupBroken); len(told) != 1 {
		t.Errorf("%v", told)
	}
	if err := testutil.GatherAndCompare(w.registry, verifiedIs(w, 0), "robustmq_backup_verified"); err != nil {
		t.Error(err)
	}
	intervals := func(want int) {
		if n, err := testutil.GatherAndCount(w.registry, "robustmq_backup_verification_interval_seconds"); n != want || err != nil {
			t.Errorf("%d intervals of verification, want %d: %v", n, want, err)
		}
	}
	intervals(1)

	// The next one is read at once, and the collection is told which one does not count.
	w.now = w.now.Add(time.Hour)
	w.settle()
	w.end(w.made[1], "")
	w.settle()
	if got := w.asked(collection, job.Collect).Collect.Damaged; len(got) != 1 || got[0] != w.idOf(w.made[0]) {
		t.Errorf("%v", got)
	}
	w.endJob(collection, job.Result{Kind: job.Collect, Reason: job.BackupsCollected, Collected: &job.Collected{Kept: 2, Damaged: 1}})
	w.settle()
	if got := w.asked(reading, job.Verify).Verify.ID; got != w.idOf(w.made[1]) {
		t.Errorf("%s is read", got)
	}
	w.endJob(reading, job.Result{Kind: job.Verify, Reason: job.BackupVerified, ID: w.idOf(w.made[1])})
	w.settle()
	if c := verified(); c.Status != metav1.ConditionTrue {
		t.Errorf("%s", text(c))
	}
	if err := testutil.GatherAndCompare(w.registry, verifiedIs(w, 1), "robustmq_backup_verified"); err != nil {
		t.Error(err)
	}
	last, writes := w.job(reading).UID, len(w.writes)
	w.settle()
	if len(w.writes) != writes || w.job(reading).UID != last {
		t.Errorf("at rest: %v", w.writes[writes:])
	}

	w.change(func(c *v1alpha1.RobustMQCluster) { c.Spec.Backup.VerifyEvery = nil })
	w.settle()
	intervals(0)
	if st, ready := w.status(); verified().Type != "" || !st.Verification.Time.IsZero() || ready.Status != metav1.ConditionTrue {
		t.Errorf("%s", text(st))
	}
}

// The status is a memory: what was read must still be so when it is written.
func TestAnOldLookIsNotWrittenOverANewerOne(t *testing.T) {
	w := newWorld(t)
	w.cluster(hourly)
	w.settle()
	w.now = w.now.Add(30 * time.Minute)
	meanwhile := errors.New("not yet")
	w.fail = func(what string) (error, error) {
		if what == "apply status" && meanwhile != nil {
			meanwhile = nil
			other := w.operator() // the leader of now; the one that is about to write has lost its lease
			for range 3 {
				w.look(other)
			}
			w.now = w.now.Add(time.Hour)
			w.end(w.made[0], "")
			for range 3 {
				w.look(other)
			}
		}
		return nil, nil
	}
	if result := w.look(w.operator()); result.RequeueAfter > time.Second {
		t.Errorf("it does not look anew: %s", result.RequeueAfter)
	}
	if st, _ := w.status(); st.Schedules[0].LastBackup != w.made[1] || st.LastSuccessTime.IsZero() || len(w.made) != 2 {
		t.Errorf("%s, %v", text(st), w.made)
	}
}
