package cluster

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// Monitoring tells what has become of the objects by which clusters are monitored. It is asked at every pass and reads nothing.
type Monitoring interface {
	// Of returns what was found for the cluster as it is now; false while nobody has looked at it.
	Of(cluster *v1alpha1.RobustMQCluster) (MonitoringFound, bool)
}

// MonitoringFound is what the condition MonitoringAvailable says.
type MonitoringFound struct {
	Status          metav1.ConditionStatus
	Reason, Message string
}

// monitoringAvailable is a condition of clusters that want to be monitored, and of no others. It is no part of Ready: a cluster that nobody watches serves all the same. While nobody has looked,
// after a start of the operator say, what was found before stands.
func monitoringAvailable(p *pass, next *v1alpha1.RobustMQClusterStatus, set setCondition) {
	if !ptr.Deref(p.desired.Spec.Monitoring.Enabled, true) {
		meta.RemoveStatusCondition(&next.Conditions, v1alpha1.ConditionMonitoringAvailable)
		return
	}
	if p.monitored != nil {
		set(v1alpha1.ConditionMonitoringAvailable, p.monitored.Status, p.monitored.Reason, p.monitored.Message)
	}
}
