package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MonitoringSpec asks for a ServiceMonitor, alerts and dashboards. They are made where the kinds of the Prometheus operator exist, and as soon as they do; the condition MonitoringAvailable says what is missing.
type MonitoringSpec struct {
	// enabled makes a ServiceMonitor for the servers and their agents, and what is asked for below. Default: true.
	// +optional
	// +kubebuilder:default=true
	Enabled *bool `json:"enabled,omitempty"`
	// interval between two scrapes, 5s to 1h. Example: 15s. Default: 30s.
	// +optional
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]{1,2}h)?([0-9]{1,4}m)?([0-9]{1,5}s)?$`
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('5s') && duration(self) <= duration('1h')",message="monitoring.interval must be from 5s to 1h: write one such as 30s"
	Interval *metav1.Duration `json:"interval,omitempty"`
	// labels of the ServiceMonitor and the PrometheusRule, by which Prometheus finds them. Example: {release: kube-prometheus-stack}. Default: none.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Labels map[string]string `json:"labels,omitempty"`
	// perTopicMetrics keeps the metrics by topic, client and subscription; there are as many of them as of those. Default: false, they are dropped at the scrape.
	// +optional
	PerTopicMetrics bool `json:"perTopicMetrics,omitempty"`
	// dashboards keeps ConfigMaps with Grafana dashboards in the operator's namespace: one set, which shows every cluster, for as long as any cluster wants it. Default: true.
	// +optional
	// +kubebuilder:default=true
	Dashboards *bool `json:"dashboards,omitempty"`
	// rules makes a PrometheusRule with the alerts of this cluster. Default: true.
	// +optional
	// +kubebuilder:default=true
	Rules *bool `json:"rules,omitempty"`
}

// BackupSpec is the plan by which the metadata is saved to S3.
type BackupSpec struct {
	// destination is where backups go.
	// +required
	Destination S3Destination `json:"destination,omitzero"`
	// schedules by which backups are made. Example: [{name: hourly, cron: "0 * * * *"}]. Default: none, backups are made by hand.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Schedules []BackupSchedule `json:"schedules,omitempty"`
	// encryption of backups before they leave the pod. Default: none.
	// +optional
	Encryption *BackupEncryption `json:"encryption,omitempty"`
	// verification of a backup before it counts: Checksum reads it back and compares, Full also opens it and compares what is in it. Default: Checksum.
	// +optional
	// +kubebuilder:default=Checksum
	Verification VerificationMode `json:"verification,omitempty"`
	// verifyEvery reads the newest backup in the bucket whole, again and again, and compares it with its manifest, 1h to 9999h. Example: 168h. Default: none, backups are verified when they are made.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]{1,4}h)?([0-9]{1,4}m)?([0-9]{1,5}s)?$`
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1h')",message="backup.verifyEvery must be 1h or more, as the whole backup is read: write one such as 168h"
	VerifyEvery *metav1.Duration `json:"verifyEvery,omitempty"`
	// autoRestore says when the operator restores by itself: OnTotalLoss restores the newest good backup, once, when every volume of the placement centre is empty in a cluster that was founded; Disabled waits for a RobustMQRestore. Default: OnTotalLoss.
	// +optional
	// +kubebuilder:default=OnTotalLoss
	AutoRestore AutoRestoreMode `json:"autoRestore,omitempty"`
}

// VerificationMode is how a backup is checked before it counts.
//
// +kubebuilder:validation:Enum=Checksum;Full
type VerificationMode string

// The modes of verification.
const (
	VerificationChecksum VerificationMode = "Checksum"
	VerificationFull     VerificationMode = "Full"
)

// AutoRestoreMode is when the operator restores by itself.
//
// +kubebuilder:validation:Enum=OnTotalLoss;Disabled
type AutoRestoreMode string

// The modes of restoring by itself.
const (
	AutoRestoreOnTotalLoss AutoRestoreMode = "OnTotalLoss"
	AutoRestoreDisabled    AutoRestoreMode = "Disabled"
)

