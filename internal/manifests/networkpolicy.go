package manifests

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// OperatorPodLabels are on the operator's own pods (config/manager says the same).
var OperatorPodLabels = map[string]string{labelName: "robustmq-operator"}

// NetworkPolicies close what nobody has to reach: RobustMQ's gRPC and engine ports know no authentication. Nothing when the spec switches them off.
//
// One policy for every pod of the cluster (the cluster itself, the operator, monitoring), one for the brokers (clients). Probes come from the node and are always let through.
func NetworkPolicies(cluster *v1alpha1.RobustMQCluster, in Inputs) []*networkingv1.NetworkPolicy {
	if !ptr.Deref(cluster.Spec.NetworkPolicy.Enabled, true) {
		return nil
	}
	policies := []*networkingv1.NetworkPolicy{policy(cluster, internalPolicyName(cluster), "", []networkingv1.NetworkPolicyIngressRule{
		fromCluster(cluster), fromOperator(in), fromMonitoring(cluster, in),
	})}
	if ports := clientPorts(cluster); len(ports) > 0 {
		policies = append(policies, policy(cluster, clientPolicyName(cluster), v1alpha1.ComponentMQTTBroker, []networkingv1.NetworkPolicyIngressRule{
			{From: cluster.Spec.NetworkPolicy.ClientsFrom, Ports: ports},
		}))
	}
	return policies
}

func internalPolicyName(cluster *v1alpha1.RobustMQCluster) string { return cluster.Name }
func clientPolicyName(cluster *v1alpha1.RobustMQCluster) string   { return cluster.Name + "-clients" }

func policy(cluster *v1alpha1.RobustMQCluster, name, component string, rules []networkingv1.NetworkPolicyIngressRule) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: meta(cluster, name, component),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: *labelSelector(cluster, component),
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress:     rules,
		},
	}
}

// fromCluster: the cluster's own pods, which its backup and restore Jobs are too (they carry the cluster's label).
func fromCluster(cluster *v1alpha1.RobustMQCluster) networkingv1.NetworkPolicyIngressRule {
	ports := portsOf(cluster)
	return networkingv1.NetworkPolicyIngressRule{
		From:  []networkingv1.NetworkPolicyPeer{{PodSelector: labelSelector(cluster, "")}},
		Ports: tcpPorts(ports.GRPC, ports.HTTP, ports.Engine, protocol.Port),
	}
}

func fromOperator(in Inputs) networkingv1.NetworkPolicyIngressRule {
	namespace := &metav1.LabelSelector{}
	if in.OperatorNamespace != "" {
		namespace.MatchLabels = map[string]string{corev1.LabelMetadataName: in.OperatorNamespace}
	}
	return networkingv1.NetworkPolicyIngressRule{
		From:  []networkingv1.NetworkPolicyPeer{{NamespaceSelector: namespace, PodSelector: &metav1.LabelSelector{MatchLabels: OperatorPodLabels}}},
		Ports: tcpPorts(protocol.Port),
	}
}

// fromMonitoring: the agent's metrics, and the server's through it, are open to every pod of the Kubernetes cluster unless the spec names who scrapes. The server's own port for them is its
// admin API's since 0.4.1, and is opened to no scraper.
func fromMonitoring(cluster *v1alpha1.RobustMQCluster, in Inputs) networkingv1.NetworkPolicyIngressRule {
	ports := []int32{protocol.PublicPort, protocol.MetricsPort}
	if in.Traits.PrometheusPort {
		ports = append(ports, v1alpha1.PortPrometheus)
	}
	from := cluster.Spec.NetworkPolicy.MonitoringFrom
	if len(from) == 0 {
		from = []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}}
	}
	return networkingv1.NetworkPolicyIngressRule{From: from, Ports: tcpPorts(ports...)}
}

// clientPorts are the enabled listeners and what the Ingress needs.
func clientPorts(cluster *v1alpha1.RobustMQCluster) []networkingv1.NetworkPolicyPort {
	ingress := cluster.Spec.Ingress
	var ports []networkingv1.NetworkPolicyPort
	for _, l := range cluster.Spec.Listeners.Effective() {
		if l.Enabled || ingress != nil && (l.Name == "ws" || l.Name == "admin" && ingress.Admin) {
			ports = append(ports, policyPort(l.Protocol, l.Port))
		}
	}
	return ports
}

func tcpPorts(numbers ...int32) []networkingv1.NetworkPolicyPort {
	ports := make([]networkingv1.NetworkPolicyPort, 0, len(numbers))
	for _, n := range numbers {
		ports = append(ports, policyPort(corev1.ProtocolTCP, n))
	}
	return ports
}

func policyPort(protocol corev1.Protocol, number int32) networkingv1.NetworkPolicyPort {
	return networkingv1.NetworkPolicyPort{Protocol: ptr.To(protocol), Port: ptr.To(intstr.FromInt32(number))}
}
