package monitoring_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/types"

	"github.com/robustmq/robustmq-operator/monitoring"
)

var (
	noon    = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	cluster = types.NamespacedName{Namespace: "ns", Name: "c"}
)

func plan(schedules ...string) monitoring.Plan {
	p := monitoring.Plan{Schedules: map[string]monitoring.Schedule{monitoring.ByHand: {}}}
	for _, s := range schedules {
		p.Schedules[s] = monitoring.Schedule{}
	}
	return p
}

func registered(t *testing.T) (*monitoring.Backups, *prometheus.Registry) {
	t.Helper()
	b, r := monitoring.NewBackups(), prometheus.NewPedanticRegistry()
	if err := r.Register(b); err != nil {
		t.Fatal(err)
	}
	return b, r
}

func wantSeries(t *testing.T, r *prometheus.Registry, text string, names ...string) {
	t.Helper()
	if err := testutil.GatherAndCompare(r, strings.NewReader(text), names...); err != nil {
		t.Error(err)
	}
}

func TestWhatIsKnownHasASeriesAndWhatIsNotHasNone(t *testing.T) {
	b, r := registered(t)
	yes := true
	p := plan("hourly", "daily")
	p.StorageReady, p.LastCollection, p.VerifyEvery = &yes, noon, 2*time.Hour
	p.Schedules["hourly"] = monitoring.Schedule{LastSuccess: noon, LastRun: noon.Add(-time.Minute), NextRun: noon.Add(time.Hour), Last: &monitoring.Figures{Took: 1500 * time.Millisecond, SizeBytes: 4096, UploadedBytes: 7}}
	b.Set(cluster, p, nil)
	wantSeries(t, r, `
# HELP robustmq_backup_last_collection_timestamp_seconds When backups that no retention keeps were deleted last.
# TYPE robustmq_backup_last_collection_timestamp_seconds gauge
robustmq_backup_last_collection_timestamp_seconds{cluster="c",namespace="ns"} 1.7956080e+09
# HELP robustmq_backup_last_duration_seconds How long the newest complete backup took, from its Job's start.
# TYPE robustmq_backup_last_duration_seconds gauge
robustmq_backup_last_duration_seconds{cluster="c",namespace="ns",schedule="hourly"} 1.5
# HELP robustmq_backup_last_run_timestamp_seconds The time of the schedule for which a backup was made last, however that ended.
# TYPE robustmq_backup_last_run_timestamp_seconds gauge
robustmq_backup_last_run_timestamp_seconds{cluster="c",namespace="ns",schedule="hourly"} 1.79560794e+09
# HELP robustmq_backup_last_size_bytes What a restore of the newest complete backup reads.
# TYPE robustmq_backup_last_size_bytes gauge
robustmq_backup_last_size_bytes{cluster="c",namespace="ns",schedule="hourly"} 4096
# HELP robustmq_backup_last_success_timestamp_seconds When a backup became complete last, by cluster and schedule; the schedule is empty for backups made by hand.
# TYPE robustmq_backup_last_success_timestamp_seconds gauge
robustmq_backup_last_success_timestamp_seconds{cluster="c",namespace="ns",schedule="hourly"} 1.7956080e+09
# HELP robustmq_backup_last_uploaded_bytes How much of the newest complete backup was new to the bucket.
# TYPE robustmq_backup_last_uploaded_bytes gauge
robustmq_backup_last_uploaded_bytes{cluster="c",namespace="ns",schedule="hourly"} 7
# HELP robustmq_backup_next_run_timestamp_seconds When the schedule makes its next backup; absent while it is suspended or the cluster is paused.
# TYPE robustmq_backup_next_run_timestamp_seconds gauge
robustmq_backup_next_run_timestamp_seconds{cluster="c",namespace="ns",schedule="hourly"} 1.7956116e+09
# HELP robustmq_backup_storage_ready 1 if the last probe could write to the destination, 0 if not; absent while it is being tried for the first time.
# TYPE robustmq_backup_storage_ready gauge
robustmq_backup_storage_ready{cluster="c",namespace="ns"} 1
# HELP robustmq_backup_verification_interval_seconds spec.backup.verifyEvery: how often the newest backup is to be verified; absent without.
# TYPE robustmq_backup_verification_interval_seconds gauge
robustmq_backup_verification_interval_seconds{cluster="c",namespace="ns"} 7200
`)
	if problems, err := testutil.GatherAndLint(r); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}

const failuresHead = `
# HELP robustmq_backup_failures_total Backups that failed, by the reason of their condition Complete.
# TYPE robustmq_backup_failures_total counter
`

func TestAFailureIsCountedOnceAndARestartOfTheOperatorIsNone(t *testing.T) {
	b, r := registered(t)
	denied := monitoring.Failure{UID: "1", Schedule: "hourly", Reason: "AccessDenied"}
	lost := monitoring.Failure{UID: "2", Schedule: "hourly", Reason: "AgentLost"}
	b.Set(cluster, plan("hourly"), []monitoring.Failure{denied}) // an operator that has just begun
	wantSeries(t, r, failuresHead+`robustmq_backup_failures_total{cluster="c",namespace="ns",reason="AccessDenied",schedule="hourly"} 0
`, "robustmq_backup_failures_total")
	for range 3 {
		b.Set(cluster, plan("hourly"), []monitoring.Failure{denied, lost})
	}
	b.Set(cluster, plan("hourly"), nil) // the objects were deleted: what was counted stays
	wantSeries(t, r, failuresHead+`robustmq_backup_failures_total{cluster="c",namespace="ns",reason="AccessDenied",schedule="hourly"} 0
robustmq_backup_failures_total{cluster="c",namespace="ns",reason="AgentLost",schedule="hourly"} 1
`, "robustmq_backup_failures_total")
}

func TestSeriesGoWithTheirScheduleAndTheirCluster(t *testing.T) {
	b, r := registered(t)
	other := types.NamespacedName{Namespace: "ns", Name: "other"}
	for range 100 {
		for _, c := range []types.NamespacedName{cluster, other} {
			p := plan()
			for i := range 16 {
				p.Schedules[fmt.Sprint("s", i)] = monitoring.Schedule{LastSuccess: noon, LastFailure: noon, NextRun: noon, Last: &monitoring.Figures{}}
			}
			b.Set(c, p, nil)
		}
	}
	count := func(want int) {
		t.Helper()
		n, err := testutil.GatherAndCount(r)
		if err != nil || n != want {
			t.Errorf("%d series, want %d: %v", n, want, err)
		}
	}
	count(2 * 16 * 6)
	b.Set(cluster, plan("hourly"), nil)
	b.Set(cluster, plan("hourly"), []monitoring.Failure{{UID: "1", Schedule: "hourly", Reason: "Busy"}})
	count(16*6 + 1)
	b.Set(cluster, plan("daily"), nil)
	count(16 * 6)
	b.Forget(other)
	count(0)
}
