package webhooks

import (
	"context"
	"encoding/json"
	"net/http"

	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

var clusterKind = schema.GroupKind{Group: v1alpha1.GroupVersion.Group, Kind: "RobustMQCluster"}

// clusterValidator refuses what breaks a rule and warns of what works but should be known.
type clusterValidator struct{ platform }

// Handle answers for create and update of a RobustMQCluster.
func (v clusterValidator) Handle(ctx context.Context, req admission.Request) admission.Response {
	var is v1alpha1.RobustMQCluster
	if err := decodeCluster(req.Object.Raw, &is); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	c := rules.Context{Operation: rules.Create}
	var was *v1alpha1.RobustMQCluster
	switch req.Operation {
	case admissionv1.Create:
	case admissionv1.Update:
		was, c.Operation = &v1alpha1.RobustMQCluster{}, rules.Update
		if err := decodeCluster(req.OldObject.Raw, was); err != nil {
			return admission.Errored(http.StatusBadRequest, err)
		}
		if !is.DeletionTimestamp.IsZero() || equality.Semantic.DeepEqual(was.Spec, is.Spec) {
			return admission.Allowed("") // finalizers, labels and annotations are nobody's business here, least of all when something shall go away
		}
	default:
		return admission.Allowed("")
	}
	v.fill(ctx, &c, req.Namespace)
	c.Around = v.beside.ofChange(ctx, was, &is, req.Namespace)
	return v.answer(clusterKind, req.Name, rules.Cluster(was, &is, c))
}

// clusterDefaulter completes what the defaults of the schema cannot: half a listener. It looks at nothing else, so that nothing that is given is ever
// taken for missing (replicas: 0 is wrong, not absent) and what cannot be read is refused by the schema, whose words are better.
type clusterDefaulter struct{}

// Handle answers with what is missing; a patch of an object that has it all is empty.
func (clusterDefaulter) Handle(_ context.Context, req admission.Request) admission.Response {
	var c struct {
		Spec struct {
			Listeners map[string]json.RawMessage `json:"listeners"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(req.Object.Raw, &c); err != nil {
		return admission.Allowed("") // listeners of another shape than an object
	}
	var patch []jsonpatch.Operation
	for _, usual := range v1alpha1.UsualListeners() {
		var given map[string]json.RawMessage
		if err := json.Unmarshal(c.Spec.Listeners[usual.Name], &given); err != nil || given == nil {
			continue // absent, null, or wrong
		}
		at := "/spec/listeners/" + usual.Name
		if _, ok := given["enabled"]; !ok {
			patch = append(patch, jsonpatch.NewOperation("add", at+"/enabled", usual.Enabled))
		}
		if _, ok := given["port"]; !ok && usual.Port != 0 {
			patch = append(patch, jsonpatch.NewOperation("add", at+"/port", usual.Port))
		}
	}
	return admission.Patched("", patch...)
}
