package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RobustMQCluster is one RobustMQ cluster: a placement centre (the raft quorum that holds the metadata), MQTT brokers and, if asked for, journal servers.
//
// The smallest one:
//
//	apiVersion: robustmq.io/v1alpha1
//	kind: RobustMQCluster
//	metadata: {name: my-cluster}
//	spec: {version: "0.4.11"}
//
// Its name has at most 35 characters: the names of its pods and their labels are made of it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.mqttBroker.replicas,statuspath=.status.mqttBroker.replicas,selectorpath=.status.mqttBroker.selector
// +kubebuilder:resource:path=robustmqclusters,singular=robustmqcluster,shortName=rmqc,categories={all,robustmq}
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="MQTT clients are served and everything that was asked for is there"
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.spec.version`,description="Version of RobustMQ that is wanted"
// +kubebuilder:printcolumn:name="Placement",type=string,JSONPath=`.status.placementCenter.summary`,description="Placement-centre members in service, of those wanted"
// +kubebuilder:printcolumn:name="Brokers",type=string,JSONPath=`.status.mqttBroker.summary`,description="MQTT brokers in service, of those wanted"
// +kubebuilder:printcolumn:name="Journal",type=string,JSONPath=`.status.journalServer.summary`,description="Journal servers in service, of those wanted"
// +kubebuilder:printcolumn:name="Leader",type=string,JSONPath=`.status.leader`,description="Pod that leads the metadata"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,description="Why it is ready, or why not",priority=1
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z]([-a-z0-9]{0,33}[a-z0-9])?$')",messageExpression="'NamesFit: metadata.name is ' + self.metadata.name + ': the names of Services, pods and labels are made of it, so it has at most 35 characters, lower-case letters, digits and dashes, begins with a letter and ends with a letter or digit; create the cluster under such a name'",message="NamesFit: metadata.name has at most 35 characters, lower-case letters, digits and dashes, begins with a letter and ends with a letter or digit"
// +kubebuilder:validation:XValidation:rule="self.spec.version == oldSelf.spec.version || [self.spec.version, has(oldSelf.status) && has(oldSelf.status.version) ? oldSelf.status.version : oldSelf.spec.version].exists(v, !v.matches('^[0-9]{1,5}[.][0-9]{1,5}[.][0-9]{1,5}(-.*)?$')) || [[self.spec.version, has(oldSelf.status) && has(oldSelf.status.version) ? oldSelf.status.version : oldSelf.spec.version].map(v, v.split('-')[0].split('.')).map(n, int(n[0]) * 10000000000 + int(n[1]) * 100000 + int(n[2]))].all(k, k[0] >= k[1])",fieldPath=".spec.version",messageExpression="'VersionForward: spec.version cannot go back to ' + self.spec.version + ' from ' + (has(oldSelf.status) && has(oldSelf.status.version) ? oldSelf.status.version : oldSelf.spec.version) + ': an older server does not read what a newer one wrote; keep the version, or make a new cluster of the older version from a backup'",message="VersionForward: spec.version cannot go back below what runs: keep it, or make a new cluster of the older version from a backup"
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 26 || !has(self.spec.backup) || !has(self.spec.backup.schedules) || self.spec.backup.schedules.all(s, self.metadata.name.size() + s.name.size() <= 46)",fieldPath=".spec.backup.schedules",message="ScheduleValid: the names of the cluster and of a schedule together have at most 46 characters, as the backups' names are made of both: shorten the schedule's name"
type RobustMQCluster struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is name, namespace, labels and annotations, as of every Kubernetes object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what you want.
	// +required
	Spec RobustMQClusterSpec `json:"spec,omitzero"`
	// status is what was seen. It is written by the operator alone.
	// +optional
	// +kubebuilder:default={conditions: {{type: "Ready", status: "Unknown", reason: "Pending", message: "Waiting for the operator", lastTransitionTime: "1970-01-01T00:00:00Z"}, {type: "QuorumHealthy", status: "Unknown", reason: "Pending", message: "Waiting for the operator", lastTransitionTime: "1970-01-01T00:00:00Z"}, {type: "Progressing", status: "Unknown", reason: "Pending", message: "Waiting for the operator", lastTransitionTime: "1970-01-01T00:00:00Z"}, {type: "Degraded", status: "Unknown", reason: "Pending", message: "Waiting for the operator", lastTransitionTime: "1970-01-01T00:00:00Z"}, {type: "ConfigApplied", status: "Unknown", reason: "Pending", message: "Waiting for the operator", lastTransitionTime: "1970-01-01T00:00:00Z"}, {type: "VersionSupported", status: "Unknown", reason: "Pending", message: "Waiting for the operator", lastTransitionTime: "1970-01-01T00:00:00Z"}, {type: "Paused", status: "Unknown", reason: "Pending", message: "Waiting for the operator", lastTransitionTime: "1970-01-01T00:00:00Z"}}}
	Status RobustMQClusterStatus `json:"status,omitzero"`
}

// RobustMQClusterList is a list of clusters.
//
// +kubebuilder:object:root=true
type RobustMQClusterList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RobustMQCluster `json:"items"`
}

// RobustMQClusterSpec is what the user wants.
//
// +kubebuilder:validation:XValidation:rule="self.placementCenter.replicas % 2 == 1 || self.placementCenter.replicas < 2 || self.placementCenter.replicas > 7 || (has(self.unsafe) && 'AllowEvenPlacementCenter' in self.unsafe)",fieldPath=".placementCenter.replicas",messageExpression="'PlacementCenterOdd: spec.placementCenter.replicas is ' + (self.placementCenter.replicas == 2 ? '2: an even number of members bears no more failures than one member less; write 1 or 3' : self.placementCenter.replicas == 4 ? '4: an even number of members bears no more failures than one member less; write 3 or 5' : '6: an even number of members bears no more failures than one member less; write 5 or 7') + ', or list AllowEvenPlacementCenter in spec.unsafe'",message="PlacementCenterOdd: spec.placementCenter.replicas is odd: write 1, 3, 5 or 7, or list AllowEvenPlacementCenter in spec.unsafe"
// +kubebuilder:validation:XValidation:rule="self.placementCenter.replicas >= oldSelf.placementCenter.replicas / 2 + 1 || (has(self.unsafe) && 'AllowShrinkBelowQuorum' in self.unsafe)",fieldPath=".placementCenter.replicas",messageExpression="'NoShrinkBelowQuorum: spec.placementCenter.replicas cannot go from ' + (oldSelf.placementCenter.replicas == 3 ? '3' : oldSelf.placementCenter.replicas == 4 ? '4' : oldSelf.placementCenter.replicas == 5 ? '5' : oldSelf.placementCenter.replicas == 6 ? '6' : '7') + ' to ' + (self.placementCenter.replicas == 1 ? '1' : self.placementCenter.replicas == 2 ? '2' : '3') + ' at once: fewer members than the quorum of the present size cannot agree on anything; write ' + (oldSelf.placementCenter.replicas > 5 ? '5' : '3') + ' or more, and go further once the cluster is Ready, or list AllowShrinkBelowQuorum in spec.unsafe'",message="NoShrinkBelowQuorum: spec.placementCenter.replicas cannot go below the quorum of the present size: go there in steps, waiting for Ready between them, or list AllowShrinkBelowQuorum in spec.unsafe"
// +kubebuilder:validation:XValidation:rule="has(self.journalServer) == has(oldSelf.journalServer)",fieldPath=".journalServer",messageExpression="'RoleLayoutFixed: spec.journalServer cannot be ' + (has(self.journalServer) ? 'added to' : 'taken from') + ' a cluster that exists: messages are stored where the first layout put them; ' + (has(self.journalServer) ? 'leave it out, or create a new cluster with it' : 'put it back, or create a new cluster without it')",message="RoleLayoutFixed: spec.journalServer cannot be added to or taken from a cluster that exists: undo that, or create a new cluster"
// +kubebuilder:validation:XValidation:rule="self.version == oldSelf.version || (has(self.unsafe) && 'AllowIncompatibleUpgrade' in self.unsafe) || [self.version, oldSelf.version].exists(v, !v.matches('^[0-9]{1,5}[.][0-9]{1,5}[.][0-9]{1,5}(-.*)?$')) || [self.version, oldSelf.version].map(v, v.split('-')[0].split('.')).map(n, int(n[0]) * 10000000000 + int(n[1]) * 100000 + int(n[2])).all(k, k >= 400009)",fieldPath=".version",messageExpression="'VersionHop: spec.version cannot go from ' + oldSelf.version + ' to ' + self.version + ': only 0.4.9 and later can read one another\\'s data and run side by side; keep ' + oldSelf.version + ', create a new cluster with ' + self.version + ', or list AllowIncompatibleUpgrade in spec.unsafe for an upgrade with everything stopped'",message="VersionHop: spec.version cannot go between versions that cannot read one another's data (those that can: 0.4.9 and later): keep it, create a new cluster, or list AllowIncompatibleUpgrade in spec.unsafe"
// +kubebuilder:validation:XValidation:rule="!has(self.backup) || !has(self.backup.destination.endpoint) || !self.backup.destination.endpoint.startsWith('http://') || (has(self.unsafe) && 'AllowInsecureS3' in self.unsafe)",fieldPath=".backup.destination.endpoint",messageExpression="'BackupDestination: spec.backup.destination.endpoint is ' + self.backup.destination.endpoint + ': backups and the credentials for them would cross the network in clear; write an https address, or list AllowInsecureS3 in spec.unsafe'",message="BackupDestination: spec.backup.destination.endpoint is an https address, or AllowInsecureS3 stands in spec.unsafe"
// +kubebuilder:validation:XValidation:rule="!has(self.bootstrap) || !has(self.bootstrap.restoreFrom) || !has(self.bootstrap.restoreFrom.destination) || !has(self.bootstrap.restoreFrom.destination.endpoint) || !self.bootstrap.restoreFrom.destination.endpoint.startsWith('http://') || (has(self.unsafe) && 'AllowInsecureS3' in self.unsafe)",fieldPath=".bootstrap.restoreFrom.destination.endpoint",messageExpression="'BackupDestination: spec.bootstrap.restoreFrom.destination.endpoint is ' + self.bootstrap.restoreFrom.destination.endpoint + ': backups and the credentials for them would cross the network in clear; write an https address, or list AllowInsecureS3 in spec.unsafe'",message="BackupDestination: spec.bootstrap.restoreFrom.destination.endpoint is an https address, or AllowInsecureS3 stands in spec.unsafe"
type RobustMQClusterSpec struct {
	// version of RobustMQ to run, three numbers without a leading v. Example: "0.4.11".
	// 0.4.9 and later are fully supported; 0.3.8 to 0.4.8 form a cluster that cannot be changed afterwards; 0.3.0 to 0.3.7 cannot cluster brokers:
	// each of them is then a single node of its own and only the first is served. The condition VersionSupported says what that means.
	// Raising it gives the pods the new image, one after another, the leader last: their containers are started again, the pods stay. Between versions that cannot run side by side it is refused, or with AllowIncompatibleUpgrade done with everything stopped.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^(0|[1-9][0-9]{0,4})[.](0|[1-9][0-9]{0,4})[.](0|[1-9][0-9]{0,4})(-(0|[1-9][0-9]{0,8}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)([.](0|[1-9][0-9]{0,8}|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?$')",messageExpression="'VersionKnown: spec.version is \"' + self + '\": a version is three numbers with dots between them, without a leading v; write one such as \"0.4.11\"'",message="VersionKnown: spec.version is three numbers with dots between them, without a leading v, such as \"0.4.11\""
	// +kubebuilder:validation:XValidation:rule="!self.matches('^(0[.][0-2][.]|0[.]3[.]0-)')",messageExpression="'VersionKnown: spec.version is \"' + self + '\": the first version that can be run is 0.3.0; write \"0.4.11\"'",message="VersionKnown: the first version that can be run is 0.3.0"
	Version string `json:"version,omitempty"`
	// image to run instead of the one that the operator knows for the version, with tag or digest. Example: "registry.example.com/robustmq:v0.4.11".
	// It must hold that version: configuration and formation follow spec.version. Default: the operator's own choice, usually ghcr.io/robustmq/robustmq:v<version>.
	// Changing it gives the pods the other image, one after another: their containers are started again, the pods stay.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Image string `json:"image,omitempty"`
	// imagePullPolicy of RobustMQ's image: Always, IfNotPresent or Never. Default: IfNotPresent. Changing it replaces the pods, one after another.
	// +optional
	// +kubebuilder:default=IfNotPresent
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`
	// imagePullSecrets name Secrets of this namespace with which images are pulled. Example: [{name: registry}]. Default: none. Changing them replaces the pods, one after another.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`

	// placementCenter is the raft quorum that holds the metadata: users, topics, sessions, who stores what. Default: 3 members of 10Gi.
	// +optional
	// +kubebuilder:default={}
	PlacementCenter PlacementCenterSpec `json:"placementCenter,omitzero"`
	// mqttBroker are the nodes that clients connect to. They store messages too. Default: 2 brokers of 10Gi.
	// +optional
	// +kubebuilder:default={}
	MQTTBroker MQTTBrokerSpec `json:"mqttBroker,omitzero"`
	// journalServer are nodes that only store messages, for more storage without more brokers. Default: none. It can only be chosen when the cluster is created.
	// +optional
	JournalServer *JournalServerSpec `json:"journalServer,omitempty"`

	// config holds settings of RobustMQ, by section and key of its server.toml, in the names of the newest version whatever version runs: the operator translates.
	// Top-level keys stand in the section "". Values are scalars or lists of scalars.
	// Example: {"mqtt_runtime.protocol": {max_packet_size: 1048576}, "cluster_limit": {max_connection_per_ip: 20000}}.
	// Keys that the operator sets itself (ids, addresses, ports, paths, credentials) are refused with the field that sets them.
	// Default: what RobustMQ has, except for a few values that lose messages. Servers are restarted in place, one after another, where a setting cannot be changed while they run.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Config Config `json:"config,omitempty"`

	// listeners says which protocols clients can reach, on which ports, through what kind of Service. Default: MQTT, MQTTS, WebSocket and WebSocket over TLS, inside the Kubernetes cluster.
	// +optional
	// +kubebuilder:default={}
	Listeners ListenersSpec `json:"listeners,omitzero"`
	// ingress serves MQTT over WebSocket, and the admin UI if asked for, through an Ingress. Default: none. No restart.
	// +optional
	Ingress *IngressSpec `json:"ingress,omitempty"`
	// tls says where the listeners' certificate comes from. Default: the operator makes one with a certificate authority of this cluster, never the one in RobustMQ's image, which is public and expired.
	// +optional
	// +kubebuilder:default={}
	TLS TLSSpec `json:"tls,omitzero"`
	// auth names the Secrets with the first users. Default: generated with random passwords, in <name>-admin and <name>-mqtt.
	// +optional
	// +kubebuilder:default={}
	Auth AuthSpec `json:"auth,omitzero"`
	// networkPolicy says who may reach the pods. RobustMQ's own calls between nodes have no authentication, so the default keeps everybody else out of them. No restart.
	// +optional
	// +kubebuilder:default={}
	NetworkPolicy NetworkPolicySpec `json:"networkPolicy,omitzero"`
	// monitoring for the Prometheus operator: made where its CRDs are installed. No restart.
	// +optional
	// +kubebuilder:default={}
	Monitoring MonitoringSpec `json:"monitoring,omitzero"`
	// backup of the metadata to S3. Default: none, which admission warns of. No restart.
	// +optional
	Backup *BackupSpec `json:"backup,omitempty"`
	// bootstrap says where the metadata of a new cluster comes from. Default: it starts empty. It is looked at once, when the cluster is founded, and never again.
	// +optional
	Bootstrap *BootstrapSpec `json:"bootstrap,omitempty"`

	// unsafe lists the rules that you take off, knowing what they guard: AllowEvenPlacementCenter, AllowIncompatibleUpgrade, AllowInsecureS3, AllowShrinkBelowQuorum.
	// Default: none. Platform teams can forbid them. No restart.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	Unsafe []UnsafeEscape `json:"unsafe,omitempty"`
	// paused keeps the operator from changing anything: it observes and reports, and writes nothing but the status; the servers run on. Default: false. No restart.
	// +optional
	Paused bool `json:"paused,omitempty"`
	// hibernated stops every pod, brokers first, and keeps the volumes; set back, the same cluster wakes on them. Nobody is served meanwhile, and nothing is backed up. Default: false.
	// +optional
	Hibernated bool `json:"hibernated,omitempty"`
	// volumeRetention says what becomes of the data volumes when this resource is deleted: Retain keeps them, and a cluster of the same name takes them up again; Delete removes them.
	// A node that is taken away leaves an empty volume behind, once nothing counts on it any more: it is kept or deleted likewise. Default: Retain. No restart.
	// +optional
	// +kubebuilder:default=Retain
	VolumeRetention VolumeRetention `json:"volumeRetention,omitempty"`
}

