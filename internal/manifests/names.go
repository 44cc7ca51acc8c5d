package manifests

import (
	"strconv"
	"strings"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// WorkloadName is the name of a role's StatefulSet and of its governing Service: <cluster>-placement-center and so on.
func WorkloadName(cluster *v1alpha1.RobustMQCluster, r v1alpha1.Role) string {
	return cluster.Name + "-" + r.Component()
}

// AgentsServiceName is the headless Service of the placement centre's agents.
func AgentsServiceName(cluster *v1alpha1.RobustMQCluster) string {
	return WorkloadName(cluster, v1alpha1.RolePlacementCenter) + "-agents"
}

// PodName is the name of one pod of a role.
func PodName(cluster *v1alpha1.RobustMQCluster, r v1alpha1.Role, ordinal int32) string {
	return WorkloadName(cluster, r) + "-" + strconv.Itoa(int(ordinal))
}

// VolumeClaimName is the name of the PersistentVolumeClaim of one pod.
func VolumeClaimName(cluster *v1alpha1.RobustMQCluster, r v1alpha1.Role, ordinal int32) string {
	return VolumeClaimOf(PodName(cluster, r, ordinal))
}

// VolumeClaimOf is the name of the PersistentVolumeClaim of a pod: the reverse of PodOfVolumeClaim.
func VolumeClaimOf(pod string) string { return volumeData + "-" + pod }

// PodOfVolumeClaim is the pod that a volume claim belongs to by its name.
func PodOfVolumeClaim(claim string) (pod string, ok bool) {
	return strings.CutPrefix(claim, volumeData+"-")
}

// PodHost is the DNS name of one pod, absolute except for the final dot.
func PodHost(cluster *v1alpha1.RobustMQCluster, in Inputs, r v1alpha1.Role, ordinal int32) string {
	return PodName(cluster, r, ordinal) + hostSuffix(cluster, in, r)
}

func hostSuffix(cluster *v1alpha1.RobustMQCluster, in Inputs, r v1alpha1.Role) string {
	return "." + WorkloadName(cluster, r) + "." + cluster.Namespace + ".svc." + in.ClusterDomain
}

// ClientServiceName is the Service that MQTT clients use.
func ClientServiceName(cluster *v1alpha1.RobustMQCluster) string { return cluster.Name }

// IngressServiceName is the Service behind the Ingress. It is one of its own, so that the client Service need not offer what only the Ingress shall reach.
func IngressServiceName(cluster *v1alpha1.RobustMQCluster) string { return cluster.Name + "-ingress" }

// ServiceAccountName is the pods' account. It is bound to nothing and its token is never mounted.
func ServiceAccountName(cluster *v1alpha1.RobustMQCluster) string { return cluster.Name + "-robustmq" }

// ConfigSecretName holds the agents' configuration of one role.
func ConfigSecretName(cluster *v1alpha1.RobustMQCluster, r v1alpha1.Role) string {
	return WorkloadName(cluster, r) + "-config"
}

// AdminSecretName is the Secret with the admin API's user: the one that the spec names, or the generated one.
func AdminSecretName(cluster *v1alpha1.RobustMQCluster) string {
	if cluster.Spec.Auth.AdminSecretName != "" {
		return cluster.Spec.Auth.AdminSecretName
	}
	return cluster.Name + "-admin"
}

// MQTTSecretName is the Secret with the first MQTT user: the one that the spec names, or the generated one.
func MQTTSecretName(cluster *v1alpha1.RobustMQCluster) string {
	if cluster.Spec.Auth.MQTTSecretName != "" {
		return cluster.Spec.Auth.MQTTSecretName
	}
	return cluster.Name + "-mqtt"
}

// ServerTLSSecretName is the Secret with the listeners' certificate, whoever makes it.
func ServerTLSSecretName(cluster *v1alpha1.RobustMQCluster) string {
	if cluster.Spec.TLS.SecretName != "" {
		return cluster.Spec.TLS.SecretName
	}
	return cluster.Name + "-server-tls"
}

// JWTSecretName is the Secret with the key that signs the admin API's tokens; always generated.
func JWTSecretName(cluster *v1alpha1.RobustMQCluster) string { return cluster.Name + "-jwt" }

// AuthoritySecretName is the Secret with the cluster's certificate authority. It is never mounted.
func AuthoritySecretName(cluster *v1alpha1.RobustMQCluster) string { return cluster.Name + "-ca" }

// AgentPKISecretName is the Secret with the agents' certificate.
func AgentPKISecretName(cluster *v1alpha1.RobustMQCluster) string { return cluster.Name + "-agent-pki" }

// OperatorPKISecretName is the Secret with the operator's client certificate.
func OperatorPKISecretName(cluster *v1alpha1.RobustMQCluster) string {
	return cluster.Name + "-operator-pki"
}

// JobPKISecretName is the Secret with the client certificate of the cluster's Jobs.
func JobPKISecretName(cluster *v1alpha1.RobustMQCluster) string { return cluster.Name + "-job-pki" }

// GeneratesServerTLS says whether the operator makes the listeners' certificate itself.
func GeneratesServerTLS(cluster *v1alpha1.RobustMQCluster) bool {
	return cluster.Spec.TLS.SecretName == "" && cluster.Spec.TLS.IssuerRef == nil
}

// ListenerDNSNames are the names in the listeners' certificate: the client Service in its usual spellings, every broker, the Ingress' host, and what the spec adds.
func ListenerDNSNames(cluster *v1alpha1.RobustMQCluster, in Inputs) []string {
	service, brokers := ClientServiceName(cluster)+"."+cluster.Namespace, WorkloadName(cluster, v1alpha1.RoleMQTTBroker)+"."+cluster.Namespace
	names := []string{
		ClientServiceName(cluster), service, service + ".svc", service + ".svc." + in.ClusterDomain,
		"*." + brokers + ".svc", "*." + brokers + ".svc." + in.ClusterDomain,
	}
	if cluster.Spec.Ingress != nil {
		names = append(names, cluster.Spec.Ingress.Host)
	}
	return append(names, cluster.Spec.TLS.DNSNames...)
}
