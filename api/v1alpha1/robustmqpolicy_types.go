package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RobustMQPolicy holds guard rails of a platform team: what every RobustMQCluster of the namespaces that it selects must have, and how strictly the operator's own rules are held there.
//
// The smallest one:
//
//	apiVersion: robustmq.io/v1alpha1
//	kind: RobustMQPolicy
//	metadata: {name: production}
//	spec:
//	  namespaceSelector: {matchLabels: {environment: production}}
//	  requirements: {minimumPlacementCenterReplicas: 3, backup: {maximumInterval: 24h}}
//
// It is asked when a cluster is created, changed or scaled, and a denial names it. Of several policies that select a namespace the strictest wins.
// What broke a requirement before and is left as it is, or comes nearer to it, is let through with a warning, so a new policy blocks no unrelated change.
// Clusters that exist are audited and never touched: the status says which of them do not comply.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=robustmqpolicies,singular=robustmqpolicy,scope=Cluster,shortName=rmqp,categories=robustmq
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="Everything that the policy says is in force"
// +kubebuilder:printcolumn:name="Compliant",type=string,JSONPath=`.status.conditions[?(@.type=="Compliant")].status`,description="Every cluster that it selects has what it asks for"
// +kubebuilder:printcolumn:name="Clusters",type=integer,JSONPath=`.status.counts.clusters`,description="Clusters in the namespaces that it selects"
// +kubebuilder:printcolumn:name="Violations",type=integer,JSONPath=`.status.counts.violations`,description="What those clusters have against them, whatever follows from it"
// +kubebuilder:printcolumn:name="Denied",type=integer,JSONPath=`.status.counts.deny`,description="Violations that would be refused if the cluster were created now"
// +kubebuilder:printcolumn:name="Audited",type=integer,JSONPath=`.status.counts.audit`,description="Violations that are counted and nothing else"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Changed",type=date,JSONPath=`.status.lastChangeTime`,description="When an audit last found something else than the one before",priority=1
type RobustMQPolicy struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is name, labels and annotations, as of every Kubernetes object. Denials repeat the name.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the platform team wants.
	// +required
	Spec RobustMQPolicySpec `json:"spec,omitzero"`
	// status is what the last audit found. It is written by the operator alone.
	// +optional
	// +kubebuilder:default={conditions: {{type: "Ready", status: "Unknown", reason: "Pending", message: "Waiting for the operator", lastTransitionTime: "1970-01-01T00:00:00Z"}, {type: "Compliant", status: "Unknown", reason: "Pending", message: "Waiting for the operator", lastTransitionTime: "1970-01-01T00:00:00Z"}}}
	Status RobustMQPolicyStatus `json:"status,omitzero"`
}

// RobustMQPolicyList is a list of policies.
//
// +kubebuilder:object:root=true
type RobustMQPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RobustMQPolicy `json:"items"`
}

// RobustMQPolicySpec is what a platform team wants of the clusters of some namespaces.
type RobustMQPolicySpec struct {
	// namespaceSelector chooses namespaces by their labels. Example: {matchLabels: {environment: production}}. Default: every namespace.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
	// rules say what follows where one of the named rules is broken: the operator's own (docs/policies.md lists them) and the requirements below, whose names begin with Policy.
	// A rule that denies by itself stays so. One that only warns can be made to deny, or be lowered.
	// Example: [{name: BackupAdvised, action: Deny}, {name: PolicyImageRegistries, action: Audit}]. Default: none; requirements deny.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Rules []PolicyRule `json:"rules,omitempty"`
	// requirements are what every cluster must have, beyond the operator's own rules. Default: none.
	// +optional
	Requirements PolicyRequirements `json:"requirements,omitzero"`
}

