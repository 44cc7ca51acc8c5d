package plan

import (
	"cmp"
	"slices"
	"strings"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/job"
)

// failedKept is how many failed backups of a schedule stay as objects, for whoever asks why.
const failedKept = 3

// policiesOf are the retentions of a cluster's schedules.
func policiesOf(schedules []v1alpha1.BackupSchedule) map[string]archive.Policy {
	policies := map[string]archive.Policy{}
	for _, s := range schedules {
		p := archive.Policy{KeepLast: int(v1alpha1.DefaultKeepLast)}
		if s.Retention.KeepLast != nil {
			p.KeepLast = int(*s.Retention.KeepLast)
		}
		if s.Retention.MaxAge != nil {
			p.MaxAge = s.Retention.MaxAge.Duration
		}
		policies[s.Name] = p
	}
	return policies
}

// stale are failed backups that schedules made, beyond the newest of each. Objects that were made by hand are nobody's to delete but their maker's.
func stale(own []*v1alpha1.RobustMQBackup) []*v1alpha1.RobustMQBackup {
	var out []*v1alpha1.RobustMQBackup
	seen := map[string]int{}
	for _, b := range slices.Backward(own) {
		if scheduleOf(b) == "" || b.Status.Stage != v1alpha1.BackupFailed || b.Restorable() || !b.DeletionTimestamp.IsZero() {
			continue
		}
		if seen[scheduleOf(b)]++; seen[scheduleOf(b)] > failedKept {
			out = append(out, b)
		}
	}
	return out
}

// idOf is the name of a backup's folder in the bucket; empty when its status does not say.
func idOf(b *v1alpha1.RobustMQBackup) string {
	folder, ok := strings.CutSuffix(b.Status.Key, "/manifest.json")
	if !ok {
		return ""
	}
	return folder[strings.LastIndexByte(folder, '/')+1:]
}

// heldIn are the backups that should be in a destination, whoever made them.
func heldIn(own []*v1alpha1.RobustMQBackup, place *v1alpha1.S3Destination) []*v1alpha1.RobustMQBackup {
	var held []*v1alpha1.RobustMQBackup
	for _, b := range own {
		if d := b.Status.Destination; b.Restorable() && b.DeletionTimestamp.IsZero() && idOf(b) != "" && d != nil && d.Bucket == place.Bucket && d.Prefix == place.Prefix && d.Endpoint == place.Endpoint {
			held = append(held, b)
		}
	}
	return held
}

// gone are the objects of scheduled backups whose manifests a collection has deleted. The Job names as many as its result has room for. When the bucket is said to hold fewer backups than
// there are objects, the rest is found by the rule that the Job follows too: of a result that was too long, or that nobody read.
func gone(own []*v1alpha1.RobustMQBackup, plan *v1alpha1.BackupSpec, collected *job.Collected, at time.Time) []*v1alpha1.RobustMQBackup {
	held := heldIn(own, &plan.Destination)
	var out []*v1alpha1.RobustMQBackup
	held = slices.DeleteFunc(held, func(b *v1alpha1.RobustMQBackup) bool {
		named := slices.Contains(collected.ExpiredIDs, idOf(b))
		if named && scheduleOf(b) != "" {
			out = append(out, b)
		}
		return named
	})
	excess := len(held) - collected.Kept
	if excess <= 0 {
		return out
	}
	candidates := make([]archive.Candidate, 0, len(held))
	byID := map[string]*v1alpha1.RobustMQBackup{}
	for _, b := range held {
		candidates = append(candidates, archive.Candidate{ID: idOf(b), Schedule: scheduleOf(b), Time: b.Status.RecoveryPoint.Time.Time, Good: true})
		byID[idOf(b)] = b
	}
	expired := archive.Expired(candidates, policiesOf(plan.Schedules), at)
	slices.SortFunc(expired, func(a, b archive.Candidate) int { return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.ID, b.ID)) })
	for _, c := range expired[:min(excess, len(expired))] {
		out = append(out, byID[c.ID])
	}
	return out
}
