package manifests

import (
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

const (
	labelName     = "app.kubernetes.io/name"
	labelInstance = "app.kubernetes.io/instance"
	appName       = "robustmq"
)

// labels are on every object of a cluster; component is left out where an object belongs to no one role.
func labels(cluster *v1alpha1.RobustMQCluster, component string) map[string]string {
	l := map[string]string{
		labelName:             appName,
		labelInstance:         cluster.Name,
		v1alpha1.LabelManaged: v1alpha1.ManagedBy,
		v1alpha1.LabelCluster: cluster.Name,
	}
	if component != "" {
		l[v1alpha1.LabelRole] = component
	}
	return l
}

// selector finds the pods of one role, or of the whole cluster when component is empty. Selectors of StatefulSets cannot change: neither can this.
func selector(cluster *v1alpha1.RobustMQCluster, component string) map[string]string {
	s := map[string]string{v1alpha1.LabelCluster: cluster.Name}
	if component != "" {
		s[v1alpha1.LabelRole] = component
	}
	return s
}

// named is the label by which the DNS knows the pods of a role whose names do not follow readiness.
func named(r v1alpha1.Role) map[string]string {
	if r == v1alpha1.RolePlacementCenter {
		return nil
	}
	return map[string]string{v1alpha1.LabelNamed: "true"}
}

// Selector finds the pods of a role.
func Selector(cluster *v1alpha1.RobustMQCluster, r v1alpha1.Role) map[string]string {
	return selector(cluster, r.Component())
}

func labelSelector(cluster *v1alpha1.RobustMQCluster, component string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: selector(cluster, component)}
}

// merged lays ours over theirs: a user's label never changes what a selector finds.
func merged(theirs, ours map[string]string) map[string]string {
	m := maps.Clone(theirs)
	if m == nil {
		m = map[string]string{}
	}
	maps.Copy(m, ours)
	return m
}

// meta is the metadata of an object of the cluster, owned by it.
func meta(cluster *v1alpha1.RobustMQCluster, name, component string) metav1.ObjectMeta {
	m := unowned(cluster, name, component)
	m.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(cluster, v1alpha1.GroupVersion.WithKind("RobustMQCluster"))}
	return m
}

// Owned is the metadata of an object of the cluster that belongs to no one role, with labels that the user added.
func Owned(cluster *v1alpha1.RobustMQCluster, name string, theirs map[string]string) metav1.ObjectMeta {
	m := meta(cluster, name, "")
	m.Labels = merged(theirs, m.Labels)
	return m
}

// unowned is the metadata of an object that outlives the cluster.
func unowned(cluster *v1alpha1.RobustMQCluster, name, component string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: cluster.Namespace, Labels: labels(cluster, component)}
}
