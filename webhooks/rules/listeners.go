package rules

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// fixedPorts are those that no field changes.
var fixedPorts = map[int32]string{
	v1alpha1.PortGRPC:         "the servers' own calls",
	v1alpha1.PortEngine:       "the replication of messages",
	v1alpha1.PortNATSWS:       "NATS over WebSocket",
	v1alpha1.PortNATSTLS:      "NATS over TLS",
	v1alpha1.PortNATSWSS:      "NATS over WebSocket and TLS",
	v1alpha1.PortAgent:        "the agent",
	v1alpha1.PortAgentPublic:  "the agent's probes",
	v1alpha1.PortAgentMetrics: "the agent's metrics",
	v1alpha1.PortPrometheus:   "the metrics of RobustMQ before 0.4.1",
}

func portsDistinct(_, new *cluster, _ Context) []Violation {
	var out []Violation
	at, taken := spec.Child("listeners"), map[int32]string{}
	for port, by := range fixedPorts {
		taken[port] = by
	}
	for _, l := range new.Spec.Listeners.Effective() {
		if l.Protocol == corev1.ProtocolUDP { // QUIC: always the number of MQTTS
			if q := new.Spec.Listeners.QUIC; q != nil && q.Port != 0 && q.Port != l.Port {
				out = append(out, Violation{
					Field: at.Child(l.Name, "port"), Value: q.Port, Message: fmt.Sprintf("QUIC always has the number of MQTTS, %d, over UDP", l.Port),
					WayOut: "leave it out and set listeners.mqtts.port",
				})
			}
			continue
		}
		if by, ok := taken[l.Port]; ok {
			out = append(out, Violation{Field: at.Child(l.Name, "port"), Value: l.Port, Message: fmt.Sprintf("%d is the port of %s already", l.Port, by)})
		}
		taken[l.Port] = "listeners." + l.Name
	}
	return out
}

func backupAdvised(_, new *cluster, _ Context) []Violation {
	at := spec.Child("backup")
	switch b := new.Spec.Backup; {
	case b == nil:
		return []Violation{{Field: at, Message: "there is no backup plan: if the volumes of the placement centre are lost, so are users, topics and sessions"}}
	case len(b.Schedules) == 0:
		return []Violation{{Field: at.Child("schedules"), Message: "there is no schedule: backups are made by hand only"}}
	}
	return nil
}

func accessAdvised(_, new *cluster, _ Context) []Violation {
	var out []Violation
	s := &new.Spec
	if e := s.NetworkPolicy.Enabled; e != nil && !*e {
		out = append(out, Violation{
			Field: spec.Child("networkPolicy", "enabled"), Value: false, Message: "everybody in the Kubernetes cluster can reach the servers' own calls, which have no authentication",
			WayOut: "leave it out, or make NetworkPolicies of your own",
		})
	}
	outside := s.Listeners.Service.Type == corev1.ServiceTypeLoadBalancer || s.Listeners.Service.Type == corev1.ServiceTypeNodePort
	for _, l := range s.Listeners.Effective() {
		switch {
		case !l.Enabled || !outside:
		case l.Name == "mqtt", l.Name == "ws", l.Name == "kafka", l.Name == "amqp", l.Name == "nats", l.Name == "admin":
			out = append(out, Violation{
				Field: spec.Child("listeners", l.Name, "enabled"), Value: true,
				Message: fmt.Sprintf("a Service of type %s offers %s outside the Kubernetes cluster without TLS: passwords can be read on their way", s.Listeners.Service.Type, l.Name),
				WayOut:  "disable it, or keep it for networks that you trust",
			})
		}
	}
	if i := s.Ingress; i != nil && i.TLSSecretName == "" {
		out = append(out, Violation{
			Field: spec.Child("ingress", "tlsSecretName"), Message: "the Ingress is served without TLS: passwords can be read on their way", WayOut: "name a Secret with a certificate of the host",
		})
	}
	return out
}

// guarded names the rule that each escape takes off (the table says the same; a test compares them).
var guarded = map[v1alpha1.UnsafeEscape]string{
	v1alpha1.AllowEvenPlacementCenter: "PlacementCenterOdd",
	v1alpha1.AllowIncompatibleUpgrade: "VersionHop",
	v1alpha1.AllowInsecureS3:          "BackupDestination",
	v1alpha1.AllowShrinkBelowQuorum:   "NoShrinkBelowQuorum",
}

func escapesNamed(_, new *cluster, _ Context) []Violation {
	var out []Violation
	for i, e := range new.Spec.Unsafe {
		what := "the rule " + guarded[e]
		if e == v1alpha1.AllowInsecureS3 { // the rest of that rule stays
			what = guarded[e] + "'s demand for https"
		}
		out = append(out, Violation{Field: spec.Child("unsafe").Index(i), Value: e, Message: fmt.Sprintf("%s takes %s off", e, what)})
	}
	return out
}
