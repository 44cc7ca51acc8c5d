package manifests

import (
	"fmt"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// RaftAddress is the address under which a placement-centre member stands in the raft membership, for ever: RobustMQ never reads it again once it is stored.
func RaftAddress(cluster *v1alpha1.RobustMQCluster, in Inputs, ordinal int32) string {
	return fmt.Sprintf("%s:%d", PodHost(cluster, in, v1alpha1.RolePlacementCenter, ordinal), v1alpha1.PortGRPC)
}
