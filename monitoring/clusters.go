package monitoring

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Cluster is what is exported of one cluster. A thousand of them are kept, so it holds no more than its series need.
type Cluster struct {
	Conditions []Condition
	Members    []Members
	// Troubles are the kinds of the troubles that are not over, each once.
	Troubles []string
	// Certificates that the operator keeps for it.
	Certificates []Certificate
}

// Condition is one condition of a cluster.
type Condition struct {
	Type  string
	Value int8 // 1 True, 0 False, -1 Unknown
}

// Members counts the pods of a role.
type Members struct {
	Role           string
	Desired, Ready int32
}

// Certificate is when one ends.
type Certificate struct {
	Name     string
	NotAfter time.Time
}

// ConditionsOf are the conditions of a status, as they are exported.
func ConditionsOf(conditions []metav1.Condition) []Condition {
	out := make([]Condition, len(conditions))
	for i, c := range conditions {
		out[i] = Condition{Type: c.Type, Value: map[metav1.ConditionStatus]int8{metav1.ConditionTrue: 1, metav1.ConditionFalse: 0}[c.Status]}
		if c.Status != metav1.ConditionTrue && c.Status != metav1.ConditionFalse {
			out[i].Value = -1
		}
	}
	return out
}

// Clusters exports what the operator saw of each cluster last. The series of a cluster that is forgotten are gone.
type Clusters struct {
	mu   sync.Mutex
	seen map[types.NamespacedName]Cluster
}

// NewClusters makes a collector without clusters; whoever makes it registers it.
func NewClusters() *Clusters { return &Clusters{seen: map[types.NamespacedName]Cluster{}} }

// Set exports a cluster as it is now.
func (c *Clusters) Set(cluster types.NamespacedName, now Cluster) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[cluster] = now
}

// SetCertificates exports other ends of certificates of a cluster, and what else was seen of it last.
func (c *Clusters) SetCertificates(cluster types.NamespacedName, certificates []Certificate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.seen[cluster]
	now.Certificates = certificates
	c.seen[cluster] = now
}

// Forget a cluster that is gone.
func (c *Clusters) Forget(cluster types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.seen, cluster)
}

var (
	clusterCount      = prometheus.NewDesc("robustmq_operator_clusters", "RobustMQClusters that this replica looks after; 0 on a replica that does not lead.", nil, nil)
	clusterCondition  = ofCluster("robustmq_operator_cluster_condition", "Conditions of a cluster: 1 True, 0 False, -1 Unknown.", "condition")
	clusterMembers    = ofCluster("robustmq_operator_cluster_members", "Pods of a cluster by role: desired are those that its spec asks for, ready are those of them that are in service.", "role", "state")
	clusterTrouble    = ofCluster("robustmq_operator_trouble", "1 while a cluster has a trouble of this kind that is not over; absent otherwise.", "kind")
	clusterCertExpiry = ofCluster("robustmq_operator_certificate_expiry_timestamp_seconds", "Unix time at which a certificate that the operator keeps for a cluster expires.", "certificate")
)

// ofCluster describes a metric with the labels of a cluster.
func ofCluster(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, append([]string{"namespace", "cluster"}, labels...), nil)
}

// Describe sends what there can be.
func (c *Clusters) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{clusterCount, clusterCondition, clusterMembers, clusterTrouble, clusterCertExpiry} {
		ch <- d
	}
}

// Collect sends what there is.
func (c *Clusters) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch <- prometheus.MustNewConstMetric(clusterCount, prometheus.GaugeValue, float64(len(c.seen)))
	all := newScrape(ch)
	for key, cluster := range c.seen {
		one := all.of(key.Namespace, key.Name)
		for _, condition := range cluster.Conditions {
			one.gauge(clusterCondition, float64(condition.Value), all.pair("condition", condition.Type))
		}
		for _, m := range cluster.Members {
			one.gauge(clusterMembers, float64(m.Desired), all.pair("role", m.Role), all.pair("state", "desired"))
			one.gauge(clusterMembers, float64(m.Ready), all.pair("role", m.Role), all.pair("state", "ready"))
		}
		for _, kind := range cluster.Troubles {
			one.gauge(clusterTrouble, 1, all.pair("kind", kind))
		}
		for _, certificate := range cluster.Certificates {
			one.gauge(clusterCertExpiry, float64(certificate.NotAfter.Unix()), all.pair("certificate", certificate.Name))
		}
	}
}
