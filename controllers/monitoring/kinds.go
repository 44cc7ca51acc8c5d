package monitoring

import (
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// kind is one that is followed.
type kind struct {
	schema.GroupVersionKind
	resource string
	// builtIn kinds are in every Kubernetes; the others have a definition, which comes and goes.
	builtIn bool
	// by is who brings the definition, for people.
	by string
}

var (
	serviceMonitors = kind{GroupVersionKind: monitoringv1.SchemeGroupVersion.WithKind(monitoringv1.ServiceMonitorsKind), resource: "servicemonitors", by: "the Prometheus operator"}
	prometheusRules = kind{GroupVersionKind: monitoringv1.SchemeGroupVersion.WithKind(monitoringv1.PrometheusRuleKind), resource: "prometheusrules", by: "the Prometheus operator"}
	configMaps      = kind{GroupVersionKind: corev1.SchemeGroupVersion.WithKind("ConfigMap"), resource: "configmaps", builtIn: true}
	// grafanaDashboards are of the Grafana operator (v5), which takes a dashboard from a ConfigMap that one names.
	grafanaDashboards = kind{
		GroupVersionKind: schema.GroupVersionKind{Group: "grafana.integreatly.org", Version: "v1beta1", Kind: "GrafanaDashboard"}, resource: "grafanadashboards", by: "the Grafana operator",
	}
)

func (k kind) gvr() schema.GroupVersionResource { return k.GroupVersion().WithResource(k.resource) }

// definition is the name of the kind's CustomResourceDefinition.
func (k kind) definition() string { return k.resource + "." + k.Group }

// availability is whether objects of a kind can be had.
type availability int

const (
	// unknown: nobody has looked yet, or the API server did not answer.
	unknown availability = iota
	// absent: this Kubernetes does not have the kind.
	absent
	// forbidden: the operator may not read it.
	forbidden
	// available: the kind is there, and what there is of it has been read.
	available
)

func (a availability) String() string {
	return [...]string{"unknown", "absent", "forbidden", "available"}[a]
}