// S3Destination is a place in an S3 bucket.
//
// +kubebuilder:validation:XValidation:rule="!has(self.endpoint) || self.endpoint.matches('^https?://([[][0-9A-Fa-f:.]{2,45}[]]|[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?([.][A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*)(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?/?$')",fieldPath=".endpoint",messageExpression="'BackupDestination: destination.endpoint is \"' + (self.endpoint.contains('@') ? 'not shown' : self.endpoint) + '\": write scheme and host, and a port if needed, such as https://s3.example.com'",message="BackupDestination: destination.endpoint is scheme and host, such as https://s3.example.com"
type S3Destination struct {
	// bucket that exists. Example: robustmq-backups. One with dots in its name needs pathStyle, as no certificate covers it as part of a host name.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",messageExpression="'BackupDestination: destination.bucket is \"' + self + '\": a bucket has lower-case letters, digits and dashes, and single dots between such words, and each word begins and ends with a letter or digit; write such a name, without s3:// and path'",message="BackupDestination: destination.bucket has lower-case letters, digits and dashes, and single dots between such words"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^([0-9]{1,3}[.]){3}[0-9]{1,3}$') && !self.matches('^(xn--|sthree-|amzn-s3-demo-)') && !self.matches('(-s3alias|--ol-s3|[.]mrap|--x-s3|--table-s3)$')",messageExpression="'BackupDestination: destination.bucket is \"' + self + '\": S3 has no bucket that looks like an IP address, begins with xn--, sthree- or amzn-s3-demo-, or ends with -s3alias, --ol-s3, .mrap, --x-s3 or --table-s3; write the name of a bucket of general purpose'",message="BackupDestination: destination.bucket has a form that S3 keeps for itself: write the name of a bucket of general purpose"
	Bucket string `json:"bucket,omitempty"`
	// prefix of all object names, without leading or trailing slash. Example: production/eu. Default: none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9!_.*()-]+(/[A-Za-z0-9!_.*()-]+)*$') && !self.split('/').exists(s, s == '.' || s == '..')",messageExpression="'BackupDestination: destination.prefix is \"' + self + '\": write names of letters, digits and !_.*()- with single slashes between them, such as production/eu'",message="BackupDestination: destination.prefix is names with single slashes between them, such as production/eu"
	Prefix string `json:"prefix,omitempty"`
	// endpoint of the S3 service. Example: https://s3.example.com. Default: Amazon's, of the region.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=280
	Endpoint string `json:"endpoint,omitempty"`
	// region of the bucket. Example: eu-central-1. Default: us-east-1, or what the workload's identity says.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Region string `json:"region,omitempty"`
	// pathStyle puts the bucket into the path instead of the host name, as MinIO wants it. Default: false.
	// +optional
	PathStyle bool `json:"pathStyle,omitempty"`
	// credentialsSecretName names a Secret of this namespace with the keys accessKey and secretKey, for temporary credentials also sessionToken, and, if the store shall encrypt with a key of yours that it does not keep (SSE-C), sseCustomerKey: 32 random bytes or those in base64; without that key nobody reads the backups. Example: s3-credentials. Default: none, the workload's identity is used.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	CredentialsSecretName string `json:"credentialsSecretName,omitempty"`
	// caSecretName names a Secret of this namespace with the key ca.crt: the authority of the endpoint's certificate. Example: s3-ca. Default: the public ones.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	CASecretName string `json:"caSecretName,omitempty"`
	// serverSideEncryption by the store, with keys that it keeps. Example: {mode: KMS, kmsKeyID: alias/backups}. Default: what the bucket is set to.
	// +optional
	ServerSideEncryption *ServerSideEncryption `json:"serverSideEncryption,omitempty"`
	// serviceAccountName that the backup and restore Jobs run under, for a workload identity. Example: robustmq-backup. Default: one without rights.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
}

// ServerSideEncryption is encryption by the store. It protects disks that are lost; whoever may read the bucket reads the backups all the same: see BackupEncryption.
//
// +kubebuilder:validation:XValidation:rule="!has(self.kmsKeyID) || self.mode == 'KMS'",fieldPath=".kmsKeyID",message="BackupDestination: serverSideEncryption.kmsKeyID names a key of the store's key management: write mode KMS with it, or leave it out"
type ServerSideEncryption struct {
	// mode is S3 (keys that the store manages by itself) or KMS (a key of its key management, which can be withdrawn). Example: S3.
	// +required
	Mode ServerSideEncryptionMode `json:"mode,omitempty"`
	// kmsKeyID names the key of mode KMS, by its ID, ARN or alias. Example: alias/backups. Default: the store's own for the bucket.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	KMSKeyID string `json:"kmsKeyID,omitempty"`
}

// ServerSideEncryptionMode is who keeps the keys of encryption by the store.
//
// +kubebuilder:validation:Enum=S3;KMS
type ServerSideEncryptionMode string

// The modes of encryption by the store.
const (
	ServerSideEncryptionS3  ServerSideEncryptionMode = "S3"
	ServerSideEncryptionKMS ServerSideEncryptionMode = "KMS"
)

