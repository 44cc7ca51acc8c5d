package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// Config is sections of server.toml: section name -> key -> value.
type Config map[string]ConfigSection

// ConfigSection is the keys of one section: key -> scalar or list of scalars.
//
// +kubebuilder:validation:MaxProperties=128
type ConfigSection map[string]apiextensionsv1.JSON

// ListenersSpec is the client Service and each protocol's port. The server cannot close a protocol; "enabled: false" leaves it out of the Service and the NetworkPolicy.
//
// All ports differ from one another and from the ports that the server and its agent use among themselves.
//
// +kubebuilder:validation:XValidation:rule="self.?quic.?port.orValue(0) == 0 || self.quic.port == self.?mqtts.?port.orValue(1885)",fieldPath=".quic.port",message="PortsDistinct: listeners.quic.port is always that of mqtts, over UDP (with another one the server never reports ready): leave quic.port out and set mqtts.port"
// +kubebuilder:validation:XValidation:rule="[[self.?mqtt.?port.orValue(1883), self.?mqtts.?port.orValue(1885), self.?ws.?port.orValue(8083), self.?wss.?port.orValue(8085), self.?kafka.?port.orValue(9092), self.?amqp.?port.orValue(5672), self.?nats.?port.orValue(4222), self.?admin.?port.orValue(58080)]].all(l, l.all(p, l.indexOf(p) == l.lastIndexOf(p) && !(p in [1228, 1778, 4080, 4223, 4443, 7443, 7480, 7481, 9091])))",messageExpression="'PortsDistinct: listeners has one port twice: ' + [[['mqtt', string(self.?mqtt.?port.orValue(1883))], ['mqtts', string(self.?mqtts.?port.orValue(1885))], ['ws', string(self.?ws.?port.orValue(8083))], ['wss', string(self.?wss.?port.orValue(8085))], ['kafka', string(self.?kafka.?port.orValue(9092))], ['amqp', string(self.?amqp.?port.orValue(5672))], ['nats', string(self.?nats.?port.orValue(4222))], ['admin', string(self.?admin.?port.orValue(58080))], ['the server itself', '1228'], ['the server itself', '1778'], ['NATS over WebSocket', '4080'], ['NATS over TLS', '4223'], ['NATS over WebSocket and TLS', '4443'], ['the agent', '7443'], ['the agent', '7480'], ['the agent', '7481'], ['metrics', '9091']]].map(l, l.filter(p, l.exists(q, q[1] == p[1] && q[0] != p[0])).map(p, p[0] + ' ' + p[1]).join(', '))[0] + '; every listener opens its port, enabled or not: choose ports that differ'",message="PortsDistinct: listeners must have ports that differ from one another and from 1228, 1778, 4080, 4223, 4443, 7443, 7480, 7481 and 9091"
type ListenersSpec struct {
	// service shapes the Service that clients use; its name is that of the cluster.
	// +optional
	// +kubebuilder:default={}
	Service ServiceSpec `json:"service,omitzero"`
	// mqtt is MQTT over TCP. Default: on, port 1883. A new port restarts the brokers in place, one after another.
	// +optional
	// +kubebuilder:default={enabled: true, port: 1883}
	MQTT *ListenerSpec `json:"mqtt,omitempty"`
	// mqtts is MQTT over TLS. Default: on, port 1885. A new port restarts the brokers in place, one after another.
	// +optional
	// +kubebuilder:default={enabled: true, port: 1885}
	MQTTS *ListenerSpec `json:"mqtts,omitempty"`
	// ws is MQTT over WebSocket, at the path /mqtt. Default: on, port 8083. A new port restarts the brokers in place, one after another.
	// +optional
	// +kubebuilder:default={enabled: true, port: 8083}
	WS *ListenerSpec `json:"ws,omitempty"`
	// wss is MQTT over WebSocket and TLS, at the path /mqtt. Default: on, port 8085. A new port restarts the brokers in place, one after another.
	// +optional
	// +kubebuilder:default={enabled: true, port: 8085}
	WSS *ListenerSpec `json:"wss,omitempty"`
	// quic is MQTT over QUIC (UDP). Default: off. Its port is always that of mqtts.
	// +optional
	// +kubebuilder:default={enabled: false}
	QUIC *ListenerSpec `json:"quic,omitempty"`
	// kafka is the Kafka protocol (RobustMQ 0.3.6 and later; the port can be chosen since 0.4.1). Default: off, port 9092. A new port restarts the brokers in place, one after another.
	// +optional
	// +kubebuilder:default={enabled: false, port: 9092}
	Kafka *ListenerSpec `json:"kafka,omitempty"`
	// amqp is AMQP 0-9-1 (RobustMQ 0.3.6 and later; the port can be chosen since 0.4.1). Default: off, port 5672. A new port restarts the brokers in place, one after another.
	// +optional
	// +kubebuilder:default={enabled: false, port: 5672}
	AMQP *ListenerSpec `json:"amqp,omitempty"`
	// nats is the NATS protocol (RobustMQ 0.3.8 and later). Default: off, port 4222. A new port restarts the brokers in place, one after another.
	// +optional
	// +kubebuilder:default={enabled: false, port: 4222}
	NATS *ListenerSpec `json:"nats,omitempty"`
	// admin is the admin API and UI over HTTP, on every pod. Default: off, port 58080. A new port restarts all servers in place, one after another.
	// +optional
	// +kubebuilder:default={enabled: false, port: 58080}
	Admin *ListenerSpec `json:"admin,omitempty"`
}

