package cluster

import (
	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

// guard applies the admission rules again, for a spec that no webhook saw: the same functions, against the cluster as its objects have it. It returns what is wrong, or "".
func guard(desired *v1alpha1.RobustMQCluster, o *observation) string {
	return rules.Summary(rules.GuardCluster(actedUpon(desired, o), desired))
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
		if set.Spec.Replicas != nil {
			switch view.Role {
			case v1alpha1.RolePlacementCenter:
				old.Spec.PlacementCenter.Replicas = *set.Spec.Replicas
			case v1alpha1.RoleMQTTBroker:
				old.Spec.MQTTBroker.Replicas = *set.Spec.Replicas
			case v1alpha1.RoleJournalServer:
				old.Spec.JournalServer.Replicas = *set.Spec.Replicas
			}
		}
		for _, claim := range set.Spec.VolumeClaimTemplates {
			size := claim.Spec.Resources.Requests.Storage().DeepCopy()
			view.RoleSpec.Storage, view.RoleSpec.StorageClassName = &size, claim.Spec.StorageClassName // (the view points into old)
		}
	}
	if old.Status.Version != "" {
		old.Spec.Version = old.Status.Version
	}
	return old
}
