package webhooks

import (
	"context"
	"net/http"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

// Policies tell which policies hold in a namespace. Where they are not known there are none: the built-in rules hold by themselves, and nobody waits for a policy.
type Policies interface {
	In(ctx context.Context, namespace string) []rules.Policy
}

// policyPatience is how long an answer waits for policies at most, of the five seconds that an API server gives it.
const policyPatience = 800 * time.Millisecond

// platform is what whoever runs the operator has said, beside what stands in the cluster that is judged.
type platform struct {
	policies    Policies // nil: none
	serverImage string
	beside      *surroundings // what lives beside the cluster; nil: nothing is known
	decisions
}

// fill completes a rule's context.
func (p platform) fill(ctx context.Context, c *rules.Context, namespace string) {
	c.ServerImage = p.serverImage
	if p.policies == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, policyPatience)
	defer cancel()
	c.Policies = p.policies.In(ctx, namespace)
}

var policyKind = schema.GroupKind{Group: v1alpha1.GroupVersion.Group, Kind: "RobustMQPolicy"}

// policyValidator refuses policies that would not do what they say.
type policyValidator struct{ decisions }

// Handle answers for create and update of a RobustMQPolicy.
func (v policyValidator) Handle(_ context.Context, req admission.Request) admission.Response {
	if req.Operation != admissionv1.Create && req.Operation != admissionv1.Update {
		return admission.Allowed("")
	}
	var is v1alpha1.RobustMQPolicy
	if err := decodePolicy(req.Object.Raw, &is); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	c := rules.Context{Operation: rules.Create}
	var was *v1alpha1.RobustMQPolicy
	if req.Operation == admissionv1.Update {
		was, c.Operation = &v1alpha1.RobustMQPolicy{}, rules.Update
		if err := decodePolicy(req.OldObject.Raw, was); err != nil {
			return admission.Errored(http.StatusBadRequest, err)
		}
		if !is.DeletionTimestamp.IsZero() || equality.Semantic.DeepEqual(was.Spec, is.Spec) {
			return admission.Allowed("")
		}
	}
	return v.answer(policyKind, req.Name, rules.RobustMQPolicy(was, &is, c))
}