// BackupSchedule is one cron line.
type BackupSchedule struct {
	// name of the schedule, part of its backups' names: <cluster>-<name>-<minute>. With the cluster's name it has at most 46 characters. Example: hourly.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",messageExpression="'ScheduleValid: schedule name \"' + self + '\" is part of object names: write lower-case letters, digits and dashes, beginning with a letter'",message="ScheduleValid: a schedule's name has lower-case letters, digits and dashes and begins with a letter"
	Name string `json:"name,omitempty"`
	// cron line of five fields (minute, hour, day of month, month, day of week), or @hourly, @daily, @weekly, @monthly, @yearly or @every with a duration of a minute or more. Example: "0 * * * *", every hour.
	// +required
	// +kubebuilder:validation:MinLength=6
	// +kubebuilder:validation:MaxLength=128
	Cron string `json:"cron,omitempty"`
	// timeZone of the cron line, by its name in the IANA database. Example: Europe/Berlin. Default: Etc/UTC.
	// +optional
	// +kubebuilder:default="Etc/UTC"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	TimeZone string `json:"timeZone,omitempty"`
	// suspend keeps backups from being made by this schedule. Default: false.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
	// retention says how long its backups are kept. Default: the last 7.
	// +optional
	// +kubebuilder:default={}
	Retention RetentionPolicy `json:"retention,omitzero"`
}

// RetentionPolicy keeps a backup while either holds; the last good one is always kept.
type RetentionPolicy struct {
	// keepLast backups are kept, 1 to 1000. Example: 24. Default: 7.
	// +optional
	// +kubebuilder:default=7
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	KeepLast *int32 `json:"keepLast,omitempty"`
	// maxAge keeps backups that are younger than this, in hours and minutes. Example: 720h. Default: none.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]{1,5}h)?([0-9]{1,5}m)?(0s)?$`
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s')",message="RetentionKeepsOne: retention.maxAge of nothing keeps nothing: write one such as 720h, or leave it out and keep by number with keepLast"
	MaxAge *metav1.Duration `json:"maxAge,omitempty"`
}

// BackupEncryption is encryption with age: recipients can be public, the identity is needed only to restore.
type BackupEncryption struct {
	// recipients that can read the backups. Example: ["age1..."].
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.all(r, r.startsWith('age1'))",message="backup.encryption.recipients begin with age1 (make one with age-keygen); an identity (AGE-SECRET-KEY) belongs into the Secret that identitySecretName names"
	Recipients []string `json:"recipients,omitempty"`
	// identitySecretName names a Secret of this namespace with the key identity, with which the operator restores by itself. Example: backup-identity. Default: none, restores must name one.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	IdentitySecretName string `json:"identitySecretName,omitempty"`
}

// BootstrapSpec says where a new cluster's metadata comes from.
type BootstrapSpec struct {
	// restoreFrom a backup, before the first member starts. Default: nothing.
	// +optional
	RestoreFrom *RestoreSource `json:"restoreFrom,omitempty"`
}

// RestoreSource names a backup: an object in the namespace, or a place in a bucket.
//
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule="has(self.backupName) != has(self.destination)",message="the source of a restore is one backup: write either backupName (a RobustMQBackup of this namespace) or destination (a place in a bucket)"
// +kubebuilder:validation:XValidation:rule="has(self.destination) || !(has(self.clusterUID) || has(self.key) || has(self.before))",message="clusterUID, key and before choose among the backups of a destination: write destination, or leave them out"
// +kubebuilder:validation:XValidation:rule="!(has(self.key) && has(self.before))",message="key and before are both given: key names one backup, before the newest one older than a time; leave one of them out"
type RestoreSource struct {
	// backupName of a RobustMQBackup in this namespace. Example: my-cluster-hourly-28812345.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	BackupName string `json:"backupName,omitempty"`
	// destination that holds the backup. Example: {bucket: robustmq-backups, prefix: production/eu}.
	// +optional
	Destination *S3Destination `json:"destination,omitempty"`
	// clusterUID of the cluster that was saved, when the destination holds those of several. Example: 0b6c6a2e-54b1-4d0c-a0a4-4c9a1c9f2f55. Default: the only one there is.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	ClusterUID string `json:"clusterUID,omitempty"`
	// key of one backup in the destination. Default: the newest good one.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Key string `json:"key,omitempty"`
	// before chooses the newest good backup that was taken before this time. Example: "2026-11-01T00:00:00Z". Default: the newest.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$`
	// +kubebuilder:validation:MaxLength=64
	Before *metav1.Time `json:"before,omitempty"`
}
