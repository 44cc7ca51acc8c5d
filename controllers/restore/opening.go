package restore

import (
	"fmt"
	"slices"
	"strings"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// opening has every voter put the backup in place, compares what they say they put there, waits until each has the configuration of the new generation, and lets them start together.
//
// Nothing is opened while a voter is missing, or says something else than the others. Until the last of them says that it is in place the servers have what they had; from the first opened one on
// there is the new, or the way back of all.
func opening(o *observation, t Timings) verdict {
	if o.found == nil {
		return inspecting(o, t, v1alpha1.RestoreOpening)
	}
	v := at(v1alpha1.RestoreOpening, "the members put the backup in place")
	v.orders = again(o)
	v.removePush = o.push.job != nil
	voters := o.voters()
	var missing []string
	placed := true
	for _, m := range voters {
		if why := m.silent(); why != "" {
			missing, placed = append(missing, why), false
			continue
		}
		p := o.placement(m)
		if problem := o.strayed(m, p); problem != nil {
			return *problem
		}
		switch p.Phase {
		case protocol.PlacementPlaced, protocol.PlacementOpen:
			continue
		case protocol.PlacementReceived, protocol.PlacementFailed:
			if m.stopped() {
				v.orders = append(v.orders, order{pod: m.pod, do: place, id: p.ID})
			}
		}
		missing, placed = append(missing, m.pod+" to put the backup in place"), false
	}
	if !placed {
		return v.awaiting(strings.Join(missing, "; "))
	}
	if differ := o.differ(voters); differ != "" {
		return back(v1alpha1.ReasonMembersDisagree, "the members did not put the same in place: %s", differ)
	}
	if late := o.late(voters); late != "" {
		return v.awaiting(late)
	}
	return o.opened(v, voters)
}

// opened opens what is in place, and when all of it is open, lets the servers start.
func (o *observation) opened(v verdict, voters []member) verdict {
	var shut []order
	for _, m := range voters {
		if p := o.placement(m); p.Phase != protocol.PlacementOpen {
			shut = append(shut, order{pod: m.pod, do: open, id: p.ID})
		}
	}
	if len(shut) > 0 {
		v.orders = append(v.orders, shut...)
		return v.awaiting("the gates of " + podsOf(shut) + " to open")
	}
	next := at(v1alpha1.RestoreVerifying, "the servers of %s start", names(voters))
	next.orders = slices.Concat(v.orders, starts(voters))
	return next
}

// starts are the orders for members whose gate nothing but an earlier order keeps shut.
func starts(members []member) []order {
	var out []order
	for _, m := range members {
		if m.held() {
			out = append(out, order{pod: m.pod, do: start})
		}
	}
	return out
}

// strayed is the way back of a member that is not where it should be; nil: it is.
func (o *observation) strayed(m member, p *protocol.Placement) *verdict {
	var v verdict
	switch {
	case p == nil:
		v = back(v1alpha1.ReasonMembersDisagree, "%s has lost what it received of the backup", m.pod)
	case p.Generation != o.restore.Status.Generation:
		v = back(v1alpha1.ReasonMembersDisagree, "%s received the backup for generation %d, and it is %d", m.pod, p.Generation, o.restore.Status.Generation)
	case p.Phase == protocol.PlacementReceiving || p.Phase == protocol.PlacementReverting || p.Phase == protocol.PlacementReverted:
		v = back(v1alpha1.ReasonMembersDisagree, "the backup is %s at %s, and was received whole before", p.Phase, m.pod)
	case p.Phase == protocol.PlacementFailed && p.Reason == protocol.ImageNoSpace:
		v = back(v1alpha1.ReasonNoSpace, "%s cannot put the backup in place: %s", m.pod, p.Message)
	case p.Phase == protocol.PlacementFailed && p.Reason != protocol.ImageInterrupted:
		v = back(v1alpha1.ReasonImageFailed, "%s cannot put the backup in place: %s: %s", m.pod, p.Reason, p.Message)
	case p.Phase == protocol.PlacementReceived && !o.overwrites() && !m.empty():
		v = back(v1alpha1.ReasonCopyLeft, "the volume of %s holds data: a restore after a total loss, or into a new cluster, overwrites nothing", m.pod)
	default:
		return nil
	}
	return &v
}

// differ says who put something else in place; empty: all the same, and each says what.
func (o *observation) differ(voters []member) string {
	first, same := o.placement(voters[0]).SHA256, true
	var said []string
	for _, m := range voters {
		sum := o.placement(m).SHA256
		same = same && sum == first && len(sum) == 64
		said = append(said, fmt.Sprintf("%s says %s", m.pod, oneOf(sum, "nothing")))
	}
	if same {
		return ""
	}
	return strings.Join(said, ", ")
}

// late says who has not got the configuration of the new generation yet.
func (o *observation) late(voters []member) string {
	var out []string
	for _, m := range voters {
		if m.state.Generation != o.restore.Status.Generation {
			out = append(out, fmt.Sprintf("%s (it has %d)", m.pod, m.state.Generation))
		}
	}
	if len(out) == 0 {
		return ""
	}
	return fmt.Sprintf("the configuration of generation %d to reach %s", o.restore.Status.Generation, strings.Join(out, ", "))
}
