package v1alpha1

// Types of the conditions of a RobustMQCluster. All of them are present, Unknown, from the first second; this list is closed.
const (
	// ConditionReady: MQTT clients are served and everything that was asked for is there. Why not, says its reason.
	ConditionReady = "Ready"
	// ConditionQuorumHealthy: every raft group of the placement centre has a leader that a quorum acknowledges, and no voter is missing.
	ConditionQuorumHealthy = "QuorumHealthy"
	// ConditionProgressing: the operator is changing something, or waits for something that it names.
	ConditionProgressing = "Progressing"
	// ConditionDegraded: something is broken and does not mend by waiting alone.
	ConditionDegraded = "Degraded"
	// ConditionConfigApplied: every server runs with the wanted configuration.
	ConditionConfigApplied = "ConfigApplied"
	// ConditionVersionSupported: everything works with spec.version. False says in plain words what does not.
	ConditionVersionSupported = "VersionSupported"
	// ConditionPaused: spec.paused is true; the cluster is observed and reported, and nothing is written.
	ConditionPaused = "Paused"
)

// ConditionStorageReady of a RobustMQCluster with spec.backup, and of no other: backups can be written to the destination, as the last probe found. It is no part of Ready: a cluster whose backups have no place serves all the same.
const ConditionStorageReady = "StorageReady"

// ConditionBackupsVerified of a RobustMQCluster with spec.backup.verifyEvery, and of no other: the newest backup was read from the bucket and has what its manifest says. False: it has not. Unknown: it could not be read, or not yet.
const ConditionBackupsVerified = "BackupsVerified"

// ConditionMonitoringAvailable of a RobustMQCluster with spec.monitoring.enabled, and of no other: the ServiceMonitor, the PrometheusRule and the dashboards that it asks for are in place. It is no part of Ready.
const ConditionMonitoringAvailable = "MonitoringAvailable"

// Types of the conditions of a RobustMQBackup and of a RobustMQRestore.
const (
	// ConditionComplete: the backup can be restored, or the cluster has what the backup held. Why not, says its reason.
	ConditionComplete = "Complete"
	// ConditionVerified: how far the backup was checked, or whether the restored cluster agrees with the backup's manifest.
	ConditionVerified = "Verified"
)

// ConditionTypes lists all types of a cluster in the order in which they are shown.
var ConditionTypes = []string{
	ConditionReady, ConditionQuorumHealthy, ConditionProgressing, ConditionDegraded, ConditionConfigApplied, ConditionVersionSupported, ConditionPaused,
}

