package manifests

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// Names of a pod's volumes.
const (
	volumeData        = "data"
	volumeAgent       = "agent"
	volumeRun         = "run"
	volumeTmp         = "tmp"
	volumeConfig      = "config"
	volumeCredentials = "credentials"
	volumeServerTLS   = "server-tls"
	volumePKI         = "pki"
)

// secretMode: readable by the pod's group, which fsGroup makes the owner of mounted Secrets.
const secretMode int32 = 0o440

// volumes of a pod beside the agent's.
func volumes(cluster *v1alpha1.RobustMQCluster, row v1alpha1.RoleView) []corev1.Volume {
	return []corev1.Volume{
		{Name: volumeRun, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{ // in memory: it holds secrets, and must not reach a disk
			Medium: corev1.StorageMediumMemory, SizeLimit: ptr.To(resource.MustParse("64Mi")),
		}}},
		memoryless(volumeTmp),
		secretVolume(volumeConfig, ConfigSecretName(cluster, row.Role), configKey),
		{Name: volumeCredentials, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			DefaultMode: ptr.To(secretMode),
			Sources: []corev1.VolumeProjection{
				projected(AdminSecretName(cluster), "admin/", corev1.BasicAuthUsernameKey, corev1.BasicAuthPasswordKey),
				projected(MQTTSecretName(cluster), "mqtt/", corev1.BasicAuthUsernameKey, corev1.BasicAuthPasswordKey),
				projected(JWTSecretName(cluster), "jwt/", jwtKey),
			},
		}}},
		secretVolume(volumeServerTLS, ServerTLSSecretName(cluster), corev1.TLSCertKey, corev1.TLSPrivateKeyKey),
		secretVolume(volumePKI, AgentPKISecretName(cluster), corev1.ServiceAccountRootCAKey, corev1.TLSCertKey, corev1.TLSPrivateKeyKey),
	}
}

func memoryless(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: ptr.To(resource.MustParse("64Mi"))}}}
}

// secretVolume mounts only the keys that are wanted: a user's TLS Secret may hold more.
func secretVolume(name, secret string, keys ...string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
		SecretName: secret, DefaultMode: ptr.To(secretMode), Items: keyPaths("", keys),
	}}}
}

// projected puts keys of a Secret into files; prefix is that of their names, a folder with its slash or nothing.
func projected(secret, prefix string, keys ...string) corev1.VolumeProjection {
	return corev1.VolumeProjection{Secret: &corev1.SecretProjection{
		LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Items: keyPaths(prefix, keys),
	}}
}

func keyPaths(prefix string, keys []string) []corev1.KeyToPath {
	items := make([]corev1.KeyToPath, 0, len(keys))
	for _, k := range keys {
		items = append(items, corev1.KeyToPath{Key: k, Path: prefix + k})
	}
	return items
}

// mounts of the server's container. Nothing is mounted by subPath: such a mount would never see a Secret change.
func mounts() []corev1.VolumeMount {
	return []corev1.VolumeMount{
		{Name: volumeAgent, MountPath: protocol.AgentDir, ReadOnly: true},
		{Name: volumeData, MountPath: protocol.VolumeDir},
		{Name: volumeRun, MountPath: protocol.RunDir},
		{Name: volumeTmp, MountPath: "/tmp"},
		{Name: volumeConfig, MountPath: configDir, ReadOnly: true},
		{Name: volumeCredentials, MountPath: protocol.CredentialsDir, ReadOnly: true},
		{Name: volumeServerTLS, MountPath: protocol.ServerTLSDir, ReadOnly: true},
		{Name: volumePKI, MountPath: protocol.PKIDir, ReadOnly: true},
	}
}

// dataVolumeClaim is the template of the data volume. What the API server would add is written out, because a template is compared as a whole.
func dataVolumeClaim(cluster *v1alpha1.RobustMQCluster, in Inputs, row v1alpha1.RoleView) corev1.PersistentVolumeClaim {
	return corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Name:        volumeData,
			Labels:      labels(cluster, row.Role.Component()),
			Annotations: map[string]string{v1alpha1.AnnotationClusterUID: in.ClusterUID},
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			StorageClassName: row.StorageClassName,
			VolumeMode:       ptr.To(corev1.PersistentVolumeFilesystem),
			Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: Storage(row)}},
		},
		Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending},
	}
}

// Storage is the size of every data volume of a role.
func Storage(row v1alpha1.RoleView) resource.Quantity {
	if row.Storage != nil {
		return *row.Storage
	}
	return resource.MustParse(v1alpha1.DefaultStorage)
}
