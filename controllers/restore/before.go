package restore

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// The stages before anything is stopped: Waiting, Validating, Saving.

// reserve is what must stay free on a member's volume beside the image, in bytes: as much as its agent keeps (images.TargetOptions.Reserve).
const reserve = 256 << 20

// waiting is about a restore that has done nothing yet.
func waiting(o *observation) verdict {
	if why := o.whatIsAwaited(); why != nil {
		v := at(v1alpha1.RestoreWaiting, "%s", why.message)
		v.reason = why.reason
		return v
	}
	if len(o.forbidden) > 0 {
		return refuse("%s", strings.Join(o.forbidden, "; "))
	}
	return at(v1alpha1.RestoreValidating, "Job %s, which looks at the backup", manifests.InspectJobName(o.restore.Name))
}

// whatIsAwaited asks in the order in which a person would mend it; nil: it may begin.
func (o *observation) whatIsAwaited() *wait {
	r := o.restore
	switch c := o.cluster; {
	case c == nil:
		return &wait{v1alpha1.ReasonWaitingForCluster, fmt.Sprintf("there is no RobustMQCluster %q in namespace %s: create it, or correct spec.clusterName in another restore", r.Spec.ClusterName, r.Namespace)}
	case !c.DeletionTimestamp.IsZero():
		return &wait{v1alpha1.ReasonWaitingForCluster, fmt.Sprintf("RobustMQCluster %s is being deleted", c.Name)}
	case c.Status.ClusterUID == "":
		return &wait{v1alpha1.ReasonWaitingForCluster, fmt.Sprintf("RobustMQCluster %s has no identity yet", c.Name)}
	case c.Spec.Paused:
		return &wait{v1alpha1.ReasonPaused, fmt.Sprintf("RobustMQCluster %s is paused: nothing is done with it until spec.paused is false", c.Name)}
	case c.Spec.Hibernated:
		return &wait{v1alpha1.ReasonHibernated, fmt.Sprintf("RobustMQCluster %s sleeps: its members can take a backup in when spec.hibernated is false", c.Name)}
	case o.turn != nil:
		return o.turn
	case o.unplaced != nil:
		return o.unplaced
	}
	return o.missing
}

// validating is about the choice of the backup, and whether it fits.
func validating(o *observation, t Timings) verdict {
	if o.cluster == nil {
		return failed(v1alpha1.ReasonClusterDeleted, fmt.Sprintf("RobustMQCluster %s was deleted; nothing was stopped", o.restore.Spec.ClusterName))
	}
	if o.found == nil {
		v := inspecting(o, t, v1alpha1.RestoreValidating)
		if run := o.inspect.run; o.inspect.job != nil && run.Phase == outcome.Ended && !run.OK() {
			passing := job.Reason(run.Reason).Passing() || run.Result == nil
			if !passing || o.ago(o.restore.Status.StartTime) >= t.Inspect {
				return refuse("the backup cannot be read: %s: %s", run.Reason, run.Message)
			}
		}
		return v
	}
	if problem := unfit(o); problem != "" {
		return refuse("%s", problem)
	}
	source := chosen(o.found)
	if why := o.space(); why != nil {
		if why.reason == v1alpha1.ReasonNoSpace {
			return refuse("%s", why.message)
		}
		v := at(v1alpha1.RestoreValidating, "%s", why.message)
		v.source = source
		return v
	}
	v := enterStopping(o)
	if o.overwrites() && !o.allows(v1alpha1.SkipSafetyBackup) {
		if o.cluster.Spec.Backup == nil {
			return refuse("the cluster cannot be saved first, as it does not say where its backups go: add spec.backup.destination to it, or list SkipSafetyBackup in spec.unsafe of another restore")
		}
		name := safetyName(o.restore)
		v = at(v1alpha1.RestoreSaving, "backup %s, which saves the cluster as it is", name)
		v.safetyName = name
	}
	v.source = source
	return v
}

// inspecting has the Job that looks at the backup made, or made again.
func inspecting(o *observation, t Timings, stage v1alpha1.RestoreStage) verdict {
	name := manifests.InspectJobName(o.restore.Name)
	switch j := o.inspect; {
	case o.place == nil:
		why := "where the backup is, is not known"
		if o.unplaced != nil {
			why = o.unplaced.message
		}
		return at(stage, "%s", why)
	case j.job == nil:
		v := at(stage, "Job %s, which looks at the backup", name)
		v.inspect = true
		return v
	case j.run.Phase == outcome.Ended:
		if later(stage) && j.run.Result != nil && !j.run.OK() && !job.Reason(j.run.Reason).Passing() {
			return back(j.run.Reason, "the backup cannot be read any more: %s", j.run.Message)
		}
		v := at(stage, "Job %s is made again: %s", name, oneOf(j.run.Message, "it looked at another backup than the one that was chosen"))
		v.removeInspect = o.now.Sub(j.run.Since) >= t.Retry
		return v
	case j.run.Phase == outcome.Pending && j.run.Message != "":
		return at(stage, "Job %s: %s", name, j.run.Message)
	}
	return at(stage, "Job %s, which looks at the backup", name)
}

