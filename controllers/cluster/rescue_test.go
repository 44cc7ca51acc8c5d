package cluster

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// savable gives the pass's cluster a place for backups, and an identity of its own in Kubernetes.
func savable(p *pass) *pass {
	p.memory = &memory{}
	for _, c := range []*v1alpha1.RobustMQCluster{p.cluster, p.desired} {
		c.UID = "the-cluster"
		c.Spec.Backup = &v1alpha1.BackupSpec{Destination: v1alpha1.S3Destination{Bucket: "backups", Prefix: "eu", Endpoint: "https://s3.example.com", CredentialsSecretName: "s3"}, AutoRestore: v1alpha1.AutoRestoreOnTotalLoss}
	}
	p.inputs.ClusterUID, p.inputs.Generation = testUID, p.id.generation
	return p
}

func TestWhatKeepsTheOperatorFromRestoringByItself(t *testing.T) {
	for what, c := range map[string]struct {
		change   func(p *pass)
		absent   bool
		hindered string
	}{
		"nothing":             {func(*pass) {}, false, ""},
		"no plan of backups":  {func(p *pass) { p.desired.Spec.Backup = nil }, false, "spec.backup names no destination"},
		"it is switched off":  {func(p *pass) { p.desired.Spec.Backup.AutoRestore = v1alpha1.AutoRestoreDisabled }, false, "autoRestore is Disabled"},
		"the kind is missing": {func(*pass) {}, true, "no RobustMQRestore"},
		"nobody can read them": {func(p *pass) {
			p.desired.Spec.Backup.Encryption = &v1alpha1.BackupEncryption{Recipients: []string{"age1x"}}
		}, false, "identitySecretName"},
		"the operator can": {func(p *pass) {
			p.desired.Spec.Backup.Encryption = &v1alpha1.BackupEncryption{Recipients: []string{"age1x"}, IdentitySecretName: "id"}
		}, false, ""},
		"it says nothing of that": {func(p *pass) { p.desired.Spec.Backup.AutoRestore = "" }, false, ""},
	} {
		p := savable(formed(t))
		c.change(p)
		got := rescueOf(p, !c.absent)
		if (c.hindered == "") != (got.Hindrance == "") || !strings.Contains(got.Hindrance, c.hindered) {
			t.Errorf("%s: %+v", what, got)
		}
		if got.Restore.Name != "c-loss-1" || got.Restore.Stage != "" || got.StartEmpty {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

func TestOneLossHasOneRestoreAndTheNextAnother(t *testing.T) {
	p := savable(formed(t))
	p.restores = []v1alpha1.RobustMQRestore{restoreAt("c-loss-1", v1alpha1.RestoreComplete, 2)}
	if got := rescueOf(p, true); got.Restore.Stage != v1alpha1.RestoreComplete {
		t.Errorf("%+v", got)
	}
	p.id.generation = 2
	if got := rescueOf(p, true); got.Restore != (topology.Restore{Name: "c-loss-2"}) {
		t.Errorf("after the restore: %+v", got)
	}
}

func TestOnlyTheGenerationThatIsNamedIsGivenUp(t *testing.T) {
	for value, want := range map[string]bool{"": false, "2": false, "3": true, "4": false, "03": false, "true": false} {
		p := savable(formed(t))
		p.id.generation = 3
		p.cluster.Annotations = map[string]string{v1alpha1.AnnotationStartEmpty: value}
		if got := rescueOf(p, true).StartEmpty; got != want {
			t.Errorf("%q: %t", value, got)
		}
	}
}

func TestOnlyAClusterThatWasNeverFoundedAndNotGivenUpBeginsWithABackup(t *testing.T) {
	fresh := func() *pass {
		p := savable(formed(t))
		p.id.founded = false
		p.desired.Spec.Bootstrap = &v1alpha1.BootstrapSpec{RestoreFrom: &v1alpha1.RestoreSource{BackupName: "old"}}
		return p
	}
	p := fresh()
	if b := bootstrapOf(p, true); b == nil || b.Restore != (topology.Restore{Name: "c-bootstrap"}) || b.Hindrance != "" {
		t.Errorf("%+v", b)
	}
	if b := bootstrapOf(p, false); b == nil || b.Hindrance == "" {
		t.Errorf("without the kind: %+v", b)
	}
	for what, change := range map[string]func(p *pass){
		"founded":          func(p *pass) { p.id.founded = true },
		"given up":         func(p *pass) { p.id.emptied = true },
		"no source":        func(p *pass) { p.desired.Spec.Bootstrap.RestoreFrom = nil },
		"no bootstrapping": func(p *pass) { p.desired.Spec.Bootstrap = nil },
	} {
		p := fresh()
		change(p)
		if b := bootstrapOf(p, true); b != nil {
			t.Errorf("%s: %+v", what, b)
		}
	}
	other := restoreAt("c-bootstrap", v1alpha1.RestoreFailed, 0)
	p.restores = []v1alpha1.RobustMQRestore{other}
	if b := bootstrapOf(p, true); b.Restore.Stage != "" || !strings.Contains(b.Hindrance, "c-bootstrap") {
		t.Errorf("somebody else's: %+v", b)
	}
	own := manifests.BootstrapRestore(p.desired)
	own.Status.Stage = v1alpha1.RestoreFailed
	p.restores = []v1alpha1.RobustMQRestore{*own}
	if b := bootstrapOf(p, true); b.Restore.Stage != v1alpha1.RestoreFailed || b.Hindrance != "" {
		t.Errorf("its own: %+v", b)
	}
}

func TestTheRestoresThatTheOperatorMakes(t *testing.T) {
	p := savable(formed(t))
	r, _ := stored(t, p)
	p.cluster.Spec.Bootstrap = &v1alpha1.BootstrapSpec{RestoreFrom: &v1alpha1.RestoreSource{BackupName: "old"}}
	p.cluster.Spec.Unsafe = []v1alpha1.UnsafeEscape{v1alpha1.AllowEvenPlacementCenter, v1alpha1.AllowInsecureS3}
	for _, trigger := range []v1alpha1.RestoreTrigger{v1alpha1.RestoreBootstrap, v1alpha1.RestoreTotalLoss} {
		for range 2 { // made once, however often it is asked for
			if err := r.beginRestore(t.Context(), p, topology.Step{Kind: topology.StepRestore, Trigger: trigger}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var made v1alpha1.RobustMQRestoreList
	if err := r.List(t.Context(), &made); err != nil || len(made.Items) != 2 {
		t.Fatalf("%d %v", len(made.Items), err)
	}
	for _, got := range made.Items {
		if got.Namespace != "ns" || got.Spec.ClusterName != "c" || !metav1.IsControlledBy(&got, p.cluster) || got.Labels[v1alpha1.LabelCluster] != "c" || len(got.Spec.Unsafe) != 1 || got.Spec.Unsafe[0] != v1alpha1.RestoreInsecureS3 {
			t.Errorf("%+v", got)
		}
	}
	boot, loss := made.Items[0], made.Items[1]
	if boot.Name != "c-bootstrap" || boot.Spec.Trigger != v1alpha1.RestoreBootstrap || boot.Spec.Source.BackupName != "old" || boot.Spec.Source.Destination != nil {
		t.Errorf("%+v", boot.Spec)
	}
	if loss.Name != "c-loss-1" || loss.Spec.Trigger != v1alpha1.RestoreTotalLoss || loss.Spec.Source.ClusterUID != testUID || loss.Spec.Source.Destination == nil || loss.Spec.Source.Destination.Prefix != "eu" ||
		loss.Spec.Source.Key != "" || loss.Spec.Source.Before != nil {
		t.Errorf("%+v", loss.Spec)
	}
	p.cluster.Spec.Unsafe = nil
	if got := manifests.LossRestore(p.cluster, p.inputs); len(got.Spec.Unsafe) != 0 {
		t.Errorf("%v is carried over", got.Spec.Unsafe)
	}
}

// refusing is an API server that lets nothing be made.
type refusing struct {
	client.Client
	err error
}

func (r *refusing) Create(context.Context, client.Object, ...client.CreateOption) error { return r.err }

func TestARestoreThatCannotBeMadeIsRememberedUntilOneIs(t *testing.T) {
	p := savable(formed(t))
	r := &Reconciler{Client: &refusing{err: errors.New("RestoreTargetExists: never founded")}}
	step := topology.Step{Kind: topology.StepRestore, Trigger: v1alpha1.RestoreTotalLoss}
	if err := r.beginRestore(t.Context(), p, step); err == nil || !strings.Contains(p.memory.restoreRefused, "never founded") {
		t.Errorf("%v, remembered %q", err, p.memory.restoreRefused)
	}
	r.wantRestores(p)
	if got := p.snapshot.Wanted.Rescue.Refused; !strings.Contains(got, "never founded") {
		t.Errorf("told as %q", got)
	}
	r.Client = &refusing{err: apierrors.NewAlreadyExists(v1alpha1.GroupVersion.WithResource("robustmqrestores").GroupResource(), "c-loss-1")}
	if err := r.beginRestore(t.Context(), p, step); err != nil || p.memory.restoreRefused != "" {
		t.Errorf("%v, remembered %q", err, p.memory.restoreRefused)
	}
}

// given puts identity and generation of a pass anew from its records, as the next pass would find them.
func given(t *testing.T, r *Reconciler, p *pass) {
	t.Helper()
	reread(t, r, p)
	id, _, err := identify(p.cluster, p.observed, nil)
	if err != nil {
		t.Fatal(err)
	}
	id.generation = generationBy(id.recorded, p.generationOnClaims(), p.restores)
	p.id = id
	p.inputs.Generation = id.generation
	p.snapshot = newSnapshot(p, topology.DefaultLimits())
}

func TestAClusterThatIsGivenUpBeginsANewGenerationWhateverIsRecordedWhen(t *testing.T) {
	p := savable(formed(t))
	for pod, claim := range p.observed.claims {
		claim.Annotations = map[string]string{v1alpha1.AnnotationClusterUID: testUID}
		if strings.Contains(pod, "placement") {
			claim.Annotations[v1alpha1.AnnotationFounded] = "true"
		}
	}
	p.cluster.Status.ClusterUID, p.cluster.Status.Founded, p.cluster.Status.Generation = testUID, true, 1
	p.cluster.Annotations = map[string]string{v1alpha1.AnnotationStartEmpty: "1"}
	r, _ := stored(t, p)
	given(t, r, p)
	if !rescueOf(p, true).StartEmpty {
		t.Fatal("the annotation is not understood")
	}
	if err := r.startEmpty(t.Context(), p, topology.Step{}); err != nil {
		t.Fatal(err)
	}
	// The operator dies here: one claim says so, and everything else says what was before.
	given(t, r, p)
	check := func(when string) {
		t.Helper()
		if p.id.generation != 2 || p.id.founded || !p.id.emptied {
			t.Errorf("%s: %+v", when, p.id)
		}
		if rescueOf(p, true).StartEmpty {
			t.Errorf("%s: the same annotation works again", when)
		}
	}
	check("with one claim marked")
	if st := statusOf(p, noon); st.Founded || st.Generation != 2 {
		t.Errorf("the status says founded %t, generation %d", st.Founded, st.Generation)
	}
	if err := r.recordGeneration(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	given(t, r, p)
	check("with every claim marked")
	for pod, g := range generationsOn(p) {
		if g != "2 founded false" {
			t.Errorf("%s: %s", pod, g)
		}
	}
	p.cluster.Status.Generation, p.cluster.Status.Founded = 2, false
	given(t, r, p)
	check("with the status written")
	// It is founded, and that is recorded on one claim before the operator dies again.
	first := p.observed.claims["c-placement-center-0"]
	if err := r.mark(t.Context(), p, first, true); err != nil {
		t.Fatal(err)
	}
	given(t, r, p)
	if p.id.generation != 2 || !p.id.founded || p.id.emptied {
		t.Errorf("founded: %+v", p.id)
	}
	if err := r.markFounded(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	given(t, r, p)
	for pod, g := range generationsOn(p) {
		if g != "2 founded true" {
			t.Errorf("%s: %s", pod, g)
		}
	}
}

func TestOnWhichRecordTheFoundingIsKnown(t *testing.T) {
	for what, c := range map[string]struct {
		records []record
		want    record
	}{
		"none":                             {nil, record{}},
		"by the status":                    {[]record{{1, true, false}, {1, false, false}}, record{1, true, false}},
		"by a claim":                       {[]record{{1, false, false}, {1, true, false}}, record{1, true, false}},
		"by an older generation":           {[]record{{1, true, false}, {2, false, true}, {1, true, false}}, record{2, false, true}},
		"founded since":                    {[]record{{2, false, true}, {2, true, false}}, record{2, true, false}},
		"a claim that was made since":      {[]record{{3, true, false}, {1, false, false}}, record{3, true, false}},
		"restored, and a claim is behind":  {[]record{{1, true, false}, {2, true, false}}, record{2, true, false}},
		"bootstrapped, and not yet opened": {[]record{{1, false, false}, {2, false, false}}, record{2, false, false}},
	} {
		if got := newest(c.records); got != c.want {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

func TestBeginningEmptyNeedsAClaimToRecordItOn(t *testing.T) {
	p := savable(formed(t))
	now := metav1.Now()
	for pod, claim := range p.observed.claims {
		if strings.Contains(pod, "placement") {
			claim.DeletionTimestamp = &now
		}
	}
	if err := (&Reconciler{}).startEmpty(t.Context(), p, topology.Step{}); err == nil {
		t.Error("it is recorded nowhere, and counts as recorded")
	}
}

func TestTheEventsOfRestoresSayWhoWantedThem(t *testing.T) {
	for _, c := range []struct {
		step      topology.Step
		eventType string
		reason    string
	}{
		{topology.Step{Kind: topology.StepRestore, Trigger: v1alpha1.RestoreTotalLoss}, corev1.EventTypeWarning, v1alpha1.ReasonAutoRestore},
		{topology.Step{Kind: topology.StepRestore, Trigger: v1alpha1.RestoreBootstrap}, corev1.EventTypeNormal, v1alpha1.ReasonRestoring},
		{topology.Step{Kind: topology.StepStartEmpty}, corev1.EventTypeWarning, v1alpha1.ReasonStartedEmpty},
	} {
		if kind, reason, ok := eventOfRestore(c.step); !ok || kind != c.eventType || reason != c.reason {
			t.Errorf("%+v: %s %s %t", c.step, kind, reason, ok)
		}
	}
	if _, _, ok := eventOfRestore(topology.Step{Kind: topology.StepFound}); ok {
		t.Error("a founding is told as a restore")
	}
	if got := ofPod(topology.Step{}, "why"); got != "why" {
		t.Errorf("%q", got)
	}
	if got := ofPod(topology.Step{Pod: "a"}, "why"); got != "a: why" {
		t.Errorf("%q", got)
	}
}

func TestAMemberThatLeftAndWasEmptiedLosesTheMarkBeforeItsPodGoes(t *testing.T) {
	for what, c := range map[string]struct {
		change func(p *pass, state *protocol.State)
		marked bool
	}{
		"it is emptied": {func(*pass, *protocol.State) {}, false},
		"it is wanted":  {func(p *pass, _ *protocol.State) { p.desired.Spec.PlacementCenter.Replicas = 3 }, true},
		"it still has its volume": {func(_ *pass, s *protocol.State) {
			s.Volume.Phase, s.Gate.Reason = protocol.VolumeInitialised, protocol.GateHeld
		}, true},
		"it cannot be asked": {func(p *pass, _ *protocol.State) { p.observed.pods["c-placement-center-2"].Status.PodIP = "" }, true},
	} {
		p := formed(t)
		p.desired.Spec.PlacementCenter.Replicas = 2
		for pod, state := range p.observed.states {
			for group, g := range state.Raft {
				g.Configs = [][]uint64{{1, 2}}
				state.Raft[group] = g
			}
			p.observed.states[pod] = state
		}
		state := protocol.State{Pod: "c-placement-center-2", NodeID: 3, Volume: protocol.VolumeState{Phase: protocol.VolumeEmpty}, Gate: protocol.GateState{Reason: protocol.GateAwaitsOrder}, Server: protocol.ServerState{Phase: protocol.ServerStopped}}
		c.change(p, &state)
		p.observed.states["c-placement-center-2"] = state
		if what == "it cannot be asked" {
			delete(p.observed.states, "c-placement-center-2")
		}
		r, _ := stored(t, p)
		reread(t, r, p)
		if err := r.forgetLeft(t.Context(), p, topology.Assess(p.snapshot)); err != nil {
			t.Fatal(err)
		}
		reread(t, r, p)
		for pod, claim := range p.observed.claims {
			want := pod != "c-placement-center-2" || c.marked
			if marked := claim.Annotations[v1alpha1.AnnotationFounded] == "true"; marked != want {
				t.Errorf("%s: the claim of %s is marked: %t", what, pod, marked)
			}
		}
	}
}

func TestAClaimThatNoPodHasIsNamed(t *testing.T) {
	p := formed(t)
	for pod, mark := range map[string]string{"c-placement-center-4": "true", "c-placement-center-5": "", "c-mqtt-broker-7": "true"} {
		p.observed.claims[pod] = &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data-" + pod, Annotations: map[string]string{v1alpha1.AnnotationFounded: mark}}}
	}
	if got := newSnapshot(p, topology.DefaultLimits()).OtherVolumes; len(got) != 1 || got[0] != "data-c-placement-center-4" {
		t.Errorf("%v", got)
	}
}

func TestWhileARestoreHasTheMembersTheClusterSaysSoAndWhoAwaitsWhat(t *testing.T) {
	p := formed(t)
	p.snapshot.Wanted.Restore = topology.Restore{Name: "undo", Stage: v1alpha1.RestoreTransferring, Message: "c-placement-center-1: 3 of 9 MiB"}
	st := statusOf(p, noon)
	for name, want := range map[string]metav1.ConditionStatus{v1alpha1.ConditionReady: metav1.ConditionFalse, v1alpha1.ConditionProgressing: metav1.ConditionTrue} {
		c := condition(t, st, name)
		if c.Status != want || c.Reason != v1alpha1.ReasonRestoring || !strings.Contains(c.Message, "undo") || !strings.Contains(c.Message, "Transferring") || !strings.Contains(c.Message, "3 of 9 MiB") {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if c := condition(t, st, v1alpha1.ConditionDegraded); c.Status != metav1.ConditionFalse {
		t.Errorf("a restore is trouble: %+v", c)
	}
}
