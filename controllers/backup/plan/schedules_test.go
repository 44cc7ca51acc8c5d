package plan_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

var (
	hourly = v1alpha1.BackupSchedule{Name: "hourly", Cron: "0 * * * *"}
	daily  = v1alpha1.BackupSchedule{Name: "daily", Cron: "0 3 * * *", TimeZone: "Europe/Berlin"}
)

func TestSchedulesMakeBackupsThatOutliveTheirCluster(t *testing.T) {
	w := newWorld(t)
	w.cluster(hourly, daily)
	if next := w.settle(); next > 30*time.Second {
		t.Errorf("it looks again in %s, while the destination is being tried", next)
	}
	if got := w.backups(); len(got) != 0 {
		t.Fatalf("before the first tick: %v", got)
	}
	st, _ := w.status()
	if st.Schedules[0].NextScheduleTime.UTC().Format(time.RFC3339) != "2026-11-25T01:00:00Z" || st.Schedules[1].NextScheduleTime.UTC().Format(time.RFC3339) != "2026-11-25T02:00:00Z" {
		t.Errorf("%s", text(st))
	}
	w.now = w.now.Add(30 * time.Minute)
	w.settle()
	if got := fmt.Sprint(w.made); got != "[c-hourly-29926140]" {
		t.Fatal(got)
	}
	var b v1alpha1.RobustMQBackup
	w.must(w.Get(t.Context(), client.ObjectKey{Namespace: w.ns, Name: "c-hourly-29926140"}, &b))
	if len(b.OwnerReferences) != 0 || b.Labels[v1alpha1.LabelCluster] != "c" || b.Labels[v1alpha1.LabelSchedule] != "hourly" || b.Spec.ClusterName != "c" || b.Spec.DeletionPolicy != v1alpha1.BackupRetained {
		t.Errorf("%s", text(b))
	}
	if err := testutil.GatherAndCompare(w.registry, strings.NewReader(fmt.Sprintf(`
# HELP robustmq_backup_last_run_timestamp_seconds The time of the schedule for which a backup was made last, however that ended.
# TYPE robustmq_backup_last_run_timestamp_seconds gauge
robustmq_backup_last_run_timestamp_seconds{cluster="c",namespace=%q,schedule="hourly"} 1.7955684e+09
`, w.ns)), "robustmq_backup_last_run_timestamp_seconds"); err != nil {
		t.Error(err)
	}
	if told := w.told(v1alpha1.ReasonBackupScheduled, v1alpha1.ReasonTicksMissed); len(told) != 1 || !strings.Contains(told[0], "c-hourly-29926140") {
		t.Errorf("%v", told)
	}

	// The next tick is that of both. One at a time: the second is made when the first has ended.
	w.end("c-hourly-29926140", "")
	w.now = w.now.Add(time.Hour)
	w.settle()
	w.settle()
	if got := fmt.Sprint(w.made); got != "[c-hourly-29926140 c-hourly-29926200]" {
		t.Fatal(got)
	}
	st, _ = w.status()
	if !strings.Contains(st.Schedules[1].Note, "waits for the backup c-hourly-29926200") || !st.Schedules[1].LastScheduleTime.IsZero() {
		t.Errorf("%s", text(st.Schedules[1]))
	}
	w.now = w.now.Add(time.Minute)
	w.end("c-hourly-29926200", "")
	w.settle()
	if got := fmt.Sprint(w.made); got != "[c-hourly-29926140 c-hourly-29926200 c-daily-29926200]" {
		t.Fatal(got)
	}
	st, _ = w.status()
	if row := st.Schedules[1]; row.Note != "" || row.LastBackup != "c-daily-29926200" || row.LastScheduleTime.UTC().Format(time.RFC3339) != "2026-11-25T02:00:00Z" {
		t.Errorf("%s", text(row))
	}
	if st.LastSuccessTime.UTC().Format(time.RFC3339) != "2026-11-25T02:01:00Z" || st.Schedules[0].LastSuccessTime.UTC().Format(time.RFC3339) != "2026-11-25T02:01:00Z" {
		t.Errorf("%s", text(st))
	}
}

func TestTicksOfAnAbsenceAreMadeUpForOnce(t *testing.T) {
	w := newWorld(t)
	w.cluster(hourly)
	w.settle()
	w.now = w.now.Add(5 * time.Hour) // 05:30
	w.settle()
	w.settle()
	if got := fmt.Sprint(w.made); got != "[c-hourly-29926380]" { // of 05:00
		t.Fatal(got)
	}
	st, _ := w.status()
	if !strings.HasPrefix(st.Schedules[0].Note, "4 ticks had passed") {
		t.Errorf("%q", st.Schedules[0].Note)
	}
	if told := w.told(v1alpha1.ReasonTicksMissed); len(told) != 1 || !strings.Contains(told[0], "4 ticks") {
		t.Errorf("%v", told)
	}
	w.end("c-hourly-29926380", "")
	w.now = w.now.Add(30 * time.Minute)
	w.settle()
	if st, _ := w.status(); st.Schedules[0].Note != "" || len(w.made) != 2 {
		t.Errorf("after a tick in time: %s, %v", text(st.Schedules[0]), w.made)
	}
}

