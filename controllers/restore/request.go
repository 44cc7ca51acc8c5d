package restore

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/controllers/backup/destination"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

const (
	// inspectDeadline and pushDeadline end Jobs that nothing else ended: their own deadline is about standing still.
	inspectDeadline = time.Hour
	pushDeadline    = 48 * time.Hour
	// jobKeep is how long an ended Job stays: what it found is needed until the restore has ended, and is found out again where it is gone.
	jobKeep = 24 * time.Hour
)

// inspectJob is the Job that chooses the backup and proves that it can be read. Once it was chosen, it looks at that one and no other.
func (r *Reconciler) inspectJob(ctx context.Context, o *observation) (*batchv1.Job, error) {
	inspect := job.InspectRequest{}
	source, chosen := o.restore.Spec.Source, o.restore.Status.Source
	switch {
	case chosen.Key != "":
		inspect.Source = job.SourceRequest{ClusterUID: chosen.ClusterUID, ID: idOfKey(chosen.Key), ManifestSHA256: chosen.ManifestSHA256}
	case o.named != nil:
		inspect.Source = job.SourceRequest{ClusterUID: o.named.Status.ClusterUID, ID: idOfKey(o.named.Status.Key), ManifestSHA256: o.named.Status.ManifestSHA256}
	default:
		inspect.Source.ClusterUID, inspect.Key = source.ClusterUID, source.Key
		if b := o.cluster.Status.Backup; b != nil && source.Key == "" {
			inspect.Damaged = b.Verification.Damaged
		}
		if source.Before != nil {
			inspect.Before = source.Before.UTC()
		}
		if o.restore.Spec.Trigger == v1alpha1.RestoreTotalLoss {
			inspect.Source.ClusterUID = o.cluster.Status.ClusterUID
		}
	}
	return r.job(ctx, o, job.Inspect, job.Request{Inspect: &inspect})
}

// idOfKey is the backup's ID in the key of its manifest: <prefix>/<cluster UID>/backups/<ID>/manifest.json.
func idOfKey(key string) string { return path.Base(path.Dir(key)) }

// pushJob is the Job that sends the backup to the voters. Its edits are the same in every attempt: an agent takes the same placement only.
func (r *Reconciler) pushJob(ctx context.Context, o *observation) (*batchv1.Job, error) {
	edits, err := editsOf(o)
	if err != nil {
		return nil, err
	}
	s := o.restore.Status
	restore := job.RestoreRequest{
		Source:      job.SourceRequest{ClusterUID: s.Source.ClusterUID, ID: idOfKey(s.Source.Key), ManifestSHA256: s.Source.ManifestSHA256},
		PlacementID: placementID(o.restore), Origin: protocol.OriginRestored, Generation: s.Generation,
		ServerName: protocol.ServerName(o.cluster.Namespace, o.cluster.Name), Edits: edits,
	}
	for _, m := range o.voters() {
		if m.address == "" {
			return nil, fmt.Errorf("pod %s has no address", m.pod)
		}
		restore.Members = append(restore.Members, job.RestoreMember{Pod: m.pod, NodeID: m.nodeID, Agent: agentAddress(m)})
	}
	return r.job(ctx, o, job.Restore, job.Request{Restore: &restore})
}

// job is a Job of the restore, for the cluster that is restored.
func (r *Reconciler) job(ctx context.Context, o *observation, kind job.Kind, request job.Request) (*batchv1.Job, error) {
	installation, err := r.installation.Get(ctx, r.Reader)
	if err != nil {
		return nil, err
	}
	request.Destination = destination.Of(o.place)
	request.Owner = job.Owner{ClusterUID: o.cluster.Status.ClusterUID, Name: o.cluster.Name, Namespace: o.cluster.Namespace, Installation: installation}
	text, err := request.Encode(kind)
	if err != nil {
		return nil, err
	}
	whole, err := json.Marshal(o.place)
	if err != nil {
		return nil, fmt.Errorf("writing down the destination of restore %s: %w", o.restore.Name, err)
	}
	options := manifests.JobOptions{
		Kind: manifests.JobInspect, Name: manifests.InspectJobName(o.restore.Name), Owner: *metav1.NewControllerRef(o.restore, v1alpha1.GroupVersion.WithKind("RobustMQRestore")), Restore: o.restore.Name,
		Request: []byte(text), Destination: o.place, IdentitySecretName: identitySecretOf(o), Deadline: inspectDeadline, Keep: jobKeep,
		Annotations: map[string]string{v1alpha1.AnnotationDestination: string(whole)},
	}
	if kind == job.Restore {
		options.Kind, options.Name, options.Agent, options.Deadline = manifests.JobRestore, manifests.RestoreJobName(o.restore.Name), true, pushDeadline
	}
	return manifests.Job(o.cluster, manifests.Inputs{AgentImage: r.AgentImage}, options), nil
}

// identitySecretOf names the Secret that encrypted backups are read with; "" when none is named.
func identitySecretOf(o *observation) string {
	if name := o.restore.Spec.IdentitySecretName; name != "" {
		return name
	}
	if o.cluster != nil && o.cluster.Spec.Backup != nil && o.cluster.Spec.Backup.Encryption != nil {
		return o.cluster.Spec.Backup.Encryption.IdentitySecretName
	}
	return ""
}

const requestFlag = "--request="

// requestOf reads back what a Job was asked to do: a Job's template cannot change.
func requestOf(kind job.Kind, j *batchv1.Job) (job.Request, error) {
	containers := j.Spec.Template.Spec.Containers
	if len(containers) != 1 || len(containers[0].Command) == 0 {
		return job.Request{}, fmt.Errorf("the pod of Job %s is not one that this operator makes", j.Name)
	}
	command := containers[0].Command
	text, ok := strings.CutPrefix(command[len(command)-1], requestFlag)
	if !ok {
		return job.Request{}, fmt.Errorf("the pod of Job %s is given no request", j.Name)
	}
	return job.Parse(kind, text)
}

// destinationOf reads back where a Job was told that the backup is, with the names of the Secrets; nil when it cannot be read.
func destinationOf(j *batchv1.Job) *v1alpha1.S3Destination {
	var d v1alpha1.S3Destination
	if err := json.Unmarshal([]byte(j.Annotations[v1alpha1.AnnotationDestination]), &d); err != nil || d.Bucket == "" {
		return nil
	}
	return &d
}
