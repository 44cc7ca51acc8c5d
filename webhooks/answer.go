package webhooks

import (
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/robustmq/robustmq-operator/monitoring"
	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

// decisions answers for a handler, and counts what it answers; the zero value counts nothing.
type decisions struct{ counted *monitoring.Admissions }

// answer is the verdict of the rules: the API server repeats a denial to the user word by word.
func (d decisions) answer(kind schema.GroupKind, name string, vs []rules.Violation) admission.Response {
	var warnings []string
	for _, v := range rules.Warned(vs) {
		warnings = append(warnings, v.Warning())
	}
	d.count(kind.Kind, vs)
	if err := rules.Error(kind, name, vs); err != nil {
		status := err.Status()
		return admission.Response{AdmissionResponse: admissionv1.AdmissionResponse{Result: &status, Warnings: warnings}}
	}
	return admission.Allowed("").WithWarnings(warnings...)
}

// count a rule once a request, however many fields it is about.
func (d decisions) count(resource string, vs []rules.Violation) {
	denied := rules.Denied(vs)
	for _, rule := range names(denied) {
		d.counted.Denied(resource, rule)
	}
	for _, rule := range names(rules.Warned(vs)) {
		d.counted.Warned(resource, rule)
	}
	if len(denied) == 0 {
		d.counted.Allowed(resource)
	}
}

// names are the rules that something was found by, each once.
func names(vs []rules.Violation) []string {
	var all []string
	for _, v := range vs {
		all = append(all, v.Rule)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