// ListenerSpec is one protocol.
type ListenerSpec struct {
	// enabled lets clients reach it, through the Service and the NetworkPolicy. Default: on for mqtt, mqtts, ws and wss, off for the others. No restart.
	// +optional
	Enabled *bool `json:"enabled,omitempty"`
	// port of the server and of the Service, 1024 to 65535. Example: 2883. Default: the protocol's usual one.
	// +optional
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`
}

// ServiceSpec shapes the client Service.
//
// +kubebuilder:validation:XValidation:rule="!has(self.loadBalancerClass) || self.type == 'LoadBalancer'",fieldPath=".loadBalancerClass",message="listeners.service.loadBalancerClass needs type LoadBalancer: set that type, or leave the class out"
// +kubebuilder:validation:XValidation:rule="!has(self.loadBalancerSourceRanges) || self.loadBalancerSourceRanges.size() == 0 || self.type == 'LoadBalancer'",fieldPath=".loadBalancerSourceRanges",message="listeners.service.loadBalancerSourceRanges needs type LoadBalancer: set that type, or leave the ranges out"
// +kubebuilder:validation:XValidation:rule="!has(self.externalTrafficPolicy) || self.type != 'ClusterIP'",fieldPath=".externalTrafficPolicy",message="listeners.service.externalTrafficPolicy needs type NodePort or LoadBalancer: set one of them, or leave the policy out"
type ServiceSpec struct {
	// type of the Service: ClusterIP, NodePort or LoadBalancer. Default: ClusterIP. No restart.
	// +optional
	// +kubebuilder:default=ClusterIP
	// +kubebuilder:validation:Enum=ClusterIP;NodePort;LoadBalancer
	Type corev1.ServiceType `json:"type,omitempty"`
	// annotations of the Service, as load balancers want them. Example: {service.beta.kubernetes.io/aws-load-balancer-type: nlb}. Default: none. No restart.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Annotations map[string]string `json:"annotations,omitempty"`
	// loadBalancerClass of a Service of type LoadBalancer. Example: tailscale. Default: the Kubernetes cluster's own. No restart.
	// +optional
	// +kubebuilder:validation:MaxLength=316
	// +kubebuilder:validation:XValidation:rule="self.size() > 0",message="listeners.service.loadBalancerClass is empty: name a class, or leave it out"
	LoadBalancerClass *string `json:"loadBalancerClass,omitempty"`
	// loadBalancerSourceRanges that may reach a Service of type LoadBalancer. Example: ["10.0.0.0/8"]. Default: everyone. No restart.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.all(r, isCIDR(r))",messageExpression="'listeners.service.loadBalancerSourceRanges holds \"' + self.filter(r, !isCIDR(r))[0] + '\", which is no address range: write one such as \"10.0.0.0/8\"'",message="listeners.service.loadBalancerSourceRanges are address ranges such as \"10.0.0.0/8\""
	LoadBalancerSourceRanges []string `json:"loadBalancerSourceRanges,omitempty"`
	// externalTrafficPolicy of a Service of type NodePort or LoadBalancer: Cluster or Local. Local keeps the clients' addresses, which RobustMQ's limit of connections per address needs. Default: Cluster. No restart.
	// +optional
	// +kubebuilder:validation:Enum=Cluster;Local
	ExternalTrafficPolicy corev1.ServiceExternalTrafficPolicy `json:"externalTrafficPolicy,omitempty"`
}

// IngressSpec serves MQTT over WebSocket (path /mqtt) and the admin UI through an Ingress.
type IngressSpec struct {
	// className of the Ingress controller. Example: nginx. Default: the Kubernetes cluster's default class.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.size() > 0",message="ingress.className is empty: name a class, or leave it out"
	ClassName *string `json:"className,omitempty"`
	// host name under which the Ingress is reached. Example: mqtt.example.com.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",messageExpression="'ingress.host is \"' + self + '\", which is no host name: write one such as mqtt.example.com, in lower case, without scheme, port or path'",message="ingress.host is a host name in lower case such as mqtt.example.com"
	Host string `json:"host,omitempty"`
	// tlsSecretName names a Secret of type kubernetes.io/tls in this namespace with the host's certificate. Example: mqtt-example-com. Default: none, the Ingress is served without TLS.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	TLSSecretName string `json:"tlsSecretName,omitempty"`
	// annotations of the Ingress, as its controller wants them. Example: {cert-manager.io/cluster-issuer: letsencrypt}. Default: none.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Annotations map[string]string `json:"annotations,omitempty"`
	// admin serves the admin UI and API too, at the path /. Default: false.
	// +optional
	Admin bool `json:"admin,omitempty"`
}

// TLSSpec says where the listeners' certificate comes from. At most one of secretName and issuerRef; none = generated.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.secretName) && has(self.issuerRef))",message="tls has both secretName and issuerRef: the listeners have one certificate; leave one of them out"
type TLSSpec struct {
	// secretName names a Secret of type kubernetes.io/tls in this namespace, with tls.crt and tls.key. Example: mqtt-tls. Default: none.
	// A renewed certificate restarts the brokers in place, one after another.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName,omitempty"`
	// issuerRef names a cert-manager issuer that makes the certificate, into the Secret <name>-server-tls. Example: {name: letsencrypt, kind: ClusterIssuer}. Default: none.
	// +optional
	IssuerRef *IssuerReference `json:"issuerRef,omitempty"`
	// dnsNames are added to the certificate that is generated or asked for. Example: ["mqtt.example.com"]. Default: the names of the Service and of the brokers, which are always in it.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.all(n, n.matches('^([*][.])?[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?([.][A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*$'))",message="tls.dnsNames are host names such as mqtt.example.com or *.mqtt.example.com, without scheme, port or path"
	DNSNames []string `json:"dnsNames,omitempty"`
}

