package manifests

import (
	"strings"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// Inputs is what the objects depend on beside the cluster's own spec.
type Inputs struct {
	// ClusterUID is the identity of the data; it stands in configuration, markers and on the volumes.
	ClusterUID string
	// Generation of the metadata: the placement centre's volumes of an older one stay shut.
	Generation int64
	// ServerImage runs RobustMQ (see ServerImage), AgentImage holds the agent.
	ServerImage, AgentImage string
	// AgentMounted: the agent's image is mounted into the pods, where otherwise an init container copies the agent out of it.
	AgentMounted bool
	// ClusterDomain is the DNS domain of the Kubernetes cluster, without dots at its ends.
	ClusterDomain string
	// OperatorNamespace is where the operator's own pods are; they alone may call the agents.
	OperatorNamespace string
	// Replicas are how many pods of each role shall run now. The controller raises and lowers them one at a time; a role that is not in the map gets none.
	Replicas map[v1alpha1.Role]int32
	// Asleep are the roles whose pods are all stopped, with how many they will be when they wake.
	Asleep map[v1alpha1.Role]int32
	// Members is how many placement-centre members the configuration names. While the placement centre shrinks it still has to name the one that goes;
	// 0 means as many as the spec asks for.
	Members int32
	// VoterMissing forbids every eviction of placement-centre pods: readiness alone does not say who is in the quorum.
	VoterMissing bool
	// DisableRelay switches the agents' heartbeat relay off, to show what it is for.
	DisableRelay bool
	// Traits of the version.
	Traits Traits
}

// Traits are the few facts about a RobustMQ version that the objects depend on.
type Traits struct {
	// Islands: 0.3.0 to 0.3.7, where every broker is a single node of its own and only broker 0 is served.
	Islands bool
	// PrometheusPort: before 0.4.1 the metrics have a port of their own; since then they are on the HTTP port.
	PrometheusPort bool
}

// DefaultServerImage is the operator's own choice where nobody made another.
const DefaultServerImage = "ghcr.io/robustmq/robustmq:v{version}"

// ServerImage is the image that runs RobustMQ: the cluster's own, or pattern with {version} filled in.
func ServerImage(cluster *v1alpha1.RobustMQCluster, pattern string) string {
	if cluster.Spec.Image != "" {
		return cluster.Spec.Image
	}
	return strings.ReplaceAll(pattern, "{version}", cluster.Spec.Version)
}

// replicas is how many pods of a role there are or shall be now: a change of the spec that waits has not changed it.
func (in Inputs) replicas(row v1alpha1.RoleView) int32 {
	if n, ok := in.Replicas[row.Role]; ok {
		return n
	}
	return row.Replicas
}

// members is how many placement-centre members the configuration names.
func (in Inputs) members(cluster *v1alpha1.RobustMQCluster) int32 {
	if in.Members > 0 {
		return in.Members
	}
	return cluster.Spec.PlacementCenter.Replicas
}
