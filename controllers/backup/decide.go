package backup

import (
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// observation is what one pass saw. It is never changed once made.
type observation struct {
	now    time.Time
	backup *v1alpha1.RobustMQBackup
	// cluster that is saved; nil: there is none.
	cluster *v1alpha1.RobustMQCluster

	// job of this name, read past the cache where the cache may be behind; nil: there is none. run is how it is going, record what it was asked to do.
	job    *batchv1.Job
	run    outcome.Outcome
	record record
	// image is what the agent of the source said last of this backup's image; nil: nothing is known.
	image *protocol.Image
	// imageProblem says why the agent could not be asked.
	imageProblem string

	// What only a backup that has not begun depends on. turn is what goes first, restore the name of one that is under way, missing a Secret that is not there or lacks a key.
	turn    *wait
	restore string
	missing *wait
	// source is the member to save from; unready why there is none.
	source  choice
	unready *wait
}

// verdict is what follows from an observation.
type verdict struct {
	stage           v1alpha1.BackupStage
	reason, message string // of the condition Complete
	// result of a Complete backup.
	result *job.Result
	// progress of the one that is being made; nil: nothing is known.
	progress *protocol.ImageProgress
	// begin makes the Job, remove removes it.
	begin, remove bool
}

// decide says how far a backup is and what is to be done. A stage never goes back, and of a backup that has ended nothing changes.
func decide(o *observation, t Timings) verdict {
	switch {
	case o.backup.Ended():
		// A complete backup's log tells nothing that its status does not; a failed one's stays for a while.
		mine := o.job != nil && ours(o.job, o.backup) && o.job.DeletionTimestamp.IsZero()
		return verdict{stage: o.backup.Status.Stage, remove: mine && (o.backup.Status.Stage == v1alpha1.BackupComplete || !outcome.Finished(o.job))}
	case o.job != nil && ours(o.job, o.backup):
		return follow(o, t)
	case o.backup.Status.JobName != "":
		return failed(v1alpha1.ReasonJobLost, fmt.Sprintf("Job %s is gone, and its result was not seen: somebody removed it. Make another backup. If it was complete in that moment, it is in the bucket and retention counts it; the deletion of this object removes it where its deletionPolicy is Delete", o.backup.Status.JobName))
	default:
		return await(o)
	}
}

func failed(reason, message string) verdict {
	return verdict{stage: v1alpha1.BackupFailed, reason: reason, message: message}
}

// await is about a backup whose Job was not made yet.
func await(o *observation) verdict {
	why := o.whatIsAwaited()
	if deadline := startDeadline(o.backup); !o.now.Before(deadline) {
		if why == nil {
			why = &wait{v1alpha1.ReasonDeadline, "nobody was there to begin it"}
		}
		return failed(why.reason, fmt.Sprintf("it could not begin within %s: %s", startPatience(o.backup), why.message))
	}
	if why == nil {
		return verdict{stage: v1alpha1.BackupWaiting, reason: v1alpha1.ReasonWaitingForPods, message: fmt.Sprintf("its Job is being made, to copy from %s", o.source.member.pod), begin: true}
	}
	return verdict{stage: v1alpha1.BackupWaiting, reason: why.reason, message: why.message}
}

// whatIsAwaited asks in the order in which a person would mend it; nil: the Job may be made.
func (o *observation) whatIsAwaited() *wait {
	b := o.backup
	switch c := o.cluster; {
	case c == nil:
		return &wait{v1alpha1.ReasonWaitingForCluster, fmt.Sprintf("there is no RobustMQCluster %q in namespace %s: create it, or correct spec.clusterName in another backup", b.Spec.ClusterName, b.Namespace)}
	case !c.DeletionTimestamp.IsZero():
		return &wait{v1alpha1.ReasonWaitingForCluster, fmt.Sprintf("RobustMQCluster %s is being deleted", c.Name)}
	case c.Spec.Backup == nil:
		return &wait{v1alpha1.ReasonNoDestination, fmt.Sprintf("RobustMQCluster %s does not say where its backups go: add spec.backup.destination", c.Name)}
	case !c.Status.Founded || c.Status.ClusterUID == "":
		return &wait{v1alpha1.ReasonWaitingForCluster, fmt.Sprintf("RobustMQCluster %s was not founded yet", c.Name)}
	case o.job != nil:
		return &wait{v1alpha1.ReasonNameTaken, fmt.Sprintf("Job %s exists and is not of this backup: of an earlier one of its name, or somebody else's", o.job.Name)}
	case o.turn != nil:
		return o.turn
	case o.restore != "":
		return &wait{v1alpha1.ReasonRestoreRunning, fmt.Sprintf("restore %s of the cluster is under way", o.restore)}
	case o.missing != nil:
		return o.missing
	}
	return o.unready
}

// follow is about a backup whose Job exists.
func follow(o *observation, t Timings) verdict {
	if o.run.Phase == outcome.Ended {
		return ended(o)
	}
	if o.cluster == nil || !o.cluster.DeletionTimestamp.IsZero() {
		v := failed(v1alpha1.ReasonClusterDeleted, fmt.Sprintf("RobustMQCluster %s was deleted while it was being saved", o.backup.Spec.ClusterName))
		v.remove = true
		return v
	}
	stage := later(o.backup.Status.Stage, v1alpha1.BackupWaiting)
	if o.run.Phase == outcome.Pending && stage == v1alpha1.BackupWaiting {
		if deadline := startDeadline(o.backup); !o.now.Before(deadline) {
			v := failed(o.run.Reason, fmt.Sprintf("its Job did not run within %s: %s", startPatience(o.backup), o.run.Message))
			v.remove = true
			return v
		}
		return verdict{stage: stage, reason: o.run.Reason, message: o.run.Message}
	}
	v := verdict{stage: later(stage, v1alpha1.BackupStaging)}
	if o.image != nil && o.image.Progress != nil {
		v.progress = o.image.Progress
		v.stage = later(v.stage, v1alpha1.BackupStage(v.progress.Stage))
	}
	if still := o.now.Sub(lastMoved(o, v)); still >= progressPatience(o.backup)+t.Slack {
		message := fmt.Sprintf("nothing moved for %s", still.Round(time.Second))
		if o.imageProblem != "" {
			message += fmt.Sprintf("; the agent of %s does not answer (%s)", o.record.take.Member.Pod, o.imageProblem)
		}
		v = failed(v1alpha1.ReasonDeadline, message)
		v.remove = true
		return v
	}
	v.reason, v.message = inProgress(o, v.stage)
	return v
}

// ended is about a backup whose Job is over. What it says has to be of this backup: the ID and the key are those that it was asked for.
func ended(o *observation) verdict {
	if !o.run.OK() {
		return failed(o.run.Reason, o.run.Message)
	}
	r := o.run.Result
	if o.record.problem != "" {
		return failed(v1alpha1.ReasonRequestInvalid, fmt.Sprintf("what Job %s was asked to do cannot be read (%s), so its result cannot be trusted", o.job.Name, o.record.problem))
	}
	if id, key := o.record.take.BackupID(), o.record.key(); r.ID != id || r.Key != key {
		return failed(v1alpha1.ReasonRequestInvalid, fmt.Sprintf("the Job says that %s is complete at %s, and was asked for %s at %s", r.ID, r.Key, id, key))
	}
	return verdict{stage: v1alpha1.BackupComplete, reason: v1alpha1.ReasonBackupComplete, message: r.Message, result: r}
}

func inProgress(o *observation, stage v1alpha1.BackupStage) (reason, message string) {
	from := o.record.take.Member.Pod
	switch stage {
	case v1alpha1.BackupUploading:
		return v1alpha1.ReasonBackupUploading, fmt.Sprintf("the image of %s goes to the bucket", from)
	case v1alpha1.BackupVerifying:
		return v1alpha1.ReasonBackupVerifying, "it is read back from the bucket"
	}
	return v1alpha1.ReasonBackupStarted, fmt.Sprintf("the agent of %s takes an image", from)
}

// order of the stages that can be seen while a backup is made.
var order = map[v1alpha1.BackupStage]int{v1alpha1.BackupWaiting: 1, v1alpha1.BackupStaging: 2, v1alpha1.BackupUploading: 3, v1alpha1.BackupVerifying: 4}

// later is the further of two stages; one that is not known is before all others.
func later(a, b v1alpha1.BackupStage) v1alpha1.BackupStage {
	if order[a] >= order[b] {
		return a
	}
	return b
}

// lastMoved is when a byte moved last, or the stage changed. What the status says is rounded to seconds, and written every 5 s while bytes move: the deadline is never earlier than it was set.
func lastMoved(o *observation, v verdict) time.Time {
	at := o.backup.Status.Progress.LastMoved.Time
	for _, t := range []time.Time{o.run.Since, o.job.CreationTimestamp.Time} {
		if t.After(at) {
			at = t
		}
	}
	if moved(o.backup.Status, v) {
		return o.now
	}
	return at
}

// moved reports whether more was seen than the status says.
func moved(was v1alpha1.RobustMQBackupStatus, v verdict) bool {
	return v.stage != was.Stage || v.progress != nil && (v.progress.Bytes != was.Progress.Bytes || v.progress.Total != was.Progress.TotalBytes)
}

// ours reports whether the backup controls the Job: not one of the same name that is gone.
func ours(j *batchv1.Job, b *v1alpha1.RobustMQBackup) bool {
	owner := metav1.GetControllerOf(j)
	return owner != nil && owner.UID == b.UID
}

func startPatience(b *v1alpha1.RobustMQBackup) time.Duration {
	if b.Spec.StartDeadline == nil {
		return v1alpha1.DefaultStartDeadline
	}
	return b.Spec.StartDeadline.Duration
}

func startDeadline(b *v1alpha1.RobustMQBackup) time.Time {
	return b.CreationTimestamp.Add(startPatience(b))
}

func progressPatience(b *v1alpha1.RobustMQBackup) time.Duration {
	if b.Spec.ProgressDeadline == nil {
		return v1alpha1.DefaultProgressDeadline
	}
	return b.Spec.ProgressDeadline.Duration
}
