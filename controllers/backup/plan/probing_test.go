package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
)

const probe = "c-backup-probe"

func (w *world) wantReady(status metav1.ConditionStatus, reason, message string) {
	w.t.Helper()
	if _, ready := w.status(); ready.Status != status || ready.Reason != reason || !strings.Contains(ready.Message, message) {
		w.t.Errorf("StorageReady is %s, want %s %s %q", text(ready), status, reason, message)
	}
}

func TestTheDestinationIsTriedWithWhatBackupsHave(t *testing.T) {
	w := newWorld(t)
	w.cluster()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "keys", Namespace: w.ns}, Data: map[string][]byte{"accessKey": []byte("AK-visible-nowhere")}}
	w.change(func(c *v1alpha1.RobustMQCluster) { c.Spec.Backup.Destination.CredentialsSecretName = "keys" })
	w.settle()
	w.wantReady(metav1.ConditionFalse, v1alpha1.ReasonWaitingForSecret, `names Secret "keys", which does not exist`)
	if w.job(probe) != nil {
		t.Error("a Job whose Secret is missing would never start")
	}
	w.must(w.Create(t.Context(), secret))
	w.settle()
	w.wantReady(metav1.ConditionFalse, v1alpha1.ReasonWaitingForSecret, `no key "secretKey"`)
	secret.Data["secretKey"] = []byte("SK-visible-nowhere")
	w.must(w.Update(t.Context(), secret))
	w.settle()
	w.wantReady(metav1.ConditionUnknown, v1alpha1.ReasonProbing, "s3://backups/"+w.ns+"/c")
	asked := w.asked(probe, job.Probe)
	if !asked.Destination.StaticCredentials || asked.Owner.ClusterUID != "uid-"+w.ns+"-c" || asked.Owner.Name != "c" || asked.Owner.Namespace != w.ns || asked.Owner.Installation == "" {
		t.Errorf("%+v", asked)
	}
	if owner := metav1.GetControllerOf(w.job(probe)); owner == nil || owner.Kind != "RobustMQCluster" {
		t.Error("the Job would outlive its cluster")
	}

	// It fails. The next attempt comes a minute later, the one after that two.
	failure := job.Result{Kind: job.Probe, Reason: job.AccessDenied, Message: "put in s3://backups: access denied"}
	w.endJob(probe, failure)
	first := w.job(probe).UID
	w.settle()
	w.wantReady(metav1.ConditionFalse, v1alpha1.ReasonAccessDenied, "put in s3://backups: access denied")
	for i, wait := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
		w.now = w.now.Add(wait - time.Second)
		w.settle()
		if w.job(probe).UID != first {
			t.Fatalf("attempt %d comes too soon", i+2)
		}
		w.now = w.now.Add(time.Second)
		w.settle()
		if w.job(probe) == nil || w.job(probe).UID == first {
			t.Fatalf("attempt %d does not come", i+2)
		}
		w.wantReady(metav1.ConditionFalse, v1alpha1.ReasonAccessDenied, "")
		w.endJob(probe, failure)
		w.settle()
		first = w.job(probe).UID
	}
	if told := w.told(v1alpha1.ReasonAccessDenied); len(told) != 1 {
		t.Errorf("one event a transition: %v", told)
	}
	if st, _ := w.status(); st.Storage.Failures != 4 {
		t.Errorf("%s", text(st.Storage))
	}

	// Somebody corrects the Secret: at once.
	secret.Data["secretKey"] = []byte("SK-better")
	w.must(w.Update(t.Context(), secret))
	w.settle()
	w.wantReady(metav1.ConditionUnknown, v1alpha1.ReasonProbing, "")
	w.endJob(probe, job.Result{Kind: job.Probe, Reason: job.DestinationWritable})
	w.settle()
	w.wantReady(metav1.ConditionTrue, v1alpha1.ReasonDestinationWritable, "was written to s3://backups")
	if told := w.told(v1alpha1.ReasonDestinationWritable); len(told) != 1 {
		t.Errorf("%v", told)
	}
	if n, err := testutil.GatherAndCount(w.registry, "robustmq_backup_storage_ready"); n != 1 || err != nil {
		t.Errorf("%d series, %v", n, err)
	}

	// And again after a day, during which nothing is written.
	last, writes := w.job(probe).UID, len(w.writes)
	w.now = w.now.Add(24*time.Hour - time.Minute)
	if next := w.settle(); next > 5*time.Minute || len(w.writes) != writes {
		t.Errorf("next in %s, written: %v", next, w.writes[writes:])
	}
	w.now = w.now.Add(time.Minute)
	w.settle()
	if w.job(probe).UID == last {
		t.Error("a destination that worked once is never tried again")
	}
	w.wantReady(metav1.ConditionTrue, v1alpha1.ReasonDestinationWritable, "")

	// No secret is where it could be read by more people than the Secret.
	var c v1alpha1.RobustMQCluster
	w.must(w.Get(t.Context(), client.ObjectKey{Namespace: w.ns, Name: "c"}, &c))
	for _, where := range []string{text(c), text(w.job(probe)), strings.Join(w.told(), "\n")} {
		for _, secret := range []string{"AK-visible-nowhere", "SK-visible-nowhere", "SK-better"} {
			if strings.Contains(where, secret) {
				t.Errorf("%s in %s", secret, where)
			}
		}
	}

	// Without a plan nothing of it is left.
	w.change(func(c *v1alpha1.RobustMQCluster) { c.Spec.Backup = nil })
	w.settle()
	w.must(w.Get(t.Context(), client.ObjectKey{Namespace: w.ns, Name: "c"}, &c))
	if c.Status.Backup != nil || len(c.Status.Conditions) != len(v1alpha1.ConditionTypes) || c.Status.ClusterUID == "" {
		t.Errorf("%s", text(c.Status))
	}
	if n, err := testutil.GatherAndCount(w.registry); n != 0 || err != nil {
		t.Errorf("%d series, %v", n, err)
	}
}

