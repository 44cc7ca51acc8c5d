package rules

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// policy is one that requires nothing, changed.
func policy(name string, change ...func(*robustMQPolicy)) *robustMQPolicy {
	p := &robustMQPolicy{}
	p.Name = name
	for _, f := range change {
		f(p)
	}
	p.Default()
	return p
}

func requires(f func(*v1alpha1.PolicyRequirements)) func(*robustMQPolicy) {
	return func(p *robustMQPolicy) { f(&p.Spec.Requirements) }
}

func atMost(f func(*v1alpha1.MaximumRequirement)) func(*robustMQPolicy) {
	return requires(func(r *v1alpha1.PolicyRequirements) {
		if r.Maximum == nil {
			r.Maximum = &v1alpha1.MaximumRequirement{}
		}
		f(r.Maximum)
	})
}

func gives(rule string, action v1alpha1.PolicyAction) func(*robustMQPolicy) {
	return func(p *robustMQPolicy) {
		p.Spec.Rules = append(p.Spec.Rules, v1alpha1.PolicyRule{Name: rule, Action: action})
	}
}

func number(n int32) *int32 { return &n }

func leastMembers(n int32) func(*robustMQPolicy) {
	return requires(func(r *v1alpha1.PolicyRequirements) { r.MinimumPlacementCenterReplicas = &n })
}

func mostBrokers(n int32) func(*robustMQPolicy) {
	return atMost(func(m *v1alpha1.MaximumRequirement) { m.Brokers = &n })
}

func brokers(n int32) func(*cluster) { return func(c *cluster) { c.Spec.MQTTBroker.Replicas = n } }

func unsafe(e ...v1alpha1.UnsafeEscape) func(*cluster) {
	return func(c *cluster) { c.Spec.Unsafe = e }
}

// plan is a backup plan with cron lines of UTC; one that begins with a minus is suspended.
func plan(crons ...string) func(*cluster) {
	return func(c *cluster) {
		c.Spec.Backup = &v1alpha1.BackupSpec{Destination: v1alpha1.S3Destination{Bucket: "backups"}}
		for i, line := range crons {
			line, suspended := strings.CutPrefix(line, "-")
			c.Spec.Backup.Schedules = append(c.Spec.Backup.Schedules, v1alpha1.BackupSchedule{Name: string(rune('a' + i)), Cron: line, TimeZone: "Etc/UTC", Suspend: suspended})
		}
	}
}

func every(d time.Duration) func(*robustMQPolicy) {
	return requires(func(r *v1alpha1.PolicyRequirements) {
		r.Backup = &v1alpha1.BackupRequirement{MaximumInterval: &metav1.Duration{Duration: d}}
	})
}

// under is a context with policies.
func under(op Operation, policies ...*robustMQPolicy) Context {
	var list []robustMQPolicy
	for _, p := range policies {
		list = append(list, *p)
	}
	return Context{Operation: op, Policies: PoliciesFor(list, nil)}
}

// found are the violations that policies made, "action Rule@field (policies)".
func found(vs []Violation) []string {
	var out []string
	for _, v := range vs {
		if len(v.Policies) > 0 {
			out = append(out, string(v.Severity)+" "+v.Rule+"@"+strings.TrimPrefix(v.Field.String(), "spec.")+" "+strings.Join(v.Policies, ","))
		}
	}
	return out
}
