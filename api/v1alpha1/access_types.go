package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// Config is sections of server.toml: section name -> key -> value.
type Config map[string]ConfigSection

// ConfigSection is the keys of one section: key -> scalar or list of scalars.
type ConfigSection map[string]apiextensionsv1.JSON

// ListenersSpec: the client Service and each protocol's port. The server cannot close a protocol; "enabled: false" leaves it out of the Service and the NetworkPolicy.
type ListenersSpec struct {
	Service ServiceSpec   `json:"service,omitempty"`
	MQTT    *ListenerSpec `json:"mqtt,omitempty"`  // 1883, on
	MQTTS   *ListenerSpec `json:"mqtts,omitempty"` // 1885, on; QUIC uses the same number over UDP
	WS      *ListenerSpec `json:"ws,omitempty"`    // 8083, on
	WSS     *ListenerSpec `json:"wss,omitempty"`   // 8085, on
	QUIC    *ListenerSpec `json:"quic,omitempty"`  // off; port always that of mqtts
	Kafka   *ListenerSpec `json:"kafka,omitempty"` // 9092, off
	AMQP    *ListenerSpec `json:"amqp,omitempty"`  // 5672, off
	NATS    *ListenerSpec `json:"nats,omitempty"`  // 4222, off
	Admin   *ListenerSpec `json:"admin,omitempty"` // 58080 admin HTTP and UI, off
}

// ListenerSpec is one protocol.
type ListenerSpec struct {
	Enabled *bool `json:"enabled,omitempty"`
	Port    int32 `json:"port,omitempty"`
}

// ServiceSpec shapes the client Service.
type ServiceSpec struct {
	Type                     corev1.ServiceType                  `json:"type,omitempty"` // default ClusterIP
	Annotations              map[string]string                   `json:"annotations,omitempty"`
	LoadBalancerClass        *string                             `json:"loadBalancerClass,omitempty"`
	LoadBalancerSourceRanges []string                            `json:"loadBalancerSourceRanges,omitempty"`
	ExternalTrafficPolicy    corev1.ServiceExternalTrafficPolicy `json:"externalTrafficPolicy,omitempty"`
}

// IngressSpec: MQTT over WebSocket (path /mqtt) and the admin UI through an Ingress.
type IngressSpec struct {
	ClassName     *string           `json:"className,omitempty"`
	Host          string            `json:"host"`
	TLSSecretName string            `json:"tlsSecretName,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
	Admin         bool              `json:"admin,omitempty"` // also serve the admin UI, at /
}

// TLSSpec: where the server's certificate comes from. At most one of the two; none = generated.
type TLSSpec struct {
	SecretName string           `json:"secretName,omitempty"`
	IssuerRef  *IssuerReference `json:"issuerRef,omitempty"`
	DNSNames   []string         `json:"dnsNames,omitempty"` // added to the generated or requested certificate
}

// IssuerReference names a cert-manager issuer.
type IssuerReference struct {
	Name  string `json:"name"`
	Kind  string `json:"kind,omitempty"`  // Issuer (default) or ClusterIssuer
	Group string `json:"group,omitempty"` // cert-manager.io
}

// AuthSpec names Secrets with the keys username and password; generated when absent.
type AuthSpec struct {
	AdminSecretName string `json:"adminSecretName,omitempty"`
	MQTTSecretName  string `json:"mqttSecretName,omitempty"`
}

// NetworkPolicySpec: who may reach the pods.
type NetworkPolicySpec struct {
	Enabled        *bool                            `json:"enabled,omitempty"`        // default true
	ClientsFrom    []networkingv1.NetworkPolicyPeer `json:"clientsFrom,omitempty"`    // empty = everyone, to the enabled listeners only
	MonitoringFrom []networkingv1.NetworkPolicyPeer `json:"monitoringFrom,omitempty"` // empty = everyone in the cluster
}
