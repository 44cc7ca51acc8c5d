package rules

import (
	"slices"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// Around is what lives beside an object in its namespace. A kind that is not installed, or may not be read, has none.
type Around struct {
	Clusters []v1alpha1.RobustMQCluster
	Backups  []v1alpha1.RobustMQBackup
	Restores []v1alpha1.RobustMQRestore
}

// cluster returns the cluster of that name, or nil.
func (a *Around) cluster(name string) *v1alpha1.RobustMQCluster {
	i := slices.IndexFunc(a.Clusters, func(c v1alpha1.RobustMQCluster) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &a.Clusters[i]
}

// backup returns the backup of that name, or nil.
func (a *Around) backup(name string) *v1alpha1.RobustMQBackup {
	i := slices.IndexFunc(a.Backups, func(b v1alpha1.RobustMQBackup) bool { return b.Name == name })
	if i < 0 {
		return nil
	}
	return &a.Backups[i]
}

// underWay returns the first restore that has not ended and that the question is true of, or nil.
func (a *Around) underWay(is func(*v1alpha1.RobustMQRestore) bool) *v1alpha1.RobustMQRestore {
	for i := range a.Restores {
		if r := &a.Restores[i]; !r.Ended() && is(r) {
			return r
		}
	}
	return nil
}
