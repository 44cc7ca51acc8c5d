package webhooks

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	kjson "sigs.k8s.io/json"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

var clusterKind = schema.GroupKind{Group: v1alpha1.GroupVersion.Group, Kind: "RobustMQCluster"}

// clusterValidator refuses what breaks a rule and warns of what works but should be known.
type clusterValidator struct{}

// Handle answers for create and update of a RobustMQCluster.
func (clusterValidator) Handle(_ context.Context, req admission.Request) admission.Response {
	var is v1alpha1.RobustMQCluster
	if err := decode(req.Object.Raw, &is); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	c := rules.Context{Operation: rules.Create}
	var was *v1alpha1.RobustMQCluster
	switch req.Operation {
	case admissionv1.Create:
	case admissionv1.Update:
		was, c.Operation = &v1alpha1.RobustMQCluster{}, rules.Update
		if err := decode(req.OldObject.Raw, was); err != nil {
			return admission.Errored(http.StatusBadRequest, err)
		}
		if !is.DeletionTimestamp.IsZero() || equality.Semantic.DeepEqual(was.Spec, is.Spec) {
			return admission.Allowed("") // finalizers, labels and annotations are nobody's business here, least of all when something shall go away
		}
	default:
		return admission.Allowed("")
	}
	return answer(req.Name, rules.Cluster(was, &is, c))
}

// answer is the verdict of the rules: the API server repeats a denial to the user word by word.
func answer(name string, vs []rules.Violation) admission.Response {
	var warnings []string
	for _, v := range rules.Warned(vs) {
		warnings = append(warnings, v.Warning())
	}
	if err := rules.Error(clusterKind, name, vs); err != nil {
		status := err.Status()
		return admission.Response{AdmissionResponse: admissionv1.AdmissionResponse{Result: &status, Warnings: warnings}}
	}
	return admission.Allowed("").WithWarnings(warnings...)
}

// clusterDefaulter completes what the defaults of the schema cannot: half a listener.
type clusterDefaulter struct{}

// Handle answers with the difference that the defaults make, and nothing else: a patch of an object that has them all is empty.
func (clusterDefaulter) Handle(_ context.Context, req admission.Request) admission.Response {
	var c v1alpha1.RobustMQCluster
	if err := decode(req.Object.Raw, &c); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	if !c.DeletionTimestamp.IsZero() {
		return admission.Allowed("")
	}
	before, err := json.Marshal(&c)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	c.Default()
	after, err := json.Marshal(&c)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	patch, err := jsonpatch.CreatePatch(before, after)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	return admission.Patched("", patch...)
}

// decode reads an object as the API server sent it. Its schema has judged it already, so what fails here is a defect.
func decode(raw []byte, into any) error {
	if len(raw) == 0 {
		return fmt.Errorf("the request holds no %T", into)
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, into); err != nil {
		return fmt.Errorf("reading the %T of the request: %w", into, err)
	}
	return nil
}
