package cluster

import (
	"context"
	"errors"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// standing is a pass over a cluster of three members and two brokers that all serve, with its objects; its spec then changes as the test says.
func standing(t *testing.T, change func(*v1alpha1.RobustMQCluster)) *pass {
	t.Helper()
	p := formed(t)
	p.observed.sets = running(p.desired).sets
	if change != nil {
		change(p.desired)
	}
	p.snapshot = newSnapshot(p, topology.DefaultLimits())
	return p
}

// held runs the live check with inputs as they would be, and returns the pass.
func held(t *testing.T, r *Reconciler, p *pass) *pass {
	t.Helper()
	restores, err := r.observeRestores(t.Context(), p.cluster)
	if err != nil {
		t.Fatal(err)
	}
	p.inputs, p.restores = r.inputs(p), restores
	holdBack(p, topology.Assess(p.snapshot))
	return p
}

// down takes a member's agent away, as a dead node does. Its leader still counts it as a voter.
func down(p *pass, pod string) {
	delete(p.observed.states, pod)
	p.observed.errs[pod] = errors.New("no route to host")
	p.snapshot = newSnapshot(p, topology.DefaultLimits())
}

func members(n int32) func(*v1alpha1.RobustMQCluster) {
	return func(c *v1alpha1.RobustMQCluster) { c.Spec.PlacementCenter.Replicas = n }
}

func TestBeforeItActsTheOperatorAsksWhetherTheLivingPlacementCentreBearsAShrink(t *testing.T) {
	allowed := []v1alpha1.UnsafeEscape{v1alpha1.AllowShrinkBelowQuorum, v1alpha1.AllowEvenPlacementCenter}
	for what, c := range map[string]struct {
		size   int32
		unsafe []v1alpha1.UnsafeEscape
		down   string
		want   string
	}{
		"two of three, all in service":              {2, allowed, "", ""},
		"one of three":                              {1, nil, "", "NoShrinkBelowQuorum"},
		"one of three, by the escape":               {1, allowed, "", ""},
		"two of three while a voter is down":        {2, allowed, "c-placement-center-2", "NoShrinkWhileDegraded"},
		"one by the escape, while the voter stays":  {1, allowed, "c-placement-center-1", "NoShrinkWhileDegraded"},
		"as many as there are while a voter's down": {3, nil, "c-placement-center-2", ""},
		"more while a voter is down":                {5, nil, "c-placement-center-2", ""},
		"two of three without a leader":             {2, allowed, "c-placement-center-0", "NoShrinkWhileDegraded"},
	} {
		p := standing(t, members(c.size))
		p.desired.Spec.Unsafe = c.unsafe
		if c.down != "" {
			down(p, c.down)
		}
		held(t, &Reconciler{}, p)
		if c.want == "" {
			if len(p.waits) != 0 {
				t.Errorf("%s: %+v", what, p.waits)
			}
			continue
		}
		if len(p.waits) != 1 || p.waits[0].Reason != v1alpha1.ReasonChangeHeld || !p.waits[0].Trouble || !strings.Contains(p.waits[0].Message, c.want) || !strings.HasPrefix(p.waits[0].Message, "spec.placementCenter.replicas: ") {
			t.Errorf("%s: %+v; want %s", what, p.waits, c.want)
		}
		if c.down != "" && c.down != "c-placement-center-0" && !strings.Contains(p.waits[0].Message, c.down) {
			t.Errorf("%s: the member is not named: %s", what, p.waits[0].Message)
		}
		if got := p.inputs.Replicas[v1alpha1.RolePlacementCenter]; got != 3 || p.inputs.Members != 3 {
			t.Errorf("%s: %d members would run, and the configuration would name %d", what, got, p.inputs.Members)
		}
		if got := p.snapshot.Wanted.Replicas[v1alpha1.RolePlacementCenter]; got != 3 {
			t.Errorf("%s: the plan would be made for %d members", what, got)
		}
		if got := roleStatus(p, topology.Assess(p.snapshot), v1alpha1.RolePlacementCenter); got.Desired != c.size {
			t.Errorf("%s: the status says that %d are wanted", what, got.Desired)
		}
	}
}

// Whoever is stopped to be taken away is a voter until it has left, and nobody misses it: else no leaving would come to its end.
func TestAMemberThatIsStoppedToLeaveIsNoVoterThatIsMissed(t *testing.T) {
	p := standing(t, members(2))
	p.desired.Spec.Unsafe = []v1alpha1.UnsafeEscape{v1alpha1.AllowEvenPlacementCenter}
	const last = "c-placement-center-2"
	state := p.observed.states[last]
	state.Server.Phase, state.Gate.Open, state.Gate.Reason, state.Raft = protocol.ServerStopped, false, protocol.GateHeld, nil
	p.observed.states[last] = state
	p.snapshot = newSnapshot(p, topology.DefaultLimits())
	if held(t, &Reconciler{}, p); len(p.waits) != 0 {
		t.Errorf("%+v", p.waits)
	}
	h := topology.Assess(p.snapshot)
	if st := roleStatus(p, h, v1alpha1.RolePlacementCenter); st.Replicas != 3 || st.Ready != 2 || st.Summary != "2/2" {
		t.Errorf("%+v", st)
	}
	if h.EveryVoterWhole() {
		t.Error("another member might be evicted while one is stopped")
	}
	down(p, "c-placement-center-1")
	if held(t, &Reconciler{}, p); len(p.waits) != 1 || !strings.Contains(p.waits[0].Message, "c-placement-center-1") {
		t.Errorf("with another down: %+v", p.waits)
	}
}

// The status says that all is well; somebody wrote it, or it is old.
func TestTheLiveCheckBelievesTheMembersAndNotTheStatus(t *testing.T) {
	p := standing(t, members(2))
	p.desired.Spec.Unsafe = []v1alpha1.UnsafeEscape{v1alpha1.AllowEvenPlacementCenter}
	p.cluster.Status = statusOf(formed(t), noon)
	p.desired.Status = p.cluster.Status
	down(p, "c-placement-center-2")
	if held(t, &Reconciler{}, p); len(p.waits) != 1 || !strings.Contains(p.waits[0].Message, "NoShrinkWhileDegraded") {
		t.Errorf("%+v", p.waits)
	}
}

func TestAServersOwnVersionKeepsTheOperatorFromBuildingForAnotherThatCannotReadItsData(t *testing.T) {
	for version, want := range map[string]string{"0.4.11": "", "0.4.12": "", "0.4.10": "VersionForward", "0.4.9": "VersionForward"} {
		p := standing(t, nil)
		p.desired.Spec.Version, p.desired.Status.Version = version, version // a status that somebody wrote: what runs is 0.4.11
		held(t, &Reconciler{}, p)
		if p.templatesHeld != (want != "") || (len(p.waits) == 0) != (want == "") {
			t.Errorf("%s: held %t, %+v", version, p.templatesHeld, p.waits)
			continue
		}
		if want != "" && (!strings.Contains(p.waits[0].Message, want) || !strings.Contains(p.waits[0].Message, "0.4.11")) {
			t.Errorf("%s: %+v", version, p.waits)
		}
	}
	p := standing(t, func(c *v1alpha1.RobustMQCluster) { c.Spec.Version = "0.4.11" })
	for pod, state := range p.observed.states {
		state.Server.Version = "0.4.8"
		p.observed.states[pod] = state
	}
	if held(t, &Reconciler{}, p); !p.templatesHeld || !strings.Contains(p.waits[0].Message, "VersionHop") {
		t.Errorf("a hop: %+v", p.waits)
	}
}

func TestWhatPodsAreMadeOfIsLeftAloneWhileTheirVersionIsHeldAndNothingElse(t *testing.T) {
	c := desiredSample()
	objects, err := manifests.Objects(c, manifests.Inputs{ClusterUID: testUID, ClusterDomain: "cluster.local", Replicas: map[v1alpha1.Role]int32{v1alpha1.RolePlacementCenter: 3, v1alpha1.RoleMQTTBroker: 2}})
	if err != nil {
		t.Fatal(err)
	}
	kept, applied := 0, 0
	for _, o := range objects {
		kind := o.GetObjectKind().GroupVersionKind().Kind
		if shapesPods(o) != (kind == "StatefulSet" || kind == "Secret") {
			t.Errorf("%s %s: kept %t", kind, o.GetName(), shapesPods(o))
		}
		if shapesPods(o) {
			kept++
		} else {
			applied++
		}
	}
	if kept < 4 || applied < 5 {
		t.Errorf("%d kept, %d applied", kept, applied)
	}
}

func TestNothingGrowsOrShrinksWhileARestoreRuns(t *testing.T) {
	stage := v1alpha1.RestoreTransferring
	r := &Reconciler{Restores: func(_ context.Context, namespace string) ([]v1alpha1.RobustMQRestore, error) {
		if namespace != "ns" {
			t.Errorf("asked for namespace %q", namespace)
		}
		return []v1alpha1.RobustMQRestore{{
			ObjectMeta: metav1.ObjectMeta{Name: "undo", Namespace: "ns"}, Spec: v1alpha1.RobustMQRestoreSpec{ClusterName: "c"}, Status: v1alpha1.RobustMQRestoreStatus{Stage: stage},
		}}, nil
	}}
	grow := func(c *v1alpha1.RobustMQCluster) { c.Spec.PlacementCenter.Replicas, c.Spec.MQTTBroker.Replicas = 5, 4 }
	p := held(t, r, standing(t, grow))
	if len(p.waits) != 2 || !strings.Contains(p.waits[0].Message, "NoChangeDuringRestore") || !strings.Contains(p.waits[0].Message, "undo") {
		t.Errorf("%+v", p.waits)
	}
	if got := p.inputs.Replicas; got[v1alpha1.RolePlacementCenter] != 3 || got[v1alpha1.RoleMQTTBroker] != 2 || p.inputs.Members != 3 {
		t.Errorf("would run %v", got)
	}
	stage = v1alpha1.RestoreComplete
	if p = held(t, r, standing(t, grow)); len(p.waits) != 0 || p.inputs.Replicas[v1alpha1.RoleMQTTBroker] != 4 || p.inputs.Members != 5 {
		t.Errorf("after the restore: %+v, %v", p.waits, p.inputs.Replicas)
	}
	r.Restores = func(context.Context, string) ([]v1alpha1.RobustMQRestore, error) { return nil, errors.New("timeout") }
	if _, err := r.observeRestores(t.Context(), p.cluster); err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("restores that cannot be read: %v", err)
	}
}

func TestAClusterOfWhichNothingExistsYetIsHeldBackByNothing(t *testing.T) {
	p := standing(t, members(5))
	p.observed.sets = nil
	if held(t, &Reconciler{}, p); len(p.waits) != 0 || p.inputs.Members != 5 {
		t.Errorf("%+v", p.waits)
	}
}
