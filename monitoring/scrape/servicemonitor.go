package scrape

import (
	"regexp"
	"strings"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/pki"
)

// Values of the label job, by which rules and dashboards tell the targets of one pod apart.
const (
	JobServer   = "robustmq-server"
	JobAgent    = "robustmq-agent"
	JobOperator = "robustmq-operator"
)

// many are the families of RobustMQ with a series for every client, connection, subscription or topic.
var many = []string{"client_connections_total", "connection_messages_.*", "session_messages_.*", "subscribe_.*", "topic_.*"}

// https as every version of the definitions has it; the newest know HTTPS too.
const https monitoringv1.Scheme = "https"

// ServiceMonitor has every pod of the cluster scraped twice, over TLS and at one port: for what its agent sees, and for what its server says, which the agent passes on. Each target gets the labels
// namespace, pod, cluster, role, member and job.
//
// Two endpoints in one object rather than two objects: with a thousand clusters, each object less is memory here, and in the Prometheus operator.
func ServiceMonitor(cluster *v1alpha1.RobustMQCluster) *monitoringv1.ServiceMonitor {
	server := endpoint(cluster, JobServer, protocol.PathServerMetrics)
	if !cluster.Spec.Monitoring.PerTopicMetrics {
		server.MetricRelabelConfigs = []monitoringv1.RelabelConfig{{SourceLabels: []monitoringv1.LabelName{"__name__"}, Regex: strings.Join(many, "|"), Action: "drop"}}
	}
	return &monitoringv1.ServiceMonitor{
		TypeMeta:   metav1.TypeMeta{APIVersion: monitoringv1.SchemeGroupVersion.String(), Kind: monitoringv1.ServiceMonitorsKind},
		ObjectMeta: manifests.Owned(cluster, cluster.Name, cluster.Spec.Monitoring.Labels),
		Spec: monitoringv1.ServiceMonitorSpec{
			// Every Service of the cluster; those that govern the roles alone have the port.
			Selector:  metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelCluster: cluster.Name}},
			Endpoints: []monitoringv1.Endpoint{endpoint(cluster, JobAgent, protocol.PathMetrics), server},
		},
	}
}

func endpoint(cluster *v1alpha1.RobustMQCluster, job, path string) monitoringv1.Endpoint {
	e := monitoringv1.Endpoint{
		Port: manifests.PortNameMetrics, Path: path, Scheme: ptr.To(https),
		RelabelConfigs: []monitoringv1.RelabelConfig{
			// namespace and pod are set by the Prometheus operator too; other programs that read ServiceMonitors need not do so.
			copied("__meta_kubernetes_namespace", "namespace"),
			copied("__meta_kubernetes_pod_name", "pod"),
			fixed("cluster", cluster.Name),
			copied("__meta_kubernetes_pod_label_app_kubernetes_io_component", "role"),
			{
				SourceLabels: []monitoringv1.LabelName{"__meta_kubernetes_pod_name"}, Regex: regexp.QuoteMeta(cluster.Name) + "-(.+)", Replacement: ptr.To("$1"),
				TargetLabel: "member", Action: "replace",
			},
			fixed("job", job),
		},
	}
	if i := cluster.Spec.Monitoring.Interval; i != nil {
		e.Interval = monitoringv1.Duration(i.Duration.String())
	}
	e.TLSConfig = &monitoringv1.TLSConfig{SafeTLSConfig: monitoringv1.SafeTLSConfig{
		CA: monitoringv1.SecretOrConfigMap{Secret: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: manifests.AuthoritySecretName(cluster)}, Key: pki.KeyTrust,
		}},
		ServerName: ptr.To(protocol.ServerName(cluster.Namespace, cluster.Name)),
	}}
	return e
}

// copied and fixed name their action: the API server would put it in, and what is owned as one piece would differ from what was applied.
func copied(from monitoringv1.LabelName, to string) monitoringv1.RelabelConfig {
	return monitoringv1.RelabelConfig{SourceLabels: []monitoringv1.LabelName{from}, TargetLabel: to, Action: "replace"}
}

func fixed(label, value string) monitoringv1.RelabelConfig {
	return monitoringv1.RelabelConfig{TargetLabel: label, Replacement: ptr.To(value), Action: "replace"}
}
