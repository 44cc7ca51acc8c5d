package plan

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/schedule"
	"github.com/robustmq/robustmq-operator/monitoring"
)

// ofCluster are the backups of a cluster, the oldest first: those of its name that hold the data of another cluster of that name, which is gone, are left out.
func ofCluster(all []v1alpha1.RobustMQBackup, cluster *v1alpha1.RobustMQCluster) []*v1alpha1.RobustMQBackup {
	var own []*v1alpha1.RobustMQBackup
	for i := range all {
		b := &all[i]
		if b.Spec.ClusterName != cluster.Name {
			continue
		}
		if uid := b.Status.ClusterUID; uid != cluster.Status.ClusterUID && (uid != "" || b.CreationTimestamp.Before(&cluster.CreationTimestamp)) {
			continue
		}
		own = append(own, b)
	}
	slices.SortFunc(own, func(a, b *v1alpha1.RobustMQBackup) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return own
}

// scheduleOf names the schedule that made a backup; empty for one that was made by hand.
func scheduleOf(b *v1alpha1.RobustMQBackup) string { return b.Labels[v1alpha1.LabelSchedule] }

// endOf is when a backup ended.
func endOf(b *v1alpha1.RobustMQBackup) metav1.Time {
	if b.Status.CompletionTime.IsZero() {
		return b.CreationTimestamp
	}
	return b.Status.CompletionTime
}

// remember takes over what the backups that exist say. What the status knew of those that were deleted stays.
func remember(st *v1alpha1.BackupPlanStatus, own []*v1alpha1.RobustMQBackup) {
	for _, b := range own {
		if !b.Ended() {
			continue
		}
		end := endOf(b)
		if b.Restorable() {
			later(&st.LastSuccessTime, end)
			for i := range st.Schedules {
				if st.Schedules[i].Name == scheduleOf(b) {
					later(&st.Schedules[i].LastSuccessTime, end)
				}
			}
			continue
		}
		if b.Status.Stage == v1alpha1.BackupFailed && (st.LastFailure.Backup == "" || st.LastFailure.Time.Before(&end)) {
			st.LastFailure = v1alpha1.BackupFailure{Backup: b.Name, Time: seconds(end.Time)}
			if c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionComplete); c != nil {
				st.LastFailure.Reason, st.LastFailure.Message = bounded(c.Reason, 64), bounded(c.Message, 1024)
			}
		}
	}
}

func later(t *metav1.Time, than metav1.Time) {
	if t.Before(&than) {
		*t = seconds(than.Time)
	}
}

// figures are what is exported of the plan, and the failures that exist.
func figures(st *v1alpha1.BackupPlanStatus, storage metav1.Condition, own []*v1alpha1.RobustMQBackup) (monitoring.Plan, []monitoring.Failure) {
	out := monitoring.Plan{Schedules: map[string]monitoring.Schedule{monitoring.ByHand: {}}}
	for _, row := range st.Schedules {
		out.Schedules[row.Name] = monitoring.Schedule{LastSuccess: row.LastSuccessTime.Time, LastRun: schedule.TickOf(row.LastBackup), NextRun: row.NextScheduleTime.Time}
	}
	if storage.Status != metav1.ConditionUnknown {
		ready := storage.Status == metav1.ConditionTrue
		out.StorageReady = &ready
	}
	if st.Collection.Failures == 0 {
		out.LastCollection = st.Collection.Time.Time
	}
	v := st.Verification
	out.Verified = v.LastReadTime.Time
	if !v.Time.IsZero() && spoke(v) { // one that could not be done says nothing
		good := v.Failures == 0
		out.VerifiedGood = &good
	}
	var failed []monitoring.Failure
	for _, b := range own { // the oldest first: the newest has the last word
		s, known := out.Schedules[scheduleOf(b)]
		if !known || !b.Ended() {
			continue
		}
		end := endOf(b).Time
		switch {
		case b.Restorable():
			if end.After(s.LastSuccess) {
				s.LastSuccess = end
			}
			s.Last = &monitoring.Figures{SizeBytes: deref(b.Status.SizeBytes), UploadedBytes: deref(b.Status.UploadedBytes)}
			if start := b.Status.StartTime.Time; !start.IsZero() && end.After(start) {
				s.Last.Took = end.Sub(start)
			}
		case b.Status.Stage == v1alpha1.BackupFailed:
			if end.After(s.LastFailure) {
				s.LastFailure = end
			}
			reason := v1alpha1.ReasonCrashed
			if c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionComplete); c != nil {
				reason = c.Reason
			}
			failed = append(failed, monitoring.Failure{UID: b.UID, Schedule: scheduleOf(b), Reason: reason})
		}
		out.Schedules[scheduleOf(b)] = s
	}
	return out, failed
}

func deref(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}
