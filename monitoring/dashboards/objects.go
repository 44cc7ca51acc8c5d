package dashboards

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	// SidecarLabel with the value "1" is how the sidecar of Grafana's chart finds ConfigMaps with dashboards, unless it was told otherwise.
	SidecarLabel = "grafana_dashboard"
	// folder of Grafana in which the Grafana operator puts them.
	folder = "RobustMQ"
)

// GrafanaDashboardKind is of the Grafana operator (grafana/grafana-operator), since its version 5.
var GrafanaDashboardKind = schema.GroupVersionKind{Group: "grafana.integreatly.org", Version: "v1beta1", Kind: "GrafanaDashboard"}

// ObjectName of the ConfigMap and of the GrafanaDashboard of a dashboard.
func (d Dashboard) ObjectName() string { return "robustmq-dashboard-" + d.Name }

// FileName is the key in the ConfigMap. The sidecar writes the keys of all ConfigMaps that it finds into one folder, so it must not be another's.
func (d Dashboard) FileName() string { return uidPrefix + d.Name + ".json" }

// ConfigMap with a dashboard, for Grafana's sidecar and for the GrafanaDashboard below. Labels are those by which the sidecar looks for it, and any others.
func ConfigMap(d Dashboard, namespace string, labels map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: d.ObjectName(), Namespace: namespace, Labels: maps.Clone(labels)},
		Data:       map[string]string{d.FileName(): string(d.JSON)},
	}
}

// GrafanaDashboard has the Grafana operator load a dashboard from its ConfigMap into every Grafana that it reaches, in whatever namespace: a selector that asks for nothing selects all.
func GrafanaDashboard(d Dashboard, namespace string, labels map[string]string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{
		"spec": map[string]any{
			"instanceSelector":          map[string]any{"matchLabels": map[string]any{}},
			"allowCrossNamespaceImport": true,
			"folder":                    folder,
			"configMapRef":              map[string]any{"name": d.ObjectName(), "key": d.FileName()},
		},
	}}
	u.SetGroupVersionKind(GrafanaDashboardKind)
	u.SetName(d.ObjectName())
	u.SetNamespace(namespace)
	u.SetLabels(maps.Clone(labels))
	return u
}
