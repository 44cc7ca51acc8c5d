package monitoring

import (
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/apimachinery/pkg/types"
)

// ByHand is the label schedule of backups that no schedule made.
const ByHand = ""

// Plan is what is exported of one cluster's backups. Times that are zero, and figures that nobody knows, have no series.
type Plan struct {
	// Schedules by name; ByHand among them.
	Schedules map[string]Schedule
	// StorageReady is nil while nobody knows.
	StorageReady *bool
	// LastCollection is the last one that succeeded.
	LastCollection time.Time
	// Verified is when spec.backup.verifyEvery had a backup read to its end last, or, while none ever was, when that was first tried; VerifiedGood what the last verification found, nil if it found nothing out.
	Verified     time.Time
	VerifiedGood *bool
	// VerifyEvery is spec.backup.verifyEvery, zero without.
	VerifyEvery time.Duration
}

// Schedule is what is exported of one schedule.
type Schedule struct {
	LastSuccess, LastFailure, NextRun time.Time
	// LastRun is the time of the schedule for which a backup was made last, however that ended.
	LastRun time.Time
	// Last is the newest backup that is complete; nil while there is none.
	Last *Figures
}

// Figures of one backup.
type Figures struct {
	Took                     time.Duration
	SizeBytes, UploadedBytes int64
}

// Failure is one backup that failed.
type Failure struct {
	UID              types.UID
	Schedule, Reason string
}

// Backups exports plans. There are at most as many series as clusters times schedules, times the closed set of reasons for the one that counts failures; those of a cluster that is forgotten are gone.
type Backups struct {
	mu    sync.Mutex
	plans map[types.NamespacedName]*exported
}

type exported struct {
	plan     Plan
	counted  map[types.UID]bool
	failures map[failureSeries]float64
}

type failureSeries struct{ schedule, reason string }

// NewBackups makes a collector without clusters; whoever makes it registers it.
func NewBackups() *Backups { return &Backups{plans: map[types.NamespacedName]*exported{}} }

// Set exports a plan in the place of what was exported of that cluster. failed are the failed backups that exist: each is counted once. Those that exist when a cluster is seen first were
// counted by an operator before this one, and begin at 0, so that a restart of the operator is no failure to anyone who looks at increases.
func (b *Backups) Set(cluster types.NamespacedName, plan Plan, failed []Failure) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.plans[cluster]
	first := e == nil
	if first {
		e = &exported{failures: map[failureSeries]float64{}}
		b.plans[cluster] = e
	}
	there := map[types.UID]bool{}
	for _, f := range failed {
		there[f.UID] = true
		if first || !e.counted[f.UID] {
			e.failures[failureSeries{f.Schedule, f.Reason}] += map[bool]float64{true: 0, false: 1}[first]
		}
	}
	e.plan, e.counted = plan, there
	maps.DeleteFunc(e.failures, func(s failureSeries, _ float64) bool {
		_, known := plan.Schedules[s.schedule]
		return !known
	})
}

// Forget a cluster that is gone, or has no plan any more.
func (b *Backups) Forget(cluster types.NamespacedName) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.plans, cluster)
}

func described(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("robustmq_backup_"+name, help, append([]string{"namespace", "cluster"}, labels...), nil)
}

var (
	lastSuccess    = described("last_success_timestamp_seconds", "When a backup became complete last, by cluster and schedule; the schedule is empty for backups made by hand.", "schedule")
	lastFailure    = described("last_failure_timestamp_seconds", "When a backup failed last.", "schedule")
	lastRun        = described("last_run_timestamp_seconds", "The time of the schedule for which a backup was made last, however that ended.", "schedule")
	nextRun        = described("next_run_timestamp_seconds", "When the schedule makes its next backup; absent while it is suspended or the cluster is paused.", "schedule")
	lastDuration   = described("last_duration_seconds", "How long the newest complete backup took, from its Job's start.", "schedule")
	lastSize       = described("last_size_bytes", "What a restore of the newest complete backup reads.", "schedule")
	lastUploaded   = described("last_uploaded_bytes", "How much of the newest complete backup was new to the bucket.", "schedule")
	failures       = described("failures_total", "Backups that failed, by the reason of their condition Complete.", "schedule", "reason")
	storageReady   = described("storage_ready", "1 if the last probe could write to the destination, 0 if not; absent while it is being tried for the first time.")
	lastCollection = described("last_collection_timestamp_seconds", "When backups that no retention keeps were deleted last.")
	lastVerified   = described("last_verification_timestamp_seconds", "When spec.backup.verifyEvery had a backup read to its end last, be it sound or broken; while none ever was, when that was first tried.")
	verifyEvery    = described("verification_interval_seconds", "spec.backup.verifyEvery: how often the newest backup is to be verified; absent without.")
	verified       = described("verified", "1 if the last verification found the bucket to have what the manifest says, 0 if not; absent if it could not find that out.")
)

// Describe sends what there can be.
func (b *Backups) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{lastSuccess, lastFailure, lastRun, nextRun, lastDuration, lastSize, lastUploaded, failures, storageReady, lastCollection, lastVerified, verifyEvery, verified} {
		ch <- d
	}
}

// Collect sends what there is.
func (b *Backups) Collect(ch chan<- prometheus.Metric) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := newScrape(ch)
	for cluster, e := range b.plans {
		one := all.of(cluster.Namespace, cluster.Name)
		sendTime := func(d *prometheus.Desc, at time.Time, labels ...*dto.LabelPair) {
			if !at.IsZero() {
				one.gauge(d, float64(at.Unix()), labels...)
			}
		}
		for name, s := range e.plan.Schedules {
			schedule := all.pair("schedule", name)
			sendTime(lastSuccess, s.LastSuccess, schedule)
			sendTime(lastFailure, s.LastFailure, schedule)
			sendTime(lastRun, s.LastRun, schedule)
			sendTime(nextRun, s.NextRun, schedule)
			if s.Last != nil {
				one.gauge(lastDuration, s.Last.Took.Seconds(), schedule)
				one.gauge(lastSize, float64(s.Last.SizeBytes), schedule)
				one.gauge(lastUploaded, float64(s.Last.UploadedBytes), schedule)
			}
		}
		for s, n := range e.failures {
			one.counter(failures, n, all.pair("schedule", s.schedule), all.pair("reason", s.reason))
		}
		if r := e.plan.StorageReady; r != nil {
			one.gauge(storageReady, oneIf(*r))
		}
		sendTime(lastCollection, e.plan.LastCollection)
		if every := e.plan.VerifyEvery; every > 0 {
			one.gauge(verifyEvery, every.Seconds())
		}
		sendTime(lastVerified, e.plan.Verified)
		if good := e.plan.VerifiedGood; good != nil {
			one.gauge(verified, oneIf(*good))
		}
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
