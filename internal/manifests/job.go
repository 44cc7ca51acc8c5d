package manifests

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// JobKind is what a Job does, a subcommand of `agent backup`.
type JobKind string

// The kinds of Jobs.
const (
	JobTake    JobKind = "take"
	JobProbe   JobKind = "probe"
	JobCollect JobKind = "collect"
	JobDelete  JobKind = "delete"
	JobVerify  JobKind = "verify"
	JobInspect JobKind = "inspect"
	JobRestore JobKind = "restore"
)

// ContainerJob is the only container of a Job's pod; its termination message is the Job's result.
const ContainerJob = "backup"

// Where the program of a Job finds its files (package backup/job says the same, a test compares).
const (
	s3Dir       = "/etc/robustmq-operator/s3"
	s3CADir     = "/etc/robustmq-operator/s3-ca"
	identityDir = "/etc/robustmq-operator/identity"
)

// Names of a Job's volumes.
const (
	volumeS3       = "s3"
	volumeS3CA     = "s3-ca"
	volumeIdentity = "identity"
)

// Keys in the Secrets that a destination and an encryption name.
const (
	KeyAccessKey    = "accessKey"
	KeySecretKey    = "secretKey"
	KeySessionToken = "sessionToken"   // only temporary credentials have one
	KeyCustomerKey  = "sseCustomerKey" // for a store that encrypts with a key of ours and does not keep it
	KeyS3CA         = "ca.crt"
	KeyIdentity     = "identity"
)

// jobGrace in seconds: on SIGTERM the program aborts its uploads, releases the image and writes its result.
const jobGrace int64 = 30

// JobOptions say what a Job shall do; the rest follows from the cluster.
type JobOptions struct {
	Kind JobKind
	// Name of the object: a DNS label, at most 63 characters, the same for the same work, so that it is never made twice (see BackupJobName and its like).
	Name string
	// Owner controls the Job, and takes it with it when it is deleted. The zero value: nobody does, and the Job goes when it has ended and Keep is over.
	Owner metav1.OwnerReference
	// Backup is the RobustMQBackup that it works for; empty when it is about the destination as a whole.
	Backup string
	// Restore is the RobustMQRestore that it works for.
	Restore string
	// Request is the JSON of a job.Request: no secret is in it, as arguments can be read by whoever may read pods.
	Request []byte
	// Destination names the Secrets and the account.
	Destination *v1alpha1.S3Destination
	// IdentitySecretName holds the age identity, for a restore, or a verification in full, of what is encrypted; empty: none is mounted.
	IdentitySecretName string
	// Agent: it calls an agent, and gets the certificate for that.
	Agent bool
	// Deadline ends the Job whatever it does, counted from its start, in whole seconds of at least one.
	Deadline time.Duration
	// Keep is how long a Job that has ended stays, for whoever reads its log; its owner may delete it sooner.
	Keep time.Duration
	// Annotations of the Job, not of its pods.
	Annotations map[string]string
}

// BackupJobName is the Job that takes a backup.
func BackupJobName(backup string) string { return backup + "-backup" }

// BackupDeletionJobName is the Job that removes a backup from the bucket.
func BackupDeletionJobName(backup string) string { return backup + "-delete" }

// VerifyJobName is the Job that reads the newest backup of a cluster again.
func VerifyJobName(cluster string) string { return cluster + "-backup-verify" }

// ProbeJobName is the Job that tries the destination of a cluster's backups.
func ProbeJobName(cluster string) string { return cluster + "-backup-probe" }

// CollectJobName is the Job that removes what retention no longer keeps.
func CollectJobName(cluster string) string { return cluster + "-backup-collect" }

// InspectJobName is the Job that chooses and proves the backup of a restore.
func InspectJobName(restore string) string { return restore + "-inspect" }

// RestoreJobName is the Job that sends a backup to the members.
func RestoreJobName(restore string) string { return restore + "-restore" }

// Job is one piece of work on the backups of a cluster. Of a cluster that is gone, name and namespace are enough (UID empty): its Jobs then run under the namespace's default account and pull without its Secrets.
//
// It is never retried by Kubernetes: what went wrong is said by its own result, and whoever made it decides. Its pods are the cluster's own to the NetworkPolicies, and nobody's to Services and budgets.
func Job(cluster *v1alpha1.RobustMQCluster, in Inputs, j JobOptions) *batchv1.Job {
	l := labels(cluster, v1alpha1.ComponentBackup)
	l[v1alpha1.LabelJob] = string(j.Kind)
	if j.Backup != "" {
		l[v1alpha1.LabelBackup] = j.Backup
	}
	if j.Restore != "" {
		l[v1alpha1.LabelRestore] = j.Restore
	}
	var owners []metav1.OwnerReference
	if j.Owner.UID != "" {
		owners = []metav1.OwnerReference{j.Owner}
	}
	return &batchv1.Job{
		TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: metav1.ObjectMeta{
			Name: j.Name, Namespace: cluster.Namespace, Labels: l, Annotations: j.Annotations, OwnerReferences: owners,
		},
		Spec: batchv1.JobSpec{
			Parallelism: ptr.To[int32](1), Completions: ptr.To[int32](1),
			BackoffLimit:            ptr.To[int32](0),
			ActiveDeadlineSeconds:   ptr.To(max(1, int64(j.Deadline/time.Second))),
			TTLSecondsAfterFinished: ptr.To(int32(min(j.Keep/time.Second, 1<<30))),
			Template:                jobPod(cluster, in, j, l),
		},
	}
}

