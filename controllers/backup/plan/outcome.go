package plan

import (
	"strings"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
)

// Between two attempts at what failed: doubling from the first to the last.
const (
	firstRetry = time.Minute
	lastRetry  = time.Hour
)

// backoff is how long to wait after so many failures in a row.
func backoff(failures int32) time.Duration {
	d := firstRetry
	for range failures - 1 {
		if d *= 2; d >= lastRetry {
			return lastRetry
		}
	}
	return d
}

// noted is what the status says of a Job that ended. now bounds its time: what a clock that runs ahead says would put off the next attempt.
func noted(before v1alpha1.JobOutcome, uid string, o outcome.Outcome, now time.Time) v1alpha1.JobOutcome {
	at := o.Since
	if at.IsZero() || at.After(now) {
		at = now
	}
	after := v1alpha1.JobOutcome{Time: seconds(at), JobUID: uid}
	if o.OK() {
		after.Message = bounded(strings.Join(o.Result.Warnings, "; "), 2048)
	} else {
		after.Reason, after.Message, after.Failures = bounded(o.Reason, 64), bounded(o.Message, 2048), before.Failures+1
		if after.Reason == "" {
			after.Reason = v1alpha1.ReasonCrashed
		}
	}
	return after
}

// again is when to make the next attempt: every so often after a success, sooner and then later and later after failures. The zero time: at once, there was none.
func again(o v1alpha1.JobOutcome, every time.Duration, now time.Time) time.Time {
	switch {
	case o.Time.IsZero():
		return time.Time{}
	case o.Time.After(now.Add(every)): // of a clock that ran ahead
		return time.Time{}
	case o.Failures > 0:
		return o.Time.Add(backoff(o.Failures))
	}
	return o.Time.Add(every)
}
