package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

// series is one line of the metric.
type series struct{ rule, action string }

// findings is what an audit of one policy found.
type findings struct {
	counts     v1alpha1.PolicyCounts
	violations []v1alpha1.PolicyViolation // the first of them, by namespace and name
	omitted    int32
	bySeries   map[series]int // every rule that the policy speaks of, also those that nothing breaks
	ignored    []string       // what the policy says and cannot be
}

// audit judges clusters, all of which the policy selects, as they are. It changes none of its arguments.
func audit(p *v1alpha1.RobustMQPolicy, clusters []v1alpha1.RobustMQCluster, serverImage string) findings {
	out := findings{bySeries: map[series]int{}}
	for _, v := range rules.Denied(rules.RobustMQPolicy(nil, p, rules.Context{Operation: rules.Create})) {
		out.ignored = append(out.ignored, v.Warning())
	}
	policy := rules.NewPolicy(p)
	for name, action := range policy.Speaks() {
		out.bySeries[series{name, string(action)}] = 0
	}
	sorted := slices.Clone(clusters)
	slices.SortFunc(sorted, func(a, b v1alpha1.RobustMQCluster) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	for i := range sorted {
		c := &sorted[i]
		out.counts.Clusters++
		vs := rules.AuditCluster(c, policy, serverImage)
		if len(vs) > 0 {
			out.counts.Violating++
		}
		for _, v := range vs {
			out.add(c, v)
		}
	}
	return out
}

func (f *findings) add(c *v1alpha1.RobustMQCluster, v rules.Violation) {
	f.counts.Violations++
	switch v.Severity {
	case rules.Deny:
		f.counts.Deny++
	case rules.Warn:
		f.counts.Warn++
	case rules.Audit:
		f.counts.Audit++
	}
	f.bySeries[series{v.Rule, string(v.Severity)}]++
	if len(f.violations) == v1alpha1.MaxPolicyViolations {
		f.omitted++
		return
	}
	f.violations = append(f.violations, v1alpha1.PolicyViolation{
		Namespace: c.Namespace, Cluster: c.Name, Rule: v.Rule, Action: v1alpha1.PolicyAction(v.Severity), Field: shortened(v.Field.String(), 512), Message: shortened(v.Finding(), 1024),
	})
}

// shortened keeps a text within a limit of the schema, which counts characters.
func shortened(s string, limit int) string {
	r := []rune(s)
	if len(r) <= limit {
		return s
	}
	return string(r[:limit-1]) + "…"
}

// maxIgnored of the parts that cannot be are named in a condition.
const maxIgnored = 10

// status is what a policy's status shall be; old is what it is, and returned as it is where nothing changed.
func (f findings) status(p *v1alpha1.RobustMQPolicy, now metav1.Time) v1alpha1.RobustMQPolicyStatus {
	old := &p.Status
	is := *old.DeepCopy()
	is.ObservedGeneration = p.Generation
	is.Counts, is.Violations, is.OmittedViolations = &f.counts, f.violations, f.omitted
	if old.LastChangeTime == nil || !equality.Semantic.DeepEqual(old.Counts, is.Counts) || !equality.Semantic.DeepEqual(old.Violations, is.Violations) {
		is.LastChangeTime = &now
	}
	for _, c := range f.conditions() {
		c.ObservedGeneration, c.LastTransitionTime = p.Generation, now
		meta.SetStatusCondition(&is.Conditions, c)
	}
	return is
}

func (f findings) conditions() []metav1.Condition {
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonInForce, Message: "All that the policy says is in force."}
	if n := len(f.ignored); n > 0 {
		named := f.ignored[:min(n, maxIgnored)]
		ready.Status, ready.Reason = metav1.ConditionFalse, v1alpha1.ReasonPartlyIgnored
		ready.Message = "Ignored, the rest is in force: " + shortened(strings.Join(named, "\n"), 16<<10)
		if n > len(named) {
			ready.Message += fmt.Sprintf("\nand %d more", n-len(named))
		}
	}
	compliant := metav1.Condition{Type: v1alpha1.ConditionCompliant, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAllComply, Message: fmt.Sprintf("The policy selects %d clusters, and all of them comply.", f.counts.Clusters)}
	if f.counts.Violations > 0 {
		compliant.Status, compliant.Reason = metav1.ConditionFalse, v1alpha1.ReasonViolated
		compliant.Message = fmt.Sprintf("Of %d clusters %d do not comply, in %d things (%d would be denied, %d are warned of, %d are counted only): status.violations lists them.",
			f.counts.Clusters, f.counts.Violating, f.counts.Violations, f.counts.Deny, f.counts.Warn, f.counts.Audit)
	}
	return []metav1.Condition{ready, compliant}
}
