package webhooks

import (
	"context"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

// clusterDeletion keeps clusters that somebody protects. The webhook's matchConditions let nothing but annotated clusters come here, so that no other deletion ever waits for the operator.
type clusterDeletion struct{ decisions }

// Handle answers for delete.
func (d clusterDeletion) Handle(_ context.Context, req admission.Request) admission.Response {
	if req.Operation != admissionv1.Delete {
		return admission.Allowed("")
	}
	var c v1alpha1.RobustMQCluster
	if err := decodeCluster(req.OldObject.Raw, &c); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	return d.answer(clusterKind, req.Name, rules.DeleteCluster(&c, rules.Context{}))
}
