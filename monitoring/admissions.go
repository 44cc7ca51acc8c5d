package monitoring

import "github.com/prometheus/client_golang/prometheus"

// Admissions exports what the webhooks of this replica decided: a series for each rule that had something against an object, and one for each resource that was let through. The rules are a closed set.
type Admissions struct {
	*prometheus.CounterVec
}

// NewAdmissions makes the metric; whoever makes it registers it.
func NewAdmissions() *Admissions {
	return &Admissions{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "robustmq_operator_admission_decisions_total",
		Help: "What the admission webhooks decided: denied and warned by the rule that did, allowed (with an empty rule) for each request that no rule denied.",
	}, []string{"resource", "rule", "decision"})}
}

// Denied counts a rule that refused an object. A nil receiver counts nothing.
func (a *Admissions) Denied(resource, rule string) { a.count(resource, rule, "denied") }

// Warned counts a rule that let an object through with a warning.
func (a *Admissions) Warned(resource, rule string) { a.count(resource, rule, "warned") }

// Allowed counts an object that no rule denied.
func (a *Admissions) Allowed(resource string) { a.count(resource, "", "allowed") }

func (a *Admissions) count(resource, rule, decision string) {
	if a != nil {
		a.WithLabelValues(resource, rule, decision).Inc()
	}
}
