package backup

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/controllers/backup/destination"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

const (
	// jobDeadline ends a Job that nothing else ended: its own deadline is about standing still.
	jobDeadline = 48 * time.Hour
	// jobKeep is how long a Job that failed stays for its log, and how long an operator may be away and still find a result.
	jobKeep = 24 * time.Hour
	// deletionDeadline and deletionKeep are those of the Job that removes a backup from the bucket.
	deletionDeadline = 5 * time.Minute
	deletionKeep     = 10 * time.Minute
)

// takeJob is the Job that makes a backup.
func takeJob(b *v1alpha1.RobustMQBackup, cluster *v1alpha1.RobustMQCluster, from choice, installation, agentImage string) (*batchv1.Job, error) {
	plan := cluster.Spec.Backup
	verification := plan.Verification
	if b.Spec.Verification != "" {
		verification = b.Spec.Verification
	}
	if verification == "" {
		verification = v1alpha1.VerificationChecksum
	}
	take := job.TakeRequest{
		Name: b.Name, Schedule: b.Labels[v1alpha1.LabelSchedule], Started: b.CreationTimestamp.UTC(),
		RecoveryPoint: from.point.at.UTC(), Positions: from.point.positions,
		Agent:      net.JoinHostPort(from.member.address, strconv.Itoa(protocol.Port)),
		ServerName: protocol.ServerName(cluster.Namespace, cluster.Name),
		ImageID:    imageID(b),
		Member:     archive.Member{Pod: from.member.pod, NodeID: int64(from.member.nodeID), Leader: from.leader}, //nolint:gosec // node ids are small
		RobustMQ:   archive.Server{Version: versionOf(cluster, from.member), ImageDigest: from.member.imageDigest},
		Nodes:      nodesOf(cluster), Counts: job.Countable(), Verification: archive.Mode(verification),
	}
	if from.counter != "" {
		take.Counter = net.JoinHostPort(from.counter, strconv.Itoa(protocol.Port))
	}
	identity := ""
	if e := plan.Encryption; e != nil {
		take.Recipients = e.Recipients
		if verification == v1alpha1.VerificationFull {
			identity = e.IdentitySecretName
		}
	}
	request := job.Request{
		Destination: destination.Of(&plan.Destination), Owner: ownerOf(cluster, installation), ProgressDeadlineSeconds: int32(progressPatience(b) / time.Second), Take: &take,
	}
	text, err := request.Encode(job.Take)
	if err != nil {
		return nil, err
	}
	whole, err := json.Marshal(plan.Destination)
	if err != nil {
		return nil, fmt.Errorf("writing down the destination of backup %s: %w", b.Name, err)
	}
	return manifests.Job(cluster, manifests.Inputs{AgentImage: agentImage}, manifests.JobOptions{
		Kind: manifests.JobTake, Name: manifests.BackupJobName(b.Name), Owner: *metav1.NewControllerRef(b, v1alpha1.GroupVersion.WithKind("RobustMQBackup")), Backup: b.Name,
		Request: []byte(text), Destination: &plan.Destination, IdentitySecretName: identity, Agent: true, Deadline: jobDeadline, Keep: jobKeep,
		Annotations: map[string]string{v1alpha1.AnnotationDestination: string(whole)},
	}), nil
}

// deletionJob is the Job that removes a backup from the bucket. It runs without the cluster, which may be gone: cluster is then nil.
func deletionJob(b *v1alpha1.RobustMQBackup, cluster *v1alpha1.RobustMQCluster, installation, agentImage string) (*batchv1.Job, error) {
	d := b.Status.Destination
	if cluster == nil {
		cluster = &v1alpha1.RobustMQCluster{ObjectMeta: metav1.ObjectMeta{Name: b.Spec.ClusterName, Namespace: b.Namespace}}
	}
	request := job.Request{
		Destination: destination.Of(d), Delete: &job.DeleteRequest{ID: idOf(b)},
		Owner: job.Owner{ClusterUID: b.Status.ClusterUID, Name: b.Spec.ClusterName, Namespace: b.Namespace, Installation: installation},
	}
	text, err := request.Encode(job.Delete)
	if err != nil {
		return nil, err
	}
	return manifests.Job(cluster, manifests.Inputs{AgentImage: agentImage}, manifests.JobOptions{
		Kind: manifests.JobDelete, Name: manifests.BackupDeletionJobName(b.Name), Backup: b.Name, Request: []byte(text), Destination: d, Deadline: deletionDeadline, Keep: deletionKeep,
		Annotations: map[string]string{v1alpha1.AnnotationBackupUID: string(b.UID)},
	}), nil
}

// imageID names the image at the agent: one for each backup, for ever.
func imageID(b *v1alpha1.RobustMQBackup) string { return "backup-" + string(b.UID) }

func ownerOf(cluster *v1alpha1.RobustMQCluster, installation string) job.Owner {
	return job.Owner{ClusterUID: cluster.Status.ClusterUID, Name: cluster.Name, Namespace: cluster.Namespace, Installation: installation}
}

// versionOf is what the member runs, else what the cluster was founded with.
func versionOf(cluster *v1alpha1.RobustMQCluster, m member) string {
	switch {
	case m.state != nil && m.state.Server.Version != "":
		return m.state.Server.Version
	case cluster.Status.Version != "":
		return cluster.Status.Version
	}
	return cluster.Spec.Version
}

// nodesOf is how many nodes there are of each role: those that are wanted, and those that exist beyond that, as topics may still name them.
func nodesOf(cluster *v1alpha1.RobustMQCluster) archive.Nodes {
	n := archive.Nodes{
		PlacementCenter: max(cluster.Spec.PlacementCenter.Replicas, cluster.Status.PlacementCenter.Replicas),
		MQTTBroker:      max(cluster.Spec.MQTTBroker.Replicas, cluster.Status.MQTTBroker.Replicas),
	}
	if j := cluster.Spec.JournalServer; j != nil {
		n.JournalServer = j.Replicas
	}
	if j := cluster.Status.JournalServer; j != nil {
		n.JournalServer = max(n.JournalServer, j.Replicas)
	}
	return n
}
