package plan

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
)

func TestWhenToReadTheNewestBackupAgain(t *testing.T) {
	week := &metav1.Duration{Duration: 168 * time.Hour}
	read := func(backup string, ago time.Duration, failures int32, reason string) v1alpha1.VerificationStatus {
		return v1alpha1.VerificationStatus{Backup: backup, JobOutcome: v1alpha1.JobOutcome{Time: metav1.NewTime(noon.Add(-ago)), Failures: failures, Reason: reason}}
	}
	b := saved("b", "hourly", 1)
	for _, c := range []struct {
		what   string
		st     v1alpha1.VerificationStatus
		every  *metav1.Duration
		newest *v1alpha1.RobustMQBackup
		is     bool
		wait   time.Duration
	}{
		{"nobody asked", v1alpha1.VerificationStatus{}, nil, b, false, 0},
		{"there is none", v1alpha1.VerificationStatus{}, week, nil, false, 0},
		{"the first", v1alpha1.VerificationStatus{}, week, b, true, 0},
		{"a newer one is not read before its time", read("a", 48*time.Hour, 0, ""), week, b, true, 120 * time.Hour},
		{"its time", read("a", 168*time.Hour, 0, ""), week, b, true, 0},
		{"the store was away", read("b", 20*time.Second, 1, "StoreUnavailable"), week, b, true, 40 * time.Second},
		{"a broken one is not read over and over", read("b", time.Hour, 1, "BackupBroken"), week, b, true, 167 * time.Hour},
		{"one that came after a broken one is", read("a", time.Hour, 1, "BackupBroken"), week, b, true, 0},
	} {
		due, is := verifyDue(c.st, c.every, c.newest, noon)
		if wait := max(0, due.Sub(noon)); is != c.is || is && wait != c.wait {
			t.Errorf("%s: %v in %s, want %v in %s", c.what, is, wait, c.is, c.wait)
		}
	}
}

func TestWhenABackupWasLastReadIsRememberedWhileNoneCanBe(t *testing.T) {
	b, none := saved("b", "hourly", 1), v1alpha1.VerificationStatus{}
	read := func(before v1alpha1.VerificationStatus, o outcome.Outcome, at time.Time) v1alpha1.VerificationStatus {
		return verified(before, b, "b", at.String(), o, at)
	}
	first, second, third := noon, noon.Add(time.Hour), noon.Add(2*time.Hour)
	for what, c := range map[string]struct {
		st   v1alpha1.VerificationStatus
		want time.Time
	}{
		"it was sound":           {read(none, ok(job.Verify, job.BackupVerified, first), first), first},
		"it was broken":          {read(none, bad("BackupBroken", first), first), first},
		"it cannot be read":      {read(read(none, ok(job.Verify, job.BackupVerified, first), first), bad("StoreUnavailable", second), second), first},
		"nor could it ever":      {read(read(none, bad("StoreUnavailable", first), first), bad("StoreUnavailable", second), second), first},
		"it can be read again":   {read(read(none, bad("StoreUnavailable", first), first), ok(job.Verify, job.BackupVerified, third), third), third},
		"its object is not left": {verified(none, nil, "b", "1", bad("BackupMissing", second), second), second},
	} {
		if !c.st.LastReadTime.Time.Equal(c.want) {
			t.Errorf("%s: %s, want %s", what, c.st.LastReadTime, c.want)
		}
	}
}

func TestABrokenBackupDoesNotCountAsGoodUntilItWasReadWhole(t *testing.T) {
	b := saved("b", "hourly", 1)
	st := verified(v1alpha1.VerificationStatus{}, b, "b", "1", bad("BackupBroken", noon), noon)
	st = verified(st, b, "b", "2", bad("BackupBroken", noon), noon)
	if fmt.Sprint(st.Damaged) != "["+idOf(b)+"]" || st.Failures != 2 || st.Backup != "b" {
		t.Errorf("%+v", st)
	}
	if st = verified(st, b, "b", "3", bad("StoreUnavailable", noon), noon); len(st.Damaged) != 1 {
		t.Errorf("a store that is away mends nothing: %+v", st)
	}
	if st = verified(st, nil, "gone", "4", bad("BackupBroken", noon), noon); len(st.Damaged) != 1 {
		t.Errorf("%+v", st)
	}
	if st = verified(st, b, "b", "5", ok(job.Verify, job.BackupVerified, noon), noon); len(st.Damaged) != 0 || st.Failures != 0 {
		t.Errorf("%+v", st)
	}
	for i := range 2 * damagedKept {
		st = verified(st, saved(fmt.Sprint("x", i), "hourly", i), "x", fmt.Sprint(i), bad("BackupMissing", noon), noon)
	}
	if len(st.Damaged) != damagedKept || st.Damaged[damagedKept-1] != idOf(saved(fmt.Sprint("x", 2*damagedKept-1), "hourly", 2*damagedKept-1)) {
		t.Errorf("%d are remembered, the last %s", len(st.Damaged), st.Damaged[len(st.Damaged)-1])
	}
}

func TestWhatTheConditionBackupsVerifiedSays(t *testing.T) {
	cluster := &v1alpha1.RobustMQCluster{}
	cluster.Spec.Backup = &v1alpha1.BackupSpec{}
	if c := backupsVerified(cluster, v1alpha1.VerificationStatus{}); c != nil {
		t.Errorf("nobody asked: %+v", c)
	}
	cluster.Spec.Backup.VerifyEvery = &metav1.Duration{Duration: time.Hour}
	then := metav1.NewTime(noon)
	for _, c := range []struct {
		st     v1alpha1.VerificationStatus
		status metav1.ConditionStatus
		reason string
	}{
		{v1alpha1.VerificationStatus{}, "Unknown", "Pending"},
		{v1alpha1.VerificationStatus{Backup: "b", JobOutcome: v1alpha1.JobOutcome{Time: then}}, "True", "BackupVerified"},
		{v1alpha1.VerificationStatus{Backup: "b", JobOutcome: v1alpha1.JobOutcome{Time: then, Failures: 1, Reason: "BackupBroken"}}, "False", "BackupBroken"},
		{v1alpha1.VerificationStatus{Backup: "b", JobOutcome: v1alpha1.JobOutcome{Time: then, Failures: 1, Reason: "StoreUnavailable"}}, "Unknown", "StoreUnavailable"},
	} {
		if got := backupsVerified(cluster, c.st); got.Status != c.status || got.Reason != c.reason || got.Message == "" {
			t.Errorf("%+v: %+v", c.st, got)
		}
	}
}