// later reports whether servers are stopped in a stage, and nothing can be read from what is there.
func later(stage v1alpha1.RestoreStage) bool {
	return stage == v1alpha1.RestoreStopping || stage == v1alpha1.RestoreTransferring || stage == v1alpha1.RestoreOpening
}

func oneOf(a, otherwise string) string {
	if a == "" {
		return otherwise
	}
	return a
}

// chosen is the backup in the status.
func chosen(r *job.Result) *v1alpha1.RestoredBackup {
	out := &v1alpha1.RestoredBackup{Key: r.Key, ManifestSHA256: r.ManifestSHA256, ClusterUID: r.Inspected.ClusterUID, Version: r.Inspected.Version, SizeBytes: &r.SizeBytes}
	out.RecoveryPoint = recoveryPointOf(r)
	return out
}

// unfit says why the backup that was found cannot be restored into the cluster; empty: it can.
func unfit(o *observation) string {
	found, c := o.found.Inspected, o.cluster
	want := o.restore.Spec.Source
	switch {
	case o.named != nil && o.named.Status.ClusterUID != "" && o.named.Status.ClusterUID != found.ClusterUID:
		return fmt.Sprintf("backup %s is of cluster %s, and what lies in the bucket is of cluster %s", o.named.Name, o.named.Status.ClusterUID, found.ClusterUID)
	case o.named != nil && o.named.Status.ManifestSHA256 != "" && o.named.Status.ManifestSHA256 != o.found.ManifestSHA256:
		return fmt.Sprintf("the manifest of backup %s in the bucket is not the one that was written: its SHA-256 is %s, and was %s", o.named.Name, o.found.ManifestSHA256, o.named.Status.ManifestSHA256)
	case want.ClusterUID != "" && want.ClusterUID != found.ClusterUID:
		return fmt.Sprintf("spec.source.clusterUID is %s, and the backup is of cluster %s", want.ClusterUID, found.ClusterUID)
	case o.restore.Spec.Trigger == v1alpha1.RestoreTotalLoss && found.ClusterUID != c.Status.ClusterUID:
		return fmt.Sprintf("the backup is of cluster %s, and this is cluster %s: after a total loss only its own comes back by itself", found.ClusterUID, c.Status.ClusterUID)
	}
	if problem := unreadable(found.Version, c.RunningVersion()); problem != "" {
		return problem
	}
	if _, problem := votersOf(o); problem != "" {
		return problem
	}
	if o.allows(v1alpha1.AllowFewerNodes) {
		return ""
	}
	saved := map[v1alpha1.Role]int32{
		v1alpha1.RolePlacementCenter: found.Nodes.PlacementCenter, v1alpha1.RoleMQTTBroker: found.Nodes.MQTTBroker, v1alpha1.RoleJournalServer: found.Nodes.JournalServer,
	}
	for _, view := range c.Spec.Roles() {
		if view.Replicas < saved[view.Role] {
			return fmt.Sprintf("the backup knows %d nodes of the role %s and the cluster has %d (spec.%s.replicas): topics on the others would stay unusable. Give the cluster %d of them first, or list AllowFewerNodes in spec.unsafe of another restore",
				saved[view.Role], view.Role, view.Replicas, view.Field, saved[view.Role])
		}
	}
	if c.Spec.JournalServer == nil && saved[v1alpha1.RoleJournalServer] > 0 {
		return fmt.Sprintf("the backup knows %d journal servers and the cluster has none (spec.journalServer): topics on them would stay unusable. Give the cluster as many first, or list AllowFewerNodes in spec.unsafe of another restore", saved[v1alpha1.RoleJournalServer])
	}
	return ""
}

// unreadable says why a server does not read what another version wrote; empty: it does.
func unreadable(wrote, runs string) string {
	w, err := robustmq.ParseVersion(wrote)
	if err != nil {
		return fmt.Sprintf("the backup's version of RobustMQ is no version: %v", err)
	}
	r, err := robustmq.ParseVersion(runs)
	if err != nil {
		return fmt.Sprintf("the cluster's version of RobustMQ is no version: %v", err)
	}
	if !slices.Equal(robustmq.Lookup(r).StatusGroups, robustmq.Groups) {
		return fmt.Sprintf("RobustMQ %s does not show the raft groups %v, without which a restore cannot be proven: use 0.4.11", runs, robustmq.Groups)
	}
	if w == r || w.Less(r) && robustmq.CanRoll(w, r) {
		return ""
	}
	return fmt.Sprintf("it was written by RobustMQ %s, which the cluster's %s does not read: choose a backup of %s, or create a new cluster of version %q with spec.bootstrap.restoreFrom", wrote, runs, runs, wrote)
}

