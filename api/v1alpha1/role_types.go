package v1alpha1

// Quantities with an exponent (1e3, 1E) are refused before any rule computes with them: an API server needs half a minute of CPU to read "1e99999999999",
// and one that Go cannot read would stop the operator's list of all clusters.

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// PlacementCenterSpec sizes the placement centre, the raft quorum that holds the metadata.
type PlacementCenterSpec struct {
	// replicas is the number of members, 1 to 7, odd: 3 bear the loss of one, 5 of two. Example: 5. Default: 3.
	// Members join and leave one at a time; a smaller number must still be a quorum of the present one.
	// Then every server is restarted in place, one after another, to know the new list of members.
	// +optional
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=7
	// +kubebuilder:validation:XValidation:rule="self >= 1 && self <= 7",message="PlacementCenterSize: a placement centre has 1 to 7 members, and every metadata write waits for a majority of them; write 3, or 5 where two members may fail at once"
	Replicas int32 `json:"replicas,omitempty"`
	RoleSpec `json:",inline"`
}

// MQTTBrokerSpec sizes the brokers.
type MQTTBrokerSpec struct {
	// replicas is the number of brokers, 1 to 1000. Example: 5. Default: 2. `kubectl scale` and autoscalers change this number.
	// Brokers come and go one at a time; one that goes hands its messages over first. No restart of the others.
	// +optional
	// +kubebuilder:default=2
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	// +kubebuilder:validation:XValidation:rule="self >= 1 && self <= 1000",message="BrokersWithinScale: clients need a broker, and node ids of brokers go from 1001 to 2000; write a number from 1 to 1000"
	Replicas int32 `json:"replicas,omitempty"`
	RoleSpec `json:",inline"`
}

// JournalServerSpec sizes the journal servers: nodes that only store messages.
type JournalServerSpec struct {
	// replicas is the number of journal servers, 1 to 1000. Example: 6. Default: 3. They come and go one at a time. No restart of the others.
	// +optional
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	// +kubebuilder:validation:XValidation:rule="self >= 1 && self <= 1000",message="BrokersWithinScale: node ids of journal servers go from 2001 to 3000; write a number from 1 to 1000, or leave journalServer out"
	Replicas int32 `json:"replicas,omitempty"`
	RoleSpec `json:",inline"`
}

// RoleSpec is what the three roles have in common.
//
// +kubebuilder:validation:XValidation:rule="has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",fieldPath=".storageClassName",messageExpression="'StorageClassFixed: storageClassName cannot change from ' + (has(oldSelf.storageClassName) ? '\"' + oldSelf.storageClassName + '\"' : 'the default class') + ' to ' + (has(self.storageClassName) ? '\"' + self.storageClassName + '\"' : 'the default class') + ': a volume stays in its class; put the old value back, or move to a new cluster'",message="StorageClassFixed: storageClassName cannot change: a volume stays in its class; put the old value back"
type RoleSpec struct {
	// storage is the size of each pod's volume. Example: 50Gi. Default: 10Gi. It can grow, where the storage class allows it, and never shrink. Growing restarts nothing.
	// +optional
	// +kubebuilder:default="10Gi"
	// +kubebuilder:validation:XValidation:rule="!string(self).matches('[eE]') && isQuantity(string(self)) && quantity(string(self)).isGreaterThan(quantity('0'))",messageExpression="'ResourcesCoherent: storage is ' + string(self) + ': a size is a quantity above zero, without an exponent; write one such as 10Gi'",message="ResourcesCoherent: storage is a quantity above zero without an exponent, such as 10Gi"
	// +kubebuilder:validation:XValidation:rule="string(self).matches('[eE]') || quantity(string(self)).compareTo(quantity(string(oldSelf))) >= 0",messageExpression="'StorageOnlyGrows: storage cannot shrink from ' + string(oldSelf) + ' to ' + string(self) + ': volumes only grow; write ' + string(oldSelf) + ' or more'",message="StorageOnlyGrows: storage cannot shrink: volumes only grow; write the old size or more"
	Storage *resource.Quantity `json:"storage,omitempty"`
	// storageClassName of the volumes. Example: fast-ssd. Default: the Kubernetes cluster's default class; "" means volumes of no class. It can only be chosen when the cluster is created.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	StorageClassName *string `json:"storageClassName,omitempty"`
	// resources of each pod, flat {cpu, memory} or as Kubernetes has them {requests, limits}. Example: {cpu: 1000m, memory: 2Gi}.
	// Default: requests of 500m CPU and 2Gi memory, memory limited to 2Gi. Changing them replaces the pods, one after another.
	// +optional
	// +kubebuilder:default={requests: {cpu: "500m", memory: "2Gi"}, limits: {memory: "2Gi"}}
	Resources *ResourcesSpec `json:"resources,omitempty"`
	// podTemplate adds to the pods: labels, annotations and where they may run. Default: pods of a role avoid one another's nodes and spread over zones where they can.
	// Changing it replaces the pods, one after another.
	// +optional
	PodTemplate *PodTemplateSpec `json:"podTemplate,omitempty"`
}

