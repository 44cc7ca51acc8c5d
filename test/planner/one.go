package planner

import (
	"fmt"
	"slices"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// orderAlone is the agent's part of making a member the only voter (internal/agent: orderAlone): marker first, then the database. The agent may die in between.
func (w *World) orderAlone(n *node, other uint64) error {
	again := (n.vol.marker.Origin == topology.OriginAlone || n.vol.marker.Origin == topology.OriginAdopted) && n.vol.marker.Generation == 1+w.kube.raised && w.byID(other).vol != nil && w.byID(other).vol.marker != nil && w.byID(other).vol.marker.Generation < 1+w.kube.raised
	two := []uint64{n.id, other}
	slices.Sort(two)
	switch {
	case !n.running():
		return refusal("its server is down")
	case n.vol.seed != nil || n.agent.shut || n.vol.record != nil && n.vol.record.active():
		return refusal("metadata is being put in place, or leadership is being moved")
	case n.vol.marker.Generation != 1+n.mounted.raised:
		return refusal("the configuration is of another generation")
	}
	for g, r := range n.vol.raft {
		if r == nil || len(r.configs) != 1 || !slices.Equal(r.configs[0], two) && !slices.Equal(r.configs[0], []uint64{n.id}) || r.changed > r.applied {
			return refusal("the voters of %s are not the two, or not for good", groupNames[g])
		}
	}
	n.agent.held = true
	w.kill(n, topology.ServerStopped, "")
	if !again {
		n.vol.marker.Generation++
	}
	n.vol.marker.Origin, n.vol.marker.Member = topology.OriginAlone, true
	if !w.calm && w.chance(0.1) {
		n.agent.held = false
		w.Count.Faults["agent killed before it rewrote the database"]++
		return fmt.Errorf("%w: the agent died", errCall)
	}
	for _, r := range n.vol.raft {
		if !slices.Equal(r.configs[0], []uint64{n.id}) {
			r.vote, r.configs = vote{r.vote.term + 1, n.id, true}, [][]uint64{{n.id}}
		}
	}
	return nil
}

// recordAlone records the generation that a member began (controllers/cluster: recordAlone).
func (w *World) recordAlone(s topology.Snapshot) bool {
	for _, m := range s.Members {
		if m.Role == v1alpha1.RolePlacementCenter && m.Agent != nil && m.Agent.Marker != nil && m.Agent.Marker.Origin == topology.OriginAlone && m.Agent.Marker.Generation == s.Wanted.Generation+1 {
			w.kube.raised++
			w.tell("generation %d is recorded: %s began it", 1+w.kube.raised, m.Pod)
			return true
		}
	}
	return false
}

// checkAlone: the one that is to go on alone has all that was acknowledged, one member is wanted, and the user allowed it.
func (w *World) checkAlone(s topology.Snapshot, n *node, step topology.Step) {
	if !w.one || !s.Wanted.One.Allowed && n.vol.marker.Origin != topology.OriginAlone {
		w.violate("3", "%s is to go on alone, which nobody allowed", n.pod)
	}
	for g, name := range groupNames {
		if r := n.vol.raft[g]; r == nil || r.missing > 0 && !w.destroyed || common(r.log, w.truth[g]) < w.truth[g].last() && !w.destroyed {
			w.violate("2", "%s is to go on alone without node %d, and does not have all of %s that was acknowledged", n.pod, step.Without, name)
		}
	}
}

// setBack has the user do what the condition says where the copies of a node cannot move any more: with three members wanted it is filled from the others.
func (w *World) setBack() {
	if w.one && w.spec.replicas[0] == 1 && slices.ContainsFunc(w.op.last.Waits, func(x topology.Wait) bool { return x.Reason == v1alpha1.ReasonNotDrainable && x.Trouble }) {
		w.tell("the user sets replicas back to 3")
		w.spec.replicas[0] = 3
	}
}