// UnsafeEscape names one rule that the user takes off, knowing what it guards.
//
// +kubebuilder:validation:Enum=AllowEvenPlacementCenter;AllowIncompatibleUpgrade;AllowInsecureS3;AllowShrinkBelowQuorum
type UnsafeEscape string

// The escapes.
const (
	// AllowEvenPlacementCenter takes off PlacementCenterOdd.
	AllowEvenPlacementCenter UnsafeEscape = "AllowEvenPlacementCenter"
	// AllowIncompatibleUpgrade takes off VersionHop, for an upgrade between versions that cannot run side by side: the images are pulled, brokers and journal servers are stopped, the metadata is
	// backed up to spec.backup.destination (without one nothing is stopped), every member is stopped, and the same volumes are started with the new version. There is no way back in place afterwards.
	AllowIncompatibleUpgrade UnsafeEscape = "AllowIncompatibleUpgrade"
	// AllowInsecureS3 takes off BackupDestination's demand for https.
	AllowInsecureS3 UnsafeEscape = "AllowInsecureS3"
	// AllowShrinkBelowQuorum takes off NoShrinkBelowQuorum. With it three members of the placement centre become one, with a pause of the metadata: keep it in the list until that is done.
	AllowShrinkBelowQuorum UnsafeEscape = "AllowShrinkBelowQuorum"
)

// VolumeRetention says what becomes of the volumes when the cluster is deleted.
//
// +kubebuilder:validation:Enum=Retain;Delete
type VolumeRetention string

// The ways of retention.
const (
	VolumesRetained VolumeRetention = "Retain"
	VolumesDeleted  VolumeRetention = "Delete"
)
