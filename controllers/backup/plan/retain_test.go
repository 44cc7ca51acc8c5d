package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/job"
)

var place = v1alpha1.S3Destination{Bucket: "b", Prefix: "p"}

// saved is a backup that is complete, with its recovery point so many hours before noon.
func saved(name, schedule string, hours int) *v1alpha1.RobustMQBackup {
	b := &v1alpha1.RobustMQBackup{}
	b.Name, b.Namespace = name, "ns"
	b.CreationTimestamp = metav1.NewTime(noon.Add(-time.Duration(hours) * time.Hour))
	if schedule != "" {
		b.Labels = map[string]string{v1alpha1.LabelSchedule: schedule}
	}
	b.Spec.ClusterName = "c"
	b.Status.Stage, b.Status.ClusterUID, b.Status.Destination = v1alpha1.BackupComplete, "uid", ptr.To(place)
	b.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonBackupComplete}}
	b.Status.RecoveryPoint.Time = b.CreationTimestamp
	b.Status.CompletionTime = metav1.NewTime(b.CreationTimestamp.Add(time.Minute))
	b.Status.Key = "p/uid/backups/" + archive.ID(b.CreationTimestamp.Time, name) + "/manifest.json"
	return b
}

func broken(name, schedule string, hours int) *v1alpha1.RobustMQBackup {
	b := saved(name, schedule, hours)
	b.Status.Stage, b.Status.Key = v1alpha1.BackupFailed, ""
	b.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonAgentLost, Message: "why"}}
	return b
}

func names(list []*v1alpha1.RobustMQBackup) []string {
	out := []string{}
	for _, b := range list {
		out = append(out, b.Name)
	}
	slices.Sort(out)
	return out
}

func keeping(last int32) *v1alpha1.BackupSpec {
	return &v1alpha1.BackupSpec{Destination: place, Schedules: []v1alpha1.BackupSchedule{{Name: "hourly", Retention: v1alpha1.RetentionPolicy{KeepLast: &last}}}}
}

func TestFailedBackupsOfASchedulesAreBoundedAndNoOthersAreTouched(t *testing.T) {
	var own []*v1alpha1.RobustMQBackup
	for i := range 6 {
		own = append(own, broken(fmt.Sprint("h", i), "hourly", 20-i), broken(fmt.Sprint("hand", i), "", 20-i), saved(fmt.Sprint("s", i), "hourly", 20-i))
	}
	own = append(own, broken("d0", "daily", 3))
	waiting := broken("w", "hourly", 30)
	waiting.Status.Stage = v1alpha1.BackupWaiting
	own = append([]*v1alpha1.RobustMQBackup{waiting}, own...)
	if got := fmt.Sprint(names(stale(own))); got != "[h0 h1 h2]" {
		t.Errorf("%s go", got)
	}
}

func TestObjectsGoWithTheirManifests(t *testing.T) {
	a, b, c := saved("a", "hourly", 3), saved("b", "hourly", 2), saved("c", "hourly", 1)
	hand := saved("hand", "", 9)
	elsewhere := saved("elsewhere", "hourly", 8)
	elsewhere.Status.Destination.Bucket = "other"
	own := []*v1alpha1.RobustMQBackup{hand, elsewhere, a, b, c}
	for _, test := range []struct {
		what string
		plan *v1alpha1.BackupSpec
		said job.Collected
		want string
	}{
		{"nothing expired", keeping(7), job.Collected{Kept: 4}, "[]"},
		{"the one that is named", keeping(2), job.Collected{Expired: 1, ExpiredIDs: []string{idOf(a)}, Kept: 3}, "[a]"},
		{"never one that was made by hand", keeping(2), job.Collected{Expired: 1, ExpiredIDs: []string{idOf(hand)}, Kept: 3}, "[]"},
		{"the list was cut: the oldest by the rule, as many as are missing", keeping(1), job.Collected{Expired: 2, ExpiredIDs: []string{idOf(a)}, Kept: 2}, "[a b]"},
		{"a result that nobody read", keeping(1), job.Collected{Kept: 2}, "[a b]"},
		{"fewer are missing than the rule would let go: only so many, the oldest", keeping(1), job.Collected{Kept: 3}, "[a]"},
		{"more in the bucket than objects: by name alone", keeping(1), job.Collected{Expired: 1, ExpiredIDs: []string{idOf(a)}, Kept: 9}, "[a]"},
		{"a bucket that lost what the rule keeps: the last good one stays", keeping(1), job.Collected{Kept: 0}, "[a b]"},
	} {
		if got := fmt.Sprint(names(gone(own, test.plan, &test.said, noon))); got != test.want {
			t.Errorf("%s: %s go, want %s", test.what, got, test.want)
		}
	}
}

