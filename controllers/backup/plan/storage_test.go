package plan

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func ok(kind job.Kind, reason job.Reason, since time.Time) outcome.Outcome {
	return outcome.Outcome{Phase: outcome.Ended, Since: since, Result: &job.Result{Kind: kind, Reason: reason}}
}

func bad(reason string, since time.Time) outcome.Outcome {
	return outcome.Outcome{Phase: outcome.Ended, Since: since, Reason: reason, Message: "because"}
}

func TestAttemptsComeLaterAndLaterAndNeverMoreThanAnHourApart(t *testing.T) {
	var o v1alpha1.JobOutcome
	now := noon
	for i, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour, time.Hour} {
		o = noted(o, string(rune('a'+i)), bad("AccessDenied", now), now)
		if got := again(o, probeEvery, now).Sub(now); got != want || o.Failures != int32(i+1) || o.Reason != "AccessDenied" || o.Message != "because" {
			t.Errorf("after %d failures %s, want %s: %+v", i+1, got, want, o)
		}
		now = now.Add(want)
	}
	if got := backoff(1 << 30); got != time.Hour {
		t.Errorf("after very many failures %s", got)
	}
	o = noted(o, "z", ok(job.Probe, job.DestinationWritable, now), now)
	if got := again(o, probeEvery, now).Sub(now); got != probeEvery || o.Failures != 0 || o.Reason != "" || o.Message != "" {
		t.Errorf("after a success %s: %+v", got, o)
	}
}

func TestADestinationThatWorkedIsTriedAgainAtOnceWhenABackupFailedThere(t *testing.T) {
	at := func(d time.Duration) metav1.Time { return metav1.NewTime(noon.Add(d)) }
	works := v1alpha1.StorageStatus{Fingerprint: "f", JobOutcome: v1alpha1.JobOutcome{Time: at(0)}}
	fails := v1alpha1.StorageStatus{Fingerprint: "f", JobOutcome: v1alpha1.JobOutcome{Time: at(0), Failures: 2, Reason: v1alpha1.ReasonBucketMissing}}
	for _, x := range []struct {
		what    string
		storage v1alpha1.StorageStatus
		failure v1alpha1.BackupFailure
		want    time.Duration // after noon; negative: at once
	}{
		{"none failed", works, v1alpha1.BackupFailure{}, probeEvery},
		{"one failed before it was tried", works, v1alpha1.BackupFailure{Time: at(-time.Minute), Reason: v1alpha1.ReasonBucketMissing}, probeEvery},
		{"one failed since", works, v1alpha1.BackupFailure{Time: at(time.Minute), Reason: v1alpha1.ReasonBucketMissing}, -1},
		{"one failed since, for another reason", works, v1alpha1.BackupFailure{Time: at(time.Minute), Reason: v1alpha1.ReasonAgentLost}, probeEvery},
		{"one failed by a clock that runs ahead", works, v1alpha1.BackupFailure{Time: at(3 * time.Hour), Reason: v1alpha1.ReasonBucketMissing}, probeEvery},
		{"it does not work, and one failed since", fails, v1alpha1.BackupFailure{Time: at(time.Minute), Reason: v1alpha1.ReasonBucketMissing}, 2 * time.Minute},
	} {
		due := probeDue(x.storage, "f", x.failure, noon.Add(time.Hour))
		if x.want < 0 && !due.IsZero() || x.want >= 0 && !due.Equal(noon.Add(x.want)) {
			t.Errorf("%s: due at %s", x.what, due)
		}
	}
}

func TestATimeAheadOfTheClockPutsNothingOff(t *testing.T) {
	o := noted(v1alpha1.JobOutcome{}, "a", bad("AccessDenied", noon.Add(time.Hour)), noon)
	if !o.Time.Time.Equal(noon) {
		t.Errorf("it ended at %s", o.Time)
	}
	o.Time = metav1.NewTime(noon.Add(365 * 24 * time.Hour))
	if due := again(o, probeEvery, noon); due.After(noon) {
		t.Errorf("again at %s", due)
	}
}

