package manifests

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// Names of ports that monitoring and people refer to.
const (
	portNameAgent       = "agent"
	portNameAgentPublic = "agent-public"
	// PortNameMetrics is the agent's port for scrapers.
	PortNameMetrics = "metrics"
)

// GoverningService gives the pods of a role their DNS names.
//
// A placement-centre name must vanish when its pod cannot be reached: the servers send heartbeats to all members one after another, and an address that hangs, early in the list, makes
// the leader delete every node (seen on 0.4.11, twice of two). The other roles' names stand in no such list, and a starting broker has to be reachable by the leader's notifications before it is ready.
// So theirs do not follow readiness, and would stay until the pod is gone, after its address: they go with a label instead, which is taken off when the pod begins to be deleted.
func GoverningService(cluster *v1alpha1.RobustMQCluster, r v1alpha1.Role) *corev1.Service {
	row, ports := roleOf(cluster, r), portsOf(cluster)
	s := service(cluster, WorkloadName(cluster, r), row.Role.Component())
	s.Spec = corev1.ServiceSpec{
		Type:                     corev1.ServiceTypeClusterIP,
		ClusterIP:                corev1.ClusterIPNone,
		Selector:                 merged(selector(cluster, row.Role.Component()), named(r)),
		PublishNotReadyAddresses: r != v1alpha1.RolePlacementCenter,
		Ports: []corev1.ServicePort{
			tcp("grpc", ports.GRPC), tcp("http", ports.HTTP), tcp("engine", ports.Engine),
			tcp(portNameAgent, protocol.Port), tcp(portNameAgentPublic, protocol.PublicPort), tcp(PortNameMetrics, protocol.MetricsPort),
		},
	}
	return s
}

// AgentsService is one name for the agents of the placement centre, also of pods that are not ready: those wait at their gates for somebody's word.
func AgentsService(cluster *v1alpha1.RobustMQCluster) *corev1.Service {
	s := service(cluster, AgentsServiceName(cluster), v1alpha1.ComponentPlacementCenter)
	s.Spec = corev1.ServiceSpec{
		Type:                     corev1.ServiceTypeClusterIP,
		ClusterIP:                corev1.ClusterIPNone,
		Selector:                 selector(cluster, v1alpha1.ComponentPlacementCenter),
		PublishNotReadyAddresses: true,
		Ports:                    []corev1.ServicePort{tcp(portNameAgent, protocol.Port)},
	}
	return s
}

// ClientService is what MQTT clients connect to: the enabled listeners of every broker; of broker 0 alone where brokers are islands, because only so what is published is received.
// It is nil when no listener is enabled.
func ClientService(cluster *v1alpha1.RobustMQCluster, in Inputs) *corev1.Service {
	var ports []corev1.ServicePort
	for _, l := range cluster.Spec.Listeners.Effective() {
		if l.Enabled {
			ports = append(ports, port(l.Name, l.Protocol, l.Port))
		}
	}
	if len(ports) == 0 {
		return nil // a Service without ports is refused
	}
	want := cluster.Spec.Listeners.Service
	s := service(cluster, ClientServiceName(cluster), v1alpha1.ComponentMQTTBroker)
	s.Annotations = want.Annotations
	s.Spec = corev1.ServiceSpec{
		Type:                     want.Type,
		Selector:                 clientSelector(cluster, in),
		Ports:                    ports,
		LoadBalancerClass:        want.LoadBalancerClass,
		LoadBalancerSourceRanges: want.LoadBalancerSourceRanges,
		ExternalTrafficPolicy:    want.ExternalTrafficPolicy,
	}
	if s.Spec.Type == "" {
		s.Spec.Type = corev1.ServiceTypeClusterIP
	}
	return s
}

// IngressService is behind the Ingress; nil without one.
func IngressService(cluster *v1alpha1.RobustMQCluster, in Inputs) *corev1.Service {
	if cluster.Spec.Ingress == nil {
		return nil
	}
	ports := portsOf(cluster)
	s := service(cluster, IngressServiceName(cluster), v1alpha1.ComponentMQTTBroker)
	s.Spec = corev1.ServiceSpec{
		Type:     corev1.ServiceTypeClusterIP,
		Selector: clientSelector(cluster, in),
		Ports:    []corev1.ServicePort{tcp("ws", ports.WS)},
	}
	if cluster.Spec.Ingress.Admin {
		s.Spec.Ports = append(s.Spec.Ports, tcp("admin", ports.HTTP))
	}
	return s
}

func service(cluster *v1alpha1.RobustMQCluster, name, component string) *corev1.Service {
	return &corev1.Service{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: meta(cluster, name, component)}
}

func clientSelector(cluster *v1alpha1.RobustMQCluster, in Inputs) map[string]string {
	s := selector(cluster, v1alpha1.ComponentMQTTBroker)
	if in.Traits.Islands {
		s["statefulset.kubernetes.io/pod-name"] = PodName(cluster, v1alpha1.RoleMQTTBroker, 0)
	}
	return s
}

func tcp(name string, number int32) corev1.ServicePort {
	return port(name, corev1.ProtocolTCP, number)
}

// port names its target by number: a pod's template does not list the server's ports, because they are configuration.
func port(name string, protocol corev1.Protocol, number int32) corev1.ServicePort {
	return corev1.ServicePort{Name: name, Protocol: protocol, Port: number, TargetPort: intstr.FromInt32(number)}
}
