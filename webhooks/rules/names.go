package rules

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

func namesFit(_, new *cluster, _ Context) []Violation {
	at := field.NewPath("metadata", "name")
	if n := len(new.Name); n > v1alpha1.MaxNameLength {
		return []Violation{{Field: at, Value: new.Name, Message: fmt.Sprintf("%d characters are more than %d", n, v1alpha1.MaxNameLength)}}
	}
	if errs := validation.IsDNS1035Label(new.Name); len(errs) > 0 {
		return []Violation{{Field: at, Value: new.Name, Message: "the name of a Service cannot begin with it"}}
	}
	return nil
}

// ownLabels are the labels by which Services and StatefulSets find their pods.
var ownLabels = []string{"app.kubernetes.io/name", "app.kubernetes.io/instance", v1alpha1.LabelRole, v1alpha1.LabelManaged}

func labelsReserved(_, new *cluster, _ Context) []Violation {
	var out []Violation
	for _, r := range new.Spec.Roles() {
		if r.PodTemplate == nil {
			continue
		}
		for _, key := range sortedKeys(r.PodTemplate.Labels) {
			if strings.HasPrefix(key, "robustmq.io/") || slices.Contains(ownLabels, key) {
				out = append(out, Violation{Field: spec.Child(r.Field, "podTemplate", "labels").Key(key), Value: r.PodTemplate.Labels[key], Message: "the label is the operator's own"})
			}
		}
	}
	return out
}
