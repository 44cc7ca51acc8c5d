package topology

import (
	"fmt"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// outdated reports whether the pod waits at its gate with this cluster's data of before the last restore.
func outdated(s Snapshot, m Member) bool {
	return m.Role == v1alpha1PlacementCenter && s.ours(m) && m.Agent.Marker.Generation < s.Wanted.Generation && m.Agent.VolumeInitialised && m.Agent.GateReason == GateOldGeneration && unsettled(m) == ""
}

// emptyOutdated empties members that a restore left out: a backup has the members that it was made of, and those that came later are no voters of what was restored. What they hold of the metadata is
// of before the restore and can never serve again. They join anew, by the ordinary ways.
//
// One that is a voter keeps its volume: that it was left out is no state that a restore leaves behind. And of the messages on it no copy may be missed (evacuated).
func emptyOutdated(s Snapshot, h Health, p *Plan) bool {
	for _, m := range s.of(v1alpha1PlacementCenter) {
		if !s.wantedOf(m) || !outdated(s, m) || !h.outside(m.NodeID) {
			continue
		}
		if leftBehind(s, m) && h.registered(m.NodeID) {
			forgetLeftBehind(h, m, p)
			return false
		}
		if proven, why := evacuated(s, h, m); !proven && !replaceable(s, h, m) {
			p.wait(v1alpha1.ReasonOldGeneration, "%s is no member of what was restored, and is emptied before it joins anew: %s", m.Pod, why)
			continue
		}
		p.step(Step{Kind: StepWipe, Pod: m.Pod, NodeID: m.NodeID, Planned: true,
			Reason: fmt.Sprintf("its volume is of generation %d, the cluster was restored as generation %d, and no member counts it: it joins anew", m.Agent.Marker.Generation, s.Wanted.Generation)})
		return false
	}
	return true
}
