package backup

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
)

// goer is a complete backup whose object was deleted at noon.
func goer(change ...func(*v1alpha1.RobustMQBackup)) *v1alpha1.RobustMQBackup {
	return newBackup(append([]func(*v1alpha1.RobustMQBackup){func(b *v1alpha1.RobustMQBackup) {
		b.Spec.DeletionPolicy, b.DeletionTimestamp, b.Finalizers = v1alpha1.BackupDeleted, ptr.To(metav1.NewTime(noon)), []string{v1alpha1.FinalizerBackup}
		b.Status.Stage, b.Status.JobName, b.Status.ClusterUID = v1alpha1.BackupComplete, "b-backup", "0b6c6a2e-54b1-4d0c-a0a4-4c9a1c9f2f55"
		b.Status.Destination = &v1alpha1.S3Destination{Bucket: "backups", Prefix: "eu", CredentialsSecretName: "s3"}
	}}, change...)...)
}

func said(reason job.Reason) outcome.Outcome {
	r := job.Result{Kind: job.Delete, Reason: reason, Message: "in its own words"}
	o := outcome.Outcome{Phase: outcome.Ended, Since: noon, Result: &r}
	if !r.OK() {
		o.Reason, o.Message = string(reason), r.Message
	}
	return o
}

func TestABackupThatGoesFromTheBucket(t *testing.T) {
	made := func(l *leaving) { l.job = &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "b-delete"}} }
	with := func(o outcome.Outcome) func(*leaving) { return func(l *leaving) { made(l); l.run = o } }
	for name, x := range map[string]struct {
		after  time.Duration
		change func(*leaving)
		want   leave // warning: a part of it
	}{
		"is removed by a Job": {time.Second, func(*leaving) {}, leave{create: true}},
		"is looked for in the bucket also when it has failed": {time.Second, func(l *leaving) { l.backup.Status.Stage = v1alpha1.BackupFailed }, leave{create: true}},
		"never began, and there is nothing to remove":         {time.Second, func(l *leaving) { l.backup.Status = v1alpha1.RobustMQBackupStatus{} }, leave{release: true}},
		"is first stopped from being written":                 {time.Second, func(l *leaving) { l.take = newJob(l.backup, newCluster()) }, leave{removeTake: true}},
		"waits until nothing can write any more": {time.Second, func(l *leaving) {
			l.take = newJob(l.backup, newCluster())
			l.take.DeletionTimestamp = ptr.To(metav1.NewTime(noon))
		}, leave{}},
		"waits for its Job":                                   {time.Minute, with(outcome.Outcome{Phase: outcome.Running}), leave{}},
		"is released when its Job says that it is gone":       {time.Minute, with(said(job.BackupDeleted)), leave{release: true}},
		"is released when it was not there":                   {time.Minute, with(said(job.BackupMissing)), leave{release: true}},
		"is released when the bucket is gone":                 {time.Minute, with(said(job.BucketMissing)), leave{release: true}},
		"is tried again later when it failed":                 {time.Minute, with(said(job.AccessDenied)), leave{removeJob: true}},
		"is not tried again at once":                          {time.Minute - 1, with(said(job.AccessDenied)), leave{}},
		"is given up in the end, with the reason":             {timings.Deletion, with(said(job.AccessDenied)), leave{release: true, warning: "AccessDenied: in its own words"}},
		"is given up when a Job hangs":                        {timings.Deletion, with(outcome.Outcome{Phase: outcome.Pending, Reason: "Unschedulable", Message: "no node"}), leave{release: true, warning: "Unschedulable: no node"}},
		"is given up when its own Job does not end":           {timings.Deletion, func(l *leaving) { l.take = newJob(l.backup, newCluster()) }, leave{release: true, warning: "Job b-backup, which makes it, has not ended"}},
		"is released at last although it succeeded late":      {timings.Deletion, with(said(job.BackupDeleted)), leave{release: true}},
		"is left where the Secret of its destination is gone": {time.Second, func(l *leaving) { l.missing = &wait{"", `Secret "s3" does not exist`} }, leave{release: true, warning: `Secret "s3" does not exist`}},
		"is left where nobody knows where it is":              {time.Second, func(l *leaving) { l.backup.Status.Destination = nil }, leave{release: true, warning: "not known where it is"}},
		"waits for a restore that reads it":                   {time.Second, func(l *leaving) { l.restore = "undo" }, leave{}},
		"is left in the end for the restore that reads it":    {timings.Deletion, func(l *leaving) { l.restore = "undo" }, leave{release: true, warning: "restore undo reads it"}},
		"waits while another Job has the bucket":              {time.Second, func(l *leaving) { l.busy = "c-backup-collect" }, leave{}},
		"waits for a Job of an earlier backup of its name":    {time.Second, func(l *leaving) { l.foreign = &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "b-delete"}} }, leave{}},
		"and removes that when it has ended": {time.Second, func(l *leaving) {
			l.foreign = &batchv1.Job{Status: batchv1.JobStatus{Conditions: []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}}}
		}, leave{removeJob: true}},
	} {
		l := &leaving{now: noon.Add(x.after), backup: goer()}
		x.change(l)
		got := decideLeave(l, timings)
		if !strings.Contains(got.warning, x.want.warning) || (got.warning == "") != (x.want.warning == "") {
			t.Errorf("%s: warning %q, want %q", name, got.warning, x.want.warning)
		}
		if got.warning, got.told, x.want.warning = "", "", ""; got != x.want {
			t.Errorf("%s: %+v, want %+v", name, got, x.want)
		}
	}
}

func TestWhatIsLeftInTheBucketIsNamedByItsKey(t *testing.T) {
	if got := placeOf(goer()); got != "eu/0b6c6a2e-54b1-4d0c-a0a4-4c9a1c9f2f55/backups/20261125T120000Z-b/manifest.json of bucket backups" {
		t.Error(got)
	}
}

func TestTheJobThatRemovesABackupNeedsNoClusterAndIsNotTheBackupsOwn(t *testing.T) {
	for _, c := range []*v1alpha1.RobustMQCluster{nil, newCluster()} {
		j, err := deletionJob(goer(), c, "11111111-0000-4000-8000-000000000000", "agent")
		if err != nil {
			t.Fatal(err)
		}
		// With the object as its owner, a deletion in the foreground would remove the Job before it has done anything.
		if len(j.OwnerReferences) != 0 || j.Annotations[v1alpha1.AnnotationBackupUID] != string(goer().UID) || j.Labels[v1alpha1.LabelBackup] != "b" || j.Labels[v1alpha1.LabelCluster] != "c" {
			t.Errorf("%v %v %v", j.OwnerReferences, j.Annotations, j.Labels)
		}
		r, err := job.Parse(job.Delete, strings.TrimPrefix(j.Spec.Template.Spec.Containers[0].Command[3], requestFlag))
		if err != nil || r.Delete.ID != "20261125T120000Z-b" || r.Owner.ClusterUID != goer().Status.ClusterUID || !r.Destination.StaticCredentials {
			t.Errorf("%+v, %v", r, err)
		}
	}
}
