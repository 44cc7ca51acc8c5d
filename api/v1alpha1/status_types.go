package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// RobustMQClusterStatus is what was seen. Of a cluster that has converged it does not move.
type RobustMQClusterStatus struct {
	// conditions are Ready, QuorumHealthy, Progressing, Degraded, ConfigApplied, VersionSupported and Paused, and with spec.backup StorageReady, with verifyEvery BackupsVerified. Their messages name the pod and what is awaited.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// clusterUID is the identity of the data, in markers on the volumes and annotations on the PersistentVolumeClaims. It survives deletion and re-creation of this resource with retained volumes.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	ClusterUID string `json:"clusterUID,omitempty"`
	// founded is true once the placement centre was founded; it is never founded again.
	// +optional
	Founded bool `json:"founded,omitempty"`
	// generation of the metadata, from 1: every restore raises it, and volumes of an older one stay shut.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Generation int64 `json:"generation,omitempty"`
	// version of RobustMQ that the cluster was founded with or upgraded to; spec.version is where it shall go, and cannot go below it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Version string `json:"version,omitempty"`
	// upgrade is the upgrade with everything stopped that was begun and is not over; without one there is none.
	// +optional
	Upgrade *OfflineUpgrade `json:"upgrade,omitempty"`
	// leader is the pod that leads every raft group, or "apart: ..." with the leaders of each, or empty when there is none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Leader string `json:"leader,omitempty"`

	// placementCenter counts its members.
	// +optional
	PlacementCenter RoleStatus `json:"placementCenter,omitempty"`
	// mqttBroker counts the brokers.
	// +optional
	MQTTBroker RoleStatus `json:"mqttBroker,omitempty"`
	// journalServer counts the journal servers, where there are any.
	// +optional
	JournalServer *RoleStatus `json:"journalServer,omitempty"`

	// members are the pods, one row each.
	// +optional
	// +listType=map
	// +listMapKey=pod
	// +kubebuilder:validation:MaxItems=2048
	Members []MemberStatus `json:"members,omitempty"`

	// backup is what became of spec.backup; without that there is none.
	// +optional
	Backup *BackupPlanStatus `json:"backup,omitempty"`
}

// OfflineUpgrade is an upgrade between versions that cannot run side by side: everything is stopped, saved, and started again with the new version on the same volumes.
type OfflineUpgrade struct {
	// version of RobustMQ that it leads to.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Version string `json:"version,omitempty"`
	// startTime is when the brokers and journal servers began to be stopped.
	// +required
	StartTime metav1.Time `json:"startTime,omitzero"`
	// backupName is the RobustMQBackup of the metadata as the former version left it. It belongs to nobody, so it stays.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=56
	BackupName string `json:"backupName,omitempty"`
	// opened is true once servers of the new version may have been started. Until then spec.version can be set back, and the former version starts again as it was.
	// +optional
	Opened bool `json:"opened,omitempty"`
}

// RoleStatus counts one role.
type RoleStatus struct {
	// desired number of pods.
	// +required
	// +kubebuilder:validation:Minimum=0
	Desired int32 `json:"desired"`
	// replicas is the number of pods that exist.
	// +required
	// +kubebuilder:validation:Minimum=0
	Replicas int32 `json:"replicas"`
	// ready is the number in service: voters in every raft group, or registered and answering.
	// +required
	// +kubebuilder:validation:Minimum=0
	Ready int32 `json:"ready"`
	// summary is ready/desired, such as "3/3".
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	Summary string `json:"summary,omitempty"`
	// selector of the pods, for autoscalers.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Selector string `json:"selector,omitempty"`
}

// MemberStatus is one pod.
type MemberStatus struct {
	// pod is its name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Pod string `json:"pod,omitempty"`
	// ordinal is the number at the end of its name.
	// +required
	// +kubebuilder:validation:Minimum=0
	Ordinal int32 `json:"ordinal"`
	// nodeID is the number by which RobustMQ knows it: 1 + ordinal, brokers 1001 + ordinal, journal servers 2001 + ordinal.
	// +required
	// +kubebuilder:validation:Minimum=1
	NodeID int64 `json:"nodeID,omitempty"`
	// role is PlacementCenter, MQTTBroker or JournalServer.
	// +required
	Role Role `json:"role,omitempty"`
	// inService is true of a voter of every raft group, and of a broker or journal server that is registered and answers.
	// +optional
	InService bool `json:"inService,omitempty"`
	// leaderOf are the raft groups that it leads.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	LeaderOf []string `json:"leaderOf,omitempty"`
	// voterIn are the raft groups in which it is a voter.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	VoterIn []string `json:"voterIn,omitempty"`
	// marker says how its volume came by its data: None, Founded, Joined, Seeded, Restored, Alone, Adopted, Foreign, Missing or Unknown.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	Marker string `json:"marker,omitempty"`
	// gate is Open, or one word for why its agent does not start the server.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Gate string `json:"gate,omitempty"`
	// volume is Empty, Initialised, Unusable, Missing or Unknown.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	Volume string `json:"volume,omitempty"`
	// server is Running, Starting, Stopped, Exited, Hung, Missing or Unknown.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	Server string `json:"server,omitempty"`
	// positions in the raft groups, only where they say something: of a member that lags or is stopped.
	// +optional
	// +listType=map
	// +listMapKey=group
	// +kubebuilder:validation:MaxItems=16
	Positions []GroupPosition `json:"positions,omitempty"`
	// restarts of the server by its agent since the pod started.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Restarts int32 `json:"restarts,omitempty"`
	// version that it runs.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Version string `json:"version,omitempty"`
}

// GroupPosition is a raft position, written only when it says something (a lagging or stopped member): a converged cluster's status does not move.
type GroupPosition struct {
	// group is the raft group.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Group string `json:"group,omitempty"`
	// term of the group.
	// +required
	// +kubebuilder:validation:Minimum=0
	Term int64 `json:"term"`
	// lastApplied is the index of the last entry that was applied.
	// +required
	// +kubebuilder:validation:Minimum=0
	LastApplied int64 `json:"lastApplied"`
}

// Role of a pod.
//
// +kubebuilder:validation:Enum=PlacementCenter;MQTTBroker;JournalServer
type Role string

// The roles.
const (
	RolePlacementCenter Role = "PlacementCenter"
	RoleMQTTBroker      Role = "MQTTBroker"
	RoleJournalServer   Role = "JournalServer"
)