func jobPod(cluster *v1alpha1.RobustMQCluster, in Inputs, j JobOptions, l map[string]string) corev1.PodTemplateSpec {
	// It runs where the placement centre may run: nodes that a cluster is kept to are the ones that surely take its image and reach its pods.
	user := ptr.Deref(cluster.Spec.PlacementCenter.PodTemplate, v1alpha1.PodTemplateSpec{})
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: l, Annotations: map[string]string{
			"kubectl.kubernetes.io/default-container": ContainerJob,
			// An autoscaler that moves the pod would end the backup.
			"cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
		}},
		Spec: corev1.PodSpec{
			RestartPolicy:                 corev1.RestartPolicyNever,
			ServiceAccountName:            jobAccount(cluster, j.Destination),
			AutomountServiceAccountToken:  ptr.To(false), // a workload identity's token is projected by its own webhook, and it is not one for this Kubernetes
			EnableServiceLinks:            ptr.To(false),
			TerminationGracePeriodSeconds: ptr.To(jobGrace),
			ImagePullSecrets:              cluster.Spec.ImagePullSecrets,
			NodeSelector:                  user.NodeSelector,
			Tolerations:                   user.Tolerations,
			Affinity:                      awayFromTheCluster(cluster),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   ptr.To(true),
				RunAsUser:      ptr.To(podUser),
				RunAsGroup:     ptr.To(podUser),
				FSGroup:        ptr.To(podUser),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name:                     ContainerJob,
				Image:                    in.AgentImage,
				Command:                  []string{"/agent", "backup", string(j.Kind), "--request=" + string(j.Request)},
				Resources:                jobResources(),
				VolumeMounts:             jobMounts(j),
				SecurityContext:          restricted(),
				TerminationMessagePath:   corev1.TerminationMessagePathDefault,
				TerminationMessagePolicy: corev1.TerminationMessageReadFile, // never the log: a result is what the program says is one
			}},
			Volumes: jobVolumes(cluster, j),
		},
	}
}

// jobAccount: the destination's, else the cluster's own, which is bound to nothing.
func jobAccount(cluster *v1alpha1.RobustMQCluster, d *v1alpha1.S3Destination) string {
	switch {
	case d != nil && d.ServiceAccountName != "":
		return d.ServiceAccountName
	case cluster.UID != "":
		return ServiceAccountName(cluster)
	}
	return ""
}

// awayFromTheCluster: a backup takes processor and network, so it prefers a host without brokers above all, and without members.
func awayFromTheCluster(cluster *v1alpha1.RobustMQCluster) *corev1.Affinity {
	term := func(component string, weight int32) corev1.WeightedPodAffinityTerm {
		return corev1.WeightedPodAffinityTerm{Weight: weight, PodAffinityTerm: corev1.PodAffinityTerm{LabelSelector: labelSelector(cluster, component), TopologyKey: corev1.LabelHostname}}
	}
	return &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{
		term(v1alpha1.ComponentMQTTBroker, 100), term(v1alpha1.ComponentPlacementCenter, 50),
	}}}
}

// jobResources: a small share of processor where others want it, what is free otherwise; memory is bounded by the program itself and by this.
func jobResources() corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
		Limits:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("128Mi")},
	}
}

func jobVolumes(cluster *v1alpha1.RobustMQCluster, j JobOptions) []corev1.Volume {
	volumes := []corev1.Volume{memoryless(volumeTmp)}
	if d := j.Destination; d != nil && d.CredentialsSecretName != "" {
		optional := projected(d.CredentialsSecretName, "", KeySessionToken, KeyCustomerKey)
		optional.Secret.Optional = ptr.To(true)
		volumes = append(volumes, corev1.Volume{Name: volumeS3, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			DefaultMode: ptr.To(secretMode),
			Sources:     []corev1.VolumeProjection{projected(d.CredentialsSecretName, "", KeyAccessKey, KeySecretKey), optional},
		}}})
	}
	if d := j.Destination; d != nil && d.CASecretName != "" {
		volumes = append(volumes, secretVolume(volumeS3CA, d.CASecretName, KeyS3CA))
	}
	if j.IdentitySecretName != "" {
		volumes = append(volumes, secretVolume(volumeIdentity, j.IdentitySecretName, KeyIdentity))
	}
	if j.Agent {
		volumes = append(volumes, secretVolume(volumePKI, JobPKISecretName(cluster), corev1.ServiceAccountRootCAKey, corev1.TLSCertKey, corev1.TLSPrivateKeyKey))
	}
	return volumes
}

func jobMounts(j JobOptions) []corev1.VolumeMount {
	mounts := []corev1.VolumeMount{{Name: volumeTmp, MountPath: "/tmp"}}
	mount := func(wanted bool, name, path string) {
		if wanted {
			mounts = append(mounts, corev1.VolumeMount{Name: name, MountPath: path, ReadOnly: true})
		}
	}
	d := ptr.Deref(j.Destination, v1alpha1.S3Destination{})
	mount(d.CredentialsSecretName != "", volumeS3, s3Dir)
	mount(d.CASecretName != "", volumeS3CA, s3CADir)
	mount(j.IdentitySecretName != "", volumeIdentity, identityDir)
	mount(j.Agent, volumePKI, protocol.PKIDir)
	return mounts
}
