package manifests

import (
	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// portsOf are all ports of the server: it opens every protocol of its role, enabled or not.
func portsOf(cluster *v1alpha1.RobustMQCluster) protocol.Ports {
	port := map[string]int32{}
	for _, l := range cluster.Spec.Listeners.Effective() {
		port[l.Name] = l.Port
	}
	return protocol.Ports{
		GRPC: v1alpha1.PortGRPC, HTTP: port["admin"], Engine: v1alpha1.PortEngine,
		MQTT: port["mqtt"], MQTTS: port["mqtts"], WS: port["ws"], WSS: port["wss"],
		Kafka: port["kafka"], AMQP: port["amqp"],
		NATS: port["nats"], NATSTLS: v1alpha1.PortNATSTLS, NATSWS: v1alpha1.PortNATSWS, NATSWSS: v1alpha1.PortNATSWSS,
		Prometheus: v1alpha1.PortPrometheus,
	}
}
