// Command rule writes the PrometheusRule with the alerts about the operator itself, for installations by kustomize. Those about clusters are made by the operator.
//
//	rule FILE.yaml
package main

import (
	"fmt"
	"log"
	"os"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/monitoring/alerts"
)

//go:generate go run . ../rules.yaml

func main() {
	log.SetFlags(0)
	log.SetPrefix("rule: ")
	if len(os.Args) != 2 {
		log.Fatal("usage: rule FILE.yaml")
	}
	if err := run(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func run(file string) error {
	groups, err := alerts.ForOperator()
	if err != nil {
		return fmt.Errorf("alerts of the operator: %w", err)
	}
	applied, err := manifests.Applied(&monitoringv1.PrometheusRule{
		TypeMeta: metav1.TypeMeta{APIVersion: monitoringv1.SchemeGroupVersion.String(), Kind: monitoringv1.PrometheusRuleKind},
		ObjectMeta: metav1.ObjectMeta{
			Name: "robustmq-operator", Namespace: "robustmq-operator-system",
			Labels: map[string]string{"app.kubernetes.io/name": "robustmq-operator", "app.kubernetes.io/component": "metrics"},
		},
		Spec: monitoringv1.PrometheusRuleSpec{Groups: groups},
	})
	if err != nil {
		return err
	}
	text, err := yaml.Marshal(applied.Object)
	if err != nil {
		return fmt.Errorf("writing the rule: %w", err)
	}
	return os.WriteFile(file, append([]byte("# Made by `make generate` out of monitoring/alerts/operator; do not edit.\n"), text...), 0o644)
}
