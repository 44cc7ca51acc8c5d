package webhooks

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	admissionv1 "k8s.io/api/admission/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/monitoring"
	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

func TestDecisionsAreCountedOnceARequestByTheRuleThatMadeThem(t *testing.T) {
	counted := monitoring.NewAdmissions()
	d := decisions{counted}
	deny := func(rule string) rules.Violation { return rules.Violation{Rule: rule, Severity: rules.Deny} }
	warn := func(rule string) rules.Violation { return rules.Violation{Rule: rule, Severity: rules.Warn} }
	d.count("RobustMQCluster", nil)
	d.count("RobustMQCluster", []rules.Violation{warn("A"), {Rule: "B", Severity: rules.Audit}})
	d.count("RobustMQCluster", []rules.Violation{deny("C"), deny("C"), deny("D"), warn("A")})
	for _, c := range []struct {
		rule, decision string
		want           float64
	}{{"", "allowed", 2}, {"A", "warned", 2}, {"C", "denied", 1}, {"D", "denied", 1}} {
		if got := testutil.ToFloat64(counted.WithLabelValues("RobustMQCluster", c.rule, c.decision)); got != c.want {
			t.Errorf("%s %q: %v, want %v", c.decision, c.rule, got, c.want)
		}
	}
	if n := testutil.CollectAndCount(counted); n != 4 {
		t.Errorf("%d series: what a policy only counts is no decision", n)
	}
}

func TestEveryHandlerThatJudgesCounts(t *testing.T) {
	none := runtime.RawExtension{}
	c := defaulted(t)
	more := c.DeepCopy()
	more.Spec.MQTTBroker.Replicas++
	scaled := autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: c.Spec.MQTTBroker.Replicas + 1}}
	backup, restore, policy := v1alpha1.RobustMQBackup{}, v1alpha1.RobustMQRestore{}, v1alpha1.RobustMQPolicy{}
	for name, of := range map[string]struct {
		resource string
		handler  func(d decisions) admission.Handler
		request  admission.Request
	}{
		"create": {"RobustMQCluster", func(d decisions) admission.Handler { return clusterValidator{platform{decisions: d}} }, request(admissionv1.Create, raw(t, c), none)},
		"update": {"RobustMQCluster", func(d decisions) admission.Handler { return clusterValidator{platform{decisions: d}} }, request(admissionv1.Update, raw(t, more), raw(t, c))},
		"scale": {"RobustMQCluster", func(d decisions) admission.Handler {
			return scaleValidator{clusters: reader{cluster: c}, platform: platform{decisions: d}}
		}, request(admissionv1.Update, raw(t, scaled), none)},
		"delete":         {"RobustMQCluster", func(d decisions) admission.Handler { return clusterDeletion{d} }, request(admissionv1.Delete, none, raw(t, c))},
		"backup":         {"RobustMQBackup", func(d decisions) admission.Handler { return backupValidator{decisions: d} }, request(admissionv1.Create, raw(t, backup), none)},
		"backup, delete": {"RobustMQBackup", func(d decisions) admission.Handler { return backupValidator{decisions: d} }, request(admissionv1.Delete, none, raw(t, backup))},
		"restore":        {"RobustMQRestore", func(d decisions) admission.Handler { return restoreValidator{platform{decisions: d}} }, request(admissionv1.Create, raw(t, restore), none)},
		"policy":         {"RobustMQPolicy", func(d decisions) admission.Handler { return policyValidator{d} }, request(admissionv1.Create, raw(t, policy), none)},
	} {
		counted := monitoring.NewAdmissions()
		answer := of.handler(decisions{counted}).Handle(t.Context(), of.request)
		allowed := testutil.ToFloat64(counted.WithLabelValues(of.resource, "", "allowed"))
		if decided := testutil.CollectAndCount(counted); answer.Allowed != (allowed == 1) || !answer.Allowed && decided < 2 {
			t.Errorf("%s: allowed %v (%v), and counted %v times as that, in %d series", name, answer.Allowed, answer.Result, allowed, decided)
		}
	}
}
