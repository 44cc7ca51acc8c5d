package plan

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
)

func TestWhenToCollect(t *testing.T) {
	ended := func(ago time.Duration, failures int32) v1alpha1.CollectionStatus {
		return v1alpha1.CollectionStatus{JobOutcome: v1alpha1.JobOutcome{Time: metav1.NewTime(noon.Add(-ago)), Failures: failures}}
	}
	for _, c := range []struct {
		what string
		in   collecting
		is   bool
		wait time.Duration // 0: now
	}{
		{"there was never a backup", collecting{}, false, 0},
		{"the first one by a schedule", collecting{newest: noon.Add(-time.Minute), some: true}, true, 0},
		{"one by hand: some time, for leftovers", collecting{some: true}, true, 0},
		{"a new one, an hour after the last collection", collecting{last: ended(time.Hour, 0), newest: noon.Add(-time.Minute), some: true}, true, 0},
		{"a new one, too soon", collecting{last: ended(40*time.Minute, 0), newest: noon.Add(-time.Minute), some: true}, true, 20 * time.Minute},
		{"nothing new", collecting{last: ended(20*time.Hour, 0), newest: noon.Add(-21 * time.Hour), some: true}, true, 4 * time.Hour},
		{"nothing new for a day", collecting{last: ended(25*time.Hour, 0), newest: noon.Add(-26 * time.Hour), some: true}, true, 0},
		{"one was deleted", collecting{last: ended(2*time.Hour, 0), deleted: true}, true, 0},
		{"one was deleted, too soon", collecting{last: ended(10*time.Minute, 0), deleted: true}, true, 50 * time.Minute},
		{"failed, and something is new", collecting{last: ended(30*time.Second, 1), newest: noon, some: true}, true, 30 * time.Second},
		{"failed again and again", collecting{last: ended(30*time.Minute, 20), newest: noon, some: true}, true, 30 * time.Minute},
		{"a clock that was a year ahead", collecting{last: ended(-365*24*time.Hour, 0), some: true}, true, 0},
		{"and with something new", collecting{last: ended(-365*24*time.Hour, 0), deleted: true}, true, 0},
	} {
		due, is := collectDue(c.in, noon)
		wait := max(0, due.Sub(noon))
		if is != c.is || is && wait != c.wait {
			t.Errorf("%s: %v in %s, want %v in %s", c.what, is, wait, c.is, c.wait)
		}
	}
}

func TestACollectionIsToldTheRetentionOfEverySchedule(t *testing.T) {
	last := int32(24)
	got := collectRequest([]v1alpha1.BackupSchedule{
		{Name: "weekly", Retention: v1alpha1.RetentionPolicy{MaxAge: &metav1.Duration{Duration: 720 * time.Hour}}}, {Name: "hourly", Suspend: true, Retention: v1alpha1.RetentionPolicy{KeepLast: &last}},
	}, []string{"20261125T020000Z-x"})
	if want := "[{hourly 24 0} {weekly 7 2592000}]"; fmt.Sprint(got.Policies) != want || len(got.Damaged) != 1 {
		t.Errorf("%v, want %s", got.Policies, want)
	}
	r := job.Request{Destination: job.Destination{Bucket: "bbb"}, Owner: job.Owner{ClusterUID: "u", Name: "c", Namespace: "ns"}, Collect: got}
	if _, err := r.Encode(job.Collect); err != nil {
		t.Error(err)
	}
	r.Collect = collectRequest(nil, nil)
	if _, err := r.Encode(job.Collect); err != nil {
		t.Errorf("without schedules leftovers are collected all the same: %v", err)
	}
}

func TestFiguresOfACollectionAreKeptAlsoWhenItFailed(t *testing.T) {
	o := bad("StoreUnavailable", noon)
	o.Result = &job.Result{Kind: job.Collect, Reason: job.StoreUnavailable, Collected: &job.Collected{Expired: 2, Objects: 3, Bytes: 4}}
	got := collected(v1alpha1.CollectionStatus{}, "a", o, noon)
	if got.ExpiredBackups != 2 || got.DeletedObjects != 3 || got.FreedBytes != 4 || got.Failures != 1 || got.Reason != "StoreUnavailable" {
		t.Errorf("%+v", got)
	}
	o = ok(job.Collect, job.BackupsCollected, noon)
	if got = collected(got, "b", o, noon); got.ExpiredBackups != 0 || got.Failures != 0 || got.JobUID != "b" {
		t.Errorf("%+v", got)
	}
}