// PolicyRule says what follows where a rule is broken.
//
// +kubebuilder:validation:XValidation:rule="self.action == 'Deny' || self.name.startsWith('Policy') || self.name in ['AccessAdvised', 'BackupAdvised', 'EscapesNamed', 'VersionCapabilities']",fieldPath=".action",messageExpression="'rules: ' + self.name + ' denies by itself, and no policy can lower it to ' + self.action + ': leave the rule out; those that can be lowered are AccessAdvised, BackupAdvised, EscapesNamed, VersionCapabilities and the requirements of this policy, whose names begin with Policy'",message="rules: what denies by itself cannot be lowered: leave the rule out"
type PolicyRule struct {
	// name of the rule. Example: BackupAdvised.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Z][A-Za-z0-9]*$')",messageExpression="'rules: \"' + self + '\" is no name of a rule: write one such as BackupAdvised'",message="rules: a rule's name is one word such as BackupAdvised"
	Name string `json:"name,omitempty"`
	// action that follows: Deny refuses, Warn lets through and says so, Audit only counts it in this policy's status and metric, Off ignores it. Default: Deny.
	// +optional
	// +kubebuilder:default=Deny
	Action PolicyAction `json:"action,omitempty"`
}

// PolicyAction is what follows where a rule is broken.
//
// +kubebuilder:validation:Enum=Deny;Warn;Audit;Off
type PolicyAction string

// The actions, strictest first.
const (
	// PolicyDeny refuses the change.
	PolicyDeny PolicyAction = "Deny"
	// PolicyWarn lets it through with a warning.
	PolicyWarn PolicyAction = "Warn"
	// PolicyAudit lets it through in silence, and counts it.
	PolicyAudit PolicyAction = "Audit"
	// PolicyOff is as if there were no rule.
	PolicyOff PolicyAction = "Off"
)

