package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// RobustMQRestore is one restore of a backup's metadata into an existing cluster. Messages stay where they are.
// A new cluster is filled by its spec.bootstrap.restoreFrom instead, and a cluster that lost every copy restores itself (spec.backup.autoRestore).
//
//	apiVersion: robustmq.io/v1alpha1
//	kind: RobustMQRestore
//	metadata: {name: undo-deletion}
//	spec:
//	  clusterName: my-cluster
//	  source: {backupName: my-cluster-hourly-29660520}
//
// The cluster is saved first, then its placement centre is stopped and comes back as it was at the backup's recovery point; clients cannot connect meanwhile.
// What was made, changed or deleted since is lost, except for messages. A spec cannot change once it was made.
// Its name has at most 49 characters: the names of its Job and of the safety backup are made of it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=robustmqrestores,singular=robustmqrestore,shortName=rmqr,categories={all,robustmq}
// +kubebuilder:printcolumn:name="Cluster",type=string,JSONPath=`.spec.clusterName`,description="Cluster that is restored"
// +kubebuilder:printcolumn:name="Stage",type=string,JSONPath=`.status.stage`,description="How far it is"
// +kubebuilder:printcolumn:name="Progress",type=string,JSONPath=`.status.progress.summary`,description="Bytes that the members have, of those that there are"
// +kubebuilder:printcolumn:name="Awaits",type=string,JSONPath=`.status.awaits`,description="What it waits for"
// +kubebuilder:printcolumn:name="Recovers-To",type=date,JSONPath=`.status.source.recoveryPoint.time`,description="How old what it brings back is"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Complete")].reason`,description="Why it is complete, or why not",priority=1
// +kubebuilder:printcolumn:name="Key",type=string,JSONPath=`.status.source.key`,description="The backup's manifest in the bucket",priority=1
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,47}[a-z0-9])?$')",messageExpression="'NamesFit: metadata.name is ' + self.metadata.name + ': the names of its Job, labels and safety backup are made of it, so it has at most 49 characters, lower-case letters, digits and dashes, and begins and ends with a letter or digit; make the restore under such a name'",message="NamesFit: metadata.name has at most 49 characters, lower-case letters, digits and dashes, and begins and ends with a letter or digit"
type RobustMQRestore struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is name, namespace, labels and annotations, as of every Kubernetes object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what you want. It cannot change once it was made.
	// +required
	Spec RobustMQRestoreSpec `json:"spec,omitzero"`
	// status is what was seen. It is written by the operator alone.
	// +optional
	Status RobustMQRestoreStatus `json:"status,omitempty,omitzero"`
}

// RobustMQRestoreList is a list of restores.
//
// +kubebuilder:object:root=true
type RobustMQRestoreList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RobustMQRestore `json:"items"`
}

// RobustMQRestoreSpec is what the user wants.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="RestoreImmutable: the spec of a restore cannot change, it may be under way: make another RobustMQRestore when this one has ended"
// +kubebuilder:validation:XValidation:rule="!has(self.source) || !has(self.source.destination) || !has(self.source.destination.endpoint) || !self.source.destination.endpoint.startsWith('http://') || (has(self.unsafe) && 'AllowInsecureS3' in self.unsafe)",fieldPath=".source.destination.endpoint",messageExpression="'BackupDestination: spec.source.destination.endpoint is ' + self.source.destination.endpoint + ': backups and the credentials for them would cross the network in clear; write an https address, or list AllowInsecureS3 in spec.unsafe'",message="BackupDestination: spec.source.destination.endpoint is an https address, or AllowInsecureS3 stands in spec.unsafe"
// +kubebuilder:validation:XValidation:rule="!has(self.trigger) || self.trigger != 'TotalLoss' || (has(self.source.destination) && has(self.source.clusterUID) && !has(self.source.key) && !has(self.source.before))",fieldPath=".source",messageExpression="'RestoreTriggerFits: spec.trigger is TotalLoss, and spec.source ' + (has(self.source.backupName) ? 'names the backup ' + self.source.backupName : 'does not say whose backups they are, or chooses among them') + ': after a total loss the newest good backup comes back; write source.destination and source.clusterUID alone, as spec.backup.destination and status.clusterUID of the cluster have them, or leave the trigger out'",message="RestoreTriggerFits: with the trigger TotalLoss spec.source is destination and clusterUID of the cluster's own backups, without backupName, key and before"
type RobustMQRestoreSpec struct {
	// clusterName names the RobustMQCluster of this namespace that is restored. Example: my-cluster.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=35
	ClusterName string `json:"clusterName,omitempty"`
	// source names the backup. Example: {backupName: my-cluster-hourly-29660520}.
	// +required
	Source RestoreSource `json:"source,omitempty,omitzero"`
	// trigger says what made the restore. Manual: a person; the cluster is overwritten. Bootstrap: the operator, for spec.bootstrap.restoreFrom of a cluster that was never founded.
	// TotalLoss: the operator, for spec.backup.autoRestore of a cluster that lost every copy of its metadata. The last two go into empty volumes alone, and save nothing before. Default: Manual.
	// +optional
	// +kubebuilder:default=Manual
	Trigger RestoreTrigger `json:"trigger,omitempty"`
	// identitySecretName names a Secret of this namespace with the key identity, to read an encrypted backup. Example: backup-identity. Default: spec.backup.encryption.identitySecretName of the cluster.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	IdentitySecretName string `json:"identitySecretName,omitempty"`
	// unsafe lists what you do without, knowing what it guards. SkipSafetyBackup: the cluster is not saved before it is overwritten. AllowFewerNodes: topics on nodes that the cluster does not have stay unusable.
	// AllowInsecureS3: backup and credentials cross the network in clear. Default: none. Platform teams can forbid them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	Unsafe []RestoreEscape `json:"unsafe,omitempty"`
}

