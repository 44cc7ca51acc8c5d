package cluster

import (
	"slices"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/topology"
	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

// holdBack asks the rules of admission once more, right before anything is done, of the cluster as its objects and its members' own answers show it: what was admitted
// while all was well, or with a status that somebody wrote, may be wrong now. What they forbid waits, with its reason; everything else, repairs above all, goes on.
func holdBack(p *pass, health topology.Health) {
	was := lived(p, health)
	if was == nil {
		return // nothing exists yet
	}
	var around *rules.Around
	if rules.ChangesWhatARestoreCountsOn(was, p.desired) {
		around = &rules.Around{Restores: p.restores}
	}
	present := map[v1alpha1.Role]int32{}
	for _, view := range was.Spec.Roles() {
		present[view.Role] = view.Replicas
	}
	for _, v := range rules.LiveCluster(was, p.desired, around) {
		if v.Rule == "NoShrinkWhileDegraded" && topology.GoingAlone(p.snapshot) {
			continue // nobody is in service because one member goes on alone: it has to come to its end
		}
		p.waits = append(p.waits, topology.Wait{Reason: v1alpha1.ReasonChangeHeld, Trouble: true, Message: v.Warning()})
		if v.Field.String() == "spec.version" {
			p.templatesHeld = true
			continue
		}
		for _, view := range p.desired.Spec.Roles() {
			if v.Field.String() == "spec."+view.Field+".replicas" {
				// Who is there stays wanted: nobody begins to leave, and one that was stopped for it, and is a voter still, is let go.
				p.inputs.Replicas[view.Role], p.snapshot.Wanted.Replicas[view.Role] = present[view.Role], present[view.Role]
			}
			if v.Field.String() == "spec."+view.Field+".storage" {
				if p.storageHeld == nil {
					p.storageHeld = map[v1alpha1.Role]bool{}
				}
				p.storageHeld[view.Role] = true
			}
		}
	}
	p.inputs.Members = p.inputs.Replicas[v1alpha1.RolePlacementCenter]
}

// lived is the cluster as it lives: spec as the objects that exist have it, status as it is seen in this pass, version as the newest that any server says it runs. nil when nothing exists.
func lived(p *pass, health topology.Health) *v1alpha1.RobustMQCluster {
	was := actedUpon(p.desired, p.observed)
	if was == nil {
		return nil
	}
	was.Status.Founded = p.id.founded
	was.Status.Members = slices.DeleteFunc(memberRows(p, health), func(row v1alpha1.MemberStatus) bool {
		i := slices.IndexFunc(p.snapshot.Members, func(m topology.Member) bool { return m.Pod == row.Pod })
		return i >= 0 && health.TakenOut(p.snapshot.Members[i]) // a member that is being taken away is no voter that somebody misses
	})
	was.Status.PlacementCenter = *roleStatus(p, health, v1alpha1.RolePlacementCenter)
	was.Spec.Version, was.Status.Version = p.desired.Spec.Version, p.desired.Spec.Version
	newest := robustmq.Version{}
	for _, state := range p.observed.states {
		if state.Server.Phase != protocol.ServerRunning {
			continue // a server that never came up wrote nothing: its version may be taken back
		}
		if v, err := robustmq.ParseVersion(state.Server.Version); err == nil && newest.Less(v) {
			newest = v
			was.Spec.Version, was.Status.Version = v.String(), v.String()
		}
	}
	return was
}
