package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

func (s *shelf) Wipe(_ context.Context, order protocol.WipeOrder) (protocol.State, error) {
	s.orders = append(s.orders, fmt.Sprint("wipe ", order.Marker.NodeID))
	return protocol.State{}, nil
}

// emptying is a pass that has decided on a step by which the last broker loses its volume: its pod is not there yet, or its server is stopped and held, and nothing counts on it. live is what the API server
// has and what the agents say when they are asked once more; it begins as what was seen.
func emptying(t *testing.T, stopped bool) (r *Reconciler, p *pass, step topology.Step, shelves map[string]*shelf, live []client.Object) {
	t.Helper()
	const broker = "c-mqtt-broker-1"
	p = formed(t)
	p.desired.Spec.MQTTBroker.Replicas, p.desired.Spec.VolumeRetention = 1, v1alpha1.VolumesDeleted
	p.memory = &memory{}
	shelves = map[string]*shelf{}
	for pod, state := range p.observed.states {
		state.Nodes = slices.DeleteFunc(slices.Clone(state.Nodes), func(id uint64) bool { return id == 1002 })
		if state.Registry != nil {
			state.Registry = state.Nodes
		}
		p.observed.states[pod] = state
		shelves[pod] = &shelf{state: state}
	}
	gone := p.observed.states[broker]
	gone.Server.Phase, gone.Gate = protocol.ServerStopped, protocol.GateState{Reason: protocol.GateHeld}
	p.observed.states[broker], shelves[broker].state = gone, gone
	step = topology.Step{Kind: topology.StepWipe, Pod: broker, NodeID: 1002}
	if !stopped {
		step.Kind = topology.StepReleaseVolume
		p.observed.pods[broker].Status = corev1.PodStatus{Phase: corev1.PodPending}
		delete(p.observed.states, broker)
	}
	live = []client.Object{p.cluster.DeepCopy()}
	for _, pod := range p.observed.pods {
		pod.Labels = map[string]string{v1alpha1.LabelCluster: "c"}
		live = append(live, pod.DeepCopy())
	}
	for _, claim := range p.observed.claims {
		claim.Namespace, claim.Labels = "ns", map[string]string{v1alpha1.LabelCluster: "c"}
		live = append(live, claim.DeepCopy())
	}
	p.snapshot = newSnapshot(p, topology.DefaultLimits())
	p.snapshot.Drain.Complete = true
	p.dial = func(pod *corev1.Pod) (agentclient.Client, error) { return shelves[pod.Name], nil }
	r = &Reconciler{Now: func() time.Time { return noon }, Timings: DefaultTimings(), Limits: topology.DefaultLimits()}
	if plan := topology.Decide(p.snapshot); !plan.Takes(step) {
		t.Fatalf("it is not decided on: %+v", plan)
	}
	return r, p, step, shelves, live
}

// carriesOut does the step and reports whether the volume went.
func carriesOut(t *testing.T, r *Reconciler, p *pass, step topology.Step, shelves map[string]*shelf, live []client.Object) (went bool, err error) {
	t.Helper()
	api := ahead(t, live...)
	r.Client, r.Reader = api, api
	if step.Kind == topology.StepWipe {
		err = r.order(t.Context(), p, step)
		return slices.Contains(shelves[step.Pod].orders, "wipe 1002"), err
	}
	err = r.releaseVolume(t.Context(), p, step)
	return api.Get(t.Context(), client.ObjectKeyFromObject(p.observed.claims[step.Pod]), &corev1.PersistentVolumeClaim{}) != nil, err
}

func TestAVolumeIsEmptiedOrDeletedOnlyWhereThatWouldBeDecidedOnceMoreOfWhatIsSeenAtThatMoment(t *testing.T) {
	runs := func(_ *pass, shelves map[string]*shelf, live []client.Object) {
		state := shelves["c-mqtt-broker-0"].state
		state.Pod, state.NodeID = "c-mqtt-broker-1", 1002
		state.Volume.Marker = &protocol.Marker{ClusterUID: testUID, NodeID: 1002, Generation: 1, Origin: protocol.OriginJoined}
		shelves["c-mqtt-broker-1"].state = state
		for _, object := range live {
			if pod, ok := object.(*corev1.Pod); ok && pod.Name == "c-mqtt-broker-1" {
				pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "127.0.0.1", ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}}
			}
		}
	}
	for what, c := range map[string]struct {
		since   func(p *pass, shelves map[string]*shelf, live []client.Object)
		refused string
	}{
		"all is as it was": {since: func(*pass, map[string]*shelf, []client.Object) {}},
		"it runs by now":   {since: runs, refused: "changed since"},
		"nobody leads any more": {since: func(_ *pass, shelves map[string]*shelf, _ []client.Object) {
			for _, pod := range []string{"c-placement-center-0", "c-placement-center-1", "c-placement-center-2"} {
				shelves[pod].state.Raft = nil
			}
		}, refused: "changed since"},
		"it is registered by now": {since: func(_ *pass, shelves map[string]*shelf, _ []client.Object) {
			shelves["c-placement-center-0"].state.Registry = []uint64{1, 2, 3, 1001, 1002}
		}, refused: "changed since"},
		"the spec was changed":                  {since: func(_ *pass, _ map[string]*shelf, live []client.Object) { live[0].SetGeneration(4) }, refused: "the spec was changed"},
		"another cluster of that name was made": {since: func(_ *pass, _ map[string]*shelf, live []client.Object) { live[0].SetUID("another") }, refused: "the spec was changed"},
	} {
		for _, stopped := range []bool{false, true} {
			r, p, step, shelves, live := emptying(t, stopped)
			c.since(p, shelves, live)
			went, err := carriesOut(t, r, p, step, shelves, live)
			if went != (c.refused == "") || (err != nil) != (c.refused != "") || err != nil && !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%s: %s: the volume went: %t, %v", what, step.Kind, went, err)
			}
		}
	}
}

func TestWhatCannotBeAskedOnceMoreIsNotDone(t *testing.T) {
	for _, stopped := range []bool{false, true} {
		r, p, step, _, live := emptying(t, stopped)
		r.Client = ahead(t, live...)
		r.Reader = interceptor.NewClient(ahead(t, live...), interceptor.Funcs{List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
			return context.DeadlineExceeded
		}})
		if err := r.confirm(t.Context(), p, step); err == nil {
			t.Errorf("%s: it is done although the API server does not answer", step.Kind)
		}
	}
}
