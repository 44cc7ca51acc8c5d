package v1alpha1

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Selector chooses namespaces by their labels; where the spec says nothing it chooses every one. An error names what cannot be read.
func (p *RobustMQPolicy) Selector() (labels.Selector, error) {
	if p.Spec.NamespaceSelector == nil {
		return labels.Everything(), nil
	}
	s, err := metav1.LabelSelectorAsSelector(p.Spec.NamespaceSelector)
	if err != nil {
		return nil, fmt.Errorf("reading spec.namespaceSelector: %w", err)
	}
	return s, nil
}

// Default fills in what the user left out. It says the same as the schema, for objects that never saw an API server.
func (p *RobustMQPolicy) Default() {
	for i := range p.Spec.Rules {
		def(&p.Spec.Rules[i].Action, PolicyDeny)
	}
	if b := p.Spec.Requirements.Backup; b != nil {
		defPtr(&b.Required, true)
	}
	if t := p.Spec.Requirements.TLS; t != nil {
		defPtr(&t.Required, true)
	}
}