// RestoreTrigger is what made a restore.
//
// +kubebuilder:validation:Enum=Manual;Bootstrap;TotalLoss
type RestoreTrigger string

// The triggers of a restore.
const (
	// RestoreManual: a person wants a cluster as it was.
	RestoreManual RestoreTrigger = "Manual"
	// RestoreBootstrap: a new cluster begins with a backup.
	RestoreBootstrap RestoreTrigger = "Bootstrap"
	// RestoreTotalLoss: a cluster lost every copy of its metadata.
	RestoreTotalLoss RestoreTrigger = "TotalLoss"
)

// RestoreEscape names one guard that the user does without.
//
// +kubebuilder:validation:Enum=SkipSafetyBackup;AllowFewerNodes;AllowInsecureS3
type RestoreEscape string

// The escapes of a restore.
const (
	// SkipSafetyBackup overwrites without saving first.
	SkipSafetyBackup RestoreEscape = "SkipSafetyBackup"
	// AllowFewerNodes restores into a cluster with fewer nodes of a role than the backup knows.
	AllowFewerNodes RestoreEscape = "AllowFewerNodes"
	// RestoreInsecureS3 takes off BackupDestination's demand for https.
	RestoreInsecureS3 RestoreEscape = "AllowInsecureS3"
)

// RobustMQRestoreStatus is what was seen. While bytes move it is written at most every 5 s, and once the restore has ended it does not move any more.
type RobustMQRestoreStatus struct {
	// conditions are Complete (the cluster has what the backup held; False with the reason while it has not, and for good when the restore has failed or was aborted) and Verified (members and counts agree with the backup's manifest).
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// stage is how far it is.
	// +optional
	Stage RestoreStage `json:"stage,omitempty"`
	// awaits is what it waits for, in one line: a pod, a Job, a leader.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Awaits string `json:"awaits,omitempty"`
	// progress of the bytes, over all members.
	// +optional
	Progress TransferProgress `json:"progress,omitempty,omitzero"`

	// source is the backup that was chosen. It is chosen once.
	// +optional
	Source RestoredBackup `json:"source,omitempty,omitzero"`
	// safetyBackupName names the RobustMQBackup that was made of the cluster before it was overwritten.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	SafetyBackupName string `json:"safetyBackupName,omitempty"`
	// generation of the cluster's metadata that this restore makes: volumes of an older one stay shut.
	// +optional
	// +kubebuilder:validation:Minimum=2
	Generation int64 `json:"generation,omitempty"`
	// term is that of the vote with which the members come back: greater than every term that the backup or a member has shown. It is fixed before the first byte goes to a member.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Term int64 `json:"term,omitempty"`
	// members are the placement centre's, one row each.
	// +optional
	// +listType=map
	// +listMapKey=pod
	// +kubebuilder:validation:MaxItems=7
	Members []RestoredMember `json:"members,omitempty"`
	// orphanTopics were made after the backup and have messages that nobody can reach any more: the first of them, by name.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	OrphanTopics []string `json:"orphanTopics,omitempty"`
	// orphanTopicCount is how many of them there are.
	// +optional
	// +kubebuilder:validation:Minimum=0
	OrphanTopicCount int32 `json:"orphanTopicCount,omitempty"`

	// jobName names the Job that reads the backup.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	JobName string `json:"jobName,omitempty"`
	// startTime is when the first thing was done.
	// +optional
	StartTime metav1.Time `json:"startTime,omitempty,omitzero"`
	// stoppedTime is when the placement centre was stopped: from then on clients could not connect.
	// +optional
	StoppedTime metav1.Time `json:"stoppedTime,omitempty,omitzero"`
	// completionTime is when it was complete, failed or aborted.
	// +optional
	CompletionTime metav1.Time `json:"completionTime,omitempty,omitzero"`
}

