package restore

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

// maxAwaits and maxMessage bound what is written for people, in bytes.
const (
	maxAwaits  = 500
	maxMessage = 4000
)

// computeStatus says what was seen. Of the earlier status it keeps what cannot be seen again, and the progress while that is younger than a write may be.
func computeStatus(o *observation, v verdict, t Timings) v1alpha1.RobustMQRestoreStatus {
	was := o.restore.Status
	next := *was.DeepCopy()
	if o.restore.Ended() {
		return next
	}
	next.ObservedGeneration = o.restore.Generation
	next.Stage, next.Awaits = v.stage, cut(v.awaits, maxAwaits)
	record(&next, o, v)
	if stopped(v.stage) {
		next.Members = rowsOf(o, was.Members)
		moveProgress(&next, o, v, t)
	}
	set := func(condition string, status metav1.ConditionStatus, reason, message string) {
		meta.SetStatusCondition(&next.Conditions, metav1.Condition{Type: condition, Status: status, Reason: reason, Message: cut(message, maxMessage), ObservedGeneration: o.restore.Generation, LastTransitionTime: metav1.NewTime(o.now)})
	}
	reason, message := v.reason, v.message
	if reason == "" { // what it is taken back for stays
		if c := meta.FindStatusCondition(was.Conditions, v1alpha1.ConditionComplete); c != nil {
			reason, message = c.Reason, c.Message
		} else {
			reason, message = v1alpha1.ReasonRestoreAborted, "taken back"
		}
	}
	complete := metav1.ConditionFalse
	if v.stage == v1alpha1.RestoreComplete {
		complete = metav1.ConditionTrue
	}
	set(v1alpha1.ConditionComplete, complete, reason, message)
	switch {
	case v.verified != nil:
		set(v1alpha1.ConditionVerified, v.verified.status, v.verified.reason, v.verified.message)
	case v.stage == v1alpha1.RestoreFailed || v.stage == v1alpha1.RestoreAborted:
		set(v1alpha1.ConditionVerified, metav1.ConditionFalse, reason, "the cluster has what it had before")
	case meta.FindStatusCondition(next.Conditions, v1alpha1.ConditionVerified) == nil:
		set(v1alpha1.ConditionVerified, metav1.ConditionUnknown, v1alpha1.ReasonPending, "nothing was restored yet")
	}
	if ended(v.stage) {
		next.Awaits, next.CompletionTime = "", metav1.NewTime(o.now)
	}
	return next
}

// record writes down, once each, what later passes cannot find out.
func record(next *v1alpha1.RobustMQRestoreStatus, o *observation, v verdict) {
	if v.stage != v1alpha1.RestoreWaiting && next.StartTime.IsZero() {
		next.StartTime = metav1.NewTime(o.now)
	}
	if v.source != nil && next.Source.Key == "" {
		next.Source = *v.source
	}
	if v.safetyName != "" && next.SafetyBackupName == "" {
		next.SafetyBackupName = v.safetyName
	}
	if v.generation != 0 && next.Generation == 0 {
		next.Generation = v.generation
	}
	next.Term = max(next.Term, v.term)
	if v.stopping && next.StoppedTime.IsZero() {
		next.StoppedTime = metav1.NewTime(o.now)
	}
	if n := len(v.orphans); n > 0 {
		next.OrphanTopicCount, next.OrphanTopics = int32(min(n, math.MaxInt32)), v.orphans[:min(n, maxOrphans)] //nolint:gosec // bounded
	}
	switch v.stage {
	case v1alpha1.RestoreValidating, v1alpha1.RestoreSaving:
		next.JobName = manifests.InspectJobName(o.restore.Name)
	case v1alpha1.RestoreTransferring:
		next.JobName = manifests.RestoreJobName(o.restore.Name)
	}
}

// stopped reports whether servers are down, or were, in a stage.
func stopped(stage v1alpha1.RestoreStage) bool {
	switch stage {
	case v1alpha1.RestoreStopping, v1alpha1.RestoreTransferring, v1alpha1.RestoreOpening, v1alpha1.RestoreVerifying, v1alpha1.RestoreStarting, v1alpha1.RestoreAborting, v1alpha1.RestoreComplete:
		return true
	}
	return false
}

