package topology

import (
	"fmt"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// Bootstrap is the backup that a cluster begins with.
type Bootstrap struct {
	// Restore brings it. It has its name before it exists.
	Restore Restore
	// Hindrance says why it cannot be made; empty: it can.
	Hindrance string
	// Refused is why the last attempt to make it failed; empty: there was none.
	Refused string
}

// beginWithBackup keeps a cluster that shall begin with a backup from being founded empty: a restore fills its volumes, and by what the restored members are marked with the founding is recorded
// (found). The same three records as for a founding are asked before: once the cluster was founded, however it lost its data since, this is not looked at again.
func beginWithBackup(s Snapshot, _ Health, p *Plan) bool {
	b := s.Wanted.Bootstrap
	members := s.of(v1alpha1PlacementCenter)
	if s.Wanted.Founded || b == nil || len(members) == 0 {
		return true
	}
	for _, m := range members {
		if s.ours(m) && !unopened(m) {
			return true // restored, or a founding that was begun before the spec named a backup
		}
	}
	const begins = "the cluster begins with the backup that spec.bootstrap.restoreFrom names"
	reason := b.Restore.Reason
	if reason == "" {
		reason = v1alpha1.ReasonRestoring
	}
	switch {
	case s.Wanted.Restore.UnderWay():
		p.wait(v1alpha1.ReasonRestoring, "%s (%s)", begins, s.Wanted.Restore.words())
		return false
	case b.Restore.Stage == v1alpha1.RestoreComplete:
		p.trouble(v1alpha1.ReasonDataLost, "the restore %s is complete, and what it brought is gone from every volume: the same backup is not restored again by itself; delete that RobustMQRestore to have it done, or make a new cluster", b.Restore.Name)
		return false
	case b.Restore.Stage != "":
		p.trouble(reason, "%s, and is not founded without it (%s); correct spec.bootstrap.restoreFrom, or take it out to begin empty, and delete the RobustMQRestore %s: a new one is then made", begins, b.Restore.words(), b.Restore.Name)
		return false
	case b.Hindrance != "":
		p.trouble(v1alpha1.ReasonRestoring, "%s, which cannot be done: %s", begins, b.Hindrance)
		return false
	}
	for _, m := range members {
		switch {
		case m.Agent == nil:
			p.wait(v1alpha1.ReasonRestoring, "%s, once every member's volume has been seen empty; %s cannot be asked yet", begins, m.Pod)
			return false
		case !m.Agent.VolumeEmpty:
			p.trouble(v1alpha1.ReasonForeignVolume, "nothing is restored while the volume of %s holds data: %s", m.Pod, m.Agent.GateMessage)
			return false
		}
	}
	if b.Refused != "" {
		p.trouble(v1alpha1.ReasonRestoring, "%s; the restore %s cannot be made: %s", begins, b.Restore.Name, b.Refused)
	}
	p.step(Step{Kind: StepRestore, Trigger: v1alpha1.RestoreBootstrap, Planned: true, Reason: fmt.Sprintf("%s: the restore %s brings it", begins, b.Restore.Name)})
	return false
}

// unopened reports whether the member's volume holds an image that is not in force: what it is marked with may yet be taken back.
func unopened(m Member) bool { return m.Agent.Placing || m.Agent.GateReason == GatePlacing }
