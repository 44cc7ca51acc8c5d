package config_test

import (
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/robustmq/robustmq-operator/monitoring/alerts"
	"github.com/robustmq/robustmq-operator/monitoring/scrape"
)

func TestTheOperatorsServiceMonitorFindsItsMetricsAndSaysWhoseTheyAre(t *testing.T) {
	m := find[monitoringv1.ServiceMonitor](t, objects(t, "prometheus"), "ServiceMonitor", "robustmq-operator")
	s := find[corev1.Service](t, objects(t, "manager"), "Service", "robustmq-operator-metrics")
	if !labels.SelectorFromSet(m.Spec.Selector.MatchLabels).Matches(labels.Set(s.Labels)) || m.Namespace != s.Namespace {
		t.Errorf("%v does not select %v", m.Spec.Selector, s.Labels)
	}
	if hook := find[corev1.Service](t, objects(t, "webhook"), "Service", "robustmq-operator-webhook"); labels.SelectorFromSet(m.Spec.Selector.MatchLabels).Matches(labels.Set(hook.Labels)) {
		t.Error("the webhooks' Service is scraped too")
	}
	if len(m.Spec.Endpoints) != 1 {
		t.Fatalf("%d endpoints", len(m.Spec.Endpoints))
	}
	e := m.Spec.Endpoints[0]
	if !slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == e.Port }) {
		t.Errorf("the Service has no port %q", e.Port)
	}
	if !e.HonorLabels {
		t.Error("the namespace of every cluster would be that of the operator")
	}
	if e.Scheme.String() != "https" || e.BearerTokenFile == "" { //nolint:staticcheck // what it is to be replaced by wants a Secret, and the account of a Prometheus has none of itself
		t.Errorf("%+v: the operator serves its metrics over TLS, to those who show a token", e)
	}
	if !slices.ContainsFunc(e.RelabelConfigs, func(r monitoringv1.RelabelConfig) bool {
		return r.TargetLabel == "job" && r.Replacement != nil && *r.Replacement == scrape.JobOperator
	}) {
		t.Errorf("no job in %+v", e.RelabelConfigs)
	}
}

// What the controllers of monitoring do, and nothing else: their tests run with these rights.
func TestForMonitoringTheOperatorMayWriteItsOwnKindsOnly(t *testing.T) {
	all := []string{"get", "list", "watch", "create", "patch", "delete"}
	for name, want := range map[string]map[string][]string{
		"robustmq-operator-monitoring":      {"monitoring.coreos.com servicemonitors": all, "monitoring.coreos.com prometheusrules": all},
		"robustmq-operator-definitions":     {"apiextensions.k8s.io customresourcedefinitions": {"list", "watch"}},
		"role robustmq-operator-dashboards": {" configmaps": all, "grafana.integreatly.org grafanadashboards": all},
	} {
		got := map[string][]string{}
		for _, r := range roles(t)[name] {
			for _, resource := range r.Resources {
				got[r.APIGroups[0]+" "+resource] = r.Verbs
			}
			if name == "robustmq-operator-definitions" && len(r.ResourceNames) != 3 {
				t.Errorf("every definition may be read: %v", r.ResourceNames)
			}
		}
		for key, verbs := range want {
			if !slices.Equal(got[key], verbs) {
				t.Errorf("%s: %s %v, want %v", name, key, got[key], verbs)
			}
			delete(got, key)
		}
		if len(got) > 0 {
			t.Errorf("%s: %v is not needed", name, got)
		}
	}
	for name, rules := range roles(t) {
		for _, r := range rules {
			if strings.HasPrefix(name, "role ") || name == "robustmq-operator-monitoring" || name == "robustmq-operator-definitions" {
				continue
			}
			for _, resource := range []string{"configmaps", "servicemonitors", "prometheusrules", "customresourcedefinitions"} {
				if slices.Contains(r.Resources, resource) {
					t.Errorf("%s: %s", name, resource)
				}
			}
		}
	}
}

func TestTheRulesOfTheOperatorsComponentAreItsAlertsAndNoClusters(t *testing.T) {
	rule := find[monitoringv1.PrometheusRule](t, objects(t, "prometheus"), "PrometheusRule", "robustmq-operator")
	want, err := alerts.ForOperator()
	if err != nil {
		t.Fatal(err)
	}
	if !equality.Semantic.DeepEqual(rule.Spec.Groups, want) || rule.Namespace != operatorNamespace {
		t.Error("config/prometheus/rules.yaml is not what monitoring/alerts/operator says: make generate")
	}
}