// The bucket and the objects are a world each: what the archive's own rule deletes there decides what goes here.
func TestTheLastGoodObjectNeverGoesAndNoneGoesBeforeItsManifest(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for world := range 2000 {
		plan := keeping(int32(1 + random.IntN(4)))
		plan.Schedules = append(plan.Schedules, v1alpha1.BackupSchedule{Name: "daily", Retention: v1alpha1.RetentionPolicy{MaxAge: &metav1.Duration{Duration: time.Duration(1+random.IntN(100)) * time.Hour}}})
		var own []*v1alpha1.RobustMQBackup
		var bucket []archive.Candidate
		for i := range 1 + random.IntN(12) {
			b := saved(fmt.Sprint("b", i), []string{"", "hourly", "daily", "removed"}[random.IntN(4)], 200-i*10)
			own = append(own, b)
			bucket = append(bucket, archive.Candidate{ID: idOf(b), Schedule: scheduleOf(b), Time: b.Status.RecoveryPoint.Time.Time, Good: true})
		}
		for i := range random.IntN(4) { // backups whose objects were deleted by hand
			bucket = append(bucket, archive.Candidate{ID: fmt.Sprint("x", i), Schedule: "hourly", Time: noon.Add(-time.Duration(random.IntN(200)) * time.Hour), Good: random.IntN(2) == 0})
		}
		at := noon.Add(time.Duration(random.IntN(50)) * time.Hour)
		expired := archive.Expired(bucket, policiesOf(plan.Schedules), at)
		said := job.Collected{Expired: len(expired), Kept: len(bucket) - len(expired)}
		deleted := map[string]bool{}
		for i, e := range expired {
			deleted[e.ID] = true
			if i < random.IntN(5) { // the list is cut somewhere
				said.ExpiredIDs = append(said.ExpiredIDs, e.ID)
			}
		}
		going := map[string]bool{}
		for _, b := range gone(own, plan, &said, at) {
			going[b.Name] = true
			if !deleted[idOf(b)] {
				t.Fatalf("world %d: %s goes and its manifest is there", world, b.Name)
			}
		}
		newest := map[string]*v1alpha1.RobustMQBackup{}
		for _, b := range own {
			newest[scheduleOf(b)] = b
		}
		for s, b := range newest {
			if going[b.Name] && !deleted[idOf(b)] {
				t.Fatalf("world %d: the last of %q goes", world, s)
			}
		}
		if going[own[len(own)-1].Name] && len(bucket) == len(own) {
			t.Fatalf("world %d: the newest of all goes", world)
		}
	}
}

func TestWhatIsRememberedOfBackups(t *testing.T) {
	st := &v1alpha1.BackupPlanStatus{Schedules: []v1alpha1.ScheduleStatus{{Name: "hourly"}, {Name: "daily", LastSuccessTime: metav1.NewTime(noon)}}}
	own := []*v1alpha1.RobustMQBackup{saved("a", "hourly", 9), broken("b", "hourly", 8), saved("c", "", 7), broken("d", "daily", 6), saved("e", "daily", 5)}
	remember(st, own)
	remember(st, own[:1]) // the others were deleted
	if show(st.LastSuccessTime) != "2026-11-25T07:01:00Z" || show(st.Schedules[0].LastSuccessTime) != "2026-11-25T03:01:00Z" || show(st.Schedules[1].LastSuccessTime) != "2026-11-25T12:00:00Z" {
		t.Errorf("%+v", st)
	}
	if f := st.LastFailure; f.Backup != "d" || f.Reason != v1alpha1.ReasonAgentLost || f.Message != "why" || show(f.Time) != "2026-11-25T06:01:00Z" {
		t.Errorf("%+v", f)
	}
}

func TestBackupsOfAnEarlierClusterOfThatNameAreNotThisOnes(t *testing.T) {
	cluster := &v1alpha1.RobustMQCluster{}
	cluster.Name, cluster.Status.ClusterUID, cluster.CreationTimestamp = "c", "uid", metav1.NewTime(noon.Add(-5*time.Hour))
	old, early, other := saved("old", "hourly", 9), broken("early", "hourly", 8), saved("other", "hourly", 1)
	old.Status.ClusterUID, early.Status.ClusterUID, other.Spec.ClusterName = "before", "", "d"
	adopted, late := saved("adopted", "hourly", 7), broken("late", "hourly", 2)
	late.Status.ClusterUID = ""
	if got := fmt.Sprint(names(ofCluster([]v1alpha1.RobustMQBackup{*old, *early, *other, *adopted, *late}, cluster))); got != "[adopted late]" {
		t.Errorf("%s", got)
	}
}
