package manifests

import (
	"maps"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// UpgradeBackupName is the backup that is made for an upgrade with everything stopped which began at that time: what an earlier attempt saved is older than what was written since.
func UpgradeBackupName(cluster *v1alpha1.RobustMQCluster, begun time.Time) string {
	return cluster.Name + "-upgrade-" + strconv.FormatInt(begun.Unix(), 10)
}

// SafetyBackup saves a cluster before something that cannot be taken back; labels say for what. It belongs to nobody and to no schedule, so it outlives the cluster, and no retention removes it.
func SafetyBackup(namespace, cluster, name string, labels map[string]string) *v1alpha1.RobustMQBackup {
	all := map[string]string{v1alpha1.LabelCluster: cluster, v1alpha1.LabelManaged: v1alpha1.ManagedBy}
	maps.Copy(all, labels)
	b := &v1alpha1.RobustMQBackup{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: all},
		Spec:       v1alpha1.RobustMQBackupSpec{ClusterName: cluster},
	}
	b.Default()
	return b
}
