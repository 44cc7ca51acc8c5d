package backup

import (
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// noon is when the backups of these tests are asked for.
var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

const digits = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func newBackup(change ...func(*v1alpha1.RobustMQBackup)) *v1alpha1.RobustMQBackup {
	b := &v1alpha1.RobustMQBackup{
		ObjectMeta: metav1.ObjectMeta{Name: "b", Namespace: "ns", UID: "00000000-0000-4000-8000-0000000000b1", Generation: 1, CreationTimestamp: metav1.NewTime(noon)},
		Spec:       v1alpha1.RobustMQBackupSpec{ClusterName: "c"},
	}
	b.Default()
	for _, c := range change {
		c(b)
	}
	return b
}

func newCluster(change ...func(*v1alpha1.RobustMQCluster)) *v1alpha1.RobustMQCluster {
	c := &v1alpha1.RobustMQCluster{ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "ns", UID: "00000000-0000-4000-8000-0000000000c1"}}
	c.Spec.Version = "0.4.11"
	c.Spec.PlacementCenter.Replicas, c.Spec.MQTTBroker.Replicas = 3, 2
	c.Spec.Backup = &v1alpha1.BackupSpec{Destination: v1alpha1.S3Destination{Bucket: "backups", Prefix: "eu", CredentialsSecretName: "s3"}}
	c.Status.Founded, c.Status.ClusterUID, c.Status.Version = true, "0b6c6a2e-54b1-4d0c-a0a4-4c9a1c9f2f55", "0.4.11"
	c.Default()
	for _, f := range change {
		f(c)
	}
	return c
}

// raft makes a member's view of all groups: it votes in them with two others, node 1 leads, and log and applied are at index.
func raft(node, leader, index uint64, change ...func(group string, g *robustmq.GroupState)) robustmq.ClusterStatus {
	status := robustmq.ClusterStatus{}
	for _, group := range robustmq.Groups {
		g := robustmq.GroupState{
			Running: true, ID: node, Term: 3, LastLogIndex: index, LastApplied: &robustmq.LogID{Term: 3, NodeID: leader, Index: index},
			State: "Follower", CurrentLeader: leader, Configs: [][]uint64{{1, 2, 3}}, Nodes: map[uint64]string{1: "a", 2: "b", 3: "c"},
		}
		if node == leader {
			g.State, g.MillisSinceQuorumAck = "Leader", ptr.To[uint64](5)
		}
		for _, c := range change {
			c(group, &g)
		}
		status[group] = g
	}
	return status
}

func newMember(node uint64, status robustmq.ClusterStatus) member {
	pod := fmt.Sprintf("c-placement-center-%d", node-1)
	return member{pod: pod, address: fmt.Sprintf("10.0.0.%d", node), nodeID: node, state: &protocol.State{
		Pod: pod, NodeID: node, Role: string(v1alpha1.RolePlacementCenter), Server: protocol.ServerState{Phase: protocol.ServerRunning, Version: "0.4.11"}, Raft: status,
	}}
}

// three members, of which node 1 leads all groups, at one position.
func three(index uint64) []member {
	return []member{newMember(1, raft(1, 1, index)), newMember(2, raft(2, 1, index)), newMember(3, raft(3, 1, index))}
}

func newChoice() choice {
	members := three(10)
	point, unready := observePoint(members, robustmq.Groups, noon.Add(time.Second))
	if unready != nil {
		panic(unready.message)
	}
	return choice{member: members[1], point: point}
}

// newJob is the Job of a backup as the controller makes it, made 2 s after the backup was asked for.
func newJob(b *v1alpha1.RobustMQBackup, c *v1alpha1.RobustMQCluster) *batchv1.Job {
	j, err := takeJob(b, c, newChoice(), "11111111-0000-4000-8000-000000000000", "agent")
	if err != nil {
		panic(err)
	}
	j.UID, j.CreationTimestamp = "00000000-0000-4000-8000-00000000010b", metav1.NewTime(noon.Add(2*time.Second))
	return j
}

// success is the result of a Job that did what it was asked for.
func success(j *batchv1.Job) job.Result {
	r := readRecord(j)
	if r.problem != "" {
		panic(r.problem)
	}
	return job.Result{
		Kind: job.Take, Reason: job.BackupComplete, Message: "complete", ID: r.take.BackupID(), Key: r.key(), ManifestSHA256: digits, SizeBytes: 1 << 20, UploadedBytes: 1 << 10,
		RecoveryPoint: r.take.RecoveryPoint, Groups: []job.Position{{Group: robustmq.GroupMetadata, Term: 3, LastApplied: 11}},
	}
}

// podFor is a pod of a Job in some state.
func podFor(j *batchv1.Job, state corev1.ContainerState, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: j.Name + "-x7k2p", Namespace: j.Namespace, UID: "00000000-0000-4000-8000-0000000000d1", Labels: map[string]string{batchv1.JobNameLabel: j.Name},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(j, batchv1.SchemeGroupVersion.WithKind("Job"))}, CreationTimestamp: metav1.NewTime(noon.Add(3 * time.Second)),
		},
		Spec:   corev1.PodSpec{NodeName: "node-1"},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{Name: "backup", Image: "agent", State: state}}},
	}
	for k, v := range j.Spec.Template.Labels {
		p.Labels[k] = v
	}
	if t := state.Terminated; t != nil {
		p.Status.Phase = corev1.PodSucceeded
		if t.ExitCode != 0 {
			p.Status.Phase = corev1.PodFailed
		}
	}
	for _, c := range change {
		c(p)
	}
	return p
}

func running(at time.Time) corev1.ContainerState {
	return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(at)}}
}

func terminated(at time.Time, code int32, message string) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, FinishedAt: metav1.NewTime(at), Message: message}}
}

// seen is what a pass observes of a backup whose Job has these pods.
func seen(b *v1alpha1.RobustMQBackup, c *v1alpha1.RobustMQCluster, j *batchv1.Job, now time.Time, pods ...*corev1.Pod) *observation {
	return &observation{now: now, backup: b, cluster: c, job: j, record: readRecord(j), run: outcome.Of(job.Take, j, slices.Clone(pods), now)}
}

// begun is a backup whose Job was seen.
func begun(stage v1alpha1.BackupStage, moved time.Time) func(*v1alpha1.RobustMQBackup) {
	return func(b *v1alpha1.RobustMQBackup) {
		b.Status.Stage, b.Status.JobName, b.Status.Progress.LastMoved = stage, "b-backup", metav1.NewTime(moved)
	}
}
