package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// PlacementCenterSpec sizes the placement centre, the raft quorum that holds the metadata.
type PlacementCenterSpec struct {
	Replicas int32 `json:"replicas,omitempty"` // default 3, odd, 1..7
	RoleSpec `json:",inline"`
}

// MQTTBrokerSpec sizes the brokers.
type MQTTBrokerSpec struct {
	Replicas int32 `json:"replicas,omitempty"` // default 2, 1..1000
	RoleSpec `json:",inline"`
}

// JournalServerSpec sizes the journal servers: nodes that only store messages.
type JournalServerSpec struct {
	Replicas int32 `json:"replicas,omitempty"` // default 3, 1..1000
	RoleSpec `json:",inline"`
}

// RoleSpec is what the three roles have in common.
type RoleSpec struct {
	Storage          *resource.Quantity `json:"storage,omitempty"` // default 10Gi
	StorageClassName *string            `json:"storageClassName,omitempty"`
	Resources        *ResourcesSpec     `json:"resources,omitempty"`
	PodTemplate      *PodTemplateSpec   `json:"podTemplate,omitempty"`
}

// ResourcesSpec takes the flat form {cpu, memory} (requests = limits) or the Kubernetes form {requests, limits}, never both.
type ResourcesSpec struct {
	CPU      *resource.Quantity  `json:"cpu,omitempty"`
	Memory   *resource.Quantity  `json:"memory,omitempty"`
	Requests corev1.ResourceList `json:"requests,omitempty"`
	Limits   corev1.ResourceList `json:"limits,omitempty"`
}

// PodTemplateSpec is the narrow part of a pod that users may shape.
type PodTemplateSpec struct {
	Labels                    map[string]string                 `json:"labels,omitempty"`
	Annotations               map[string]string                 `json:"annotations,omitempty"`
	NodeSelector              map[string]string                 `json:"nodeSelector,omitempty"`
	Tolerations               []corev1.Toleration               `json:"tolerations,omitempty"`
	Affinity                  *corev1.Affinity                  `json:"affinity,omitempty"`
	TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`
	PriorityClassName         string                            `json:"priorityClassName,omitempty"`
}
