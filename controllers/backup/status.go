package backup

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// computeStatus says what was seen. Of the earlier status it keeps what cannot be seen again, and the progress while that is younger than a write may be.
func computeStatus(o *observation, v verdict, t Timings) v1alpha1.RobustMQBackupStatus {
	was := o.backup.Status
	next := *was.DeepCopy()
	if o.backup.Ended() {
		return next
	}
	next.ObservedGeneration = o.backup.Generation
	next.Stage = v.stage
	if o.job != nil && ours(o.job, o.backup) {
		describe(&next, o)
	}
	if v.progress != nil && moved(was, v) && (v.stage != was.Stage || o.now.Sub(was.Progress.LastMoved.Time) >= t.Progress) {
		next.Progress = progressOf(*v.progress, o.now)
	} else if v.stage != was.Stage && v.stage != v1alpha1.BackupWaiting && !over(v.stage) {
		next.Progress.LastMoved = metav1.NewTime(o.now)
	}
	set := func(condition string, status metav1.ConditionStatus, reason, message string) {
		meta.SetStatusCondition(&next.Conditions, metav1.Condition{Type: condition, Status: status, Reason: reason, Message: bounded(message), ObservedGeneration: o.backup.Generation, LastTransitionTime: metav1.NewTime(o.now)})
	}
	switch v.stage {
	case v1alpha1.BackupComplete:
		next.CompletionTime = metav1.NewTime(endOf(o))
		completed(&next, *v.result, o.now)
		set(v1alpha1.ConditionComplete, metav1.ConditionTrue, v.reason, v.message)
		set(v1alpha1.ConditionVerified, metav1.ConditionTrue, v1alpha1.ReasonBackupVerified, verifiedHow(o, v.result))
	case v1alpha1.BackupFailed:
		next.CompletionTime = metav1.NewTime(endOf(o))
		set(v1alpha1.ConditionComplete, metav1.ConditionFalse, v.reason, v.message)
		set(v1alpha1.ConditionVerified, metav1.ConditionFalse, v.reason, "there is nothing that could be restored")
	default:
		set(v1alpha1.ConditionComplete, metav1.ConditionFalse, v.reason, v.message)
		set(v1alpha1.ConditionVerified, metav1.ConditionUnknown, v1alpha1.ReasonPending, "it is not complete yet")
	}
	return next
}

// describe takes from the Job what it was asked to do.
func describe(next *v1alpha1.RobustMQBackupStatus, o *observation) {
	next.JobName, next.StartTime = o.job.Name, o.job.CreationTimestamp
	r := o.record
	if r.problem != "" {
		return
	}
	next.Source = v1alpha1.BackupMember{Pod: r.take.Member.Pod, NodeID: r.take.Member.NodeID, Leader: r.take.Member.Leader}
	next.Destination = r.destination.DeepCopy()
	next.ClusterUID, next.Version, next.Encrypted = r.owner.ClusterUID, r.take.RobustMQ.Version, len(r.take.Recipients) > 0
	n := r.take.Nodes
	next.Nodes = v1alpha1.RoleCounts{PlacementCenter: n.PlacementCenter, MQTTBroker: n.MQTTBroker, JournalServer: n.JournalServer}
	next.RecoveryPoint.Time = metav1.NewTime(r.take.RecoveryPoint.Truncate(time.Second))
}

// completed takes from the result what a restore counts on.
func completed(next *v1alpha1.RobustMQBackupStatus, r job.Result, now time.Time) {
	next.Key, next.ManifestSHA256 = r.Key, r.ManifestSHA256
	next.SizeBytes, next.UploadedBytes, next.Size = &r.SizeBytes, &r.UploadedBytes, sizeOf(r.SizeBytes)
	next.Encrypted = r.Encrypted
	next.RecoveryPoint = v1alpha1.RecoveryPoint{Time: metav1.NewTime(r.RecoveryPoint.Truncate(time.Second)), Groups: positionsOf(r.Groups)}
	next.Progress = progressOf(protocol.ImageProgress{Bytes: r.SizeBytes, Total: r.SizeBytes}, now)
}

// positionsOf keeps what the schema of the status takes: it must not be a strange name that keeps a good backup from being written down.
func positionsOf(groups []job.Position) []v1alpha1.GroupPosition {
	var out []v1alpha1.GroupPosition
	for _, g := range groups {
		known := slices.ContainsFunc(out, func(o v1alpha1.GroupPosition) bool { return o.Group == g.Group })
		if g.Group == "" || len(g.Group) > 63 || known || len(out) == 16 {
			continue
		}
		out = append(out, v1alpha1.GroupPosition{Group: g.Group, Term: signed(g.Term), LastApplied: signed(g.LastApplied)})
	}
	return out
}

func signed(n uint64) int64 { return int64(min(n, math.MaxInt64)) } //nolint:gosec // bounded in the same line

// progressOf is what a Job reported, for people. What it reports is bounded: more than all is all.
func progressOf(p protocol.ImageProgress, now time.Time) v1alpha1.TransferProgress {
	out := v1alpha1.TransferProgress{Bytes: max(p.Bytes, 0), TotalBytes: max(p.Total, 0), LastMoved: metav1.NewTime(now)}
	switch {
	case out.TotalBytes == 0:
		return out
	case out.Bytes >= out.TotalBytes:
		out.Percent = 100
	default:
		out.Percent = int32(float64(out.Bytes) / float64(out.TotalBytes) * 100)
	}
	out.Summary = fmt.Sprintf("%d %% of %s", out.Percent, sizeOf(out.TotalBytes))
	return out
}

func sizeOf(bytes int64) string { return humanize.IBytes(uint64(max(bytes, 0))) } //nolint:gosec // not negative

func verifiedHow(o *observation, r *job.Result) string {
	how := "every object was read back, with the size and the checksum that it was written with"
	if o.record.take.Verification == archive.Full {
		how = "it was read back whole, opened, and compared with what was saved"
	}
	return strings.Join(append([]string{how}, r.Warnings...), "; ")
}

// endOf is when the Job ended, as far as it is known.
func endOf(o *observation) time.Time {
	if o.run.Phase == outcome.Ended && o.run.Since.Before(o.now) && o.job != nil && o.run.Since.After(o.job.CreationTimestamp.Time) {
		return o.run.Since
	}
	return o.now
}

func over(stage v1alpha1.BackupStage) bool {
	return stage == v1alpha1.BackupComplete || stage == v1alpha1.BackupFailed
}

// bounded keeps a message inside what the schema of conditions allows (32768 bytes), with room for people.
func bounded(s string) string { return cut(s, 4000) }

func cut(s string, limit int) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
