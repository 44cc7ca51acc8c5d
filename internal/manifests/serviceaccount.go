package manifests

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// ServiceAccount of the cluster's pods: bound to nothing, its token never mounted. It exists so that what is bound to a namespace's default account does not reach them.
func ServiceAccount(cluster *v1alpha1.RobustMQCluster) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{
		TypeMeta:                     metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta:                   meta(cluster, ServiceAccountName(cluster), ""),
		AutomountServiceAccountToken: ptr.To(false),
	}
}
