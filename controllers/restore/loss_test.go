package restore

import (
	"slices"
	"strings"
	"testing"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// lost is a world whose members have lost all their metadata, and a restore that the operator made of it.
func lost(t *testing.T) *world {
	t.Helper()
	c := newCluster()
	w := newWorld(t, newRestore(func(x *v1alpha1.RobustMQRestore) {
		x.Spec.Trigger, x.Spec.Unsafe = v1alpha1.RestoreTotalLoss, nil
		x.Spec.Source = v1alpha1.RestoreSource{Destination: c.Spec.Backup.Destination.DeepCopy(), ClusterUID: clusterUID}
	}), c)
	for _, a := range w.agents {
		if a.role == v1alpha1.RolePlacementCenter {
			w.mu.Lock()
			a.data, a.running = "", false
			w.mu.Unlock()
		}
	}
	return w
}

func TestAfterATotalLossTheBackupGoesIntoTheEmptyVolumesWithoutBeingSavedFirst(t *testing.T) {
	w := lost(t)
	x := w.run(60)
	if x.Status.Stage != v1alpha1.RestoreComplete || !slices.Equal(w.dataOf(), []string{"new"}) || x.Status.SafetyBackupName != "" || len(w.broken) > 0 {
		t.Errorf("%v\n%s\n%s", w.broken, w.story(), strings.Join(w.events, "\n"))
	}
	if x.Status.Term != 3 {
		t.Errorf("term %d: the backup's highest is 2", x.Status.Term)
	}
}

func TestAfterATotalLossACopyThatComesBackIsNotOverwritten(t *testing.T) {
	for _, stage := range []v1alpha1.RestoreStage{v1alpha1.RestoreStopping, v1alpha1.RestoreTransferring} {
		w := lost(t)
		r := w.operator()
		for range 60 {
			x := w.restore()
			if x.Ended() && len(x.Finalizers) == 0 {
				break
			}
			if a := w.agents[1]; x.Status.Stage == stage && a.data == "" {
				w.mu.Lock()
				a.data, a.placement = "old", nil // the volume that was missing is mounted after all
				a.settle()
				w.mu.Unlock()
			}
			w.pass(r)
			w.step()
		}
		x := w.restore()
		if x.Status.Stage != v1alpha1.RestoreFailed || w.agents[1].data != "old" || w.agents[0].data != "" || !strings.Contains(w.story(), v1alpha1.ReasonCopyLeft) || len(w.broken) > 0 {
			t.Errorf("%s: %v\n%s\n%s", stage, w.broken, w.story(), strings.Join(w.events, "\n"))
		}
		for _, a := range w.agents {
			if p := a.placement; p != nil && p.Phase != protocol.PlacementReverted {
				t.Errorf("%s: %s still has %+v", stage, a.pod, p)
			}
		}
	}
}

func TestARestoreThatIsTakenBackAfterATotalLossLeavesTheVolumesEmpty(t *testing.T) {
	w := lost(t)
	r := w.operator()
	for range 80 {
		x := w.restore()
		if x.Ended() && len(x.Finalizers) == 0 {
			break
		}
		if x.Status.Stage == v1alpha1.RestoreVerifying {
			annotate(t, w, x)
		}
		w.pass(r)
		w.step()
	}
	if x := w.restore(); x.Status.Stage != v1alpha1.RestoreAborted || !slices.Equal(w.dataOf(), []string{""}) || len(w.broken) > 0 {
		t.Errorf("%v\n%s", w.broken, w.story())
	}
}