// PolicyRequirements are what every cluster must have. Each is a rule of its own, named after it; what is left out requires nothing.
//
// +kubebuilder:validation:XValidation:rule="!has(self.allowDefaultStorageClass) || has(self.storageClasses)",fieldPath=".allowDefaultStorageClass",message="requirements.allowDefaultStorageClass adds to storageClasses: list them, or leave it out"
// +kubebuilder:validation:XValidation:rule="!has(self.minimumPlacementCenterReplicas) || !has(self.maximum) || !has(self.maximum.placementCenterReplicas) || self.minimumPlacementCenterReplicas <= self.maximum.placementCenterReplicas",fieldPath=".maximum.placementCenterReplicas",message="requirements.maximum.placementCenterReplicas is less than minimumPlacementCenterReplicas, so no cluster could have both: raise the one or lower the other"
type PolicyRequirements struct {
	// minimumPlacementCenterReplicas is the fewest members that a placement centre may have, 1 to 7: 3 bear the loss of one, 5 of two. Example: 3. Default: the operator's own bounds.
	// Rule: PolicyMinimumMembers.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=7
	MinimumPlacementCenterReplicas *int32 `json:"minimumPlacementCenterReplicas,omitempty"`
	// backup asks for a plan by which the metadata is saved. Example: {maximumInterval: 24h}. Default: none is needed.
	// +optional
	Backup *BackupRequirement `json:"backup,omitempty"`
	// tls asks for encryption between clients and brokers. Example: {required: true}. Default: not needed.
	// +optional
	TLS *TLSRequirement `json:"tls,omitempty"`
	// versions of RobustMQ that may run: exact ones ("0.4.11"), all of a line ("0.4.x") or ranges (">=0.4.9 <0.5.0"; a space means and, || means or). One of them has to fit.
	// A pre-release fits only where it is written out in full. Example: ["0.4.11", ">=0.4.13 <0.5.0"]. Default: every version that the operator can run.
	// Rule: PolicyVersions.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.all(v, v.matches('^((0|[1-9][0-9]{0,4})[.](0|[1-9][0-9]{0,4})[.](0|[1-9][0-9]{0,4})-(0|[1-9][0-9]{0,8}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)([.](0|[1-9][0-9]{0,8}|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*|((>=|<=|>|<|=)?(0|[1-9][0-9]{0,4})[.]((0|[1-9][0-9]{0,4})[.]((0|[1-9][0-9]{0,4})|x)|x)|!=(0|[1-9][0-9]{0,4})[.](0|[1-9][0-9]{0,4})[.](0|[1-9][0-9]{0,4}))(( [|][|])? ((>=|<=|>|<|=)?(0|[1-9][0-9]{0,4})[.]((0|[1-9][0-9]{0,4})[.]((0|[1-9][0-9]{0,4})|x)|x)|!=(0|[1-9][0-9]{0,4})[.](0|[1-9][0-9]{0,4})[.](0|[1-9][0-9]{0,4})))*)$'))",messageExpression="'requirements.versions has \"' + self.filter(v, !v.matches('^((0|[1-9][0-9]{0,4})[.](0|[1-9][0-9]{0,4})[.](0|[1-9][0-9]{0,4})-(0|[1-9][0-9]{0,8}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)([.](0|[1-9][0-9]{0,8}|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*|((>=|<=|>|<|=)?(0|[1-9][0-9]{0,4})[.]((0|[1-9][0-9]{0,4})[.]((0|[1-9][0-9]{0,4})|x)|x)|!=(0|[1-9][0-9]{0,4})[.](0|[1-9][0-9]{0,4})[.](0|[1-9][0-9]{0,4}))(( [|][|])? ((>=|<=|>|<|=)?(0|[1-9][0-9]{0,4})[.]((0|[1-9][0-9]{0,4})[.]((0|[1-9][0-9]{0,4})|x)|x)|!=(0|[1-9][0-9]{0,4})[.](0|[1-9][0-9]{0,4})[.](0|[1-9][0-9]{0,4})))*)$'))[0] + '\", which is no version and no range of versions: write \"0.4.11\", \"0.4.x\" or \">=0.4.9 <0.5.0\"'",message="requirements.versions are versions or ranges of versions: \"0.4.11\", \"0.4.x\" or \">=0.4.9 <0.5.0\""
	Versions []string `json:"versions,omitempty"`
	// imageRegistries from which RobustMQ's image may come: a registry, or a path in one that stands for everything below it. The image that the operator chooses, where a cluster names none, is held to it too.
	// Images without a registry are docker.io's. Example: ["registry.example.com/messaging", "ghcr.io/robustmq"]. Default: any.
	// Rule: PolicyImageRegistries.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.all(r, r.matches('^(localhost|[a-z0-9-]+([.][a-z0-9-]+)+|[a-z0-9-]+([.][a-z0-9-]+)*:[0-9]{1,5})(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$'))",messageExpression="'requirements.imageRegistries has \"' + self.filter(r, !r.matches('^(localhost|[a-z0-9-]+([.][a-z0-9-]+)+|[a-z0-9-]+([.][a-z0-9-]+)*:[0-9]{1,5})(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$'))[0] + '\": write a registry, and a path if you like, such as registry.example.com/messaging, without scheme, tag or slash at the end'",message="requirements.imageRegistries are registries, with a path if you like, such as registry.example.com/messaging"
	ImageRegistries []string `json:"imageRegistries,omitempty"`
	// storageClasses that volumes may have; a cluster has to name one of them for each role. Example: ["fast-ssd"]. Default: any.
	// Rule: PolicyStorageClasses.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	StorageClasses []string `json:"storageClasses,omitempty"`
	// allowDefaultStorageClass lets clusters leave the class out as well, which takes the Kubernetes cluster's default. Default: false, as the default can change and be none of those listed.
	// +optional
	AllowDefaultStorageClass bool `json:"allowDefaultStorageClass,omitempty"`
	// maximum is the most that a cluster may ask for. Default: the operator's own bounds.
	// +optional
	Maximum *MaximumRequirement `json:"maximum,omitempty"`
	// allowedEscapes are the names that spec.unsafe of a cluster, or of a restore that somebody makes, may hold. Example: [AllowInsecureS3]. Default: all of them; an empty list allows none.
	// Rule: PolicyEscapes.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	AllowedEscapes []AllowedEscape `json:"allowedEscapes,omitzero"`
}

