package manifests

import (
	"path"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

const (
	// ContainerServer runs the agent, and the server as its child.
	ContainerServer = "server"
	// ContainerAgent is the init container that brings the agent.
	ContainerAgent = "agent"

	// podUser owns the processes and, as fsGroup, the data. RobustMQ's images name no user of their own.
	podUser int64 = 65532

	// terminationGrace in seconds: on SIGTERM a voter's agent may hold its server until the quorum stands without it, then the server needs up to 20.
	terminationGrace int64 = 120

	agentBinary = protocol.AgentDir + "/agent"
)

var configDir = path.Dir(protocol.ConfigFile)

// podTemplate says nothing that a change of configuration, credentials or certificates would change: those are mounted, the agent reads them again and decides about a restart in place.
// Hashes in the template would roll the quorum for what needs no new pod.
func podTemplate(cluster *v1alpha1.RobustMQCluster, in Inputs, row v1alpha1.RoleView) corev1.PodTemplateSpec {
	user := ptr.Deref(row.PodTemplate, v1alpha1.PodTemplateSpec{})
	initial, agent := deliver(in, row.Resources.Requirements())
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{
			Labels:      merged(user.Labels, merged(labels(cluster, row.Role.Component()), named(row.Role))),
			Annotations: merged(user.Annotations, map[string]string{"kubectl.kubernetes.io/default-container": ContainerServer, v1alpha1.AnnotationVersion: cluster.Spec.Version}),
		},
		Spec: corev1.PodSpec{
			ServiceAccountName:            ServiceAccountName(cluster),
			AutomountServiceAccountToken:  ptr.To(false),
			EnableServiceLinks:            ptr.To(false), // RobustMQ reads ROBUST_MQ_SERVER_* as configuration: a Service of an unlucky name would become some
			TerminationGracePeriodSeconds: ptr.To(terminationGrace),
			ImagePullSecrets:              cluster.Spec.ImagePullSecrets,
			PriorityClassName:             user.PriorityClassName,
			NodeSelector:                  user.NodeSelector,
			Tolerations:                   user.Tolerations,
			Affinity:                      affinity(cluster, row, user.Affinity),
			TopologySpreadConstraints:     spread(cluster, row, user.TopologySpreadConstraints),
			// The members' names are absolute already: with 5 dots as the default every question would be asked four times, and each answered NXDOMAIN first.
			DNSConfig: &corev1.PodDNSConfig{Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: ptr.To("1")}}},
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:        ptr.To(true),
				RunAsUser:           ptr.To(podUser),
				RunAsGroup:          ptr.To(podUser),
				FSGroup:             ptr.To(podUser),
				FSGroupChangePolicy: ptr.To(corev1.FSGroupChangeOnRootMismatch), // else every start walks the whole volume
				SeccompProfile:      &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			InitContainers: initial,
			Containers:     []corev1.Container{server(cluster, in, row)},
			Volumes:        append([]corev1.Volume{agent}, volumes(cluster, row)...),
		},
	}
}

func server(cluster *v1alpha1.RobustMQCluster, in Inputs, row v1alpha1.RoleView) corev1.Container {
	return corev1.Container{
		Name:            ContainerServer,
		Image:           in.ServerImage,
		ImagePullPolicy: cluster.Spec.ImagePullPolicy,
		Command:         []string{agentBinary, "run"},
		Env: []corev1.EnvVar{
			fromField(protocol.EnvPodName, "metadata.name"),
			fromField(protocol.EnvPodIP, "status.podIP"),
			// Of annotations, which can be changed in a pod together with its image.
			fromField(protocol.EnvServerVersion, annotation(v1alpha1.AnnotationVersion)),
			fromField(protocol.EnvTemplate, annotation(v1alpha1.AnnotationTemplate)),
		},
		// Only the agent's ports: the server's are configuration, and a port in this list opens nothing.
		Ports: []corev1.ContainerPort{
			{Name: portNameAgent, ContainerPort: protocol.Port, Protocol: corev1.ProtocolTCP},
			{Name: portNameAgentPublic, ContainerPort: protocol.PublicPort, Protocol: corev1.ProtocolTCP},
		},
		Resources:       row.Resources.Requirements(),
		VolumeMounts:    mounts(),
		ReadinessProbe:  readiness(row.Role),
		LivenessProbe:   probe("/healthz", 10, 5, 6),
		SecurityContext: restricted(),
	}
}

// readiness of the placement centre decides whether a member's name resolves, and until it does nobody reaches the server of a pod that was made anew: the agent answers as soon as there is something to say
// (within its ReadyWait), and no startup probe stands before it, since the agent listens within milliseconds. A broker's only decides who gets clients.
func readiness(r v1alpha1.Role) *corev1.Probe {
	if r == v1alpha1.RolePlacementCenter {
		return probe("/readyz", 1, 1, 2)
	}
	return probe("/readyz", 2, 2, 3)
}

// probe asks the agent's public port; period and timeout in seconds.
func probe(path string, period, timeout, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:     corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt32(protocol.PublicPort)}},
		PeriodSeconds:    period,
		TimeoutSeconds:   timeout,
		FailureThreshold: failures,
	}
}

// fromField writes the API version out: a field selector is compared as a whole.
func fromField(name, field string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: field}}}
}

func annotation(name string) string { return "metadata.annotations['" + name + "']" }

// restricted is what the Pod Security profile "restricted" asks of a container, and a root file system that cannot be written.
func restricted() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: ptr.To(false),
		ReadOnlyRootFilesystem:   ptr.To(true),
		RunAsNonRoot:             ptr.To(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
}
