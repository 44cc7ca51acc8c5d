package topology

import (
	"slices"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/quorum"
)

// GrowsFast reports whether the log of the metadata grows faster than that of an idle cluster.
func (s Snapshot) GrowsFast() bool {
	return len(s.Wanted.Groups) > 0 && s.Pace[s.Wanted.Groups[0]] > s.Limits.LogGrowth
}

// storms reports whether the log of the metadata grows although nobody is there who could write, while the leader does not list nodes that run: servers that quarrel over their registrations do
// that (seen on 0.4.11: 16 to 70 entries a second, without an end). It purges the log within minutes, and whoever is away meanwhile comes back to a snapshot without its entries.
// With a whole registry it is somebody's work: the admin API writes, or clients of Kafka, NATS and AMQP do, whom nobody counts.
func storms(s Snapshot, h Health) bool {
	return s.GrowsFast() && s.Clients != nil && *s.Clients == 0 && slices.ContainsFunc(s.Members, func(m Member) bool { return s.wantedOf(m) && serving(m) && h.unregistered(m) })
}

// calmLog restarts every server in place, one by one, while the log storms: nothing else was seen to end it. Who has been started since it began is not restarted again; when that is everybody, a
// person is told. Like a roll it takes one only while everybody else is in service; the leader comes last.
func calmLog(s Snapshot, h Health, p *Plan) bool {
	if !storms(s, h) || s.Wanted.Islands {
		return true
	}
	pace := s.Pace[s.Wanted.Groups[0]]
	lasted := s.Seen[Symptom{Kind: SymptomLogStorm}]
	if lasted <= s.Limits.LogStorm {
		p.background(v1alpha1.ReasonLogStorm, "the log of the metadata grows by %.0f entries a second although no client is connected, and not every node that runs is listed; the servers are restarted in place, one by one, when that has been so for %s", pace, s.Limits.LogStorm)
		return true
	}
	if len(p.Steps) > 0 {
		return true
	}
	var next []Member
	for _, m := range s.Members {
		switch {
		case !s.wantedOf(m):
		case !h.inService(m) && (!serving(m) || !h.unregistered(m)):
			p.wait(v1alpha1.ReasonLogStorm, "the log of the metadata grows by %.0f entries a second although no client is connected; the next server is restarted when %s is in service", pace, m.Pod)
			return true
		case m.Agent.StartedFor > lasted:
			next = append(next, m)
		}
	}
	if len(next) == 0 {
		p.trouble(v1alpha1.ReasonLogStorm, "the log of the metadata grows by %.0f entries a second although no client is connected, nodes that run are not listed, and every server was restarted since it began: look for what writes (another process with a node id of this cluster, a host that swallows what is sent to it)", pace)
		return true
	}
	m := slices.MinFunc(next, func(a, b Member) int { return len(h.LeaderOf(a.NodeID)) - len(h.LeaderOf(b.NodeID)) })
	if v := quorum.MayGo(m.NodeID, h.Groups()); !v.Allowed {
		p.wait(v1alpha1.ReasonLogStorm, "%s is to be restarted because the log of the metadata grows without clients, which waits: %s", m.Pod, v.Message)
		return true
	}
	p.step(Step{Kind: StepRestart, Pod: m.Pod, NodeID: m.NodeID, Reason: "the log of the metadata grows although no client is connected: every server is restarted in place, one by one"})
	return false
}
