package restore

import (
	"strings"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// stopping brings every server down: brokers and journal servers first, then followers, the leaders last. It ends when every member of the placement centre says that its server is gone, and
// nothing of an earlier restore or seed lies in its volume.
func stopping(o *observation, t Timings) verdict {
	if o.found == nil {
		return inspecting(o, t, v1alpha1.RestoreStopping)
	}
	v := at(v1alpha1.RestoreStopping, "the servers are stopped")
	v.term = term(o)
	if left := o.copyLeft(); left != "" {
		return back(v1alpha1.ReasonCopyLeft, "%s: a restore after a total loss, or into a new cluster, overwrites nothing; what is left there comes first", left)
	}
	orders, awaits := down(o, t)
	if awaits != "" {
		v.orders = orders
		return v.awaiting(awaits)
	}
	if orders, awaits = cleared(o); awaits != "" {
		v.orders = orders
		return v.awaiting(awaits)
	}
	next := at(v1alpha1.RestoreTransferring, "the backup is sent to %s", names(o.voters()))
	next.term = v.term
	return next
}

// awaiting is the verdict with another line for people.
func (v verdict) awaiting(line string) verdict {
	v.awaits, v.message = line, line
	return v
}

// copyLeft names a member that holds data, of a restore that may go into empty volumes alone.
func (o *observation) copyLeft() string {
	if o.overwrites() {
		return ""
	}
	for _, m := range o.members {
		if m.state != nil && m.state.Volume.Phase == protocol.VolumeInitialised && o.placement(m) == nil {
			return "the volume of " + m.pod + " holds data"
		}
	}
	return ""
}

// down are the orders of the next wave, and what it waits for; "" when every server is down. A broker whose agent cannot be asked is waited for no longer than Timings.Brokers: it serves nothing
// without the placement centre, and is restarted before the restore is complete.
func down(o *observation, t Timings) (orders []order, awaits string) {
	wave := func(members []member) {
		for _, m := range members {
			if !m.stopped() && m.state != nil {
				orders = append(orders, order{pod: m.pod, do: stop})
			}
		}
	}
	wave(o.nodes)
	if len(orders) > 0 {
		return orders, "brokers and journal servers to stop: " + podsOf(orders)
	}
	if silent := silentOf(running(o.nodes)); silent != "" && o.ago(o.restore.Status.StoppedTime) < t.Brokers {
		return nil, silent
	}
	var followers, leaders []member
	for _, m := range present(o.members) {
		if leads(m) {
			leaders = append(leaders, m)
		} else {
			followers = append(followers, m)
		}
	}
	if wave(followers); len(orders) > 0 {
		return orders, "followers to stop: " + podsOf(orders)
	}
	if wave(leaders); len(orders) > 0 {
		return orders, "the leader to stop: " + podsOf(orders)
	}
	// A member that cannot be asked may run.
	return nil, silentOf(present(o.members))
}

// running are the pods that exist: what does not exist does not run.
func running(members []member) []member {
	var out []member
	for _, m := range members {
		if m.exists {
			out = append(out, m)
		}
	}
	return out
}

func podsOf(orders []order) string {
	out := make([]string, 0, len(orders))
	for _, o := range orders {
		out = append(out, o.pod)
	}
	return strings.Join(out, ", ")
}

// leads reports whether the member leads a raft group, by its own word.
func leads(m member) bool {
	if m.state == nil {
		return false
	}
	for _, g := range m.state.Raft {
		if g.Running && g.State == "Leader" {
			return true
		}
	}
	return false
}

// cleared has what earlier restores and seeds left in the members' volumes ended: what was never opened goes, what is in force stays. The servers are stopped.
func cleared(o *observation) (orders []order, awaits string) {
	var left []string
	for _, m := range present(o.members) {
		if m.state == nil {
			continue
		}
		p, seed := o.leftover(m), m.state.Images.Seed
		switch {
		case p != nil && p.Phase == protocol.PlacementPlacing:
			left = append(left, m.pod+" puts image "+p.ID+" in place")
		case p != nil && p.Phase != protocol.PlacementReverted:
			orders = append(orders, order{pod: m.pod, do: endOf(p.Phase), id: p.ID})
			left = append(left, "image "+p.ID+" in the volume of "+m.pod)
		case seed != nil:
			orders = append(orders, order{pod: m.pod, do: abandonSeed, id: seed.ID})
			left = append(left, "seed "+seed.ID+" in the volume of "+m.pod)
		}
	}
	return orders, strings.Join(left, "; ")
}

// endOf is how a placement that nobody goes on with is ended.
func endOf(phase protocol.PlacementPhase) action {
	switch phase {
	case protocol.PlacementReceiving, protocol.PlacementReceived, protocol.PlacementReverted:
		return abandon
	case protocol.PlacementOpen:
		return discard
	}
	return revert
}