func ended(stage v1alpha1.RestoreStage) bool {
	return stage == v1alpha1.RestoreComplete || stage == v1alpha1.RestoreFailed || stage == v1alpha1.RestoreAborted
}

// rowsOf are the members' rows. Of a member that cannot be asked its last words stay: whether it may run on what was restored is known by them (observation.mayRun).
func rowsOf(o *observation, was []v1alpha1.RestoredMember) []v1alpha1.RestoredMember {
	var rows []v1alpha1.RestoredMember
	for _, m := range present(o.members) {
		row := v1alpha1.RestoredMember{Pod: m.pod, NodeID: signed(m.nodeID)}
		if m.state == nil {
			row = rowOf(was, m.pod)
			row.Pod, row.NodeID, row.Serving = m.pod, signed(m.nodeID), false
			rows = append(rows, row)
			continue
		}
		if k := m.state.Volume.Marker; k != nil && k.Generation > 0 {
			row.Generation = k.Generation
		}
		if p := o.placement(m); p != nil {
			row.Bytes = max(p.Received, 0)
			if len(p.SHA256) == 64 {
				row.ImageSHA256 = p.SHA256
			}
		}
		row.Serving = serves(m, o)
		rows = append(rows, row)
	}
	return rows
}

func rowOf(rows []v1alpha1.RestoredMember, pod string) v1alpha1.RestoredMember {
	for _, row := range rows {
		if row.Pod == pod {
			return row
		}
	}
	return v1alpha1.RestoredMember{}
}

// moveProgress writes how many bytes the members have, at most every Timings.Progress: until then the rows keep theirs, too.
func moveProgress(next *v1alpha1.RobustMQRestoreStatus, o *observation, v verdict, t Timings) {
	was := o.restore.Status
	if v.stage == v1alpha1.RestoreTransferring && was.Stage != v.stage {
		next.Progress.LastMoved = metav1.NewTime(o.now)
		return
	}
	if v.stage != v1alpha1.RestoreTransferring && v.stage != v1alpha1.RestoreOpening {
		return
	}
	now := progressOf(o)
	if now.TotalBytes == 0 || now.Bytes == was.Progress.Bytes && now.TotalBytes == was.Progress.TotalBytes {
		return
	}
	if v.stage == was.Stage && now.Bytes < now.TotalBytes && o.ago(was.Progress.LastMoved) < t.Progress && !was.Progress.LastMoved.IsZero() && was.Progress.TotalBytes > 0 {
		for i := range next.Members {
			next.Members[i].Bytes = rowOf(was.Members, next.Members[i].Pod).Bytes
		}
		return
	}
	now.LastMoved = metav1.NewTime(o.now)
	next.Progress = now
}

// progressOf is the sum over the voters.
func progressOf(o *observation) v1alpha1.TransferProgress {
	var p v1alpha1.TransferProgress
	voters := o.voters()
	for _, m := range voters {
		if at := o.placement(m); at != nil {
			p.Bytes += max(min(at.Received, at.Total), 0)
			p.TotalBytes = max(p.TotalBytes, at.Total)
		}
	}
	p.TotalBytes *= int64(len(voters))
	if p.TotalBytes == 0 {
		return p
	}
	p.Percent = int32(min(100*float64(p.Bytes)/float64(p.TotalBytes), 100))
	p.Summary = fmt.Sprintf("%d %% of %s", p.Percent, humanize.IBytes(unsigned(p.TotalBytes)))
	return p
}

// recoveryPointOf is what comes back. What the schema of the status does not take is left out: a strange name must not keep a good backup from being restored.
func recoveryPointOf(r *job.Result) v1alpha1.RecoveryPoint {
	point := v1alpha1.RecoveryPoint{Time: metav1.NewTime(r.RecoveryPoint.Truncate(time.Second))}
	for _, g := range r.Inspected.Groups {
		if g.Name != "" && len(g.Name) <= 63 && len(point.Groups) < 16 {
			point.Groups = append(point.Groups, v1alpha1.GroupPosition{Group: g.Name, Term: signed(g.Term), LastApplied: signed(g.LastApplied)})
		}
	}
	return point
}

func cut(s string, limit int) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
