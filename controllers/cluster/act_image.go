package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// changeImage gives the very pod that was observed the image of its set's template, and with it what says so: the version, the template's hash, and the revision by which the StatefulSet counts its
// pods. The kubelet ends the container and starts it with them; the pod's address, volumes and machine stay.
func (r *Reconciler) changeImage(ctx context.Context, p *pass, step topology.Step) error {
	i := slices.IndexFunc(p.snapshot.Members, func(m topology.Member) bool { return m.Pod == step.Pod })
	pod := p.observed.pods[step.Pod]
	if i < 0 || pod == nil {
		return nil
	}
	role := p.snapshot.Members[i].Role
	set, wanted := p.observed.sets[role], manifests.StatefulSet(p.desired, p.inputs, role)
	if set == nil || set.Status.UpdateRevision == "" {
		return fmt.Errorf("StatefulSet %s has no revision of its present template yet", wanted.Name)
	}
	annotations := map[string]string{}
	for _, name := range []string{v1alpha1.AnnotationVersion, v1alpha1.AnnotationTemplate} {
		annotations[name] = wanted.Spec.Template.Annotations[name]
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{
			"uid":         pod.UID, // another pod of that name refuses it
			"annotations": annotations,
			"labels":      map[string]string{appsv1.ControllerRevisionHashLabelKey: set.Status.UpdateRevision},
		},
		"spec": map[string]any{"containers": []map[string]string{{"name": manifests.ContainerServer, "image": p.inputs.ServerImage}}},
	})
	if err != nil {
		return fmt.Errorf("writing the change of pod %s: %w", pod.Name, err)
	}
	return r.Patch(ctx, pod.DeepCopy(), client.RawPatch(types.StrategicMergePatchType, patch), client.FieldOwner(FieldManager))
}