// IssuerReference names a cert-manager issuer.
type IssuerReference struct {
	// name of the issuer. Example: letsencrypt.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
	// kind of the issuer. Example: ClusterIssuer. Default: Issuer, of this namespace.
	// +optional
	// +kubebuilder:default=Issuer
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind,omitempty"`
	// group of the issuer's kind. Default: cert-manager.io.
	// +optional
	// +kubebuilder:default="cert-manager.io"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Group string `json:"group,omitempty"`
}

// AuthSpec names Secrets of this namespace with the keys username and password; generated when absent. The key that signs the admin API's tokens is always generated.
type AuthSpec struct {
	// adminSecretName names the Secret with the admin API's user. Example: robustmq-admin. Default: <name>-admin, generated. A changed password restarts the servers in place, one after another.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	AdminSecretName string `json:"adminSecretName,omitempty"`
	// mqttSecretName names the Secret with the first MQTT user, a superuser. Example: robustmq-mqtt. Default: <name>-mqtt, generated.
	// RobustMQ reads it once, at its first start: later changes have no effect.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	MQTTSecretName string `json:"mqttSecretName,omitempty"`
}

// NetworkPolicySpec says who may reach the pods.
type NetworkPolicySpec struct {
	// enabled makes NetworkPolicies: the cluster's own pods and the operator reach everything, clients the enabled listeners, monitoring the metrics. Default: true.
	// +optional
	// +kubebuilder:default=true
	Enabled *bool `json:"enabled,omitempty"`
	// clientsFrom may reach the enabled listeners. Example: [{namespaceSelector: {matchLabels: {team: telemetry}}}]. Default: everyone.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	ClientsFrom []networkingv1.NetworkPolicyPeer `json:"clientsFrom,omitempty"`
	// monitoringFrom may reach the metrics. Example: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]. Default: every pod of the Kubernetes cluster.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	MonitoringFrom []networkingv1.NetworkPolicyPeer `json:"monitoringFrom,omitempty"`
}
