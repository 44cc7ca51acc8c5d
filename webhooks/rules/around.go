package rules

import (
	"slices"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// Around is what lives beside an object in its namespace.
type Around struct {
	Clusters []v1alpha1.RobustMQCluster
}

// cluster returns the cluster of that name, or nil.
func (a *Around) cluster(name string) *v1alpha1.RobustMQCluster {
	i := slices.IndexFunc(a.Clusters, func(c v1alpha1.RobustMQCluster) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &a.Clusters[i]
}
