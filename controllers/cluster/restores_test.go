package cluster

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/event"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

func restoreAt(name string, stage v1alpha1.RestoreStage, generation int64) v1alpha1.RobustMQRestore {
	return v1alpha1.RobustMQRestore{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns"}, Spec: v1alpha1.RobustMQRestoreSpec{ClusterName: "c"},
		Status: v1alpha1.RobustMQRestoreStatus{Stage: stage, Generation: generation},
	}
}

func TestOfSeveralRestoresTheOneThatHasTheMembersCounts(t *testing.T) {
	for what, c := range map[string]struct {
		restores []v1alpha1.RobustMQRestore
		want     topology.Restore
	}{
		"none":         {nil, topology.Restore{}},
		"ended ones":   {[]v1alpha1.RobustMQRestore{restoreAt("a", v1alpha1.RestoreComplete, 2), restoreAt("b", v1alpha1.RestoreFailed, 3), restoreAt("d", v1alpha1.RestoreAborted, 3)}, topology.Restore{}},
		"a new one":    {[]v1alpha1.RobustMQRestore{restoreAt("a", "", 0)}, topology.Restore{Name: "a", Stage: v1alpha1.RestoreWaiting}},
		"one in turn":  {[]v1alpha1.RobustMQRestore{restoreAt("a", v1alpha1.RestoreWaiting, 0), restoreAt("b", v1alpha1.RestoreOpening, 3), restoreAt("d", "", 0)}, topology.Restore{Name: "b", Stage: v1alpha1.RestoreOpening}},
		"two in a row": {[]v1alpha1.RobustMQRestore{restoreAt("a", v1alpha1.RestoreSaving, 0), restoreAt("b", v1alpha1.RestoreWaiting, 0)}, topology.Restore{Name: "a", Stage: v1alpha1.RestoreSaving}},
	} {
		if got := underWay(c.restores); got != c.want {
			t.Errorf("%s: %+v, want %+v", what, got, c.want)
		}
	}
}

func TestWhatARestoreAwaitsOrFailedOfIsToldInItsOwnWords(t *testing.T) {
	r := restoreAt("a", v1alpha1.RestoreStopping, 2)
	r.Status.Awaits = "c-placement-center-1 stops"
	r.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonRestoreRefused, Message: "too few nodes"}}
	if got := restoreOf(&r); got.Message != "c-placement-center-1 stops" || got.Reason != v1alpha1.ReasonRestoreRefused {
		t.Errorf("%+v", got)
	}
	r.Status.Awaits, r.Status.Stage = "", v1alpha1.RestoreFailed
	if got := restoreOf(&r); got.Message != "too few nodes" {
		t.Errorf("%+v", got)
	}
}

func TestOnlyTheClustersOwnRestoresAreLookedAt(t *testing.T) {
	other := restoreAt("z", v1alpha1.RestoreOpening, 7)
	other.Spec.ClusterName = "other"
	r := &Reconciler{Restores: func(context.Context, string) ([]v1alpha1.RobustMQRestore, error) {
		return []v1alpha1.RobustMQRestore{other, restoreAt("a", v1alpha1.RestoreWaiting, 0)}, nil
	}}
	got, err := r.observeRestores(t.Context(), sample("0.4.11"))
	if err != nil || len(got) != 1 || got[0].Name != "a" {
		t.Errorf("%v %v", got, err)
	}
	if got, err := (&Reconciler{}).observeRestores(t.Context(), sample("0.4.11")); got != nil || err != nil {
		t.Errorf("without the kind: %v %v", got, err)
	}
}

func TestAPassThatBeganBeforeARestoreTookTheMembersTakesNoStepAnyMore(t *testing.T) {
	stage := v1alpha1.RestoreSaving
	var fails error
	k := &kubernetes{pods: map[string]corev1.Pod{}}
	r := &Reconciler{Client: k, Events: events.NewFakeRecorder(10), Restores: func(context.Context, string) ([]v1alpha1.RobustMQRestore, error) {
		return []v1alpha1.RobustMQRestore{restoreAt("a", stage, 2)}, fails
	}}
	p := standing(t, nil)
	p.memory = &memory{}
	plan := topology.Plan{Steps: []topology.Step{{Kind: topology.StepReplace, Pod: "c-mqtt-broker-0", Reason: "test"}}}
	stage = v1alpha1.RestoreStopping
	if err := r.act(t.Context(), p, plan); err != nil || len(k.deleted) != 0 {
		t.Errorf("%v, deleted %v", err, k.deleted)
	}
	stage = v1alpha1.RestoreSaving
	if err := r.act(t.Context(), p, plan); err != nil || len(k.deleted) != 1 {
		t.Errorf("while the safety backup is made: %v, deleted %v", err, k.deleted)
	}
	fails = errors.New("timeout")
	if err := r.act(t.Context(), p, plan); err == nil || len(k.deleted) != 1 {
		t.Errorf("when it cannot be known: %v, deleted %v", err, k.deleted)
	}
}

