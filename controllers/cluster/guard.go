package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/topology"
	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

// guard applies the admission rules again, for a spec that no webhook saw: the same functions, against the cluster as its objects have it. It returns what is wrong.
func guard(desired *v1alpha1.RobustMQCluster, o *observation) []rules.Violation {
	return rules.GuardCluster(actedUpon(desired, o), desired)
}

// upkeep decides what becomes of a cluster that the guard refuses. Where nothing but settings is refused, and the servers were given these very settings, a release of the operator that
// allowed them did so: that this one knows better must not leave a running cluster without repairs. Then the pass goes on with the cluster as its objects have it, and changes none of them.
func (r *Reconciler) upkeep(ctx context.Context, p *pass, denied []rules.Violation) (bool, error) {
	if !rules.OnlySettings(denied) {
		return false, nil
	}
	given := map[v1alpha1.Role]*corev1.Secret{}
	for role := range p.observed.sets {
		var secret corev1.Secret
		name := manifests.ConfigSecretName(p.desired, role)
		switch err := r.Get(ctx, types.NamespacedName{Namespace: p.cluster.Namespace, Name: name}, &secret); {
		case apierrors.IsNotFound(err):
		case err != nil:
			return false, fmt.Errorf("reading Secret %s: %w", name, err)
		default:
			given[role] = &secret
		}
	}
	if !settingsRun(p.desired, p.observed, given) {
		return false, nil
	}
	p.desired, p.upkeepOnly = actedUpon(p.desired, p.observed), true
	p.waits = append(p.waits, topology.Wait{
		Reason: v1alpha1.ReasonSpecInvalid, Trouble: true,
		Message: rules.Summary(denied) + "\nThe servers were given these settings before they were refused, so they are kept in service with them; nothing of the spec is carried out until it is corrected",
	})
	return true, nil
}

// settingsRun reports whether the servers of every role that exists were given exactly the settings of the spec. given are the roles' configuration Secrets.
func settingsRun(desired *v1alpha1.RobustMQCluster, o *observation, given map[v1alpha1.Role]*corev1.Secret) bool {
	for role := range o.sets {
		if given[role] == nil || !manifests.GivesSettings(given[role], desired.Spec.Config) {
			return false
		}
	}
	return len(o.sets) > 0
}

// keepsUp reports whether an object is brought to its form while the spec is refused: what keeps the quorum from being evicted follows the voters, not the spec; and the generation that a restore
// makes reaches the members in their configuration, whose settings are those that they have.
func (p *pass) keepsUp(object client.Object) bool {
	switch object.(type) {
	case *policyv1.PodDisruptionBudget:
		return true
	case *corev1.Secret:
		return p.aside() && object.GetName() == manifests.ConfigSecretName(p.desired, v1alpha1.RolePlacementCenter)
	}
	return false
}

// actedUpon is the cluster as it was last acted upon: its replicas, volumes and version as the objects that exist have them; nil when nothing exists yet.
// The spec before the last change is not known here, and need not be: what counts is what would be taken away from what there is.
func actedUpon(desired *v1alpha1.RobustMQCluster, o *observation) *v1alpha1.RobustMQCluster {
	if len(o.sets) == 0 {
		return nil
	}
	old := desired.DeepCopy()
	for _, view := range old.Spec.Roles() {
		set := o.sets[view.Role]
		if set == nil {
			continue
		}
		switch present := manifests.Present(set); view.Role {
		case v1alpha1.RolePlacementCenter:
			old.Spec.PlacementCenter.Replicas = present
		case v1alpha1.RoleMQTTBroker:
			old.Spec.MQTTBroker.Replicas = present
		case v1alpha1.RoleJournalServer:
			old.Spec.JournalServer.Replicas = present
		}
		for _, claim := range set.Spec.VolumeClaimTemplates {
			size := claim.Spec.Resources.Requests.Storage().DeepCopy()
			view.RoleSpec.Storage, view.RoleSpec.StorageClassName = &size, claim.Spec.StorageClassName // (the view points into old)
		}
	}
	old.Spec.Version = old.RunningVersion()
	return old
}
