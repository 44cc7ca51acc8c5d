package plan

import (
	"slices"
	"strings"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
)

const (
	// collectEvery is the shortest time between two collections.
	collectEvery = time.Hour
	// sweepEvery is the longest: leftovers may go only when they are a day old (archive.GraceTime), and nothing else tells that they have become so.
	sweepEvery = 24 * time.Hour
)

// collecting is what the decision to collect depends on.
type collecting struct {
	last v1alpha1.CollectionStatus
	// newest is when a backup that a schedule made became complete last; zero if none did.
	newest time.Time
	// some backup of the cluster is complete.
	some bool
	// deleted: a backup was deleted from the bucket since, whose tables may go.
	deleted bool
}

// collectDue is when to collect; false: nothing is there to be collected.
func collectDue(in collecting, now time.Time) (time.Time, bool) {
	switch {
	case in.last.Failures > 0:
		return again(in.last.JobOutcome, sweepEvery, now), true
	case in.newest.After(in.last.Time.Time), in.deleted:
		if in.last.Time.After(now.Add(collectEvery)) { // of a clock that ran ahead
			return time.Time{}, true
		}
		return in.last.Time.Add(collectEvery), true
	case in.some:
		return again(in.last.JobOutcome, sweepEvery, now), true
	}
	return time.Time{}, false
}

// newestScheduled is when a backup that a schedule made became complete last, and whether any backup is complete.
func newestScheduled(own []*v1alpha1.RobustMQBackup) (newest time.Time, some bool) {
	for _, b := range own {
		if !b.Restorable() {
			continue
		}
		some = true
		if end := endOf(b).Time; scheduleOf(b) != "" && end.After(newest) {
			newest = end
		}
	}
	return newest, some
}

// collectRequest says what the collection keeps.
func collectRequest(schedules []v1alpha1.BackupSchedule, damaged []string) *job.CollectRequest {
	c := &job.CollectRequest{Damaged: damaged}
	for name, p := range policiesOf(schedules) {
		c.Policies = append(c.Policies, job.Policy{Schedule: name, KeepLast: int32(p.KeepLast), MaxAgeSeconds: int64(p.MaxAge / time.Second)}) //nolint:gosec // at most 1000, as the schema has it
	}
	slices.SortFunc(c.Policies, func(a, b job.Policy) int { return strings.Compare(a.Schedule, b.Schedule) })
	return c
}

// collected is what the status says of a collection that ended: figures of what was done, also before it failed.
func collected(before v1alpha1.CollectionStatus, uid string, o outcome.Outcome, now time.Time) v1alpha1.CollectionStatus {
	after := v1alpha1.CollectionStatus{JobOutcome: noted(before.JobOutcome, uid, o, now)}
	if o.Result != nil && o.Result.Collected != nil {
		c := o.Result.Collected
		after.ExpiredBackups, after.DeletedObjects, after.FreedBytes = int32(max(0, min(c.Expired, 1<<30))), max(0, int64(c.Objects)), max(0, c.Bytes)
	}
	return after
}
