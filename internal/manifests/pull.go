package manifests

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

const (
	// pullDeadline in seconds: an image that is not there by then is reported, and tried again when the Job has gone.
	pullDeadline int64 = 3600
	// pullKept in seconds is how long a Job that has ended stays, as the record that the images are on its node.
	pullKept int32 = 600
)

// PullJobName is the Job that pulls these images on a node; other images have another, and so has an agent that comes in another way.
func PullJobName(cluster *v1alpha1.RobustMQCluster, in Inputs, node string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%t", node, in.ServerImage, in.AgentImage, in.AgentMounted))
	return cluster.Name + "-pull-" + hex.EncodeToString(sum[:5])
}

// PullJob brings the images of a role's pods onto a node before any of its pods is taken down: it runs the agent once, which comes as it comes to those pods, in the server's image, for its version. So it
// finds out, too, whether the node can run what it pulled, and mount it. It is as welcome on the node as the role's pods are, and a node that takes no pods keeps the change from beginning.
func PullJob(cluster *v1alpha1.RobustMQCluster, in Inputs, r v1alpha1.Role, node string) *batchv1.Job {
	pod := podTemplate(cluster, in, roleOf(cluster, r))
	run := pod.Spec.Containers[0]
	initial, agent := deliver(in, installResources())
	l := labels(cluster, v1alpha1.ComponentPull)
	m := meta(cluster, PullJobName(cluster, in, node), v1alpha1.ComponentPull)
	job := &batchv1.Job{
		ObjectMeta: m,
		Spec: batchv1.JobSpec{
			Parallelism: ptr.To[int32](1), Completions: ptr.To[int32](1), BackoffLimit: ptr.To[int32](0),
			ActiveDeadlineSeconds: ptr.To(pullDeadline), TTLSecondsAfterFinished: ptr.To(pullKept),
		},
	}
	job.APIVersion, job.Kind = "batch/v1", "Job"
	job.Spec.Template.Labels = l
	job.Spec.Template.Spec = corev1.PodSpec{
		RestartPolicy:                corev1.RestartPolicyNever,
		ServiceAccountName:           pod.Spec.ServiceAccountName,
		AutomountServiceAccountToken: ptr.To(false),
		EnableServiceLinks:           ptr.To(false),
		ImagePullSecrets:             pod.Spec.ImagePullSecrets,
		Tolerations:                  pod.Spec.Tolerations,
		Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{node}}}}},
		}}},
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To(podUser), RunAsGroup: ptr.To(podUser), FSGroup: ptr.To(podUser),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		InitContainers: initial,
		Containers: []corev1.Container{{
			Name: run.Name, Image: run.Image, ImagePullPolicy: run.ImagePullPolicy, Command: []string{agentBinary, "version"},
			Resources: installResources(), SecurityContext: restricted(),
			VolumeMounts: []corev1.VolumeMount{{Name: volumeAgent, MountPath: protocol.AgentDir, ReadOnly: true}},
		}},
		Volumes: []corev1.Volume{agent},
	}
	return job
}
