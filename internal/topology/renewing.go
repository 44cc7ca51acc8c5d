package topology

import (
	"fmt"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/quorum"
)

// StepRenewVolume deletes the volume claim of a pod that cannot be scheduled because its volume is on a machine that is no more, and the pod, so that both are made anew.
const StepRenewVolume StepKind = "RenewVolume"

// volumeLost reports whether a pod cannot be scheduled because its volume is on a machine that no longer exists.
func volumeLost(s Snapshot, m Member) bool {
	return m.State == PodPending && m.Local != nil && s.Machines[m.Local.Machine].Gone
}

// noteVolume says why a pod whose volume is on one machine cannot be scheduled while that machine does not report.
func noteVolume(s Snapshot, m Member, p *Plan) (told bool) {
	if m.State != PodPending || m.Local == nil {
		return false
	}
	at, known := s.Machines[m.Local.Machine]
	if !known || at.Ready || at.Gone {
		return false
	}
	p.trouble(v1alpha1.ReasonNodeLost, "%s cannot be scheduled: its volume %s is on node %s, which %s. Bring the node back; or, when the machine and its disk are gone for good, delete the Node (`kubectl delete node %s`): the volume is then made anew, as far as its data is elsewhere",
		m.Pod, m.Local.Name, m.Local.Machine, at.words(), m.Local.Machine)
	return true
}

// renewVolumes gives a pod another volume whose own was on a machine that is gone for good (local disks). One at a time.
//
// A volume is deleted here that nobody asked to delete, so everything on it has to be elsewhere, with a proof: of the metadata, every other voter is whole (never the last copies, never while the
// quorum does not stand: then the lost volume may hold what was acknowledged last); of the messages, no segment has its only copy there. And what is on the disk itself stays, should the machine
// turn up again: the volume's reclaim policy is Retain, or the user said that volumes go with what they belonged to (volumeRetention: Delete).
func renewVolumes(s Snapshot, h Health, p *Plan) bool {
	for _, m := range s.Members {
		if !s.wantedOf(m) || !volumeLost(s, m) {
			continue
		}
		text := fmt.Sprintf("the volume %s of %s was on node %s, which no longer exists", m.Local.Name, m.Pod, m.Local.Machine)
		switch lasted := s.Seen[Symptom{SymptomVolumeLost, m.Pod}]; {
		case m.ClaimTerminating:
			p.wait(v1alpha1.ReasonVolumeLost, "%s; its claim is being deleted", text)
			continue
		case lasted <= s.Limits.VolumeLost:
			p.wait(v1alpha1.ReasonVolumeLost, "%s; whether it can be made anew is decided when that has been so for %s", text, s.Limits.VolumeLost)
			continue
		}
		if why := mayRenew(s, h, m); why != "" {
			p.trouble(v1alpha1.ReasonVolumeLost, "%s; it is not made anew: %s", text, why)
			continue
		}
		p.step(Step{Kind: StepRenewVolume, Pod: m.Pod, NodeID: m.NodeID, Cures: SymptomVolumeLost, Reason: text + ", and everything on it is elsewhere: it gets a new one" + kept(m)})
		return false
	}
	return true
}

func kept(m Member) string {
	if m.Local.Kept {
		return "; the old one stays as it is, released"
	}
	return ""
}

// mayRenew says why a lost volume must not be given up, in words for a person; empty when it may.
func mayRenew(s Snapshot, h Health, m Member) string {
	byHand := fmt.Sprintf("bring the machine back, or, if what is on it may be lost, delete the volume claim and the pod of %s yourself", m.Pod)
	switch {
	case !m.Local.Kept && !s.Wanted.VolumesGo:
		return fmt.Sprintf("volumeRetention is Retain, and its reclaim policy would delete what is on it should the machine turn up again; keep it with `kubectl patch pv %s -p '{\"spec\":{\"persistentVolumeReclaimPolicy\":\"Retain\"}}'`, or set volumeRetention to Delete",
			m.Local.Name)
	case !s.Wanted.Decommission:
		return "this version of RobustMQ does not tell where its messages have copies; " + byHand
	case !h.ledAll():
		return "the placement centre has no quorum, and the volume may hold what was acknowledged last: " + h.QuorumProblem()
	}
	if m.Role == v1alpha1PlacementCenter {
		if s.Wanted.NoSeeds != "" {
			return "no other member could give it its metadata: " + s.Wanted.NoSeeds
		}
		if missing := missingBeside(s, h, m); missing != "" {
			return "every other voter has to be whole first: " + missing
		}
		if v := quorum.MayGo(m.NodeID, h.Groups()); !v.Allowed {
			return v.Message
		}
	}
	if h.registered(m.NodeID) {
		return fmt.Sprintf("its node %d is still registered, which ends 30 s after its server did", m.NodeID)
	}
	if !s.Drain.Complete {
		return "whether its messages have copies elsewhere is being looked at" + because(s.Drain.Problem)
	}
	if last := only(s.Drain.naming(m.NodeID), m.NodeID); len(last) > 0 {
		return fmt.Sprintf("the only copy of the messages of these topics is on it: %s; delete the topics; or %s", topicsOf(last), byHand)
	}
	return ""
}
