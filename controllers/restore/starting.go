package restore

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// starting leaves brokers and journal servers to controllers/cluster, which lets them start one after the other, and stops those that were not down meanwhile: what they have in their caches is
// of before. The restore is complete when all that the spec asks for serve.
func starting(o *observation, t Timings) verdict {
	v := at(v1alpha1.RestoreStarting, "brokers and journal servers to come back")
	v.orders = starts(o.voters())
	for _, m := range o.nodes {
		if m.wanted && m.state != nil && o.stale(m) {
			v.orders = append(v.orders, order{pod: m.pod, do: stop})
		}
	}
	if missing := o.outOfService(); len(missing) > 0 {
		return v.awaiting("to serve: " + strings.Join(missing, ", "))
	}
	if o.before != nil && o.after == nil && o.now.Sub(o.since) < t.Verify {
		return v.awaiting("a broker to list the topics, so that those which the backup does not know are named")
	}
	done := verdict{stage: v1alpha1.RestoreComplete, reason: v1alpha1.ReasonRestoreComplete, orphans: orphans(o.before, o.after)}
	done.message = fmt.Sprintf("the cluster has what %s held at %s", o.restore.Status.Source.Key, o.restore.Status.Source.RecoveryPoint.Time.UTC().Format("2006-01-02T15:04:05Z"))
	if n := len(done.orphans); n > 0 {
		done.message += fmt.Sprintf("; %d topics that were made after it are gone, and nothing names their messages any more: %s", n, strings.Join(done.orphans[:min(n, 5)], ", "))
	}
	if c := meta.FindStatusCondition(o.restore.Status.Conditions, v1alpha1.ConditionVerified); o.found != nil && c != nil {
		if counts := compared(o.found.Counts, o.after); counts != "" {
			done.verified = &opinion{c.Status, c.Reason, c.Message + "; " + counts}
		}
	}
	return done
}

// outOfService are the pods that do not serve on what was restored, with what they lack.
func (o *observation) outOfService() []string {
	var missing []string
	for _, m := range o.voters() {
		if !serves(m, o) {
			missing = append(missing, m.pod)
		}
	}
	for _, m := range o.nodes {
		switch {
		case !m.wanted:
		case m.state == nil:
			missing = append(missing, fmt.Sprintf("%s (%s)", m.pod, m.silent()))
		case o.stale(m):
			missing = append(missing, m.pod+" (it ran all the while, and is started again)")
		case m.state.Server.Phase != protocol.ServerRunning:
			missing = append(missing, fmt.Sprintf("%s (%s)", m.pod, oneOf(m.state.Server.Waiting, m.state.Server.Phase)))
		case m.role == v1alpha1.RoleMQTTBroker && !m.state.Server.MQTTOpen:
			missing = append(missing, m.pod+" (its MQTT port is closed)")
		}
	}
	if o.found == nil { // who votes is known from the members' rows then
		missing = append(missing, unnamedVoters(o)...)
	}
	return missing
}

// unnamedVoters are the members that got the backup and do not serve, by the status' rows.
func unnamedVoters(o *observation) []string {
	var out []string
	for _, m := range o.members {
		for _, row := range o.restore.Status.Members {
			if row.Pod == m.pod && row.ImageSHA256 != "" && !serves(m, o) {
				out = append(out, m.pod)
			}
		}
	}
	return out
}

// stale reports whether a node's server was not down since the members were stopped.
func (o *observation) stale(m member) bool {
	started := m.state.Server.Started
	return m.state.Server.Phase != protocol.ServerStopped && started != nil && !started.After(o.restore.Status.StoppedTime.Time)
}

// serves reports whether a member's server runs on what was restored, and has a leader in every raft group.
func serves(m member, o *observation) bool {
	p := o.placement(m)
	if m.state == nil || p == nil || p.Phase != protocol.PlacementOpen || m.state.Server.Phase != protocol.ServerRunning || len(m.state.Raft) == 0 {
		return false
	}
	for _, g := range m.state.Raft {
		if !g.Running || g.CurrentLeader == 0 {
			return false
		}
	}
	return true
}

// afterwards is about a restore that has ended: of a complete one, what was there before is removed.
func afterwards(o *observation, t Timings) verdict {
	s := o.restore.Status
	v := verdict{stage: s.Stage, removePush: o.push.job != nil}
	if s.Stage != v1alpha1.RestoreComplete || o.cluster == nil {
		v.release = true
		return v
	}
	var left []string
	for _, m := range present(o.members) {
		p := o.placement(m)
		switch {
		case m.state == nil:
			left = append(left, m.silent())
		case p != nil:
			v.orders = append(v.orders, order{pod: m.pod, do: endOf(p.Phase), id: p.ID})
			left = append(left, "what "+m.pod+" had before is kept beside what it has")
		}
	}
	switch {
	case len(left) == 0:
		v.release = true
	case !o.restore.DeletionTimestamp.IsZero() && o.now.Sub(o.restore.DeletionTimestamp.Time) >= t.Deletion:
		v.release, v.left = true, strings.Join(left, "; ")
	}
	return v
}
