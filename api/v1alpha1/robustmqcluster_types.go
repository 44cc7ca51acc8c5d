package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RobustMQCluster is one RobustMQ cluster: a placement centre (the metadata quorum), MQTT brokers and, if asked for, journal servers.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.mqttBroker.replicas,statuspath=.status.mqttBroker.replicas,selectorpath=.status.mqttBroker.selector
// +kubebuilder:resource:path=robustmqclusters,singular=robustmqcluster,shortName=rmqc,categories={all,robustmq}
type RobustMQCluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   RobustMQClusterSpec   `json:"spec"`
	Status RobustMQClusterStatus `json:"status,omitempty"`
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
type RobustMQClusterSpec struct {
	Version          string                        `json:"version"`
	Image            string                        `json:"image,omitempty"`
	ImagePullPolicy  corev1.PullPolicy             `json:"imagePullPolicy,omitempty"`
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`

	PlacementCenter PlacementCenterSpec `json:"placementCenter"`
	MQTTBroker      MQTTBrokerSpec      `json:"mqttBroker"`
	JournalServer   *JournalServerSpec  `json:"journalServer,omitempty"`

	// Config: section name -> key -> value, in the names of RobustMQ's newest dialect; top-level keys stand in the section "".
	Config Config `json:"config,omitempty"`

	Listeners     ListenersSpec     `json:"listeners,omitempty"`
	Ingress       *IngressSpec      `json:"ingress,omitempty"`
	TLS           TLSSpec           `json:"tls,omitempty"`
	Auth          AuthSpec          `json:"auth,omitempty"`
	NetworkPolicy NetworkPolicySpec `json:"networkPolicy,omitempty"`
	Monitoring    MonitoringSpec    `json:"monitoring,omitempty"`
	Backup        *BackupSpec       `json:"backup,omitempty"`
	Bootstrap     *BootstrapSpec    `json:"bootstrap,omitempty"`

	Unsafe          []UnsafeEscape  `json:"unsafe,omitempty"`
	Paused          bool            `json:"paused,omitempty"`
	VolumeRetention VolumeRetention `json:"volumeRetention,omitempty"`
}