// AllowedEscape is an escape of a RobustMQCluster (UnsafeEscape) or of a RobustMQRestore (RestoreEscape).
//
// +kubebuilder:validation:Enum=AllowEvenPlacementCenter;AllowFewerNodes;AllowIncompatibleUpgrade;AllowInsecureS3;AllowShrinkBelowQuorum;SkipSafetyBackup
type AllowedEscape string

// BackupRequirement asks for a plan by which the metadata is saved.
//
// +kubebuilder:validation:XValidation:rule="self.required || has(self.maximumInterval)",message="requirements.backup asks for nothing: set maximumInterval, or leave it out"
type BackupRequirement struct {
	// required asks for spec.backup with at least one schedule that is not suspended. False: only clusters that have one are held to maximumInterval. Default: true.
	// Rule: PolicyBackupRequired.
	// +optional
	// +kubebuilder:default=true
	Required *bool `json:"required,omitempty"`
	// maximumInterval is the longest time between two backups that the schedules may leave, 1m to 8784h (a year), by the clock of their time zone: the hours that summer time adds or takes do not count.
	// Schedules of one time zone are looked at together. Example: 24h. Default: none.
	// Rule: PolicyBackupInterval.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]{1,4}h)?([0-9]{1,6}m)?$`
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1m') && duration(self) <= duration('8784h')",message="requirements.backup.maximumInterval must be from 1m to 8784h: write one such as 24h"
	MaximumInterval *metav1.Duration `json:"maximumInterval,omitempty"`
}

// TLSRequirement asks for encryption between clients and brokers.
type TLSRequirement struct {
	// required forbids every listener that clients could reach without TLS (mqtt, ws, kafka, amqp, nats and admin must be disabled), also inside the Kubernetes cluster, and an Ingress without a certificate.
	// mqtts, wss and quic are left; their certificate is what spec.tls of the cluster says, the operator's own if it says nothing. Default: true.
	// Rule: PolicyTLSRequired.
	// +optional
	// +kubebuilder:default=true
	Required *bool `json:"required,omitempty"`
}

// MaximumRequirement is the most that a cluster may ask for.
//
// +kubebuilder:validation:MinProperties=1
type MaximumRequirement struct {
	// placementCenterReplicas is the most members that a placement centre may have, 1 to 7. Example: 5. Default: 7. Rule: PolicyMaximumMembers.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=7
	PlacementCenterReplicas *int32 `json:"placementCenterReplicas,omitempty"`
	// brokers is the most brokers, 1 to 1000. Autoscalers and `kubectl scale` are held to it too. Example: 20. Default: 1000. Rule: PolicyMaximumBrokers.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Brokers *int32 `json:"brokers,omitempty"`
	// journalServers is the most journal servers, 0 to 1000; 0 allows none. Example: 9. Default: 1000. Rule: PolicyMaximumJournalServers.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	JournalServers *int32 `json:"journalServers,omitempty"`
	// storage is the largest size of a volume. Example: 500Gi. Default: none. Rule: PolicyMaximumStorage.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!string(self).matches('[eE]') && quantity(string(self)).isGreaterThan(quantity('0'))",messageExpression="'requirements.maximum.storage is ' + string(self) + ': a size is a quantity above zero, without an exponent; write one such as 500Gi'",message="requirements.maximum.storage is a quantity above zero without an exponent, such as 500Gi"
	Storage *resource.Quantity `json:"storage,omitempty"`
	// resources is the most that a pod may ask for or be limited to. Example: {cpu: "8", memory: 32Gi}. Default: none. Rule: PolicyMaximumResources.
	// +optional
	Resources *MaximumResources `json:"resources,omitempty"`
}

