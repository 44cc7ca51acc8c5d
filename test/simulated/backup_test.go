package simulated

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// savable is a cluster that formed, with a bucket for its backups.
func savable(t *testing.T, w *world.World) (*v1alpha1.RobustMQCluster, *world.Bucket) {
	t.Helper()
	b := w.NewBucket()
	plantCredentials(t, w)
	return form(t, w, manifest(newest, 3, 2, destination(b))), b
}

func plantCredentials(t *testing.T, w *world.World) {
	t.Helper()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "s3", Namespace: w.Namespace},
		Data:       map[string][]byte{"accessKey": []byte(world.BucketAccessKey), "secretKey": []byte(world.BucketSecretKey)},
	}
	if err := w.Client.Create(w.Context(), secret); err != nil {
		t.Fatal(err)
	}
}

func destination(b *world.Bucket) string {
	return fmt.Sprintf("  unsafe: [AllowInsecureS3]\n  backup: {destination: {bucket: %s, prefix: eu, endpoint: %q, region: us-east-1, pathStyle: true, credentialsSecretName: s3}}\n", world.BucketName, b.URL)
}

// back asks for a backup.
func back(t *testing.T, w *world.World, name string, change ...func(*v1alpha1.RobustMQBackup)) {
	t.Helper()
	b := &v1alpha1.RobustMQBackup{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.Namespace}, Spec: v1alpha1.RobustMQBackupSpec{ClusterName: "c"}}
	for _, c := range change {
		c(b)
	}
	if err := w.Client.Create(w.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func backupOf(t *testing.T, w *world.World, name string) *v1alpha1.RobustMQBackup {
	t.Helper()
	var b v1alpha1.RobustMQBackup
	if err := w.Client.Get(w.Context(), client.ObjectKey{Namespace: w.Namespace, Name: name}, &b); err != nil {
		t.Fatal(err)
	}
	return &b
}

// awaitStage waits until a backup is in one of some stages.
func awaitStage(t *testing.T, w *world.World, name string, stages ...v1alpha1.BackupStage) *v1alpha1.RobustMQBackup {
	t.Helper()
	var b *v1alpha1.RobustMQBackup
	w.Await(fmt.Sprintf("backup %s to be %v", name, stages), func() (bool, string) {
		b = backupOf(t, w, name)
		return slices.Contains(stages, b.Status.Stage), why(b)
	})
	return b
}

func why(b *v1alpha1.RobustMQBackup) string {
	c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionComplete)
	if c == nil {
		return "no condition yet"
	}
	return fmt.Sprintf("%s: %s: %s", b.Status.Stage, c.Reason, c.Message)
}

func completed(t *testing.T, w *world.World, name string) *v1alpha1.RobustMQBackup {
	t.Helper()
	b := awaitStage(t, w, name, v1alpha1.BackupComplete, v1alpha1.BackupFailed)
	if b.Status.Stage != v1alpha1.BackupComplete {
		t.Fatalf("backup %s: %s\n%s", name, why(b), w.Describe())
	}
	return b
}

// manifestsOf are the names of the backups that the bucket has.
func manifestsOf(b *world.Bucket) []string {
	var names []string
	for _, key := range b.Objects() {
		if id, ok := strings.CutSuffix(key, "/manifest.json"); ok {
			names = append(names, id[strings.LastIndexByte(id, '-')+1:])
		}
	}
	return names
}

func jobPods(t *testing.T, w *world.World, backup string) []corev1.Pod {
	t.Helper()
	var pods corev1.PodList
	if err := w.Client.List(w.Context(), &pods, client.InNamespace(w.Namespace), client.MatchingLabels{v1alpha1.LabelBackup: backup}); err != nil {
		t.Fatal(err)
	}
	return pods.Items
}