func TestPodsStayAsManyAndAsAsleepAsTheyAreWhileARestoreHasThem(t *testing.T) {
	p := standing(t, func(c *v1alpha1.RobustMQCluster) { c.Spec.PlacementCenter.Replicas, c.Spec.MQTTBroker.Replicas = 5, 1 })
	p.inputs = (&Reconciler{}).inputs(p)
	p.keepSizes()
	if got := p.inputs; got.Replicas[v1alpha1.RolePlacementCenter] != 3 || got.Members != 3 || got.Replicas[v1alpha1.RoleMQTTBroker] != 2 || len(got.Asleep) != 0 {
		t.Errorf("%+v", got)
	}
	set := p.observed.sets[v1alpha1.RoleMQTTBroker]
	set.Annotations = map[string]string{v1alpha1.AnnotationAwake: "2"}
	*set.Spec.Replicas = 0
	p.keepSizes()
	if got := p.inputs; got.Replicas[v1alpha1.RoleMQTTBroker] != 0 || got.Asleep[v1alpha1.RoleMQTTBroker] != 2 {
		t.Errorf("asleep: %+v", got)
	}
	delete(p.observed.sets, v1alpha1.RoleMQTTBroker)
	p.inputs = (&Reconciler{}).inputs(p)
	p.keepSizes()
	if got := p.inputs.Replicas[v1alpha1.RoleMQTTBroker]; got != 1 {
		t.Errorf("a StatefulSet that somebody deleted is made again with %d pods", got)
	}
}

func TestWhichHeldServersARestoreMayHaveStopped(t *testing.T) {
	ended := func(stage v1alpha1.RestoreStage, generation int64) v1alpha1.RobustMQRestore {
		r := restoreAt("a", stage, generation)
		r.Status.CompletionTime = metav1.NewTime(noon)
		return r
	}
	before, after := &protocol.Exit{At: noon.Add(-time.Minute)}, &protocol.Exit{At: noon.Add(time.Minute)}
	for what, c := range map[string]struct {
		exit    *protocol.Exit
		restore v1alpha1.RobustMQRestore
		want    bool
	}{
		"before it was aborted":      {before, ended(v1alpha1.RestoreAborted, 2), true},
		"before it failed":           {before, ended(v1alpha1.RestoreFailed, 2), true},
		"before it was complete":     {before, ended(v1alpha1.RestoreComplete, 2), true},
		"after that":                 {after, ended(v1alpha1.RestoreAborted, 2), false},
		"it was down before already": {nil, ended(v1alpha1.RestoreAborted, 2), true},
		"one that stopped nothing":   {before, ended(v1alpha1.RestoreFailed, 0), false},
		"one that goes on":           {before, restoreAt("a", v1alpha1.RestoreStarting, 2), false},
		"down, and one that goes on": {nil, restoreAt("a", v1alpha1.RestoreStopping, 2), false},
	} {
		if got := stoppedByRestore(c.exit, []v1alpha1.RobustMQRestore{c.restore}); got != c.want {
			t.Errorf("%s: %t", what, got)
		}
	}
	if stoppedByRestore(nil, nil) {
		t.Error("without any restore")
	}
}

func TestARestoreIsSeenWhenItReachesAnotherStageAndNotAtEveryByte(t *testing.T) {
	before, after := restoreAt("a", v1alpha1.RestoreTransferring, 2), restoreAt("a", v1alpha1.RestoreTransferring, 2)
	after.Status.Progress.Bytes = 5
	p := restoreSteps()
	if p.Update(event.UpdateEvent{ObjectOld: &before, ObjectNew: &after}) {
		t.Error("more bytes bring a pass")
	}
	after.Status.Stage = v1alpha1.RestoreOpening
	if !p.Update(event.UpdateEvent{ObjectOld: &before, ObjectNew: &after}) || !p.Create(event.CreateEvent{Object: &after}) || !p.Delete(event.DeleteEvent{Object: &after}) {
		t.Error("a stage, a restore that comes, or one that goes is not seen")
	}
	if got := clusterOfRestore(t.Context(), &after); len(got) != 1 || got[0].Name != "c" || got[0].Namespace != "ns" {
		t.Errorf("leads to %v", got)
	}
}

func TestWhileASpecIsRefusedARestoresGenerationReachesTheMembersAllTheSame(t *testing.T) {
	p := standing(t, nil)
	objects, err := manifests.Objects(p.desired, (&Reconciler{}).inputs(p))
	if err != nil {
		t.Fatal(err)
	}
	kept := func() (names []string) {
		for _, o := range objects {
			if p.keepsUp(o) {
				names = append(names, o.GetObjectKind().GroupVersionKind().Kind+" "+o.GetName())
			}
		}
		return names
	}
	const config = "Secret c-placement-center-config"
	without := kept()
	p.snapshot.Wanted.Restore = topology.Restore{Name: "a", Stage: v1alpha1.RestoreTransferring}
	with := kept()
	if slices.Contains(without, config) || !slices.Contains(with, config) || len(with) != len(without)+1 {
		t.Errorf("without a restore %v, with one %v", without, with)
	}
}

func TestWhatLastedBeforeARestoreIsCountedAnewAfterIt(t *testing.T) {
	now := noon
	r := &Reconciler{Now: func() time.Time { return now }}
	p := formed(t)
	p.memory = &memory{}
	symptom := topology.Symptom{Kind: topology.SymptomTotalLoss}
	p.memory.tracker.Observe(now, []topology.Symptom{symptom})
	now = now.Add(time.Hour)
	p.snapshot.Wanted.Restore = topology.Restore{Name: "a", Stage: v1alpha1.RestoreVerifying}
	r.look(t.Context(), p)
	now = now.Add(time.Second)
	if lasted := p.memory.tracker.Observe(now, []topology.Symptom{symptom})[symptom]; lasted != 0 {
		t.Errorf("it has lasted for %s", lasted)
	}
}