// MaximumResources is the most that a pod may ask for or be limited to.
//
// +kubebuilder:validation:MinProperties=1
type MaximumResources struct {
	// cpu that a pod may request, and be limited to where it has a limit. A pod without a limit is held to its request: it gets more only where nobody else wants it. Example: "8". Default: none.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!string(self).matches('[eE]') && quantity(string(self)).isGreaterThan(quantity('0'))",messageExpression="'requirements.maximum.resources.cpu is ' + string(self) + ': it must be a quantity above zero, without an exponent, such as 500m'",message="requirements.maximum.resources.cpu must be a quantity above zero without an exponent, such as 500m"
	CPU *resource.Quantity `json:"cpu,omitempty"`
	// memory that a pod may request and be limited to. A pod without a limit breaks it: it could take all that its node has. Example: 32Gi. Default: none.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!string(self).matches('[eE]') && quantity(string(self)).isGreaterThan(quantity('0'))",messageExpression="'requirements.maximum.resources.memory is ' + string(self) + ': it must be a quantity above zero, without an exponent, such as 2Gi'",message="requirements.maximum.resources.memory must be a quantity above zero without an exponent, such as 2Gi"
	Memory *resource.Quantity `json:"memory,omitempty"`
}

// RobustMQPolicyStatus is what the last audit found. It is written when that changes, and not at every audit.
type RobustMQPolicyStatus struct {
	// conditions are Ready (all that the policy says is in force; otherwise the message says what is not) and Compliant (every cluster that it selects has what it asks for).
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// lastChangeTime is when an audit last found something else than the one before.
	// +optional
	LastChangeTime *metav1.Time `json:"lastChangeTime,omitempty"`
	// counts of clusters and violations, also of those that the list below leaves out.
	// +optional
	Counts *PolicyCounts `json:"counts,omitempty"`
	// violations are what the clusters have against them, at most 50, by namespace and name of the cluster.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=50
	Violations []PolicyViolation `json:"violations,omitempty"`
	// omittedViolations is the number of violations that the list leaves out.
	// +optional
	// +kubebuilder:validation:Minimum=1
	OmittedViolations int32 `json:"omittedViolations,omitempty"`
}

// MaxPolicyViolations is how many violations a status lists.
const MaxPolicyViolations = 50

// PolicyCounts counts clusters and violations.
type PolicyCounts struct {
	// clusters in the namespaces that the policy selects.
	// +required
	// +kubebuilder:validation:Minimum=0
	Clusters int32 `json:"clusters"`
	// violating is the number of clusters that do not comply.
	// +required
	// +kubebuilder:validation:Minimum=0
	Violating int32 `json:"violating"`
	// violations of all of them: the sum of deny, warn and audit.
	// +required
	// +kubebuilder:validation:Minimum=0
	Violations int32 `json:"violations"`
	// deny is the number of violations that would be refused if the cluster were created now.
	// +required
	// +kubebuilder:validation:Minimum=0
	Deny int32 `json:"deny"`
	// warn is the number of violations that are warned of.
	// +required
	// +kubebuilder:validation:Minimum=0
	Warn int32 `json:"warn"`
	// audit is the number of violations that are counted and nothing else.
	// +required
	// +kubebuilder:validation:Minimum=0
	Audit int32 `json:"audit"`
}

// PolicyViolation is one thing that a cluster has against it.
type PolicyViolation struct {
	// namespace of the cluster.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
	// cluster is its name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Cluster string `json:"cluster,omitempty"`
	// rule that is broken.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Rule string `json:"rule,omitempty"`
	// action that follows: Deny, Warn or Audit.
	// +required
	Action PolicyAction `json:"action,omitempty"`
	// field that breaks it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Field string `json:"field,omitempty"`
	// message says what is wrong, and what to do instead.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}
