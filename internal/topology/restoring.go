package topology

import (
	"fmt"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// Restore is a RobustMQRestore of the cluster, as far as decisions depend on it. The zero value: there is none.
type Restore struct {
	Name string
	// Stage is how far it is; empty: no such object exists. One that was only just made is Waiting.
	Stage v1alpha1.RestoreStage
	// Reason and Message say what it waits for, and once it has ended what came of it.
	Reason, Message string
}

// HasMembers reports whether the restore has the members in its own hands. Until it gives them back nothing else may stop, start, fill, empty or replace any of them.
func (r Restore) HasMembers() bool {
	switch r.Stage {
	case v1alpha1.RestoreStopping, v1alpha1.RestoreTransferring, v1alpha1.RestoreOpening, v1alpha1.RestoreVerifying, v1alpha1.RestoreAborting:
		return true
	}
	return false
}

// UnderWay reports whether the restore has begun and not ended.
func (r Restore) UnderWay() bool {
	switch r.Stage {
	case "", v1alpha1.RestoreComplete, v1alpha1.RestoreFailed, v1alpha1.RestoreAborted:
		return false
	}
	return true
}

func (r Restore) words() string {
	text := fmt.Sprintf("restore %s is %s", r.Name, r.Stage)
	if r.Message != "" {
		text += ": " + r.Message
	}
	return text
}

// standAside is the only thing that is said while a restore has the members in its hands.
func standAside(s Snapshot) (Wait, bool) {
	r := s.Wanted.Restore
	if !r.HasMembers() {
		return Wait{}, false
	}
	return Wait{Reason: v1alpha1.ReasonRestoring, Message: fmt.Sprintf("the placement centre gets the metadata of a backup; nothing else is done meanwhile (%s)", r.words())}, true
}
