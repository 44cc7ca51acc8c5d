package manifests

import (
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// UpgradeBackupName is the backup that is made for an upgrade with everything stopped which began at that time: what an earlier attempt saved is older than what was written since.
func UpgradeBackupName(cluster *v1alpha1.RobustMQCluster, begun time.Time) string {
	return cluster.Name + "-upgrade-" + strconv.FormatInt(begun.Unix(), 10)
}

// UpgradeBackup saves a cluster before such an upgrade. It belongs to nobody and to no schedule, so it outlives the cluster, and no retention removes it.
func UpgradeBackup(cluster *v1alpha1.RobustMQCluster, name string) *v1alpha1.RobustMQBackup {
	b := &v1alpha1.RobustMQBackup{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: cluster.Namespace,
			Labels: map[string]string{v1alpha1.LabelUpgrade: "true", v1alpha1.LabelCluster: cluster.Name, v1alpha1.LabelManaged: v1alpha1.ManagedBy},
		},
		Spec: v1alpha1.RobustMQBackupSpec{ClusterName: cluster.Name},
	}
	b.Default()
	return b
}
