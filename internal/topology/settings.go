package topology

import (
	"slices"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// giveSettings brings running servers to the settings that they take in without a restart, one kind after another. A setting is stored by the metadata leader and passed on to every node, so the
// leader's pod is asked first; a node that did not hear of it is asked itself. Nothing is given before every pod has the new configuration: a pod that still has the old one would
// be found to differ from it, and be brought back to what no longer counts.
func giveSettings(s Snapshot, h Health, p *Plan) bool {
	if len(s.Wanted.Sources) == 0 || !h.ledAll() {
		return true
	}
	var pending []Member
	for _, m := range s.Members {
		switch wanted := s.Wanted.Sources[m.Role]; {
		case wanted == "" || !serving(m) || !s.wantedOf(m) || m.Agent.Terminating:
		case m.Agent.Source != wanted:
			p.background(v1alpha1.ReasonConfigPending, "%s does not have the new configuration yet: its node brings it, usually within a minute", m.Pod)
			return true
		case len(m.Agent.LivePending) > 0:
			pending = append(pending, m)
		}
	}
	first := s.Wanted.Groups[0]
	slices.SortStableFunc(pending, func(a, b Member) int { return leading(h, first, b) - leading(h, first, a) })
	for _, m := range pending {
		for _, kind := range m.Agent.LivePending {
			if s.Wanted.Refused[kind] == m.Agent.Source {
				p.trouble(v1alpha1.ReasonConfigRefused, "the server of %s refused the settings of kind %s; they are taken back out of its store, and wait for another value", m.Pod, kind)
				continue
			}
			p.step(Step{Kind: StepSettings, Pod: m.Pod, NodeID: m.NodeID, Setting: kind, Reason: "the settings of kind " + kind + " changed, which a running server takes in"})
			return true
		}
	}
	return true
}

func leading(h Health, group string, m Member) int {
	if l, ok := h.Leader(group); ok && l.NodeID == m.NodeID {
		return 1
	}
	return 0
}

// background is a wait during which everything is served as before.
func (p *Plan) background(reason, format string, args ...any) {
	p.wait(reason, format, args...)
	p.Waits[len(p.Waits)-1].Background = true
}
