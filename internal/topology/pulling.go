package topology

import (
	"slices"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// Pull is how far the images of a pod's new template are on its node.
type Pull struct {
	Phase PullPhase
	// Reason, one of the API's, and Message of a failed one.
	Reason, Message string
}

// PullPhase is the phase of a pull.
type PullPhase string

// The phases of a pull.
const (
	PullNone    PullPhase = ""        // the pod runs these images already
	PullWanted  PullPhase = "Wanted"  // nobody has begun it
	PullRunning PullPhase = "Running" // a Job pulls them on the pod's node
	PullFailed  PullPhase = "Failed"  // it cannot be done, for a reason that somebody has to mend
	PullDone    PullPhase = "Done"
)

// pullImages has the images pulled on every node that carries a pod that is to be made anew, before the first of them goes: an image that cannot be pulled costs nothing then, and
// one that takes minutes costs no minutes without the pod. It returns false while that is not done.
func pullImages(pending []Member, p *Plan) bool {
	stale := slices.DeleteFunc(slices.Clone(pending), func(m Member) bool { return !m.TemplateStale })
	return PullAhead(stale, p.Roll.String(), p)
}

// PullAhead has the images pulled on the nodes of these members, and returns false while that is not done. doing says in what is told how far that is what they are pulled for.
func PullAhead(members []Member, doing string, p *Plan) bool {
	var wanted, running, failed []Member
	for _, m := range members {
		switch m.Pull.Phase {
		case PullWanted:
			wanted = append(wanted, m)
		case PullRunning:
			running = append(running, m)
		case PullFailed:
			failed = append(failed, m)
		}
	}
	asked := map[string]bool{}
	for _, m := range wanted {
		if !asked[m.Node] {
			asked[m.Node] = true
			p.step(Step{Kind: StepPull, Pod: m.Pod, NodeID: m.NodeID, Planned: true, Reason: "the images of the new template are pulled on node " + m.Node + " before its pod is taken down"})
		}
	}
	for _, m := range failed {
		reason := m.Pull.Reason
		if reason == "" {
			reason = v1alpha1.ReasonImagePullFailed
		}
		p.trouble(reason, "%s; no pod is taken down for the new template: on node %s, for %s, %s", doing, m.Node, m.Pod, m.Pull.Message)
	}
	if len(failed) > 0 {
		return false
	}
	if busy := slices.Concat(wanted, running); len(busy) > 0 {
		p.background(v1alpha1.ReasonReplacing, "%s; images are being pulled before a pod is taken down, on node %s for %s among others", doing, busy[0].Node, busy[0].Pod)
		return false
	}
	return true
}
