package live

import (
	"k8s.io/apimachinery/pkg/api/resource"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// NodesFor is how many nodes of so many CPUs a cluster needs: every pod's request fits, a little is left for the operator, and the pods of a role can avoid one
// another as they would like to (as far as that needs no more than most nodes).
func NodesFor(cluster *v1alpha1.RobustMQCluster, cpus int) int {
	c := cluster.DeepCopy()
	c.Default()
	const mostForSpread = 5
	capacity := resource.NewQuantity(int64(max(cpus, 1)), resource.DecimalSI).MilliValue()
	spread := 1
	var whole, milli int64 // pods that take a node each, and the rest
	for _, role := range c.Spec.Roles() {
		spread = max(spread, min(int(role.Replicas), mostForSpread))
		requests := role.Resources.Requirements().Requests
		cpu := requests.Cpu().MilliValue()
		if cpu > capacity/2 {
			whole += int64(role.Replicas)
			continue
		}
		milli += cpu * int64(role.Replicas)
	}
	const operator = 500 // both replicas, and what a node cannot give whole
	return max(spread, int(whole+(milli+operator+capacity-1)/capacity))
}
