package restore

import (
	"fmt"
	"slices"
	"strings"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// aborting brings every member back to what it had before: all are stopped, then all are put back, then all are started. A member is started only when none can run on what was restored: one
// that cannot be asked may.
func aborting(o *observation, t Timings) verdict {
	v := verdict{stage: v1alpha1.RestoreAborting, awaits: "the members go back to what they had"}
	if o.cluster == nil {
		return o.aborted()
	}
	members := present(o.members)
	switch {
	case o.push.job != nil:
		// While it runs it may send, and begin anew what was abandoned.
		v.removePush, v.awaits = true, "Job "+o.push.job.Name+" to end"
	case o.mustStop(members):
		if v.orders, v.awaits = down(o, t); v.awaits == "" {
			v.orders, v.awaits = o.putBack(members)
		}
	default:
		v.orders, v.awaits = o.letGo(members)
	}
	if v.awaits == "" {
		return o.aborted()
	}
	if gone := o.restore.DeletionTimestamp; !gone.IsZero() && o.now.Sub(gone.Time) >= t.Deletion {
		v.release, v.left = true, v.awaits
	}
	return v
}

// aborted is the end: with the reason for which it failed, or because somebody wanted it.
func (o *observation) aborted() verdict {
	if o.unwanted() {
		return verdict{stage: v1alpha1.RestoreAborted, reason: v1alpha1.ReasonRestoreAborted, message: "taken back: the cluster has what it had"}
	}
	return verdict{stage: v1alpha1.RestoreFailed} // the condition keeps what it failed for
}

// mustStop reports whether a member runs, or may run, on what was restored. What is in place and was never opened cannot: it is put back while the others run.
func (o *observation) mustStop(members []member) bool {
	for _, m := range members {
		if o.mayRun(m) {
			return true
		}
		if p := o.placement(m); p != nil && p.Phase == protocol.PlacementOpen || o.stranded(m) {
			return true
		}
	}
	return false
}

// mayRun reports whether a member that cannot be asked may run on what was restored. Its row in the status tells: a placement is opened only after the rows of all members had the digest that they
// said, and a row loses it when the member was seen put back.
func (o *observation) mayRun(m member) bool {
	return m.state == nil && rowOf(o.restore.Status.Members, m.pod).ImageSHA256 != ""
}

// stranded reports whether a member holds what was restored without anything to go back to: the record of its placement is gone.
func (o *observation) stranded(m member) bool {
	if m.state == nil || o.placement(m) != nil {
		return false
	}
	k := m.state.Volume.Marker
	return k != nil && k.Origin == protocol.OriginRestored && k.Generation == o.restore.Status.Generation
}

// changed reports whether the databases were exchanged, or may have been, and were not put back.
func changed(phase protocol.PlacementPhase) bool {
	switch phase {
	case protocol.PlacementPlacing, protocol.PlacementPlaced, protocol.PlacementOpen, protocol.PlacementReverting, protocol.PlacementFailed:
		return true
	}
	return false
}

// putBack reverts what is in place, once all servers are down.
func (o *observation) putBack(members []member) (orders []order, awaits string) {
	var left []string
	for _, m := range members {
		p := o.placement(m)
		switch {
		case m.state == nil:
			left = append(left, m.silent())
		case p != nil && p.Phase == protocol.PlacementPlacing:
			left = append(left, m.pod+" puts the backup in place")
		case p != nil && changed(p.Phase):
			orders = append(orders, order{pod: m.pod, do: revert, id: p.ID})
			left = append(left, m.pod+" to put back what it had")
		case o.stranded(m):
			left = append(left, m.pod+" holds what was restored, and nothing to go back to is known")
		}
	}
	return orders, strings.Join(left, "; ")
}

// letGo puts back what was never opened, removes what was received, and then lets the servers start on what they had.
func (o *observation) letGo(members []member) (orders []order, awaits string) {
	for _, m := range members {
		if p := o.placement(m); p != nil && changed(p.Phase) && !m.stopped() {
			orders = append(orders, order{pod: m.pod, do: stop})
		}
	}
	if len(orders) > 0 {
		return orders, podsOf(orders) + " to stop"
	}
	var silent []member
	asked := slices.DeleteFunc(slices.Clone(members), func(m member) bool {
		if m.state == nil {
			silent = append(silent, m)
		}
		return m.state == nil
	})
	if orders, awaits = o.putBack(asked); awaits != "" {
		return orders, awaits
	}
	var left []string
	for _, m := range asked {
		if p := o.placement(m); p != nil && p.Phase != protocol.PlacementReverted {
			orders = append(orders, order{pod: m.pod, do: abandon, id: p.ID})
			left = append(left, m.pod+" to remove what it received")
		}
		if m.state.Generation >= o.restore.Status.Generation {
			left = append(left, "the configuration of the former generation to reach "+m.pod)
		}
		if m.held() {
			orders = append(orders, order{pod: m.pod, do: start})
			left = append(left, m.pod+" to start")
		}
	}
	if why := silentOf(silent); why != "" {
		left = append(left, why)
	}
	if o.cluster.Status.Generation >= o.restore.Status.Generation {
		left = append(left, fmt.Sprintf("the cluster to go back to generation %d", o.restore.Status.Generation-1))
	}
	if len(left) > 0 {
		return orders, strings.Join(left, "; ")
	}
	// What is left of those that were put back.
	for _, m := range members {
		if p := o.placement(m); p != nil {
			orders = append(orders, order{pod: m.pod, do: abandon, id: p.ID})
			left = append(left, m.pod+" to remove what it received")
		}
	}
	if len(left) > 0 {
		return orders, strings.Join(left, "; ")
	}
	return o.releaseNode()
}

// releaseNode lets the next broker or journal server start, one in a pass: of two that start at once one may never learn of the other. None may be left held: one that no restore claims is taken for
// one that was drained. Those that cannot be asked are not waited for, as an order to hold does not outlive the agent.
func (o *observation) releaseNode() (orders []order, awaits string) {
	for _, m := range o.nodes {
		if m.held() {
			return []order{{pod: m.pod, do: start}}, m.pod + " to start"
		}
	}
	return nil, ""
}
