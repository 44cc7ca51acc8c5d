package manifests

import "github.com/robustmq/robustmq-operator/api/v1alpha1"

// roleOf is a role of the spec; an empty one when the cluster has none (journal servers).
func roleOf(cluster *v1alpha1.RobustMQCluster, r v1alpha1.Role) v1alpha1.RoleView {
	for _, view := range cluster.Spec.Roles() {
		if view.Role == r {
			return view
		}
	}
	return v1alpha1.RoleView{Role: r, RoleSpec: &v1alpha1.RoleSpec{}}
}