// space says which member has no room for the image, or cannot be asked; nil: there is room. What the members' volumes cannot take is found here, too.
func (o *observation) space() *wait {
	voters, _ := votersOf(o)
	need := o.found.Inspected.Bytes + reserve
	var silent []member
	for _, m := range o.members {
		if !slices.Contains(voters, m.nodeID) {
			continue
		}
		if m.state == nil {
			silent = append(silent, m)
			continue
		}
		v := m.state.Volume
		switch {
		case v.Phase == protocol.VolumeUnusable:
			return &wait{v1alpha1.ReasonNoSpace, fmt.Sprintf("the volume of %s cannot be used: %s", m.pod, v.Message)}
		case m.state.Gate.Reason == protocol.GateForeign:
			return &wait{v1alpha1.ReasonNoSpace, fmt.Sprintf("the volume of %s is not this member's: %s", m.pod, m.state.Gate.Message)}
		case v.FreeBytes < need:
			return &wait{v1alpha1.ReasonNoSpace, fmt.Sprintf("the volume of %s has %s free, and %s are needed (the backup has %s, %s must stay free): make the volume larger", m.pod,
				humanize.IBytes(unsigned(v.FreeBytes)), humanize.IBytes(unsigned(need)), humanize.IBytes(unsigned(o.found.Inspected.Bytes)), humanize.IBytes(reserve))}
		}
	}
	if len(silent) > 0 {
		return &wait{v1alpha1.ReasonWaitingForPods, "whether there is room for the backup: " + silentOf(silent)}
	}
	return nil
}

func unsigned(n int64) uint64 { return uint64(max(n, 0)) }            //nolint:gosec // not negative
func signed(n uint64) int64   { return int64(min(n, math.MaxInt64)) } //nolint:gosec // bounded

// safetyName is the backup that is made of the cluster first.
func safetyName(r *v1alpha1.RobustMQRestore) string { return r.Name + "-safety" }

// saving is about the safety backup.
func saving(o *observation, t Timings) verdict {
	if o.cluster == nil {
		return failed(v1alpha1.ReasonClusterDeleted, fmt.Sprintf("RobustMQCluster %s was deleted; nothing was stopped", o.restore.Spec.ClusterName))
	}
	name, b := safetyName(o.restore), o.safety
	switch {
	case b == nil:
		v := at(v1alpha1.RestoreSaving, "backup %s, which saves the cluster as it is", name)
		v.save = true
		return v
	case b.Labels[v1alpha1.LabelRestore] != o.restore.Name || b.Spec.ClusterName != o.restore.Spec.ClusterName || b.CreationTimestamp.Time.Before(o.restore.CreationTimestamp.Time):
		return failed(v1alpha1.ReasonSafetyBackupFailed, fmt.Sprintf("a backup %s exists that is not of this restore: make another restore under another name; nothing was stopped", name))
	case b.Restorable():
		if o.found == nil {
			return inspecting(o, t, v1alpha1.RestoreSaving)
		}
		return enterStopping(o)
	case b.Ended():
		return failed(v1alpha1.ReasonSafetyBackupFailed, fmt.Sprintf("the cluster could not be saved first: %s. Without that it is overwritten only when SkipSafetyBackup stands in spec.unsafe of another restore; nothing was stopped", whyFailed(b)))
	}
	return at(v1alpha1.RestoreSaving, "backup %s (%s), which saves the cluster as it is%s", name, oneOf(string(b.Status.Stage), "not begun"), whyWaiting(b))
}

// whyWaiting says what keeps a safety backup from beginning, and the way out; empty: nothing does.
func whyWaiting(b *v1alpha1.RobustMQBackup) string {
	why := b.WhyIncomplete()
	if b.Status.Stage != v1alpha1.BackupWaiting || why == "" {
		return ""
	}
	return fmt.Sprintf("; it waits: %s. A cluster that cannot be saved is overwritten only when SkipSafetyBackup stands in spec.unsafe of another restore", why)
}

func whyFailed(b *v1alpha1.RobustMQBackup) string {
	if why := b.WhyIncomplete(); why != "" {
		return fmt.Sprintf("backup %s: %s", b.Name, why)
	}
	return fmt.Sprintf("backup %s failed", b.Name)
}

// enterStopping records what the stopping is about, before the first order.
func enterStopping(o *observation) verdict {
	v := at(v1alpha1.RestoreStopping, "the servers of cluster %s are stopped", o.cluster.Name)
	v.generation, v.stopping = max(o.cluster.Status.Generation, 1)+1, true
	v.term = term(o)
	return v
}