func TestABackupBecomesCompleteAndTheBucketHasWhatItsStatusSays(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	c, bucket := savable(t, w)
	back(t, w, "first")
	first := completed(t, w, "first")
	s := first.Status
	if _, ok := bucket.Object(s.Key); !ok || !strings.HasPrefix(s.Key, "eu/"+c.Status.ClusterUID+"/backups/") {
		t.Errorf("the bucket has no %q: %v", s.Key, bucket.Objects())
	}
	if s.Source.Pod == c.Status.Leader || s.Source.Leader || s.Source.Pod == "" {
		t.Errorf("it was taken from %+v, the leader is %s", s.Source, c.Status.Leader)
	}
	if s.ClusterUID != c.Status.ClusterUID || s.Version != newest || s.Nodes != (v1alpha1.RoleCounts{PlacementCenter: 3, MQTTBroker: 2}) || len(s.RecoveryPoint.Groups) != 3 || s.RecoveryPoint.Time.IsZero() ||
		s.SizeBytes == nil || *s.SizeBytes == 0 || s.Progress.Percent != 100 || s.Destination.CredentialsSecretName != "s3" {
		t.Errorf("%+v", s)
	}
	// Its Job is of no use any more, and nothing is written for it again.
	w.Await("the Job to be removed", func() (bool, string) {
		err := w.Client.Get(w.Context(), client.ObjectKey{Namespace: w.Namespace, Name: s.JobName}, &batchv1.Job{})
		return apierrors.IsNotFound(err) && len(jobPods(t, w, "first")) == 0, fmt.Sprint(err)
	})
	settle(t, w)
	writes, version := len(w.Operator().Writes()), backupOf(t, w, "first").ResourceVersion
	w.Stays(5*time.Minute, "no write", func() (bool, string) {
		now := w.Operator().Writes()
		return len(now) == writes, fmt.Sprint(now[writes:])
	})
	if now := backupOf(t, w, "first").ResourceVersion; now != version {
		t.Errorf("the backup was written: resource version %s, then %s", version, now)
	}

	// Two more at once: one after the other, in the order of their names when they are of the same second.
	back(t, w, "third-b")
	back(t, w, "second-a")
	completed(t, w, "second-a")
	completed(t, w, "third-b")
	if got := manifestsOf(bucket); len(got) != 3 {
		t.Errorf("the bucket has %v", got)
	}
	a, b := backupOf(t, w, "second-a").Status, backupOf(t, w, "third-b").Status
	if a.StartTime.Before(&b.CompletionTime) && b.StartTime.Before(&a.CompletionTime) {
		t.Errorf("both were made at once: %s to %s, and %s to %s", a.StartTime, a.CompletionTime, b.StartTime, b.CompletionTime)
	}
	reasons := map[string]int{}
	for _, e := range w.Events() {
		if e.Object == "first" {
			reasons[e.Reason]++
		}
	}
	for _, want := range []string{v1alpha1.ReasonBackupStarted, v1alpha1.ReasonBackupComplete} {
		if reasons[want] != 1 {
			t.Errorf("event %s was told %d times: %v", want, reasons[want], reasons)
		}
	}
}

func TestABackupThatIsDeletedGoesFromTheBucketIfItsPolicySaysSo(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	_, bucket := savable(t, w)
	goes := func(b *v1alpha1.RobustMQBackup) { b.Spec.DeletionPolicy = v1alpha1.BackupDeleted }
	for _, name := range []string{"stays", "goes", "left"} {
		if name == "stays" {
			back(t, w, name)
		} else {
			back(t, w, name, goes)
		}
		completed(t, w, name)
	}
	left := backupOf(t, w, "left").Status.Key
	remove := func(name string) {
		t.Helper()
		if err := w.Client.Delete(w.Context(), backupOf(t, w, name)); err != nil {
			t.Fatal(err)
		}
		w.Await(name+" to be gone", func() (bool, string) {
			err := w.Client.Get(w.Context(), client.ObjectKey{Namespace: w.Namespace, Name: name}, &v1alpha1.RobustMQBackup{})
			return apierrors.IsNotFound(err), fmt.Sprint(err)
		})
	}
	remove("stays")
	remove("goes")
	if got := manifestsOf(bucket); !slices.Contains(got, "stays") || slices.Contains(got, "goes") {
		t.Errorf("the bucket has %v", got)
	}
	// Without credentials nobody can remove it: the object goes all the same, and says what it leaves.
	if err := w.Client.Delete(w.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s3", Namespace: w.Namespace}}); err != nil {
		t.Fatal(err)
	}
	remove("left")
	w.Await("the event that names what is left", func() (bool, string) {
		return told(w, v1alpha1.ReasonBackupLeft, left, `Secret "s3" does not exist`), fmt.Sprint(w.Events())
	})
}
