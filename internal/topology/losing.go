package topology

import (
	"fmt"
	"slices"
	"strings"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// Steps by which a cluster comes to metadata that no member has.
const (
	// StepRestore makes a RobustMQRestore, which brings the newest good backup, or the one that the spec names.
	StepRestore StepKind = "Restore"
	// StepStartEmpty gives up what was lost: the cluster may be founded once more, as one of the next generation.
	StepStartEmpty StepKind = "StartEmpty"
)

// Rescue is how the loss of every copy of the metadata is to be answered.
type Rescue struct {
	// Restore is the one that this loss is answered by. It has its name before it exists, so that one loss has one restore whatever becomes of it, and whoever dies in between.
	Restore Restore
	// Hindrance says why the operator makes none by itself; empty: it does.
	Hindrance string
	// Refused is why the last attempt to make it failed; empty: there was none.
	Refused string
	// StartEmpty: a person said that this generation of the cluster is given up.
	StartEmpty bool
}

// losing is what is seen of a placement centre whose volumes are all empty.
type losing struct {
	// lost: the agent of every member has said that its volume is empty.
	lost bool
	// unproven says why that is not acted upon yet; empty: nothing speaks against it.
	unproven string
}

// totalLoss looks at every volume of the placement centre. What its own agent did not call empty may hold what was acknowledged: a pod that does not run, whose volume is not mounted, not readable or
// slow, or whose agent does not answer, is never taken for a loss. Nor is a volume that no pod has.
func totalLoss(s Snapshot) losing {
	members := s.of(v1alpha1PlacementCenter)
	if !s.Wanted.Founded || len(members) == 0 || slices.ContainsFunc(members, func(m Member) bool { return m.Agent == nil || !m.Agent.VolumeEmpty }) {
		return losing{}
	}
	for _, m := range members {
		if why := unsettled(m); why != "" {
			return losing{lost: true, unproven: why}
		}
	}
	if len(s.OtherVolumes) > 0 {
		return losing{lost: true, unproven: fmt.Sprintf("no pod has the volume claims %s, and one of them may hold a copy: raise spec.placementCenter.replicas so that they are looked at, or delete them if what is on them may go",
			strings.Join(s.OtherVolumes, ", "))}
	}
	return losing{lost: true}
}

// unsettled says why it is not certain that an empty volume is empty, and stays so.
func unsettled(m Member) string {
	a := m.Agent
	switch {
	case m.State != PodRunning || a.Terminating:
		return m.Pod + " is being replaced"
	case a.GateOpen || a.Server != ServerStopped:
		return "the server of " + m.Pod + " is not stopped"
	case a.Seed != nil || a.Placing:
		return m.Pod + " is being filled"
	}
	return ""
}

// answerLoss says what becomes of a founded cluster that lost every copy of its metadata, and does it. It is never founded as if nothing had been:
//
//  1. While a restore is under way, whoever made it, that is the answer.
//  2. Nothing is done before the loss is certain (totalLoss), and has been so for Limits.TotalLoss without a break.
//  3. What a person says counts before what was planned: the annotation that gives this generation up lets the cluster be founded once more, empty. The generation rises with it, so the same annotation
//     never works again.
//  4. With a destination for backups, and unless that was switched off, the newest good backup is restored: once a loss. One that failed is not tried again, as nobody but a person can tell whether what
//     made it fail is over.
//  5. Else it waits, and says what a person can do.
func answerLoss(s Snapshot, l losing, p *Plan) {
	const lost = "every volume of the placement centre is empty although the cluster was founded: it is not founded again"
	rescue := s.Wanted.Rescue
	byHand := fmt.Sprintf("make a RobustMQRestore that names a backup, or, if what was lost may go for good, begin empty with the annotation %s: \"%d\" on the cluster", v1alpha1.AnnotationStartEmpty, s.Wanted.Generation)
	tell := func(format string, args ...any) {
		p.trouble(v1alpha1.ReasonDataLost, "%s; %s", lost, fmt.Sprintf(format, args...))
	}
	switch lasted := s.Seen[Symptom{Kind: SymptomTotalLoss}]; {
	case s.Wanted.Restore.UnderWay():
		tell("its metadata comes from a backup (%s)", s.Wanted.Restore.words())
	case l.unproven != "":
		tell("nothing is done about it yet: %s", l.unproven)
	case lasted <= s.Limits.TotalLoss:
		tell("nothing is done about it before it has been so for %s", s.Limits.TotalLoss)
	case rescue.StartEmpty:
		tell("its annotation says to begin empty")
		p.step(Step{Kind: StepStartEmpty, Cures: SymptomTotalLoss,
			Reason: fmt.Sprintf("every copy of the metadata is lost, and the annotation %s says that generation %d is given up: the cluster is founded once more, empty", v1alpha1.AnnotationStartEmpty, s.Wanted.Generation)})
	case rescue.Restore.Stage != "":
		tell("the restore that was made for it did not bring the metadata back, and none is made twice for one loss (%s): %s", rescue.Restore.words(), byHand)
	case rescue.Hindrance != "":
		tell("%s: %s", rescue.Hindrance, byHand)
	default:
		text := "it gets the newest good backup"
		if rescue.Refused != "" {
			text = fmt.Sprintf("the restore %s cannot be made: %s", rescue.Restore.Name, rescue.Refused)
		}
		tell("%s", text)
		p.step(Step{Kind: StepRestore, Trigger: v1alpha1.RestoreTotalLoss, Cures: SymptomTotalLoss,
			Reason: fmt.Sprintf("every copy of the metadata has been lost for %s: the restore %s brings the newest good backup", s.Limits.TotalLoss, rescue.Restore.Name)})
	}
}