// RestoreStage is how far a restore is.
//
// +kubebuilder:validation:Enum=Waiting;Validating;Saving;Stopping;Transferring;Opening;Verifying;Starting;Aborting;Complete;Failed;Aborted
type RestoreStage string

// The stages of a restore.
const (
	// RestoreWaiting: for another operation on the cluster to end.
	RestoreWaiting RestoreStage = "Waiting"
	// RestoreValidating: the source is looked at: complete, readable, of a version and size that fit.
	RestoreValidating RestoreStage = "Validating"
	// RestoreSaving: the safety backup is made.
	RestoreSaving RestoreStage = "Saving"
	// RestoreStopping: the placement centre is being stopped.
	RestoreStopping RestoreStage = "Stopping"
	// RestoreTransferring: the members get the backup, beside what they have.
	RestoreTransferring RestoreStage = "Transferring"
	// RestoreOpening: the members swap directories and start together.
	RestoreOpening RestoreStage = "Opening"
	// RestoreVerifying: leaders, positions and counts are compared with the manifest.
	RestoreVerifying RestoreStage = "Verifying"
	// RestoreStarting: brokers and journal servers come back.
	RestoreStarting RestoreStage = "Starting"
	// RestoreAborting: the members go back to what they had.
	RestoreAborting RestoreStage = "Aborting"
	// RestoreComplete: the cluster has what the backup held.
	RestoreComplete RestoreStage = "Complete"
	// RestoreFailed: it was refused or could not be done; the cluster has what it had.
	RestoreFailed RestoreStage = "Failed"
	// RestoreAborted: it was taken back; the cluster has what it had.
	RestoreAborted RestoreStage = "Aborted"
)

// RestoredBackup is the backup that a restore reads.
type RestoredBackup struct {
	// key of its manifest in the bucket.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Key string `json:"key,omitempty"`
	// manifestSHA256 is the checksum of that object, in hexadecimal digits.
	// +optional
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	ManifestSHA256 string `json:"manifestSHA256,omitempty"`
	// clusterUID of the cluster that was saved.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	ClusterUID string `json:"clusterUID,omitempty"`
	// version of RobustMQ that wrote the data.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Version string `json:"version,omitempty"`
	// recoveryPoint is the instant that comes back.
	// +optional
	RecoveryPoint RecoveryPoint `json:"recoveryPoint,omitempty,omitzero"`
	// sizeBytes is what is read, in bytes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	SizeBytes *int64 `json:"sizeBytes,omitempty"`
}

// RestoredMember is one member of the placement centre in a restore.
type RestoredMember struct {
	// pod is its name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Pod string `json:"pod,omitempty"`
	// nodeID is the number by which RobustMQ knows it.
	// +required
	// +kubebuilder:validation:Minimum=1
	NodeID int64 `json:"nodeID,omitempty"`
	// bytes that it has.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Bytes int64 `json:"bytes,omitempty"`
	// imageSHA256 is the checksum of the directory that it built, by its agent's word; those of all members agree.
	// +optional
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	ImageSHA256 string `json:"imageSHA256,omitempty"`
	// generation that its volume is marked with.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Generation int64 `json:"generation,omitempty"`
	// serving is true when its server runs and follows or leads in every raft group.
	// +optional
	Serving bool `json:"serving,omitempty"`
}
