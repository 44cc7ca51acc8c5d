package restore

import (
	"fmt"
	"net"
	"slices"
	"strconv"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

// transferring has a Job send the backup to all voters, beside what they have. A Job that dies is made again and goes on from the bytes that arrived.
func transferring(o *observation, t Timings) verdict {
	if o.found == nil {
		return inspecting(o, t, v1alpha1.RestoreTransferring)
	}
	if left := o.copyLeft(); left != "" {
		return back(v1alpha1.ReasonCopyLeft, "%s: a restore after a total loss, or into a new cluster, overwrites nothing; what is left there comes first", left)
	}
	v := at(v1alpha1.RestoreTransferring, "the backup is sent to %s", names(o.voters()))
	v.orders = again(o)
	if o.received() && (o.push.job == nil || o.push.run.Phase == outcome.Ended) {
		next := at(v1alpha1.RestoreOpening, "%s to put the backup in place", names(o.voters()))
		next.orders = v.orders
		return next
	}
	if o.overwrites() && !o.restore.Status.Progress.LastMoved.IsZero() && o.ago(o.restore.Status.Progress.LastMoved) >= t.Stuck {
		why := oneOf(o.push.run.Message, oneOf(silentOf(o.voters()), "the members do not say why"))
		return back(v1alpha1.ReasonDeadline, "no byte of the backup arrived for %s: %s", t.Stuck, why)
	}
	if silent := silentOf(o.voters()); silent != "" && o.push.job == nil {
		return v.awaiting(silent)
	}
	return pushing(o, t, v)
}

// again stops servers that a restart of their pods let start: an order to stop does not outlive the agent.
func again(o *observation) []order {
	var out []order
	for _, m := range slices.Concat(o.nodes, present(o.members)) {
		if p := o.placement(m); m.state == nil || m.stopped() || p != nil && p.Phase == protocol.PlacementOpen {
			continue
		}
		out = append(out, order{pod: m.pod, do: stop})
	}
	return out
}

// received reports whether every voter has the whole backup, verified.
func (o *observation) received() bool {
	voters := o.voters()
	for _, m := range voters {
		p := o.placement(m)
		if p == nil || p.Generation != o.restore.Status.Generation {
			return false
		}
		switch p.Phase {
		case protocol.PlacementReceived, protocol.PlacementPlacing, protocol.PlacementPlaced, protocol.PlacementFailed, protocol.PlacementOpen:
		default:
			return false
		}
	}
	return len(voters) > 0
}

// pushing follows the Job that sends the backup.
func pushing(o *observation, t Timings, v verdict) verdict {
	name := manifests.RestoreJobName(o.restore.Name)
	run := o.push.run
	switch {
	case o.push.job == nil && o.place == nil:
		return inspecting(o, t, v1alpha1.RestoreTransferring)
	case o.push.job == nil:
		v.push = true
		return v.awaiting(fmt.Sprintf("Job %s, which sends the backup to %s", name, names(o.voters())))
	case run.Phase == outcome.Ended && !run.OK():
		reason := job.Reason(run.Reason)
		if o.overwrites() && run.Result != nil && !mayPass(reason) {
			return back(run.Reason, "the backup cannot be sent to the members: %s", run.Message)
		}
		v.removePush = o.now.Sub(run.Since) >= t.Retry
		return v.awaiting(fmt.Sprintf("Job %s is made again: %s: %s", name, run.Reason, run.Message))
	case run.Phase == outcome.Ended, !o.reaches():
		// It ended and a member has lost what it got, or it sends to where a pod was.
		v.removePush = true
		return v.awaiting(fmt.Sprintf("Job %s is made again: a pod of the placement centre was made anew", name))
	case run.Phase == outcome.Pending && run.Message != "":
		return v.awaiting(fmt.Sprintf("Job %s: %s", name, run.Message))
	}
	return v.awaiting(fmt.Sprintf("Job %s, which sends the backup to %s", name, names(o.voters()))) // how far each is stands in its row: a line that moved with every byte would be written as often
}

// mayPass reports whether another Job may well succeed. A member whose pod was made anew refuses, until it is told to stop again or has the operator's certificates.
func mayPass(reason job.Reason) bool {
	return reason.Passing() || reason == job.PlacementRefused || reason == job.AgentRefused
}

// reaches reports whether the Job sends to where the voters are now.
func (o *observation) reaches() bool {
	if o.pushed == nil {
		return false
	}
	for _, m := range o.voters() {
		i := slices.IndexFunc(o.pushed.Members, func(to job.RestoreMember) bool { return to.Pod == m.pod })
		if i < 0 || m.address != "" && o.pushed.Members[i].Agent != agentAddress(m) {
			return false
		}
	}
	return true
}

func agentAddress(m member) string { return net.JoinHostPort(m.address, strconv.Itoa(protocol.Port)) }
