package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MonitoringSpec: schema and defaults now, behaviour with the monitoring work.
type MonitoringSpec struct {
	Enabled         *bool             `json:"enabled,omitempty"`  // default true: objects are made where the CRDs exist
	Interval        *metav1.Duration  `json:"interval,omitempty"` // default 30s
	Labels          map[string]string `json:"labels,omitempty"`
	PerTopicMetrics bool              `json:"perTopicMetrics,omitempty"`
	Dashboards      *bool             `json:"dashboards,omitempty"` // default true
	Rules           *bool             `json:"rules,omitempty"`      // default true
}

// BackupSpec: schema and defaults now, behaviour with the backup work.
type BackupSpec struct {
	Destination  S3Destination     `json:"destination"`
	Schedules    []BackupSchedule  `json:"schedules,omitempty"`
	Encryption   *BackupEncryption `json:"encryption,omitempty"`
	Verification VerificationMode  `json:"verification,omitempty"` // Checksum (default) | Full
	AutoRestore  AutoRestoreMode   `json:"autoRestore,omitempty"`  // OnTotalLoss (default) | Disabled
}

// VerificationMode is how a backup is checked before it counts.
type VerificationMode string

// AutoRestoreMode is when the operator restores by itself.
type AutoRestoreMode string

// S3Destination is a place in an S3 bucket.
type S3Destination struct {
	Bucket                string `json:"bucket"`
	Prefix                string `json:"prefix,omitempty"`
	Endpoint              string `json:"endpoint,omitempty"` // https://s3.example.com; empty = AWS of the region
	Region                string `json:"region,omitempty"`
	PathStyle             bool   `json:"pathStyle,omitempty"`
	CredentialsSecretName string `json:"credentialsSecretName,omitempty"` // keys accessKey, secretKey; empty = workload identity
	CASecretName          string `json:"caSecretName,omitempty"`          // key ca.crt
	ServiceAccountName    string `json:"serviceAccountName,omitempty"`
}

// BackupSchedule is one cron line.
type BackupSchedule struct {
	Name      string          `json:"name"`
	Cron      string          `json:"cron"`
	TimeZone  string          `json:"timeZone,omitempty"` // default Etc/UTC
	Suspend   bool            `json:"suspend,omitempty"`
	Retention RetentionPolicy `json:"retention,omitempty"`
}

// RetentionPolicy: a backup is kept while either holds; the last good one always.
type RetentionPolicy struct {
	KeepLast *int32           `json:"keepLast,omitempty"` // default 7
	MaxAge   *metav1.Duration `json:"maxAge,omitempty"`
}

// BackupEncryption: age recipients; the identity is needed only to restore.
type BackupEncryption struct {
	Recipients         []string `json:"recipients"`
	IdentitySecretName string   `json:"identitySecretName,omitempty"`
}

// BootstrapSpec: where a new cluster's metadata comes from.
type BootstrapSpec struct {
	RestoreFrom *RestoreSource `json:"restoreFrom,omitempty"`
}

// RestoreSource names a backup: an object in the namespace, or a place in a bucket.
type RestoreSource struct {
	BackupName  string         `json:"backupName,omitempty"`
	Destination *S3Destination `json:"destination,omitempty"`
	ClusterUID  string         `json:"clusterUID,omitempty"`
	Key         string         `json:"key,omitempty"`
	Before      *metav1.Time   `json:"before,omitempty"`
}

// UnsafeEscape names one rule that the user takes off, knowing what it guards.
// +kubebuilder:validation:Enum=AllowEvenPlacementCenter;AllowIncompatibleUpgrade;AllowInsecureS3;AllowShrinkBelowQuorum
type UnsafeEscape string

// VolumeRetention says what becomes of the volumes when the cluster is deleted.
// +kubebuilder:validation:Enum=Retain;Delete
type VolumeRetention string
