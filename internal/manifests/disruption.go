package manifests

import (
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// PodDisruptionBudget says how many pods of a role may be evicted at once; nil where one would only be in the way (a single pod: it would block every drain for ever).
//
// Placement centre: as many as the quorum can spare, and none while a voter is missing, which a pod's readiness does not show. Others: one at a time.
func PodDisruptionBudget(cluster *v1alpha1.RobustMQCluster, in Inputs, r v1alpha1.Role) *policyv1.PodDisruptionBudget {
	row := roleOf(cluster, r)
	replicas := in.replicas(row)
	if replicas <= 1 {
		return nil
	}
	unavailable, unhealthy := int32(1), policyv1.AlwaysAllow // a node that is not ready serves nobody: it must not hold up a drain
	if r == v1alpha1.RolePlacementCenter {
		unavailable = replicas - (replicas/2 + 1)
		if in.VoterMissing {
			unavailable = 0
		}
		unhealthy = policyv1.IfHealthyBudget // a voter whose agent was slow to answer twice is still a voter
	}
	return &policyv1.PodDisruptionBudget{
		TypeMeta:   metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"},
		ObjectMeta: meta(cluster, WorkloadName(cluster, r), row.Role.Component()),
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable:             ptr.To(intstr.FromInt32(unavailable)),
			Selector:                   labelSelector(cluster, row.Role.Component()),
			UnhealthyPodEvictionPolicy: ptr.To(unhealthy),
		},
	}
}
