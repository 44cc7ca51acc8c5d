package cluster

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// toBeOne is a cluster of several members of which one is wanted, as the user allowed.
func toBeOne(t *testing.T) *pass {
	t.Helper()
	p := savable(formed(t))
	p.desired.Spec.PlacementCenter.Replicas = 1
	p.desired.Spec.Unsafe = []v1alpha1.UnsafeEscape{v1alpha1.AllowShrinkBelowQuorum}
	p.snapshot = newSnapshot(p, topology.DefaultLimits())
	return p
}

func TestAPlacementCentreMayBecomeOneOnlyWhereThatIsWantedAndAllowed(t *testing.T) {
	for what, c := range map[string]struct {
		change func(p *pass)
		want   topology.One
	}{
		"wanted and allowed":    {func(*pass) {}, topology.One{Allowed: true, Backup: "c-before-one-1"}},
		"no place for a backup": {func(p *pass) { p.desired.Spec.Backup = nil }, topology.One{Allowed: true}},
		"not allowed":           {func(p *pass) { p.desired.Spec.Unsafe = []v1alpha1.UnsafeEscape{v1alpha1.AllowEvenPlacementCenter} }, topology.One{}},
		"three are wanted":      {func(p *pass) { p.desired.Spec.PlacementCenter.Replicas = 3 }, topology.One{}},
		"there is one":          {func(p *pass) { p.snapshot.Present[v1alpha1.RolePlacementCenter] = 1 }, topology.One{}},
		"a later generation":    {func(p *pass) { p.id.generation = 4 }, topology.One{Allowed: true, Backup: "c-before-one-4"}},
	} {
		p := toBeOne(t)
		r, _ := stored(t, p)
		r.Now = time.Now
		c.change(p)
		if err := r.wantOne(t.Context(), p); err != nil || p.snapshot.Wanted.One != c.want {
			t.Errorf("%s: %+v, %v", what, p.snapshot.Wanted.One, err)
		}
	}
	p := toBeOne(t)
	r, _ := stored(t, p)
	r.Now = time.Now
	p.memory.aloneFailed = r.Now().Add(-time.Minute)
	if err := r.wantOne(t.Context(), p); err != nil || p.snapshot.Wanted.One.FailedAgo < time.Minute {
		t.Errorf("%+v, %v", p.snapshot.Wanted.One, err)
	}
}

func TestTheBackupBeforeItIsMadeOnceAndCounts(t *testing.T) {
	p := toBeOne(t)
	r, _ := stored(t, p)
	r.Now = time.Now
	for range 2 {
		if err := r.save(t.Context(), p, topology.Step{}); err != nil {
			t.Fatal(err)
		}
	}
	var made v1alpha1.RobustMQBackup
	if err := r.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: "c-before-one-1"}, &made); err != nil {
		t.Fatal(err)
	}
	if made.Spec.ClusterName != "c" || made.Labels[v1alpha1.LabelCluster] != "c" || len(made.OwnerReferences) != 0 {
		t.Errorf("%+v", made)
	}
	if err := r.wantOne(t.Context(), p); err != nil || !p.snapshot.Wanted.One.Begun || p.snapshot.Wanted.One.Saved || p.snapshot.Wanted.One.Failed != "" {
		t.Errorf("%+v, %v", p.snapshot.Wanted.One, err)
	}
}

func TestABackupStandsForTheClusterForAnHour(t *testing.T) {
	now := time.Now()
	backup := func(status metav1.ConditionStatus, stage v1alpha1.BackupStage, age time.Duration) *v1alpha1.RobustMQBackup {
		b := &v1alpha1.RobustMQBackup{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(now.Add(-age))}}
		b.Status.Stage = stage
		b.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: status, Reason: "NoSpace", Message: "the bucket is full"}}
		return b
	}
	for what, c := range map[string]struct {
		backup *v1alpha1.RobustMQBackup
		saved  bool
		failed string
	}{
		"complete":              {backup(metav1.ConditionTrue, v1alpha1.BackupComplete, time.Minute), true, ""},
		"complete, an hour ago": {backup(metav1.ConditionTrue, v1alpha1.BackupComplete, 61*time.Minute), false, "more than 1h0m0s ago"},
		"failed":                {backup(metav1.ConditionFalse, v1alpha1.BackupFailed, time.Minute), false, "the bucket is full"},
		"under way":             {backup(metav1.ConditionUnknown, v1alpha1.BackupWaiting, time.Minute), false, ""},
	} {
		saved, failed := savedBy(c.backup, now)
		if saved != c.saved || (failed == "") != (c.failed == "") || !strings.Contains(failed, c.failed) {
			t.Errorf("%s: %t, %q", what, saved, failed)
		}
	}
}

func TestTheGenerationThatAMemberBeganIsRecordedByWhoeverComesNext(t *testing.T) {
	mark := func(p *pass, change func(m *protocol.Marker)) {
		m := p.observed.states["c-placement-center-0"].Volume.Marker
		m.Origin, m.Generation = protocol.OriginAlone, 2
		if change != nil {
			change(m)
		}
	}
	for what, change := range map[string]func(m *protocol.Marker){
		"the recorded one":   func(m *protocol.Marker) { m.Generation = 1 },
		"one too many":       func(m *protocol.Marker) { m.Generation = 3 },
		"of another cluster": func(m *protocol.Marker) { m.ClusterUID = "other" },
		"of another node":    func(m *protocol.Marker) { m.NodeID = 2 },
		"of a restore":       func(m *protocol.Marker) { m.Origin = protocol.OriginRestored },
	} {
		p := toBeOne(t)
		r, _ := stored(t, p)
		mark(p, change)
		p.snapshot = newSnapshot(p, topology.DefaultLimits())
		if begun, err := r.recordAlone(t.Context(), p); begun || err != nil {
			t.Errorf("%s: %t, %v", what, begun, err)
		}
	}
	p := toBeOne(t)
	r, _ := stored(t, p)
	mark(p, nil)
	p.snapshot = newSnapshot(p, topology.DefaultLimits())
	if begun, err := r.recordAlone(t.Context(), p); !begun || err != nil {
		t.Fatalf("%t, %v", begun, err)
	}
	given(t, r, p)
	if p.id.generation != 2 || !p.id.founded || p.id.emptied {
		t.Errorf("%+v", p.id)
	}
	if begun, err := r.recordAlone(t.Context(), p); begun || err != nil {
		t.Errorf("once more: %t, %v", begun, err)
	}
}

func TestAServerHasAnnouncedItselfWhenItRegisteredSinceItsStart(t *testing.T) {
	started := time.Unix(1000, 900)
	for at, want := range map[uint64]bool{999: false, 1000: true, 1001: true} {
		st := protocol.State{NodeID: 1, Server: protocol.ServerState{Started: &started}, Registrations: []protocol.Registration{{NodeID: 2, At: 2000}, {NodeID: 1, At: at}}}
		if got := announced(st); got != want {
			t.Errorf("registered at %d: %t", at, got)
		}
		st.Server.Started = nil
		if announced(st) {
			t.Error("nothing runs, and it has announced itself")
		}
	}
}
