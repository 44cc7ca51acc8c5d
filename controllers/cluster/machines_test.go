package cluster

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// kubernetes has nodes, volumes and pods, and remembers what was deleted, and how. Everything else of a client it lacks.
type kubernetes struct {
	client.Client
	nodes   []corev1.Node
	volumes map[string]corev1.PersistentVolume
	pods    map[string]corev1.Pod
	deleted []string
	fails   error
}

func (k *kubernetes) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	if k.fails != nil {
		return k.fails
	}
	switch into := into.(type) {
	case *corev1.Node:
		for _, n := range k.nodes {
			if n.Name == key.Name {
				*into = n
				return nil
			}
		}
	case *corev1.PersistentVolume:
		if v, ok := k.volumes[key.Name]; ok {
			*into = v
			return nil
		}
	case *corev1.Pod:
		if p, ok := k.pods[key.Name]; ok {
			*into = p
			return nil
		}
	}
	return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
}

func (k *kubernetes) List(_ context.Context, into client.ObjectList, opts ...client.ListOption) error {
	if k.fails != nil {
		return k.fails
	}
	var options client.ListOptions
	options.ApplyOptions(opts)
	switch into := into.(type) {
	case *corev1.NodeList:
		for _, n := range k.nodes {
			if options.LabelSelector == nil || options.LabelSelector.String() == corev1.LabelHostname+"="+n.Labels[corev1.LabelHostname] {
				into.Items = append(into.Items, n)
			}
		}
	case *corev1.PodList:
		for _, p := range k.pods {
			into.Items = append(into.Items, p)
		}
	}
	return nil
}

func (k *kubernetes) Delete(_ context.Context, object client.Object, opts ...client.DeleteOption) error {
	var options client.DeleteOptions
	options.ApplyOptions(opts)
	how := object.GetName()
	if options.GracePeriodSeconds != nil && *options.GracePeriodSeconds == 0 {
		how += " at once"
	}
	if options.Preconditions != nil && options.Preconditions.UID != nil && *options.Preconditions.UID == object.GetUID() && object.GetUID() != "" {
		how += " if " + string(*options.Preconditions.UID)
	}
	k.deleted = append(k.deleted, how)
	return nil
}

func node(name string, change func(n *corev1.Node)) corev1.Node {
	n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name + ".host", "zone": "a"}}}
	n.Status.Images = []corev1.ContainerImage{{Names: []string{"an image"}}}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeMemoryPressure}, {Type: corev1.NodeReady, Status: corev1.ConditionTrue, Message: "posting"}}
	if change != nil {
		change(&n)
	}
	return n
}

func notReady(n *corev1.Node) { n.Status.Conditions[1].Status = corev1.ConditionUnknown }

func outOfService(n *corev1.Node) {
	n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: topology.TaintOutOfService, Effect: corev1.TaintEffectNoExecute})
}

func volume(policy corev1.PersistentVolumeReclaimPolicy, terms ...corev1.NodeSelectorTerm) corev1.PersistentVolume {
	v := corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv-1"}, Spec: corev1.PersistentVolumeSpec{PersistentVolumeReclaimPolicy: policy}}
	if len(terms) > 0 {
		v.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: terms}}
	}
	return v
}

func in(key string, values ...string) corev1.NodeSelectorRequirement {
	return corev1.NodeSelectorRequirement{Key: key, Operator: corev1.NodeSelectorOpIn, Values: values}
}

func onHost(names ...string) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{in(corev1.LabelHostname, names...)}}
}