// Reasons of conditions and of events; this list is closed.
const (
	// ReasonPending: not looked at yet.
	ReasonPending = "Pending"
	// ReasonAllInService: every member is a voter in every raft group, every broker and journal server is registered and answers.
	ReasonAllInService = "AllInService"

	// Formation and growth: these end by themselves.

	// ReasonFounding: the placement centre is being founded.
	ReasonFounding = "Founding"
	// ReasonFounded: the placement centre was founded (event).
	ReasonFounded = "Founded"
	// ReasonAdopted: the cluster came back on volumes that were retained (event).
	ReasonAdopted = "Adopted"
	// ReasonJoiningMember: a member is joining the placement centre.
	ReasonJoiningMember = "JoiningMember"
	// ReasonLeaving: a member of the placement centre is being taken away.
	ReasonLeaving = "Leaving"
	// ReasonMemberLeft: a member left every raft group because fewer are wanted (event).
	ReasonMemberLeft = "MemberLeft"
	// ReasonMemberJoined: a member became a voter in every raft group (event).
	ReasonMemberJoined = "MemberJoined"
	// ReasonStartingNode: a broker or journal server is starting; they start one at a time.
	ReasonStartingNode = "StartingNode"
	// ReasonNodeInService: a broker or journal server is registered and answers (event).
	ReasonNodeInService = "NodeInService"
	// ReasonGoingAlone: one of the last two members of the placement centre is being made its only voter.
	ReasonGoingAlone = "GoingAlone"
	// ReasonScaleInPending: more pods than wanted exist, and none of them may safely leave yet.
	ReasonScaleInPending = "ScaleInPending"
	// ReasonNotDrainable: a node cannot be taken away without losing messages; the message names the topics.
	ReasonNotDrainable = "NotDrainable"
	// ReasonDraining: a node is being taken away: it is stopped, and its messages' copies move to the others.
	ReasonDraining = "Draining"
	// ReasonNodeUnregistered: a stopped node was taken out of the cluster (event).
	ReasonNodeUnregistered = "NodeUnregistered"
	// ReasonVolumeReleased: the volume claim of a node that was taken away goes with its pod (event).
	ReasonVolumeReleased = "VolumeReleased"
	// ReasonChanging: the operator is taking a step; the message says which.
	ReasonChanging = "Changing"
	// ReasonRestarting: servers are being restarted in place, one after another.
	ReasonRestarting = "Restarting"
	// ReasonReplacing: pods are being made anew from a changed template, or given another image, one after another.
	ReasonReplacing = "Replacing"
	// ReasonChangeStopped: a pod did not come back with a changed configuration or template, and no other follows it.
	ReasonChangeStopped = "ChangeStopped"
	// ReasonPullingImages: the images of a changed template are being pulled on a node, before a pod there is taken down (event).
	ReasonPullingImages = "PullingImages"

	// Waiting for Kubernetes or for the user: the message names the object.

	// ReasonWaitingForPods: pods do not exist, or do not run, yet.
	ReasonWaitingForPods = "WaitingForPods"
	// ReasonUnschedulable: no node takes a pod.
	ReasonUnschedulable = "Unschedulable"
	// ReasonImagePullFailed: a pod's image cannot be pulled.
	ReasonImagePullFailed = "ImagePullFailed"
	// ReasonWaitingForVolume: a PersistentVolumeClaim is not bound, or its volume is not attached.
	ReasonWaitingForVolume = "WaitingForVolume"
	// ReasonWaitingForSecret: a Secret that the spec names does not exist or lacks a key.
	ReasonWaitingForSecret = "WaitingForSecret"
	// ReasonAgentUnreachable: the agent of a running pod does not answer the operator.
	ReasonAgentUnreachable = "AgentUnreachable"

	// ReasonNodeLost: the Kubernetes node that carries a pod, or its volume, does not report or no longer exists, and the pod cannot be made anew elsewhere yet.
	ReasonNodeLost = "NodeLost"
	// ReasonVolumeLost: a pod's volume was on a Kubernetes node that no longer exists.
	ReasonVolumeLost = "VolumeLost"

	// ReasonPodFailing: a container of a pod ends or cannot be created, for a reason that no other word here says.
	ReasonPodFailing = "PodFailing"

	// Volumes and gates.

	// ReasonGateClosed: a pod's agent does not start its server.
	ReasonGateClosed = "GateClosed"
	// ReasonForeignVolume: a volume holds the data of another cluster or node, or data without a marker. It is never overwritten.
	ReasonForeignVolume = "ForeignVolume"
	// ReasonOldGeneration: a volume is older than the last restore.
	ReasonOldGeneration = "OldGeneration"
	// ReasonVolumeUnusable: a volume is missing, full, or not writable.
	ReasonVolumeUnusable = "VolumeUnusable"
	// ReasonVolumeGrowing: a volume is being made larger; nothing is restarted for it.
	ReasonVolumeGrowing = "VolumeGrowing"
	// ReasonVolumeNotExpandable: a volume claim may not grow: its storage class does not allow it, or a quota is full.
	ReasonVolumeNotExpandable = "VolumeNotExpandable"
	// ReasonEmptyVolume: an empty volume in a cluster that lives.
	ReasonEmptyVolume = "EmptyVolume"
	// ReasonSeedNeeded: a newcomer can only be brought in with a copy of a member's data.
	ReasonSeedNeeded = "SeedNeeded"
	// ReasonSeeding: a member's volume is being filled with the metadata of a living member, or the member takes its place with it.
	ReasonSeeding = "Seeding"
	// ReasonSeeded: a member that was filled with another's metadata is whole.
	ReasonSeeded = "Seeded"
	// ReasonSeedFailed: a seed came to nothing; it is tried again, after a pause that grows.
	ReasonSeedFailed = "SeedFailed"
	// ReasonDataLost: the cluster was founded and every volume of the placement centre is empty. It is not founded again.
	ReasonDataLost = "DataLost"

	// Quorum and registry.

	// ReasonQuorumLost: no leader is acknowledged by a quorum.
	ReasonQuorumLost = "QuorumLost"
	// ReasonMembersMissing: the quorum stands, and members are missing from it.
	ReasonMembersMissing = "MembersMissing"
	// ReasonLeadersApart: the raft groups are led by different members, which blocks joins and leaves.
	ReasonLeadersApart = "LeadersApart"
	// ReasonTransferWaiting: leadership has to move to another member, and something must be in order first.
	ReasonTransferWaiting = "TransferWaiting"
	// ReasonRogueMember: a member runs a raft cluster of its own.
	ReasonRogueMember = "RogueMember"
	// ReasonHalfJoined: a member is a voter in some raft groups and not in others.
	ReasonHalfJoined = "HalfJoined"
	// ReasonMajorityLost: the volumes of a majority of the placement centre are empty, and a member with data is left.
	ReasonMajorityLost = "MajorityLost"
	// ReasonFaultyMember: a member holds other data than its raft position claims. It is taken out, and its metadata is replaced by a sound member's.
	ReasonFaultyMember = "FaultyMember"
	// ReasonDataDiffers: members hold different data at one position, and it cannot be told who is right.
	ReasonDataDiffers = "DataDiffers"
	// ReasonRegistryIncomplete: a node does not know every other node.
	ReasonRegistryIncomplete = "RegistryIncomplete"
	// ReasonDuplicateNode: another process is registered under the id of a node of this cluster.
	ReasonDuplicateNode = "DuplicateNode"
	// ReasonLogStorm: the log of the metadata grows although no client is connected.
	ReasonLogStorm = "LogStorm"
	// ReasonReplicating: followers of message segments are catching up.
	ReasonReplicating = "Replicating"
	// ReasonFenced: a voter that reaches no majority keeps its server stopped.
	ReasonFenced = "Fenced"

	// Servers.

	// ReasonServerCrashing: a server ended by itself and is started again.
	ReasonServerCrashing = "ServerCrashing"
	// ReasonServerHung: a server runs and does not answer.
	ReasonServerHung = "ServerHung"

	// Specification.

	// ReasonConfigRefused: a running server refused settings that it should take in; they were taken back out of its store.
	ReasonConfigRefused = "ConfigRefused"
	// ReasonPasswordRenewed: the MQTT user was made anew with the password of its Secret (event).
	ReasonPasswordRenewed = "PasswordRenewed"
	// ReasonLoginRefused: a broker does not accept the MQTT user of its Secret.
	ReasonLoginRefused = "LoginRefused"
	// ReasonSettingsGiven: a running server took in new settings (event).
	ReasonSettingsGiven = "SettingsGiven"
	// ReasonConfigPending: the named servers do not yet run with the wanted configuration.
	ReasonConfigPending = "ConfigPending"
	// ReasonConfigInvalid: a server would refuse to start with the wanted configuration, certificate or key.
	ReasonConfigInvalid = "ConfigInvalid"
	// ReasonSpecInvalid: the spec breaks a rule that no webhook was there to enforce, or that came with a newer operator. Nothing is changed until it is corrected.
	ReasonSpecInvalid = "SpecInvalid"
	// ReasonChangeHeld: a rule that looks at the living cluster forbids a change now; the message names the rule. It is carried out when the rule lets it.
	ReasonChangeHeld = "ChangeHeld"
	// ReasonVersionPending: the cluster runs another version than the spec asks for.
	ReasonVersionPending = "VersionPending"
	// ReasonUpgradeStopping: for an upgrade between versions that cannot run side by side, servers of the former version are being stopped.
	ReasonUpgradeStopping = "UpgradeStopping"
	// ReasonUpgradeSaving: for such an upgrade brokers and journal servers are stopped, and the metadata is being saved before anything else is.
	ReasonUpgradeSaving = "UpgradeSaving"
	// ReasonUpgradeStarting: for such an upgrade every server of the former version was stopped, and those of the new one start on the same volumes.
	ReasonUpgradeStarting = "UpgradeStarting"
	// ReasonUpgradeTakenBack: such an upgrade was given up before a server of the new version was started; the former version starts again (event).
	ReasonUpgradeTakenBack = "UpgradeTakenBack"
	// ReasonUpgraded: such an upgrade is over, every server runs the new version (event).
	ReasonUpgraded = "Upgraded"
	// ReasonSupported: spec.version is fully supported.
	ReasonSupported = "Supported"
	// ReasonLimitedVersion: parts of the operator were never tried with spec.version and are refused.
	ReasonLimitedVersion = "LimitedVersion"
	// ReasonIslandsOnly: brokers of spec.version cannot form a cluster.
	ReasonIslandsOnly = "IslandsOnly"
	// ReasonUnknownVersion: spec.version is newer than any that was tried.
	ReasonUnknownVersion = "UnknownVersion"
	// ReasonPaused: spec.paused is true.
	ReasonPaused = "Paused"
	// ReasonHibernating: spec.hibernated is true, and pods are still stopping.
	ReasonHibernating = "Hibernating"
	// ReasonHibernated: spec.hibernated is true; no pod runs, and the volumes are kept.
	ReasonHibernated = "Hibernated"
	// ReasonNotPaused: spec.paused is false.
	ReasonNotPaused = "NotPaused"

	// Objects.

	// ReasonApplyFailed: the API server refused an object that the operator wanted to write.
	ReasonApplyFailed = "ApplyFailed"
	// ReasonNameTaken: an object of a name that the cluster needs exists and belongs to somebody else.
	ReasonNameTaken = "NameTaken"

	// Monitoring.

	// ReasonMonitored: the ServiceMonitor, the PrometheusRule and the dashboards are as they are wanted.
	ReasonMonitored = "Monitored"
	// ReasonKindsMissing: this Kubernetes has no ServiceMonitors or PrometheusRules. They are made as soon as it has.
	ReasonKindsMissing = "KindsMissing"
	// ReasonMonitoringForbidden: the operator may not read or write the objects of monitoring.
	ReasonMonitoringForbidden = "MonitoringForbidden"

	// Backups: what came of a Job, as package backup/job has it. Success first.

	// ReasonBackupComplete: the backup can be restored.
	ReasonBackupComplete = "BackupComplete"
	// ReasonDestinationWritable: a small object was written, read, listed and deleted with the credentials that backups have.
	ReasonDestinationWritable = "DestinationWritable"
	// ReasonBackupsCollected: what no retention keeps was deleted, with what no backup needs (event).
	ReasonBackupsCollected = "BackupsCollected"
	// ReasonBackupDeleted: the backup is gone from the bucket.
	ReasonBackupDeleted = "BackupDeleted"
	// ReasonBackupVerified: the bucket has what the manifest says.
	ReasonBackupVerified = "BackupVerified"
	// ReasonBackupFound: the backup that shall be restored was chosen, and can be read.
	ReasonBackupFound = "BackupFound"
	// ReasonBackupPlaced: every member has all of the backup, verified, beside what it had.
	ReasonBackupPlaced = "BackupPlaced"

	// ReasonAccessDenied: the credentials are good, an operation is not allowed.
	ReasonAccessDenied = "AccessDenied"
	// ReasonCredentialsInvalid: there are no credentials, or the store does not take them.
	ReasonCredentialsInvalid = "CredentialsInvalid"
	// ReasonCredentialsExpired: the credentials were good once.
	ReasonCredentialsExpired = "CredentialsExpired"
	// ReasonWrongRegion: the bucket is in another region.
	ReasonWrongRegion = "WrongRegion"
	// ReasonBucketMissing: there is no such bucket.
	ReasonBucketMissing = "BucketMissing"
	// ReasonClockSkew: the clocks of node and store are too far apart.
	ReasonClockSkew = "ClockSkew"
	// ReasonCertificateInvalid: the endpoint's certificate is not to be trusted.
	ReasonCertificateInvalid = "CertificateInvalid"
	// ReasonBucketFull: the store has no space, or no quota.
	ReasonBucketFull = "BucketFull"
	// ReasonStoreUnavailable: the store was not reached, or gave no answer, several times.
	ReasonStoreUnavailable = "StoreUnavailable"
	// ReasonStoreMisbehaved: what was read is not what was written, or an answer is not known.
	ReasonStoreMisbehaved = "StoreMisbehaved"
	// ReasonDestinationInvalid: settings that make no sense to the store.
	ReasonDestinationInvalid = "DestinationInvalid"
	// ReasonForeignOwner: the place belongs to another cluster.
	ReasonForeignOwner = "ForeignOwner"
	// ReasonBusy: someone else is at work, in the bucket or at the agent.
	ReasonBusy = "Busy"
	// ReasonAgentLost: the agent that the backup was copied from, or to, went away.
	ReasonAgentLost = "AgentLost"
	// ReasonAgentRefused: the agent does not take the Job's certificate, or does not know the call.
	ReasonAgentRefused = "AgentRefused"
	// ReasonImageFailed: the agent could not take the image, or what it sent is not what it announced.
	ReasonImageFailed = "ImageFailed"
	// ReasonPlacementRefused: a member does not take the backup of a restore in, or says that it received something else than was sent.
	ReasonPlacementRefused = "PlacementRefused"
	// ReasonNoSpace: the member's volume has no room for an image.
	ReasonNoSpace = "NoSpace"
	// ReasonBackupMissing: there is no such backup in the bucket.
	ReasonBackupMissing = "BackupMissing"
	// ReasonBackupBroken: the bucket has not what the manifest says.
	ReasonBackupBroken = "BackupBroken"
	// ReasonEncryptionInvalid: recipients or identities that cannot be used.
	ReasonEncryptionInvalid = "EncryptionInvalid"
	// ReasonDeadline: nothing moved for too long.
	ReasonDeadline = "Deadline"
	// ReasonInterrupted: the Job was told to end.
	ReasonInterrupted = "Interrupted"
	// ReasonRequestInvalid: the operator's request, or the Job's pod, is not what it should be.
	ReasonRequestInvalid = "RequestInvalid"
	// ReasonCrashed: the Job ended without a result.
	ReasonCrashed = "Crashed"

	// Backups: what a Job could not say by itself.

	// ReasonOOMKilled: the Job's program was killed for the memory that it took.
	ReasonOOMKilled = "OOMKilled"
	// ReasonEvicted: the Job's pod was removed from its node.
	ReasonEvicted = "Evicted"
	// ReasonJobDeadline: the Job was active for longer than a Job may be.
	ReasonJobDeadline = "JobDeadlineExceeded"
	// ReasonPodLost: the Job's pod is gone, or on a node that is gone, and its result with it.
	ReasonPodLost = "PodLost"
	// ReasonJobLost: the Job was removed by somebody else before its result was seen.
	ReasonJobLost = "JobLost"

	// Backups: what one waits for, and how far it is.

	// ReasonWaitingForCluster: the cluster that shall be saved does not exist, was not founded yet, or is being deleted.
	ReasonWaitingForCluster = "WaitingForCluster"
	// ReasonNoDestination: the cluster does not say where its backups go.
	ReasonNoDestination = "NoDestination"
	// ReasonWaitingForTurn: another backup of the cluster, or a Job at work in its part of the bucket, goes first.
	ReasonWaitingForTurn = "WaitingForTurn"
	// ReasonRestoreRunning: a restore of the cluster is under way.
	ReasonRestoreRunning = "RestoreRunning"
	// ReasonMembershipChanging: the placement centre's membership is changing, or its members do not agree on it.
	ReasonMembershipChanging = "MembershipChanging"
	// ReasonWaitingForMember: no member can be saved from yet.
	ReasonWaitingForMember = "WaitingForMember"
	// ReasonBackupStarted: the Job of a backup was made, and copies from the named member.
	ReasonBackupStarted = "BackupStarted"
	// ReasonBackupUploading: the image goes to the bucket.
	ReasonBackupUploading = "BackupUploading"
	// ReasonBackupVerifying: the backup is read back.
	ReasonBackupVerifying = "BackupVerifying"
	// ReasonClusterDeleted: the cluster was deleted while it was being saved.
	ReasonClusterDeleted = "ClusterDeleted"
	// ReasonDeletingBackup: the backup is being removed from the bucket, with its object (event).
	ReasonDeletingBackup = "DeletingBackup"
	// ReasonBackupLeft: the object was deleted, and what it stood for is still in the bucket (event).
	ReasonBackupLeft = "BackupLeft"

	// Backups: the plan of a cluster.

	// ReasonProbing: the destination is new, or has changed, and is being tried.
	ReasonProbing = "Probing"
	// ReasonBackupScheduled: a schedule made a backup (event).
	ReasonBackupScheduled = "BackupScheduled"
	// ReasonTicksMissed: ticks of a schedule passed unseen; one backup stands for them (event).
	ReasonTicksMissed = "TicksMissed"
	// ReasonCollectionFailed: what no retention keeps could not be deleted (event).
	ReasonCollectionFailed = "CollectionFailed"

	// Restores: how far one is, and what came of it.

	// ReasonRestoring: the placement centre is stopped and gets the metadata of a backup.
	ReasonRestoring = "Restoring"
	// ReasonRestoreComplete: the cluster has what the backup held.
	ReasonRestoreComplete = "RestoreComplete"
	// ReasonRestoreRefused: the backup does not fit the cluster, or cannot be read whole; nothing was stopped.
	ReasonRestoreRefused = "RestoreRefused"
	// ReasonRestoreValidating: the source is looked at.
	ReasonRestoreValidating = "RestoreValidating"
	// ReasonRestoreSaving: the safety backup is made.
	ReasonRestoreSaving = "RestoreSaving"
	// ReasonSafetyBackupFailed: the cluster could not be saved before it would have been overwritten; nothing was stopped.
	ReasonSafetyBackupFailed = "SafetyBackupFailed"
	// ReasonRestoreVerified: leaders, positions, keys and counts of the members agree with the backup's manifest.
	ReasonRestoreVerified = "RestoreVerified"
	// ReasonMembersDisagree: the members do not hold the same after a restore, or not what the manifest says.
	ReasonMembersDisagree = "MembersDisagree"
	// ReasonRestoreAborting: the members go back to what they had.
	ReasonRestoreAborting = "RestoreAborting"
	// ReasonRestoreAborted: the restore was taken back, and the cluster has what it had.
	ReasonRestoreAborted = "RestoreAborted"
	// ReasonRestoreLeft: the object was deleted while members could not be asked, and they may still hold what it gave them (event).
	ReasonRestoreLeft = "RestoreLeft"
	// ReasonCopyLeft: a restore after a total loss found a volume that still holds data; nothing was overwritten.
	ReasonCopyLeft = "CopyLeft"
	// ReasonAutoRestore: every copy of the metadata was lost, and a restore of the newest good backup was begun (event).
	ReasonAutoRestore = "AutoRestore"
	// ReasonStartedEmpty: a cluster that lost everything was founded once more, empty, because its annotation said so (event).
	ReasonStartedEmpty = "StartedEmpty"

	// Events alone: what the operator did, and what it saw change.

	// ReasonJoining: a member was told to join the placement centre.
	ReasonJoining = "Joining"
	// ReasonVolumeAdopted: a retained volume was taken over.
	ReasonVolumeAdopted = "VolumeAdopted"
	// ReasonServerReleased: the gate of a server was opened.
	ReasonServerReleased = "ServerReleased"
	// ReasonJoinFinished: a join that had stopped half way was finished.
	ReasonJoinFinished = "JoinFinished"
	// ReasonJoinRolledBack: a join that had stopped half way was undone.
	ReasonJoinRolledBack = "JoinRolledBack"
	// ReasonServerStopped: a server was stopped because it harmed the others.
	ReasonServerStopped = "ServerStopped"
	// ReasonServerRestarted: a server was restarted in place, because its configuration changed or (as a warning) because it did not recover by itself.
	ReasonServerRestarted = "ServerRestarted"
	// ReasonLeadershipMoved: the leadership of raft groups was moved to another member; the message says for how long nobody led.
	ReasonLeadershipMoved = "LeadershipMoved"
	// ReasonTransferEnded: a transfer of leadership that an operator left half done was brought to its end.
	ReasonTransferEnded = "TransferEnded"
	// ReasonPodReplaced: a pod was made anew from a changed template.
	ReasonPodReplaced = "PodReplaced"
	// ReasonImageChanged: a pod was given another image of its server, and stays.
	ReasonImageChanged = "ImageChanged"
	// ReasonPodForceDeleted: a pod whose Kubernetes node is proven dead, or whose server its agent has stopped for good there, was removed so that it is made anew elsewhere; the message has the proof.
	ReasonPodForceDeleted = "PodForceDeleted"
	// ReasonVolumeRenewed: a volume that was on a Kubernetes node which no longer exists was given up, and the pod gets a new one.
	ReasonVolumeRenewed = "VolumeRenewed"
	// ReasonVolumeWiped: what a rogue start had left on a volume was removed.
	ReasonVolumeWiped = "VolumeWiped"
	// ReasonStepFailed: an order was refused or not answered. It is tried again when it is still needed.
	ReasonStepFailed = "StepFailed"
	// ReasonRecovered: a trouble is over; the message says what it was and how long it lasted.
	ReasonRecovered = "Recovered"
	// ReasonOutOfService: a node that was in service is so no longer.
	ReasonOutOfService = "OutOfService"
	// ReasonReady: everything is in service.
	ReasonReady = "Ready"
	// ReasonNotReady: something is no longer in service; the message says what.
	ReasonNotReady = "NotReady"
)
