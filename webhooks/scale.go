package webhooks

import (
	"context"
	"net/http"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

// scaleValidator judges `kubectl scale` and autoscalers: the API server calls no webhook of the cluster itself for them, and shows only the number of brokers.
type scaleValidator struct {
	// near is the cache, clusters reads past it: the answer has to be about the cluster as it is.
	near, clusters client.Reader
	platform
}

// read the cluster as it is. The old Scale has its resourceVersion, so what the cache holds will do if it is of that very version.
func (s scaleValidator) read(ctx context.Context, req admission.Request, into *v1alpha1.RobustMQCluster) error {
	key := client.ObjectKey{Namespace: req.Namespace, Name: req.Name}
	var old autoscalingv1.Scale
	if s.near != nil && decode(req.OldObject.Raw, &old) == nil && old.ResourceVersion != "" {
		if err := s.near.Get(ctx, key, into); err == nil && into.ResourceVersion == old.ResourceVersion {
			return nil
		}
		*into = v1alpha1.RobustMQCluster{}
	}
	return s.clusters.Get(ctx, key, into)
}

// Handle puts the number into the cluster that it is for, and judges that.
func (s scaleValidator) Handle(ctx context.Context, req admission.Request) admission.Response {
	var scale autoscalingv1.Scale
	if err := decode(req.Object.Raw, &scale); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	var was v1alpha1.RobustMQCluster
	if err := s.read(ctx, req, &was); err != nil {
		if apierrors.IsNotFound(err) {
			return admission.Allowed("") // the API server says so itself
		}
		// Open by decision: bounds and transitions stand in the schema, which holds for the subresource too. What is missed is judged again when the cluster is reconciled.
		return admission.Allowed("").WithWarnings("the cluster could not be read, so only the rules of its schema were asked: " + err.Error())
	}
	if !was.DeletionTimestamp.IsZero() || was.Spec.MQTTBroker.Replicas == scale.Spec.Replicas {
		return admission.Allowed("")
	}
	is := was.DeepCopy()
	is.Spec.MQTTBroker.Replicas = scale.Spec.Replicas
	c := rules.Context{Operation: rules.Scale}
	s.fill(ctx, &c, req.Namespace)
	c.Around = s.beside.ofChange(ctx, &was, is, req.Namespace)
	return s.answer(clusterKind, req.Name, rules.Cluster(&was, is, c))
}