func TestOnlyAVolumeThatNamesItsMachinesIsPinned(t *testing.T) {
	byName := corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{in("metadata.name", "m1")}}
	zone := corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{in(corev1.LabelTopologyZone, "a")}}
	both := corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{in(corev1.LabelTopologyZone, "a"), in(corev1.LabelHostname, "m1")}}
	other := corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpNotIn, Values: []string{"m1"}}}}
	for name, c := range map[string]struct {
		terms []corev1.NodeSelectorTerm
		want  string
	}{
		"to nothing":             {nil, ""},
		"to a host":              {[]corev1.NodeSelectorTerm{onHost("m1")}, "m1"},
		"to a node":              {[]corev1.NodeSelectorTerm{byName}, "m1"},
		"to a host in a zone":    {[]corev1.NodeSelectorTerm{both}, "m1"},
		"to two hosts":           {[]corev1.NodeSelectorTerm{onHost("m2", "m1")}, "m1 m2"},
		"to one host or another": {[]corev1.NodeSelectorTerm{onHost("m2"), onHost("m1")}, "m1 m2"},
		"to a zone":              {[]corev1.NodeSelectorTerm{zone}, ""},
		"to a host or a zone":    {[]corev1.NodeSelectorTerm{onHost("m1"), zone}, ""},
		"to all but one":         {[]corev1.NodeSelectorTerm{other}, ""},
	} {
		v := volume(corev1.PersistentVolumeReclaimRetain, c.terms...)
		if got := strings.Join(pinnedTo(&v), " "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestTheCacheKeepsOfANodeWhatDecisionsAreMadeOn(t *testing.T) {
	full := node("m1", func(n *corev1.Node) { notReady(n); outOfService(n); n.Spec.Unschedulable = true; mounting(n) })
	got, err := stripNode(&full)
	if err != nil {
		t.Fatal(err)
	}
	small := got.(*corev1.Node)
	want := topology.Machine{OutOfService: true, Cordoned: true}
	if machineOf(small) != want || machineOf(&full) != want || small.Labels[corev1.LabelHostname] != "m1.host" || len(small.Status.Images) > 0 || len(small.Labels) > 1 || !mountsImages(small) {
		t.Errorf("%+v", small)
	}
	if kept, err := stripNode("a tombstone"); err != nil || kept != "a tombstone" {
		t.Errorf("%v %v", kept, err)
	}
}

func TestAReportOfANodeThatChangesNothingWakesNobody(t *testing.T) {
	m1, beat, dark := node("m1", nil), node("m1", func(n *corev1.Node) { n.ResourceVersion = "2" }), node("m1", notReady)
	p := machineChanges()
	if p.Update(event.UpdateEvent{ObjectOld: &m1, ObjectNew: &beat}) || p.Create(event.CreateEvent{Object: &m1}) {
		t.Error("a report wakes every cluster")
	}
	if !p.Update(event.UpdateEvent{ObjectOld: &m1, ObjectNew: &dark}) || !p.Delete(event.DeleteEvent{Object: &m1}) {
		t.Error("a node that fails wakes nobody")
	}
	k := &kubernetes{pods: map[string]corev1.Pod{}}
	for name, at := range map[string]string{"a": "m1", "b": "m1", "c": "m2"} {
		k.pods[name] = corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns", Labels: map[string]string{v1alpha1.LabelCluster: "of-" + at}}, Spec: corev1.PodSpec{NodeName: at}}
	}
	r := &Reconciler{Client: k}
	if got := r.clustersOn(t.Context(), &m1); len(got) != 1 || got[0].Name != "of-m1" {
		t.Errorf("%v", got)
	}
}

// onMachines is a pass whose pods are on machines m1 and m2; broker 1 cannot be scheduled, and its volume is on a machine.
func onMachines(t *testing.T, k *kubernetes) (*Reconciler, *pass) {
	t.Helper()
	p := formed(t)
	for name, pod := range p.observed.pods {
		pod.UID, pod.Spec.NodeName = "uid-"+pod.UID, "m1"
		if name == "c-placement-center-2" {
			pod.Spec.NodeName = "m2"
		}
	}
	pod, claim := p.observed.pods["c-mqtt-broker-1"], p.observed.claims["c-mqtt-broker-1"]
	pod.Spec.NodeName, pod.UID, pod.Status.Phase = "", "pod-1", corev1.PodPending
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "volume node affinity conflict"}}
	claim.Spec.VolumeName, claim.UID = "pv-1", "claim-1"
	k.pods = map[string]corev1.Pod{pod.Name: *pod}
	r := &Reconciler{Client: k, Reader: k, Machines: k, Timings: DefaultTimings()}
	r.observeMachines(t.Context(), p)
	return r, p
}

