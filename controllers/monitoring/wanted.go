package monitoring

import (
	"errors"
	"fmt"
	"strings"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/cluster"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/monitoring/scrape"
)

// Rules are the alerts of one cluster.
type Rules func(namespace, cluster string) ([]monitoringv1.RuleGroup, error)

// serviceMonitor of a cluster; nil where it wants none.
func serviceMonitor(c *v1alpha1.RobustMQCluster) client.Object {
	if !ptr.Deref(c.Spec.Monitoring.Enabled, true) {
		return nil
	}
	return scrape.ServiceMonitor(c)
}

// prometheusRule of a cluster; nil where it wants none.
func prometheusRule(c *v1alpha1.RobustMQCluster, rules Rules) (client.Object, error) {
	if !ptr.Deref(c.Spec.Monitoring.Enabled, true) || !ptr.Deref(c.Spec.Monitoring.Rules, true) {
		return nil, nil
	}
	groups, err := rules(c.Namespace, c.Name)
	if err != nil {
		return nil, fmt.Errorf("alerts of cluster %s: %w", client.ObjectKeyFromObject(c), err)
	}
	return &monitoringv1.PrometheusRule{
		TypeMeta:   metav1.TypeMeta{APIVersion: monitoringv1.SchemeGroupVersion.String(), Kind: monitoringv1.PrometheusRuleKind},
		ObjectMeta: manifests.Owned(c, c.Name, c.Spec.Monitoring.Labels),
		Spec:       monitoringv1.PrometheusRuleSpec{Groups: groups},
	}, nil
}

// outcome is what became of one wanted object.
type outcome struct {
	kind kind
	is   availability
	err  error
}

// judge says of a cluster's objects together what its condition says. Of several troubles it tells all that are of the gravest sort.
func judge(outcomes []outcome) cluster.MonitoringFound {
	var failed, taken, closed, missing []string
	var bringers []string
	for _, o := range outcomes {
		var other *takenError
		switch {
		case o.is == forbidden:
			closed = append(closed, o.kind.Kind+"s")
		case o.is == absent, gone(o.err):
			missing = append(missing, o.kind.Kind)
			if len(bringers) == 0 || bringers[len(bringers)-1] != o.kind.by {
				bringers = append(bringers, o.kind.by)
			}
		case errors.As(o.err, &other):
			taken = append(taken, o.err.Error())
		case o.err != nil:
			failed = append(failed, o.err.Error())
		}
	}
	no := func(reason, format string, args ...any) cluster.MonitoringFound {
		return cluster.MonitoringFound{Status: metav1.ConditionFalse, Reason: reason, Message: fmt.Sprintf(format, args...)}
	}
	switch {
	case len(taken) > 0:
		return no(v1alpha1.ReasonNameTaken, "%s", strings.Join(taken, "; "))
	case len(closed) > 0:
		return no(v1alpha1.ReasonMonitoringForbidden, "the operator may not read %s: bind the roles of config/rbac/monitoring.yaml, or set spec.monitoring.enabled to false", strings.Join(closed, " and "))
	case len(failed) > 0:
		return no(v1alpha1.ReasonApplyFailed, "%s; it is tried again", strings.Join(failed, "; "))
	case len(missing) > 0:
		return no(v1alpha1.ReasonKindsMissing, "this Kubernetes has no %s: install %s, or set spec.monitoring.enabled to false; what is missing is made as soon as the kind is there", strings.Join(missing, " and no "), strings.Join(bringers, " and "))
	}
	return cluster.MonitoringFound{Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonMonitored, Message: "what spec.monitoring asks for is in place"}
}

// gone reports that the API server no longer serves a kind: its follower will tell.
func gone(err error) bool {
	return meta.IsNoMatchError(err) || apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err)
}
