package monitoring

import (
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/cluster"
)

// Record is what was found of each cluster's objects last. The controller of clusters reads it when it writes a status, so that two controllers need not write one.
// It is lost with the process, and made anew within seconds; until then the status keeps what it says.
type Record struct {
	mu       sync.Mutex
	clusters map[types.NamespacedName]found
	// dashboards is what keeps the dashboards from being as they should; nil: nothing does.
	dashboards *cluster.MonitoringFound
}

// found is of one generation of a cluster's spec.
type found struct {
	cluster.MonitoringFound
	generation int64
}

// NewRecord returns an empty one.
func NewRecord() *Record { return &Record{clusters: map[types.NamespacedName]found{}} }

// Of implements cluster.Monitoring. What was found for another spec is not told.
func (r *Record) Of(c *v1alpha1.RobustMQCluster) (cluster.MonitoringFound, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, ok := r.clusters[client.ObjectKeyFromObject(c)]
	if !ok || f.generation != c.Generation {
		return cluster.MonitoringFound{}, false
	}
	if f.Status == metav1.ConditionTrue && r.dashboards != nil && ptr.Deref(c.Spec.Monitoring.Dashboards, true) {
		return *r.dashboards, true
	}
	return f.MonitoringFound, true
}

func (r *Record) set(c *v1alpha1.RobustMQCluster, f cluster.MonitoringFound) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clusters[client.ObjectKeyFromObject(c)] = found{f, c.Generation}
}

func (r *Record) forget(key types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.clusters, key)
}

// setDashboards notes why the dashboards are not as they should be; nil: they are, or nobody wants them.
func (r *Record) setDashboards(why *cluster.MonitoringFound) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dashboards = why
}
