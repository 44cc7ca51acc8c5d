package v1alpha1

// Labels and annotations of the objects that the operator makes.
const (
	LabelCluster = "robustmq.io/cluster" // the RobustMQCluster's name
	LabelRole    = "app.kubernetes.io/component"
	LabelManaged = "app.kubernetes.io/managed-by"
	ManagedBy    = "robustmq-operator"
	// LabelNamed on the pod of a broker or journal server: "true" while the DNS shall know its name. It is taken off when the pod begins to be deleted.
	LabelNamed = "robustmq.io/named"
	// LabelSchedule on a RobustMQBackup: the schedule of spec.backup.schedules that made it.
	LabelSchedule = "robustmq.io/schedule"
	// LabelBackup on a Job and its pods: the RobustMQBackup that it works for.
	LabelBackup = "robustmq.io/backup"
	// LabelRestore on a Job and its pods, and on a safety backup: the RobustMQRestore that it works for.
	LabelRestore = "robustmq.io/restore"
	// LabelUpgrade on a RobustMQBackup: "true" on the one that is made before an upgrade with everything stopped.
	LabelUpgrade = "robustmq.io/upgrade"
	// LabelJob on a Job and its pods: what it does (take, probe, collect, delete, verify, inspect, restore).
	LabelJob = "robustmq.io/job"

	// AnnotationClusterUID on a PVC: the cluster whose data it holds.
	AnnotationClusterUID = "robustmq.io/cluster-uid"
	// AnnotationFounded on a PVC of the placement centre: "true" once the cluster was founded; it forbids founding again.
	AnnotationFounded = "robustmq.io/founded"
	// AnnotationGeneration on a PVC: the newest data generation it was given.
	AnnotationGeneration = "robustmq.io/generation"
	// AnnotationTemplate on a pod: a hash of what its server depends on in the template that it was made from.
	AnnotationTemplate = "robustmq.io/template"
	// AnnotationLooked on a pod that was made anew: when it was set, and then "twice"; setting it has the pod's kubelet look at it again.
	AnnotationLooked = "robustmq.io/looked"
	// AnnotationVersion on a pod: the version of RobustMQ in its server's image.
	AnnotationVersion = "robustmq.io/version"
	// AnnotationAdoptVolume on a RobustMQCluster: names a pod whose foreign volume may be taken over as it is.
	AnnotationAdoptVolume = "robustmq.io/adopt-volume"
	// AnnotationLeadOn on a RobustMQCluster: names the pod of the placement centre that shall lead, as long as it can.
	AnnotationLeadOn = "robustmq.io/lead-on"
	// AnnotationAwake on a StatefulSet that sleeps: how many pods it had, and will have when it wakes.
	AnnotationAwake = "robustmq.io/awake"
	// AnnotationDestination on the Job of a backup: spec.backup.destination of the cluster as it was then, as JSON, with the names of its Secrets.
	AnnotationDestination = "robustmq.io/destination"
	// AnnotationBackupUID on the Job that removes a backup from the bucket: the RobustMQBackup that it works for, which does not own it.
	AnnotationBackupUID = "robustmq.io/backup-uid"
	// FinalizerBackup on a RobustMQBackup with deletionPolicy Delete: it goes when the backup is gone from the bucket, or was given up.
	FinalizerBackup = "robustmq.io/backup"
	// AnnotationAbort on a RobustMQRestore: "true" takes a restore back that has not ended; the cluster gets what it had.
	AnnotationAbort = "robustmq.io/abort"
	// FinalizerRestore on a RobustMQRestore that is under way: one that is deleted is taken back first.
	FinalizerRestore = "robustmq.io/restore"
	// AnnotationStartEmpty on a RobustMQCluster that lost every copy of its metadata: status.generation as it is then. With it the cluster is founded once more, empty.
	AnnotationStartEmpty = "robustmq.io/start-empty"
	// AnnotationDeletionProtection on a RobustMQCluster: "true" refuses its deletion while the webhooks are there.
	AnnotationDeletionProtection = "robustmq.io/deletion-protection"
)

// Values of the role label.
const (
	ComponentPlacementCenter = "placement-center"
	ComponentMQTTBroker      = "mqtt-broker"
	ComponentJournalServer   = "journal-server"
	// ComponentBackup are Jobs, which belong to no role.
	ComponentBackup = "backup"
	// ComponentPull are Jobs that pull images before pods are replaced.
	ComponentPull = "image-pull"
)

// Ports of the server and its agent that no field of the API changes (RobustMQ's own defaults). No listener can have them.
const (
	PortGRPC         int32 = 1228
	PortEngine       int32 = 1778
	PortNATSWS       int32 = 4080
	PortNATSTLS      int32 = 4223
	PortNATSWSS      int32 = 4443
	PortAgent        int32 = 7443
	PortAgentPublic  int32 = 7480
	PortAgentMetrics int32 = 7481
	PortPrometheus   int32 = 9091 // before RobustMQ 0.4.1 only
)

// MaxNameLength of a cluster: the label controller-revision-hash of <name>-placement-center-<10 characters> has 63 at most.
const MaxNameLength = 35

// Limits of names: a Job's pods carry its name in a label, which has 63 characters at most.
const (
	// MaxBackupNameLength: its Job is <name>-backup.
	MaxBackupNameLength = 63 - len("-backup")
	// MaxRestoreNameLength: its safety backup is <name>-safety.
	MaxRestoreNameLength = MaxBackupNameLength - len("-safety")
	// MaxScheduledLength of the names of a cluster and one of its schedules together: their backups are <cluster>-<schedule>-<minute since 1970>, of which the last has eight digits until the year 2160.
	MaxScheduledLength = MaxBackupNameLength - len("--29660520")
)
