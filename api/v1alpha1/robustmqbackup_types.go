package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// RobustMQBackup is one backup of a cluster's metadata (users, ACLs, topics, schemas, connectors, sessions, offsets) at one instant: made by hand, or by a schedule of the cluster.
// Messages are in the engines and are not part of it.
//
//	apiVersion: robustmq.io/v1alpha1
//	kind: RobustMQBackup
//	metadata: {name: before-upgrade}
//	spec: {clusterName: my-cluster}
//
// It goes where spec.backup.destination of the cluster says, encrypted as that says. A spec cannot change once it was made: make another backup.
// Its name has at most 56 characters: the names of its Job and its labels are made of it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=robustmqbackups,singular=robustmqbackup,shortName=rmqb,categories={all,robustmq}
// +kubebuilder:printcolumn:name="Cluster",type=string,JSONPath=`.spec.clusterName`,description="Cluster that is saved"
// +kubebuilder:printcolumn:name="Stage",type=string,JSONPath=`.status.stage`,description="How far it is"
// +kubebuilder:printcolumn:name="Progress",type=string,JSONPath=`.status.progress.summary`,description="Bytes uploaded, of those that there are"
// +kubebuilder:printcolumn:name="Size",type=string,JSONPath=`.status.size`,description="What a restore of it reads"
// +kubebuilder:printcolumn:name="Recovers-To",type=date,JSONPath=`.status.recoveryPoint.time`,description="How old what it holds is"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Complete")].reason`,description="Why it is complete, or why not",priority=1
// +kubebuilder:printcolumn:name="Key",type=string,JSONPath=`.status.key`,description="Its manifest in the bucket",priority=1
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,54}[a-z0-9])?$')",messageExpression="'NamesFit: metadata.name is ' + self.metadata.name + ': the names of its Job and labels are made of it, so it has at most 56 characters, lower-case letters, digits and dashes, and begins and ends with a letter or digit; make the backup under such a name'",message="NamesFit: metadata.name has at most 56 characters, lower-case letters, digits and dashes, and begins and ends with a letter or digit"
type RobustMQBackup struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is name, namespace, labels and annotations, as of every Kubernetes object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what you want. It cannot change once it was made.
	// +required
	Spec RobustMQBackupSpec `json:"spec,omitzero"`
	// status is what was seen. It is written by the operator alone.
	// +optional
	Status RobustMQBackupStatus `json:"status,omitempty,omitzero"`
}

// RobustMQBackupList is a list of backups.
//
// +kubebuilder:object:root=true
type RobustMQBackupList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RobustMQBackup `json:"items"`
}

// RobustMQBackupSpec is what the user wants.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="BackupImmutable: the spec of a backup cannot change, it says how this one was made: make another RobustMQBackup"
type RobustMQBackupSpec struct {
	// clusterName names the RobustMQCluster of this namespace that is saved. Example: my-cluster.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=35
	ClusterName string `json:"clusterName,omitempty"`
	// verification of the backup before it counts: Checksum reads it back and compares, Full also opens it and compares what is in it. Default: spec.backup.verification of the cluster.
	// +optional
	Verification VerificationMode `json:"verification,omitempty"`
	// deletionPolicy says what becomes of the backup in the bucket when this object is deleted: Retain keeps it, Delete removes it. Default: Retain.
	// +optional
	// +kubebuilder:default=Retain
	DeletionPolicy BackupDeletionPolicy `json:"deletionPolicy,omitempty"`
	// startDeadline is how long the backup may wait for its turn, a member to save from and its Job, 10s to 24h; afterwards it has failed. Example: 1h. Default: 10m.
	// +optional
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]{1,2}h)?([0-9]{1,4}m)?([0-9]{1,5}s)?$`
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10s') && duration(self) <= duration('24h')",message="startDeadline must be from 10s to 24h: write one such as 10m"
	StartDeadline *metav1.Duration `json:"startDeadline,omitempty"`
	// progressDeadline is how long the backup may go without a byte, 10s to 24h; afterwards it has failed. Example: 15m. Default: 5m.
	// +optional
	// +kubebuilder:default="5m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]{1,2}h)?([0-9]{1,4}m)?([0-9]{1,5}s)?$`
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10s') && duration(self) <= duration('24h')",message="progressDeadline must be from 10s to 24h: write one such as 5m"
	ProgressDeadline *metav1.Duration `json:"progressDeadline,omitempty"`
}

// BackupDeletionPolicy says what becomes of a backup in the bucket when its object is deleted.
//
// +kubebuilder:validation:Enum=Retain;Delete
type BackupDeletionPolicy string

// The deletion policies.
const (
	BackupRetained BackupDeletionPolicy = "Retain"
	BackupDeleted  BackupDeletionPolicy = "Delete"
)