func TestAProbeOfAnotherDestinationIsEnded(t *testing.T) {
	w := newWorld(t)
	w.cluster()
	w.settle()
	first := w.job(probe).UID
	w.change(func(c *v1alpha1.RobustMQCluster) { c.Spec.Backup.Destination.Bucket = "elsewhere" })
	w.settle()
	if j := w.job(probe); j == nil || j.UID == first || w.asked(probe, job.Probe).Destination.Bucket != "elsewhere" {
		t.Error("the bucket of before is tried")
	}
	// A result that came too late says nothing of the new one.
	w.change(func(c *v1alpha1.RobustMQCluster) { c.Spec.Backup.Destination.Bucket = "third" })
	w.endJob(probe, job.Result{Kind: job.Probe, Reason: job.DestinationWritable})
	w.settle()
	w.wantReady(metav1.ConditionUnknown, v1alpha1.ReasonProbing, "s3://third")
	if w.asked(probe, job.Probe).Destination.Bucket != "third" {
		t.Error("the new one is not tried")
	}
}

func TestAProbeThatCannotRunSaysWhy(t *testing.T) {
	w := newWorld(t)
	w.cluster()
	w.settle()
	w.pod(w.job(probe), corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "Back-off pulling image"}}, corev1.PodPending)
	w.settle()
	w.wantReady(metav1.ConditionUnknown, v1alpha1.ReasonImagePullFailed, "Back-off pulling image")

	w.change(func(c *v1alpha1.RobustMQCluster) { c.Spec.Backup.Destination.ServiceAccountName = "nobody" })
	w.settle()
	w.wantReady(metav1.ConditionFalse, v1alpha1.ReasonDestinationInvalid, `ServiceAccount "nobody", which does not exist`)
	w.must(w.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "nobody", Namespace: w.ns}}))
	w.settle()
	w.wantReady(metav1.ConditionUnknown, v1alpha1.ReasonProbing, "")
	if w.job(probe).Spec.Template.Spec.ServiceAccountName != "nobody" {
		t.Error("it runs under another account than backups do")
	}
}

func TestAPausedClusterIsNotTried(t *testing.T) {
	w := newWorld(t)
	w.cluster()
	w.change(func(c *v1alpha1.RobustMQCluster) { c.Spec.Paused = true })
	w.settle()
	w.wantReady(metav1.ConditionUnknown, v1alpha1.ReasonPaused, "")
	if w.job(probe) != nil {
		t.Error("a Job was made")
	}
}
