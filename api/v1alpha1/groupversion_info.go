package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	// GroupVersion is the API group and version of every kind in this package.
	GroupVersion = schema.GroupVersion{Group: "robustmq.io", Version: "v1alpha1"}

	schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme registers the kinds of this package with a scheme.
	AddToScheme = schemeBuilder.AddToScheme
)

func addKnownTypes(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &RobustMQCluster{}, &RobustMQClusterList{}, &RobustMQPolicy{}, &RobustMQPolicyList{})
	s.AddKnownTypes(GroupVersion, &RobustMQBackup{}, &RobustMQBackupList{}, &RobustMQRestore{}, &RobustMQRestoreList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
