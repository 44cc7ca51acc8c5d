package topology

import v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"

// renewLogin makes the MQTT user anew where a broker does not accept the one of its Secret: the Secret changed, and RobustMQ takes a password from its configuration only once.
// Users are metadata, so one broker does it for all; on islands each has its own.
func renewLogin(s Snapshot, h Health, p *Plan) bool {
	if !s.Wanted.Islands && !h.ledAll() {
		return true
	}
	for _, m := range s.of(v1alpha1.RoleMQTTBroker) {
		if !s.wantedOf(m) || !h.inService(m) || !m.Agent.LoginRefused {
			continue
		}
		if s.Seen[Symptom{SymptomLoginRefused, m.Pod}] <= s.Limits.LoginRefused {
			p.background(v1alpha1.ReasonLoginRefused, "%s does not accept the MQTT user of its Secret yet", m.Pod)
			return true
		}
		p.step(Step{Kind: StepLogin, Pod: m.Pod, NodeID: m.NodeID, Cures: SymptomLoginRefused, Reason: "it does not accept the MQTT user of its Secret, which is made anew with the password there"})
		return true
	}
	return true
}