func TestWhatIsSeenOfMachinesAndOfVolumesThatNoNodeCanReach(t *testing.T) {
	k := &kubernetes{nodes: []corev1.Node{node("m1", nil)}, volumes: map[string]corev1.PersistentVolume{"pv-1": volume(corev1.PersistentVolumeReclaimRetain, onHost("m9"))}}
	_, p := onMachines(t, k)
	s := newSnapshot(p, topology.DefaultLimits())
	if s.Machines["m1"] != (topology.Machine{Ready: true}) || s.Machines["m2"] != (topology.Machine{Gone: true}) || s.Machines["m9"] != (topology.Machine{Gone: true}) {
		t.Errorf("%+v", s.Machines)
	}
	for _, m := range s.Members {
		if want := m.Pod == "c-mqtt-broker-1"; (m.Local != nil) != want || want && *m.Local != (topology.LocalVolume{Name: "pv-1", Machine: "m9", Kept: true}) {
			t.Errorf("%s: %+v", m.Pod, m.Local)
		}
	}
	// A volume may name a machine by its host name, which is another than its Node's.
	k.volumes["pv-1"] = volume(corev1.PersistentVolumeReclaimDelete, onHost("m1.host"))
	if _, p = onMachines(t, k); p.observed.machines["m1.host"] != (topology.Machine{Ready: true}) || p.observed.local["c-mqtt-broker-1"].Kept {
		t.Errorf("%+v %+v", p.observed.machines, p.observed.local)
	}
	k.volumes["pv-1"] = volume(corev1.PersistentVolumeReclaimRetain, onHost("m8", "m9"))
	if _, p = onMachines(t, k); p.observed.local["c-mqtt-broker-1"] != nil {
		t.Error("a volume of two machines is on none in particular")
	}
	// What cannot be read is not known.
	k.fails = errors.New("forbidden")
	if _, p = onMachines(t, k); len(p.observed.machines)+len(p.observed.local) > 0 {
		t.Errorf("%+v %+v", p.observed.machines, p.observed.local)
	}
	r, p := onMachines(t, &kubernetes{})
	r.Machines, p.observed.machines = nil, nil
	if r.observeMachines(t.Context(), p); p.observed.machines != nil {
		t.Error("it was read without the right to")
	}
}

func TestAPodIsForceDeletedOnlyWhenTheAPIServerConfirmsThatItsMachineIsDead(t *testing.T) {
	for name, c := range map[string]struct {
		nodes   []corev1.Node
		deleted bool
	}{
		"no such Node":                                {nil, true},
		"out of service, not Ready":                   {[]corev1.Node{node("m2", func(n *corev1.Node) { outOfService(n); notReady(n) })}, true},
		"out of service and Ready":                    {[]corev1.Node{node("m2", outOfService)}, false},
		"not Ready":                                   {[]corev1.Node{node("m2", notReady)}, false},
		"Ready: the cache had lagged":                 {[]corev1.Node{node("m2", nil)}, false},
		"a Node with that host name":                  {[]corev1.Node{node("m3", func(n *corev1.Node) { n.Labels[corev1.LabelHostname] = "m2" })}, false},
		"another Node that has to do nothing with it": {[]corev1.Node{node("m3", nil)}, true},
	} {
		k := &kubernetes{nodes: c.nodes}
		r, p := onMachines(t, k)
		pod := p.observed.pods["c-placement-center-2"]
		pod.UID = "pod-2"
		delete(p.observed.states, pod.Name)
		err := r.forceDelete(t.Context(), p, topology.Step{Kind: topology.StepForceDelete, Pod: pod.Name, NodeID: 3})
		if (err == nil) != c.deleted || c.deleted != (strings.Join(k.deleted, ",") == "c-placement-center-2 at once if pod-2") {
			t.Errorf("%s: %v, deleted %v", name, err, k.deleted)
		}
	}
}