func TestSuspendedTicksPassAndThoseOfAPausedClusterAreMadeUpFor(t *testing.T) {
	w := newWorld(t)
	w.cluster(hourly)
	w.settle()
	w.change(func(c *v1alpha1.RobustMQCluster) { c.Spec.Backup.Schedules[0].Suspend = true })
	w.now = w.now.Add(3 * time.Hour)
	w.settle()
	st, _ := w.status()
	if row := st.Schedules[0]; len(w.made) != 0 || row.Note != "suspended" || !row.NextScheduleTime.IsZero() || row.LastScheduleTime.UTC().Format(time.RFC3339) != "2026-11-25T03:00:00Z" {
		t.Fatalf("%s, %v", text(st), w.made)
	}
	w.change(func(c *v1alpha1.RobustMQCluster) { c.Spec.Backup.Schedules[0].Suspend = false })
	w.settle()
	if st, _ := w.status(); len(w.made) != 0 || st.Schedules[0].NextScheduleTime.UTC().Format(time.RFC3339) != "2026-11-25T04:00:00Z" || st.Schedules[0].Note != "" {
		t.Fatalf("%s, %v", text(st), w.made)
	}
	w.change(func(c *v1alpha1.RobustMQCluster) { c.Spec.Paused = true })
	w.now = w.now.Add(3 * time.Hour) // 06:30
	before := len(w.writes)
	w.settle()
	for _, what := range w.writes[before:] {
		if what != "apply status" {
			t.Errorf("a paused cluster: %s", what)
		}
	}
	w.change(func(c *v1alpha1.RobustMQCluster) { c.Spec.Paused = false })
	w.settle()
	if got := fmt.Sprint(w.made); got != "[c-hourly-29926440]" { // of 06:00
		t.Fatal(got)
	}
}

func TestNothingIsDueWhereThereIsNothingToSave(t *testing.T) {
	w := newWorld(t)
	w.cluster(v1alpha1.BackupSchedule{Name: "minutely", Cron: "* * * * *"})
	var c v1alpha1.RobustMQCluster
	w.must(w.Get(t.Context(), client.ObjectKey{Namespace: w.ns, Name: "c"}, &c))
	c.Status.Founded = false
	w.must(w.Status().Update(t.Context(), &c))
	w.settle()
	w.now = w.now.Add(time.Hour)
	w.settle()
	if len(w.made) != 0 {
		t.Errorf("of a cluster that was not founded: %v", w.made)
	}
	w.change(func(c *v1alpha1.RobustMQCluster) { c.Finalizers = []string{"example.org/waits"} })
	w.must(w.Get(t.Context(), client.ObjectKey{Namespace: w.ns, Name: "c"}, &c))
	c.Status.Founded = true
	w.must(w.Status().Update(t.Context(), &c))
	w.settle()
	w.must(w.Delete(t.Context(), &c))
	before := len(w.writes)
	w.now = w.now.Add(time.Hour)
	w.settle()
	if len(w.made) != 0 || len(w.writes) != before {
		t.Errorf("of a cluster that is being deleted: %v, %v", w.made, w.writes[before:])
	}
	w.change(func(c *v1alpha1.RobustMQCluster) { c.Finalizers = nil })
}

func TestNoBackupIsMadeDuringARestore(t *testing.T) {
	w := newWorld(t)
	w.cluster(hourly)
	w.settle()
	restore := v1alpha1.RobustMQRestore{}
	restore.Name, restore.Namespace, restore.Spec.ClusterName = "undo", w.ns, "c"
	other := *restore.DeepCopy()
	other.Spec.ClusterName = "d"
	w.restores = []v1alpha1.RobustMQRestore{other, restore}
	w.now = w.now.Add(time.Hour)
	w.settle()
	if st, _ := w.status(); len(w.made) != 0 || !strings.Contains(st.Schedules[0].Note, "waits for the restore undo") {
		t.Errorf("%v, %s", w.made, text(st.Schedules))
	}
	w.restores = []v1alpha1.RobustMQRestore{other}
	w.settle()
	if len(w.made) != 1 {
		t.Errorf("%v", w.made)
	}
}

func TestANameThatIsTakenCostsThatTickItsBackupAndNoMore(t *testing.T) {
	w := newWorld(t)
	w.cluster(hourly)
	w.settle()
	mine := &v1alpha1.RobustMQBackup{}
	mine.Name, mine.Namespace, mine.Spec.ClusterName = "c-hourly-29926140", w.ns, "c"
	w.must(w.Create(t.Context(), mine))
	w.end(mine.Name, "")
	w.now = w.now.Add(30 * time.Minute)
	w.settle()
	if told := w.told(v1alpha1.ReasonNameTaken); len(w.made) != 0 || len(told) != 1 {
		t.Errorf("%v, %v", w.made, told)
	}
	w.now = w.now.Add(time.Hour)
	w.settle()
	if got := fmt.Sprint(w.made); got != "[c-hourly-29926200]" {
		t.Error(got)
	}
}

// An operator may die after every write. Whatever was done is found again, and nothing is done twice.
func TestAnOperatorThatDiesAfterAnyWriteLosesNoTickAndDoublesNone(t *testing.T) {
	died := errors.New("died")
	w := newWorld(t)
	w.cluster(hourly, daily)
	w.settle()
	for range 6 {
		w.now = w.now.Add(time.Hour)
		for die := range 6 { // after the first write, the second, ...
			n := 0
			w.fail = func(string) (error, error) {
				if n++; n > die {
					return nil, died
				}
				return nil, nil
			}
			r := w.operator()
			for range 3 {
				if _, err := r.Reconcile(t.Context(), request(w)); errors.Is(err, died) {
					break
				}
			}
		}
		w.fail = nil
		w.settle()
		for _, name := range w.made {
			w.end(name, "")
		}
		w.settle()
	}
	seen := map[string]bool{}
	for _, name := range w.made {
		if seen[name] {
			t.Errorf("%s was made twice", name)
		}
		seen[name] = true
	}
	for hour := range 6 {
		if name := fmt.Sprint("c-hourly-", 29926140+60*hour); !seen[name] {
			t.Errorf("%s was never made: %v", name, w.made)
		}
	}
	if !seen["c-daily-29926200"] || len(seen) != 7 {
		t.Errorf("%v", w.made)
	}
}
