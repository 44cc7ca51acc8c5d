package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BackupPlanStatus is what became of spec.backup, and all that the operator remembers of it: between two ticks it does not move.
type BackupPlanStatus struct {
	// schedules have a row each.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Schedules []ScheduleStatus `json:"schedules,omitempty"`
	// lastSuccessTime is when a backup of the cluster became complete last, made by a schedule or by hand. Example: "2026-11-25T02:00:41Z".
	// +optional
	LastSuccessTime metav1.Time `json:"lastSuccessTime,omitempty,omitzero"`
	// lastFailure is the backup that failed last. It stays when later ones succeed: compare its time with lastSuccessTime.
	// +optional
	LastFailure BackupFailure `json:"lastFailure,omitempty,omitzero"`
	// storage is what the probe of the destination found: a small object is written, read, listed and deleted with the credentials that backups have. The condition StorageReady says it in words.
	// +optional
	Storage StorageStatus `json:"storage,omitempty,omitzero"`
	// collection is the last time that backups were deleted which no retention keeps, and with them what no backup needs.
	// +optional
	Collection CollectionStatus `json:"collection,omitempty,omitzero"`
	// verification is what the last one found that spec.backup.verifyEvery asked for. The condition BackupsVerified says it in words.
	// +optional
	Verification VerificationStatus `json:"verification,omitempty,omitzero"`
}

// ScheduleStatus is one schedule.
type ScheduleStatus struct {
	// name of the schedule.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=20
	Name string `json:"name,omitempty"`
	// line and time zone that this row speaks of. Example: 0 * * * * Etc/UTC.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	Line string `json:"line,omitempty"`
	// since is when the operator saw this line first, in a cluster that was founded: nothing is due before.
	// +optional
	Since metav1.Time `json:"since,omitempty,omitzero"`
	// lastScheduleTime is the newest tick that is dealt with: its backup was made, or it passed while the schedule was suspended.
	// +optional
	LastScheduleTime metav1.Time `json:"lastScheduleTime,omitempty,omitzero"`
	// lastSuccessTime is when a backup of the schedule became complete last.
	// +optional
	LastSuccessTime metav1.Time `json:"lastSuccessTime,omitempty,omitzero"`
	// nextScheduleTime is the next tick; none while the schedule or the cluster is paused.
	// +optional
	NextScheduleTime metav1.Time `json:"nextScheduleTime,omitempty,omitzero"`
	// lastBackup is the RobustMQBackup that was made last. Example: my-cluster-hourly-29660520.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=56
	LastBackup string `json:"lastBackup,omitempty"`
	// note says why a tick has to wait, or how many had passed unseen before the last backup; empty if all went as planned.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Note string `json:"note,omitempty"`
}

// BackupFailure is a backup that failed.
type BackupFailure struct {
	// backup is its name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Backup string `json:"backup,omitempty"`
	// time at which it failed.
	// +optional
	Time metav1.Time `json:"time,omitempty,omitzero"`
	// reason of its condition Complete. Example: AccessDenied.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`
	// message of its condition Complete.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// JobOutcome is how a Job of the plan ended last.
type JobOutcome struct {
	// time at which it ended.
	// +optional
	Time metav1.Time `json:"time,omitempty,omitzero"`
	// jobUID tells that Job from the next one, which has the same name: each is counted once.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	JobUID string `json:"jobUID,omitempty"`
	// reason for which it failed; empty if it did not. Example: CredentialsInvalid.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`
	// message says what failed and what to do; of a success, what is allowed and odd.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	Message string `json:"message,omitempty"`
	// failures in a row: the next attempt waits 1m after the first, twice as long after each further one, and 1h at most.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Failures int32 `json:"failures,omitempty"`
}

// StorageStatus is what the last probe of the destination found.
type StorageStatus struct {
	JobOutcome `json:",inline"`
	// fingerprint of the destination, its Secrets and its account as they were probed. Another one is probed at once. It is made of names and versions, not of what the Secrets hold.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Fingerprint string `json:"fingerprint,omitempty"`
}

// CollectionStatus is what the last collection did.
type CollectionStatus struct {
	JobOutcome `json:",inline"`
	// expiredBackups were deleted from the bucket.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ExpiredBackups int32 `json:"expiredBackups,omitempty"`
	// deletedObjects were tables and leftovers that no backup needs.
	// +optional
	// +kubebuilder:validation:Minimum=1
	DeletedObjects int64 `json:"deletedObjects,omitempty"`
	// freedBytes are what those had, without the backups themselves.
	// +optional
	// +kubebuilder:validation:Minimum=1
	FreedBytes int64 `json:"freedBytes,omitempty"`
}

// VerificationStatus is what the last verification found that verifyEvery asked for.
type VerificationStatus struct {
	JobOutcome `json:",inline"`
	// lastReadTime is when a backup was last read to its end, be it sound or broken; while none ever was, when that was first tried.
	// +optional
	LastReadTime metav1.Time `json:"lastReadTime,omitempty,omitzero"`
	// backup is the RobustMQBackup that was read.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Backup string `json:"backup,omitempty"`
	// damaged are the newest backups that were found to be broken, by their folders in the bucket: they do not count as good when others are deleted. Example: 20261125T020000Z-my-cluster-hourly-29660520.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	Damaged []string `json:"damaged,omitempty"`
}