func TestAFingerprintIsThatOfAllThatDecidesAndOfNothingElse(t *testing.T) {
	d := v1alpha1.S3Destination{Bucket: "b", Prefix: "p", CredentialsSecretName: "s"}
	named := []reference{{"Secret", "s", "uid", "1"}}
	base, err := fingerprintOf("uid", &d, named)
	if err != nil || len(base) != 32 {
		t.Fatal(base, err)
	}
	seen := map[string]string{base: "the base"}
	for what, change := range map[string]func(uid *string, d *v1alpha1.S3Destination, named *[]reference){
		"another identity": func(uid *string, _ *v1alpha1.S3Destination, _ *[]reference) { *uid = "other" },
		"another bucket":   func(_ *string, d *v1alpha1.S3Destination, _ *[]reference) { d.Bucket = "c" },
		"another prefix":   func(_ *string, d *v1alpha1.S3Destination, _ *[]reference) { d.Prefix = "q" },
		"another endpoint": func(_ *string, d *v1alpha1.S3Destination, _ *[]reference) { d.Endpoint = "https://s3.example.com" },
		"another region":   func(_ *string, d *v1alpha1.S3Destination, _ *[]reference) { d.Region = "eu" },
		"path style":       func(_ *string, d *v1alpha1.S3Destination, _ *[]reference) { d.PathStyle = true },
		"another account":  func(_ *string, d *v1alpha1.S3Destination, _ *[]reference) { d.ServiceAccountName = "a" },
		"a changed Secret": func(_ *string, _ *v1alpha1.S3Destination, n *[]reference) {
			*n = []reference{{"Secret", "s", "uid", "2"}}
		},
		"a new Secret": func(_ *string, _ *v1alpha1.S3Destination, n *[]reference) {
			*n = []reference{{"Secret", "s", "other", "1"}}
		},
		"no Secret": func(_ *string, _ *v1alpha1.S3Destination, n *[]reference) { *n = nil },
	} {
		uid, d, named := "uid", d, named
		change(&uid, &d, &named)
		f, err := fingerprintOf(uid, &d, named)
		if err != nil {
			t.Fatal(err)
		}
		if other, twice := seen[f]; twice {
			t.Errorf("%s has the fingerprint of %s", what, other)
		}
		seen[f] = what
	}
	if same, err := fingerprintOf("uid", &d, named); same != base || err != nil {
		t.Errorf("the same has another: %s, %v", same, err)
	}
}

func TestWhatTheConditionStorageReadySays(t *testing.T) {
	good := v1alpha1.StorageStatus{Fingerprint: "f", JobOutcome: v1alpha1.JobOutcome{Time: metav1.NewTime(noon)}}
	failed := v1alpha1.StorageStatus{Fingerprint: "f", JobOutcome: v1alpha1.JobOutcome{Time: metav1.NewTime(noon), Failures: 1, Reason: "AccessDenied", Message: "put in s3://b: access denied"}}
	here := destination{fingerprint: "f"}
	for _, c := range []struct {
		what    string
		st      v1alpha1.StorageStatus
		d       destination
		change  func(*v1alpha1.RobustMQCluster)
		pending *outcome.Outcome
		status  metav1.ConditionStatus
		reason  string
		message string
	}{
		{"no identity yet", v1alpha1.StorageStatus{}, here, func(c *v1alpha1.RobustMQCluster) { c.Status.ClusterUID = "" }, nil, "Unknown", "Pending", "no identity"},
		{"never tried", v1alpha1.StorageStatus{}, here, nil, nil, "Unknown", "Probing", "s3://b/p at https://s3.example.com is being tried"},
		{"it cannot be tried", v1alpha1.StorageStatus{}, here, nil, &outcome.Outcome{Phase: outcome.Pending, Reason: "Unschedulable", Message: "no node takes pod x"}, "Unknown", "Unschedulable", "no node takes pod x"},
		{"it is being started", v1alpha1.StorageStatus{}, here, nil, &outcome.Outcome{Phase: outcome.Pending, Reason: "WaitingForPods"}, "Unknown", "Probing", "is being tried"},
		{"paused", v1alpha1.StorageStatus{}, here, func(c *v1alpha1.RobustMQCluster) { c.Spec.Paused = true }, nil, "Unknown", "Paused", "while the cluster is paused"},
		{"good", good, here, nil, nil, "True", "DestinationWritable", "was written to s3://b/p"},
		{"good, and paused", good, here, func(c *v1alpha1.RobustMQCluster) { c.Spec.Paused = true }, nil, "True", "DestinationWritable", ""},
		{"changed since", good, destination{fingerprint: "g"}, nil, nil, "Unknown", "Probing", ""},
		{"failed", failed, here, nil, nil, "False", "AccessDenied", "put in s3://b: access denied"},
		{"failed, and being tried again", failed, here, nil, &outcome.Outcome{Phase: outcome.Running}, "False", "AccessDenied", ""},
		{"a Secret is missing", good, destination{fingerprint: "f", reason: "WaitingForSecret", problem: "there is no Secret"}, nil, nil, "False", "WaitingForSecret", "there is no Secret"},
	} {
		cluster := &v1alpha1.RobustMQCluster{}
		cluster.Status.ClusterUID = "uid"
		cluster.Spec.Backup = &v1alpha1.BackupSpec{Destination: v1alpha1.S3Destination{Bucket: "b", Prefix: "p", Endpoint: "https://s3.example.com"}}
		if c.change != nil {
			c.change(cluster)
		}
		got := storageReady(cluster, c.st, c.d, c.pending)
		if got.Status != c.status || got.Reason != c.reason || !strings.Contains(got.Message, c.message) || got.Type != "StorageReady" || got.Message == "" {
			t.Errorf("%s: %+v", c.what, got)
		}
	}
}