// stopped is an agent that says what it is told to.
type stopped struct {
	agentclient.Client
	state protocol.State
}

func (s *stopped) State(context.Context) (protocol.State, error) { return s.state, nil }

func TestAPodWhoseAgentAnswersIsForceDeletedOnlyWhenThatStoppedItsServerForGood(t *testing.T) {
	const pod = "c-placement-center-2"
	held := protocol.State{Pod: pod, Server: protocol.ServerState{Phase: protocol.ServerStopped}, Gate: protocol.GateState{Reason: protocol.GateHeld}}
	for name, c := range map[string]struct {
		change  func(s *protocol.State)
		deleted bool
	}{
		"held":                                  {func(*protocol.State) {}, true},
		"being ended":                           {func(s *protocol.State) { s.Gate.Reason, s.Terminating = protocol.GateOpen, true }, true},
		"fenced by itself":                      {func(s *protocol.State) { s.Gate.Reason, s.Fenced = protocol.GateOpen, true }, false},
		"running again":                         {func(s *protocol.State) { s.Server.Phase = protocol.ServerRunning }, false},
		"another pod's agent, at its address":   {func(s *protocol.State) { s.Pod = "c-placement-center-1" }, false},
		"being ended, while its server goes on": {func(s *protocol.State) { s.Server.Phase, s.Terminating = protocol.ServerRunning, true }, false},
	} {
		k := &kubernetes{nodes: []corev1.Node{node("m2", notReady)}}
		r, p := onMachines(t, k)
		state := held
		c.change(&state)
		p.observed.pods[pod].UID = "pod-2"
		p.dial = func(*corev1.Pod) (agentclient.Client, error) { return &stopped{state: state}, nil }
		err := r.forceDelete(t.Context(), p, topology.Step{Kind: topology.StepForceDelete, Pod: pod, NodeID: 3})
		if (err == nil) != c.deleted || c.deleted != (len(k.deleted) == 1) {
			t.Errorf("%s: %v, deleted %v", name, err, k.deleted)
		}
	}
}

func TestAVolumeIsGivenUpOnlyWhenAllIsAsItWasSeen(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(k *kubernetes)
		deleted bool
	}{
		"as it was seen":               {func(*kubernetes) {}, true},
		"its machine exists again":     {func(k *kubernetes) { k.nodes = append(k.nodes, node("m9", notReady)) }, false},
		"the pod was scheduled":        {func(k *kubernetes) { p := k.pods["c-mqtt-broker-1"]; p.Spec.NodeName = "m1"; k.pods[p.Name] = p }, false},
		"the pod is another":           {func(k *kubernetes) { p := k.pods["c-mqtt-broker-1"]; p.UID = "pod-9"; k.pods[p.Name] = p }, false},
		"the volume would be deleted":  {func(k *kubernetes) { k.volumes["pv-1"] = volume(corev1.PersistentVolumeReclaimDelete, onHost("m9")) }, false},
		"the volume is reached freely": {func(k *kubernetes) { k.volumes["pv-1"] = volume(corev1.PersistentVolumeReclaimRetain) }, false},
		"the volume is gone":           {func(k *kubernetes) { delete(k.volumes, "pv-1") }, false},
	} {
		k := &kubernetes{nodes: []corev1.Node{node("m1", nil)}, volumes: map[string]corev1.PersistentVolume{"pv-1": volume(corev1.PersistentVolumeReclaimRetain, onHost("m9"))}}
		r, p := onMachines(t, k)
		c.change(k)
		err := r.renewVolume(t.Context(), p, topology.Step{Kind: topology.StepRenewVolume, Pod: "c-mqtt-broker-1", NodeID: 1002})
		if got := strings.Join(k.deleted, ", "); (err == nil) != c.deleted || c.deleted != (got == "data-c-mqtt-broker-1 if claim-1, c-mqtt-broker-1 if pod-1") {
			t.Errorf("%s: %v, deleted %v", name, err, got)
		}
	}
}
