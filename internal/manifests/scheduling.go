package manifests

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// affinity keeps pods of one role on different hosts where it can. Not more than that: a required rule would leave a member Pending on a small cluster, and a Pending voter is a lost one.
// A user's own anti-affinity replaces ours, his other affinities stand beside it.
func affinity(cluster *v1alpha1.RobustMQCluster, row v1alpha1.RoleView, user *corev1.Affinity) *corev1.Affinity {
	a := &corev1.Affinity{}
	if user != nil {
		a = user.DeepCopy()
	}
	if a.PodAntiAffinity == nil {
		a.PodAntiAffinity = &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{
			Weight: 100,
			PodAffinityTerm: corev1.PodAffinityTerm{
				LabelSelector: labelSelector(cluster, row.Role.Component()),
				TopologyKey:   corev1.LabelHostname,
			},
		}}}
	}
	return a
}

// spread over zones where nodes have any; a user's own constraints replace it.
func spread(cluster *v1alpha1.RobustMQCluster, row v1alpha1.RoleView, user []corev1.TopologySpreadConstraint) []corev1.TopologySpreadConstraint {
	if len(user) > 0 {
		return user
	}
	return []corev1.TopologySpreadConstraint{{
		MaxSkew:           1,
		TopologyKey:       corev1.LabelTopologyZone,
		WhenUnsatisfiable: corev1.ScheduleAnyway,
		LabelSelector:     labelSelector(cluster, row.Role.Component()),
	}}
}