// RobustMQBackupStatus is what was seen. While bytes move it is written at most every 5 s, and once it is complete or has failed it does not move any more.
type RobustMQBackupStatus struct {
	// conditions are Complete (it can be restored: every object was read back; False with the reason while it cannot, and for good when it has failed) and Verified (how far it was checked).
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// stage is how far it is, for people: the conditions say what it is good for.
	// +optional
	Stage BackupStage `json:"stage,omitempty"`
	// progress of the upload.
	// +optional
	Progress TransferProgress `json:"progress,omitempty,omitzero"`

	// source is the member that it was taken from.
	// +optional
	Source BackupMember `json:"source,omitempty,omitzero"`
	// destination is where it went, as spec.backup.destination of the cluster was then.
	// +optional
	Destination *S3Destination `json:"destination,omitempty"`
	// key of its manifest in the bucket, prefix included; a backup exists when that object does. Example: production/eu/0b6c6a2e-54b1-4d0c-a0a4-4c9a1c9f2f55/backups/20261125T020000Z-hourly/manifest.json.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Key string `json:"key,omitempty"`
	// manifestSHA256 is the checksum of that object, in hexadecimal digits.
	// +optional
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	ManifestSHA256 string `json:"manifestSHA256,omitempty"`
	// clusterUID is the identity of the data that was saved, as status.clusterUID of the cluster has it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	ClusterUID string `json:"clusterUID,omitempty"`
	// version of RobustMQ that wrote the data. Example: 0.4.11.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Version string `json:"version,omitempty"`
	// nodes are how many there were of each role: topics name them, so a restore needs as many.
	// +optional
	Nodes RoleCounts `json:"nodes,omitempty,omitzero"`
	// recoveryPoint is the instant that it holds.
	// +optional
	RecoveryPoint RecoveryPoint `json:"recoveryPoint,omitempty,omitzero"`
	// encrypted is true when it can only be restored with the identity of one of the recipients that spec.backup.encryption of the cluster named.
	// +optional
	Encrypted bool `json:"encrypted,omitempty"`

	// size of what a restore reads, for people. Example: 12.3 MiB.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	Size string `json:"size,omitempty"`
	// sizeBytes is the same number, in bytes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	SizeBytes *int64 `json:"sizeBytes,omitempty"`
	// uploadedBytes of it were new to the bucket; tables that an earlier backup had put there are used again.
	// +optional
	// +kubebuilder:validation:Minimum=0
	UploadedBytes *int64 `json:"uploadedBytes,omitempty"`

	// jobName names the Job that makes it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	JobName string `json:"jobName,omitempty"`
	// startTime is when its Job was made.
	// +optional
	StartTime metav1.Time `json:"startTime,omitempty,omitzero"`
	// completionTime is when it became complete or failed.
	// +optional
	CompletionTime metav1.Time `json:"completionTime,omitempty,omitzero"`
}

// BackupStage is how far a backup is.
//
// +kubebuilder:validation:Enum=Waiting;Staging;Uploading;Verifying;Complete;Failed
type BackupStage string

// The stages of a backup.
const (
	// BackupWaiting: for its turn, for a member to save from, or for its Job.
	BackupWaiting BackupStage = "Waiting"
	// BackupStaging: the member's agent takes an image.
	BackupStaging BackupStage = "Staging"
	// BackupUploading: the image goes to the bucket.
	BackupUploading BackupStage = "Uploading"
	// BackupVerifying: it is read back.
	BackupVerifying BackupStage = "Verifying"
	// BackupComplete: it can be restored.
	BackupComplete BackupStage = "Complete"
	// BackupFailed: it can not, and will not be tried again; the condition Complete says why.
	BackupFailed BackupStage = "Failed"
)

// BackupMember is a member of the placement centre that a backup was taken from.
type BackupMember struct {
	// pod is its name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Pod string `json:"pod,omitempty"`
	// nodeID is the number by which RobustMQ knows it.
	// +required
	// +kubebuilder:validation:Minimum=1
	NodeID int64 `json:"nodeID,omitempty"`
	// leader is true when it led the metadata: no follower had caught up.
	// +optional
	Leader bool `json:"leader,omitempty"`
}

// TransferProgress is how far bytes have moved.
type TransferProgress struct {
	// bytes that have moved.
	// +required
	// +kubebuilder:validation:Minimum=0
	Bytes int64 `json:"bytes"`
	// totalBytes that there are to move.
	// +required
	// +kubebuilder:validation:Minimum=0
	TotalBytes int64 `json:"totalBytes"`
	// percent of them, 0 to 100.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Percent int32 `json:"percent"`
	// summary for people. Example: 37 % of 12.3 MiB.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Summary string `json:"summary,omitempty"`
	// lastMoved is when a byte moved last; the deadline for progress counts from it.
	// +optional
	LastMoved metav1.Time `json:"lastMoved,omitempty,omitzero"`
}

// RoleCounts are numbers of nodes.
type RoleCounts struct {
	// placementCenter members.
	// +required
	// +kubebuilder:validation:Minimum=0
	PlacementCenter int32 `json:"placementCenter"`
	// mqttBroker nodes.
	// +required
	// +kubebuilder:validation:Minimum=0
	MQTTBroker int32 `json:"mqttBroker"`
	// journalServer nodes.
	// +required
	// +kubebuilder:validation:Minimum=0
	JournalServer int32 `json:"journalServer"`
}

// RecoveryPoint is the instant that a backup holds.
type RecoveryPoint struct {
	// time at which its image was asked for: every write that was acknowledged before is in it.
	// +optional
	Time metav1.Time `json:"time,omitempty,omitzero"`
	// groups are the raft groups' positions in it.
	// +optional
	// +listType=map
	// +listMapKey=group
	// +kubebuilder:validation:MaxItems=16
	Groups []GroupPosition `json:"groups,omitempty"`
}
