package v1alpha1

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Component is the value of a role's component label, and what the names of its objects end with.
func (r Role) Component() string {
	switch r {
	case RolePlacementCenter:
		return ComponentPlacementCenter
	case RoleMQTTBroker:
		return ComponentMQTTBroker
	case RoleJournalServer:
		return ComponentJournalServer
	}
	return ""
}

// BaseNodeID is the node id of the role's ordinal 0. Topics name node ids, so they are for ever: 1, 1001, 2001.
func (r Role) BaseNodeID() uint64 {
	switch r {
	case RoleMQTTBroker:
		return 1001
	case RoleJournalServer:
		return 2001
	}
	return 1
}

// RoleView is one role of a spec, with the name of its field.
type RoleView struct {
	Role     Role
	Field    string
	Replicas int32
	*RoleSpec
}

// Roles are the roles that a spec has, in the order in which they are started.
func (s *RobustMQClusterSpec) Roles() []RoleView {
	roles := []RoleView{
		{RolePlacementCenter, "placementCenter", s.PlacementCenter.Replicas, &s.PlacementCenter.RoleSpec},
		{RoleMQTTBroker, "mqttBroker", s.MQTTBroker.Replicas, &s.MQTTBroker.RoleSpec},
	}
	if j := s.JournalServer; j != nil {
		roles = append(roles, RoleView{RoleJournalServer, "journalServer", j.Replicas, &j.RoleSpec})
	}
	return roles
}

// Engines is the number of nodes that store messages: since RobustMQ 0.4.0 all of them do.
func (s *RobustMQClusterSpec) Engines() int32 {
	var n int32
	for _, r := range s.Roles() {
		n += r.Replicas
	}
	return n
}

// Allows reports whether a rule was taken off.
func (s *RobustMQClusterSpec) Allows(e UnsafeEscape) bool { return slices.Contains(s.Unsafe, e) }

// Requirements turns the flat form {cpu, memory} into requests = limits and passes the Kubernetes form on; nil asks for nothing.
func (r *ResourcesSpec) Requirements() corev1.ResourceRequirements {
	if r == nil {
		return corev1.ResourceRequirements{}
	}
	if r.CPU == nil && r.Memory == nil {
		return corev1.ResourceRequirements{Requests: r.Requests.DeepCopy(), Limits: r.Limits.DeepCopy()}
	}
	flat := corev1.ResourceList{}
	if r.CPU != nil {
		flat[corev1.ResourceCPU] = *r.CPU
	}
	if r.Memory != nil {
		flat[corev1.ResourceMemory] = *r.Memory
	}
	return corev1.ResourceRequirements{Requests: flat, Limits: flat.DeepCopy()}
}

// Listener is one protocol with its defaults filled in.
type Listener struct {
	Name     string // as the field in spec.listeners
	Port     int32
	Protocol corev1.Protocol
	Enabled  bool
}

// usual are the listeners as they are when the spec says nothing; QUIC has the number of MQTTS.
var usual = []Listener{
	{"mqtt", 1883, corev1.ProtocolTCP, true},
	{"mqtts", 1885, corev1.ProtocolTCP, true},
	{"ws", 8083, corev1.ProtocolTCP, true},
	{"wss", 8085, corev1.ProtocolTCP, true},
	{"quic", 0, corev1.ProtocolUDP, false},
	{"kafka", 9092, corev1.ProtocolTCP, false},
	{"amqp", 5672, corev1.ProtocolTCP, false},
	{"nats", 4222, corev1.ProtocolTCP, false},
	{"admin", 58080, corev1.ProtocolTCP, false},
}

// UsualListeners are all listeners as they are when the spec says nothing, in the order of Effective. QUIC has no port of its own: 0.
func UsualListeners() []Listener { return slices.Clone(usual) }

// fields are the listeners in the order of usual.
func (l *ListenersSpec) fields() []**ListenerSpec {
	return []**ListenerSpec{&l.MQTT, &l.MQTTS, &l.WS, &l.WSS, &l.QUIC, &l.Kafka, &l.AMQP, &l.NATS, &l.Admin}
}

// Effective are all listeners, enabled or not, in the order in which they stand in the Service: the server opens the port of each.
func (l ListenersSpec) Effective() []Listener {
	out := slices.Clone(usual)
	for i, f := range l.fields() {
		if *f == nil {
			continue
		}
		if e := (*f).Enabled; e != nil {
			out[i].Enabled = *e
		}
		if p := (*f).Port; p != 0 {
			out[i].Port = p
		}
	}
	out[4].Port = out[1].Port // with another number the server's own readiness never turns true: it opens a TCP connection to it
	return out
}

// RunningVersion is the version whose servers wrote what the volumes hold, as far as that may be: the one that the cluster was founded with or upgraded to, or the one that an upgrade with everything
// stopped has begun to start. While nothing runs yet it is the one that shall.
func (c *RobustMQCluster) RunningVersion() string {
	switch u := c.Status.Upgrade; {
	case u != nil && u.Opened:
		return u.Version
	case c.Status.Version != "":
		return c.Status.Version
	}
	return c.Spec.Version
}
