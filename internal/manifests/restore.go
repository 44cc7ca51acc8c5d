package manifests

import (
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// BootstrapRestoreName is the restore that a cluster begins with.
func BootstrapRestoreName(cluster *v1alpha1.RobustMQCluster) string {
	return cluster.Name + "-bootstrap"
}

// LossRestoreName is the restore that answers the loss of one generation of a cluster's metadata: there is one, however often it is made.
func LossRestoreName(cluster *v1alpha1.RobustMQCluster, generation int64) string {
	return cluster.Name + "-loss-" + strconv.FormatInt(generation, 10)
}

// BootstrapRestore brings a cluster that was never founded the backup that its spec names; the cluster has spec.bootstrap.restoreFrom.
func BootstrapRestore(cluster *v1alpha1.RobustMQCluster) *v1alpha1.RobustMQRestore {
	return restore(cluster, BootstrapRestoreName(cluster), v1alpha1.RestoreBootstrap, *cluster.Spec.Bootstrap.RestoreFrom.DeepCopy())
}

// LossRestore brings a cluster that lost every copy of its metadata the newest good backup of its own; the cluster has spec.backup.
func LossRestore(cluster *v1alpha1.RobustMQCluster, in Inputs) *v1alpha1.RobustMQRestore {
	return restore(cluster, LossRestoreName(cluster, in.Generation), v1alpha1.RestoreTotalLoss,
		v1alpha1.RestoreSource{Destination: cluster.Spec.Backup.Destination.DeepCopy(), ClusterUID: in.ClusterUID})
}

func restore(cluster *v1alpha1.RobustMQCluster, name string, trigger v1alpha1.RestoreTrigger, source v1alpha1.RestoreSource) *v1alpha1.RobustMQRestore {
	r := &v1alpha1.RobustMQRestore{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "RobustMQRestore"},
		ObjectMeta: meta(cluster, name, v1alpha1.ComponentBackup),
		Spec:       v1alpha1.RobustMQRestoreSpec{ClusterName: cluster.Name, Source: source, Trigger: trigger},
	}
	if cluster.Spec.Allows(v1alpha1.AllowInsecureS3) {
		r.Spec.Unsafe = []v1alpha1.RestoreEscape{v1alpha1.RestoreInsecureS3}
	}
	return r
}