// ResourcesSpec takes the flat form {cpu, memory} (requests = limits) or the Kubernetes form {requests, limits}, never both.
//
// +kubebuilder:validation:XValidation:rule="!((has(self.cpu) || has(self.memory)) && (has(self.requests) || has(self.limits)))",message="ResourcesCoherent: resources has both forms: write either cpu and memory (requests equal limits) or requests and limits"
// +kubebuilder:validation:XValidation:rule="!self.?limits[?'cpu'].hasValue() || !self.?requests[?'cpu'].hasValue() || string(self.requests['cpu']).matches('[eE]') || string(self.limits['cpu']).matches('[eE]') || quantity(string(self.requests['cpu'])).compareTo(quantity(string(self.limits['cpu']))) <= 0",messageExpression="'ResourcesCoherent: requests.cpu is ' + string(self.requests['cpu']) + ' and limits.cpu ' + string(self.limits['cpu']) + ': a request cannot be above its limit; raise the limit or lower the request'",message="ResourcesCoherent: requests.cpu is above limits.cpu: raise the limit or lower the request"
// +kubebuilder:validation:XValidation:rule="!self.?limits[?'memory'].hasValue() || !self.?requests[?'memory'].hasValue() || string(self.requests['memory']).matches('[eE]') || string(self.limits['memory']).matches('[eE]') || quantity(string(self.requests['memory'])).compareTo(quantity(string(self.limits['memory']))) <= 0",messageExpression="'ResourcesCoherent: requests.memory is ' + string(self.requests['memory']) + ' and limits.memory ' + string(self.limits['memory']) + ': a request cannot be above its limit; raise the limit or lower the request'",message="ResourcesCoherent: requests.memory is above limits.memory: raise the limit or lower the request"
type ResourcesSpec struct {
	// cpu that each pod is given, as request and as limit. Example: 1000m. Default: none.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!string(self).matches('[eE]') && quantity(string(self)).isGreaterThan(quantity('0'))",messageExpression="'ResourcesCoherent: cpu is ' + string(self) + ': it must be a quantity above zero, without an exponent, such as 500m'",message="ResourcesCoherent: cpu must be a quantity above zero without an exponent, such as 500m"
	CPU *resource.Quantity `json:"cpu,omitempty"`
	// memory that each pod is given, as request and as limit. Example: 2Gi. Default: none.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!string(self).matches('[eE]') && quantity(string(self)).isGreaterThan(quantity('0'))",messageExpression="'ResourcesCoherent: memory is ' + string(self) + ': it must be a quantity above zero, without an exponent, such as 2Gi'",message="ResourcesCoherent: memory must be a quantity above zero without an exponent, such as 2Gi"
	Memory *resource.Quantity `json:"memory,omitempty"`
	// requests of each pod, of cpu, memory and ephemeral-storage. Example: {cpu: 500m, memory: 2Gi}. Default: none.
	// +optional
	// +kubebuilder:validation:MaxProperties=3
	// +kubebuilder:validation:XValidation:rule="self.all(k, !string(self[k]).matches('[eE]') && quantity(string(self[k])).isGreaterThan(quantity('0')))",message="ResourcesCoherent: every request must be a quantity above zero without an exponent, such as 500m or 2Gi: correct it or leave it out"
	Requests corev1.ResourceList `json:"requests,omitempty"`
	// limits of each pod, of cpu, memory and ephemeral-storage. Example: {memory: 2Gi}. Default: none.
	// +optional
	// +kubebuilder:validation:MaxProperties=3
	// +kubebuilder:validation:XValidation:rule="self.all(k, !string(self[k]).matches('[eE]') && quantity(string(self[k])).isGreaterThan(quantity('0')))",message="ResourcesCoherent: every limit must be a quantity above zero without an exponent, such as 500m or 2Gi: correct it or leave it out"
	Limits corev1.ResourceList `json:"limits,omitempty"`
}

// PodTemplateSpec is the narrow part of a pod that users may shape.
type PodTemplateSpec struct {
	// labels are added to the pods. Example: {team: telemetry}. Default: none. The operator's own labels cannot be set.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="!self.exists(k, k.startsWith('robustmq.io/') || k in ['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/component', 'app.kubernetes.io/managed-by'])",messageExpression="'LabelsReserved: ' + self.filter(k, k.startsWith('robustmq.io/') || k in ['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/component', 'app.kubernetes.io/managed-by'])[0] + ' is a label of the operator: Services and StatefulSets find the pods by labels of robustmq.io/ and app.kubernetes.io/{name,instance,component,managed-by}; choose other keys'",message="LabelsReserved: labels of robustmq.io/ and app.kubernetes.io/{name,instance,component,managed-by} are the operator's own: Services and StatefulSets find the pods by them; choose other keys"
	Labels map[string]string `json:"labels,omitempty"`
	// annotations are added to the pods. Example: {linkerd.io/inject: disabled}. Default: none.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Annotations map[string]string `json:"annotations,omitempty"`
	// nodeSelector lets pods run only on nodes with these labels. Example: {disk: ssd}. Default: any node.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// tolerations let pods run on tainted nodes. Example: [{key: dedicated, operator: Exists}]. Default: none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// affinity of the pods. Default: pods of a role avoid one another's nodes where they can. What you write here takes its place.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`
	// topologySpreadConstraints of the pods. Default: spread over zones where they can. What you write here takes its place.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`
	// priorityClassName of the pods. Example: production. Default: none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	PriorityClassName string `json:"priorityClassName,omitempty"`
}
