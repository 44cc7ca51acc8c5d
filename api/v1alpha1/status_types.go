package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// RobustMQClusterStatus is what was seen.
type RobustMQClusterStatus struct {
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`

	// ClusterUID is the identity of the data, in markers and PVC annotations; it survives deletion and re-creation of this object with retained volumes.
	ClusterUID string `json:"clusterUID,omitempty"`
	// Founded: the placement centre was founded once; it is never founded again.
	Founded bool `json:"founded,omitempty"`
	// Generation of the metadata: raised by every restore; markers of an older generation stay shut. Starts at 1.
	Generation int64 `json:"generation,omitempty"`
	// Version is the RobustMQ version that the cluster was founded with or upgraded to; spec.version is where it shall go.
	Version string `json:"version,omitempty"`
	// Leader is the pod that leads every raft group, or "apart: …", or empty.
	Leader string `json:"leader,omitempty"`

	PlacementCenter RoleStatus  `json:"placementCenter,omitempty"`
	MQTTBroker      RoleStatus  `json:"mqttBroker,omitempty"`
	JournalServer   *RoleStatus `json:"journalServer,omitempty"`

	Members []MemberStatus `json:"members,omitempty"`
}

// RoleStatus counts one role.
type RoleStatus struct {
	Desired  int32  `json:"desired"`
	Replicas int32  `json:"replicas"`          // pods that exist
	Ready    int32  `json:"ready"`             // members in service: voters, or registered and answering
	Summary  string `json:"summary,omitempty"` // "3/3"
	Selector string `json:"selector,omitempty"`
}

// MemberStatus is one pod.
type MemberStatus struct {
	Pod     string `json:"pod"`
	Ordinal int32  `json:"ordinal"`
	NodeID  int64  `json:"nodeID"`
	Role    Role   `json:"role"`
	// InService: a voter of every raft group; a broker or journal server that is registered and answers.
	InService bool            `json:"inService,omitempty"`
	LeaderOf  []string        `json:"leaderOf,omitempty"` // raft groups
	VoterIn   []string        `json:"voterIn,omitempty"`  // raft groups
	Marker    string          `json:"marker,omitempty"`   // None, Founded, Joined, Seeded, Restored, Foreign
	Gate      string          `json:"gate,omitempty"`     // Open, Closed, with reason
	Volume    string          `json:"volume,omitempty"`   // Empty, Initialised, Missing, ReadOnly, Unknown
	Server    string          `json:"server,omitempty"`   // Running, Starting, Stopped, Crashed, Hung
	Positions []GroupPosition `json:"positions,omitempty"`
	Restarts  int32           `json:"restarts,omitempty"`
	Version   string          `json:"version,omitempty"`
}

// GroupPosition is a raft position, written only when it says something (a lagging or stopped member): a converged cluster's status does not move.
type GroupPosition struct {
	Group       string `json:"group"`
	Term        int64  `json:"term"`
	LastApplied int64  `json:"lastApplied"`
}

// Role of a pod.
// +kubebuilder:validation:Enum=PlacementCenter;MQTTBroker;JournalServer
type Role string

// The roles.
const (
	RolePlacementCenter Role = "PlacementCenter"
	RoleMQTTBroker      Role = "MQTTBroker"
	RoleJournalServer   Role = "JournalServer"
)
