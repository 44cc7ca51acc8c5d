package cluster

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const testUID = "11111111-2222-3333-4444-555555555555"

func sample(version string) *v1alpha1.RobustMQCluster {
	cluster := &v1alpha1.RobustMQCluster{ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "ns", Generation: 3}}
	cluster.Spec.Version = version
	cluster.Spec.PlacementCenter.Replicas = 3
	cluster.Spec.MQTTBroker.Replicas = 2
	storage := resource.MustParse("1Gi")
	cluster.Spec.PlacementCenter.Storage = &storage
	return cluster
}

// formed is a pass over a cluster whose members all serve, led by member 1.
func formed(t *testing.T) *pass {
	t.Helper()
	cluster := sample("0.4.11")
	desired := cluster.DeepCopy()
	desired.Default()
	version, err := robustmq.ParseVersion("0.4.11")
	if err != nil {
		t.Fatal(err)
	}
	p := &pass{
		log: logr.Discard(), cluster: cluster, desired: desired, version: version, traits: robustmq.Lookup(version),
		id: identity{uid: testUID, generation: 1, founded: true}, inputs: manifests.Inputs{ClusterDomain: "cluster.local"},
		observed: &observation{pods: map[string]*corev1.Pod{}, claims: map[string]*corev1.PersistentVolumeClaim{}, states: map[string]protocol.State{}, errs: map[string]error{}},
	}
	nodes := []uint64{1, 2, 3, 1001, 1002}
	add := func(role v1alpha1.Role, ordinal int32, id uint64) {
		name := manifests.PodName(desired, role, ordinal)
		p.observed.pods[name] = &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns"},
			Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "127.0.0.1",
				ContainerStatuses: []corev1.ContainerStatus{{Name: "server", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}},
		}
		p.observed.claims[name] = &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data-" + name, Annotations: map[string]string{v1alpha1.AnnotationFounded: "true"}}}
		st := protocol.State{
			Pod: name, NodeID: id, Role: string(role), ClusterUID: testUID,
			Volume: protocol.VolumeState{Phase: protocol.VolumeInitialised, Marker: &protocol.Marker{ClusterUID: testUID, NodeID: id, Generation: 1, Origin: protocol.OriginJoined, Member: true}},
			Gate:   protocol.GateState{Open: true, Reason: protocol.GateOpen},
			Server: protocol.ServerState{Phase: protocol.ServerRunning, Version: "0.4.11", MQTTOpen: role == v1alpha1.RoleMQTTBroker},
			Config: protocol.ConfigState{Mounted: "a", Running: "a"},
			Nodes:  nodes,
		}
		if role == v1alpha1.RolePlacementCenter {
			st.Registry = nodes
			st.Raft = robustmq.ClusterStatus{}
			ack := uint64(12)
			for _, group := range robustmq.Groups {
				g := robustmq.GroupState{Running: true, ID: id, Term: 1, State: "Follower", CurrentLeader: 1, LastLogIndex: 40, Configs: [][]uint64{{1, 2, 3}}}
				if id == 1 {
					g.State, g.MillisSinceQuorumAck = "Leader", &ack
				}
				st.Raft[group] = g
			}
		}
		p.observed.states[name] = st
	}
	for o := range int32(3) {
		add(v1alpha1.RolePlacementCenter, o, 1+uint64(o))
	}
	for o := range int32(2) {
		add(v1alpha1.RoleMQTTBroker, o, 1001+uint64(o))
	}
	p.snapshot = newSnapshot(p, topology.DefaultLimits())
	return p
}

func statusOf(p *pass, at time.Time) v1alpha1.RobustMQClusterStatus {
	return computeStatus(p, topology.Assess(p.snapshot), topology.Decide(p.snapshot), at)
}

func condition(t *testing.T, st v1alpha1.RobustMQClusterStatus, name string) metav1.Condition {
	t.Helper()
	c := meta.FindStatusCondition(st.Conditions, name)
	if c == nil {
		t.Fatalf("condition %s is absent", name)
	}
	return *c
}

func TestAConvergedClusterIsReadyAndItsStatusDoesNotMove(t *testing.T) {
	p := formed(t)
	st := statusOf(p, noon)
	if c := condition(t, st, v1alpha1.ConditionReady); c.Status != metav1.ConditionTrue {
		t.Fatalf("not ready: %s %s", c.Reason, c.Message)
	}
	if st.PlacementCenter.Summary != "3/3" || st.MQTTBroker.Summary != "2/2" || st.Leader != "c-placement-center-0" {
		t.Errorf("columns: %q %q %q", st.PlacementCenter.Summary, st.MQTTBroker.Summary, st.Leader)
	}
	// A later pass: logs have grown, acknowledgements are younger or older, restarts of time happened. Nothing of that may cost a write.
	p.cluster.Status = st
	for name, state := range p.observed.states {
		for group, g := range state.Raft {
			g.LastLogIndex += 500
			if g.MillisSinceQuorumAck != nil {
				ack := uint64(480)
				g.MillisSinceQuorumAck = &ack
			}
			state.Raft[group] = g
		}
		p.observed.states[name] = state
	}
	p.snapshot = newSnapshot(p, topology.DefaultLimits())
	if again := statusOf(p, noon.Add(time.Hour)); !equality.Semantic.DeepEqual(st, again) {
		t.Errorf("the status moved:\n%+v\n%+v", st, again)
	}
}

func TestEveryConditionStandsInEveryStatus(t *testing.T) {
	for name, st := range map[string]v1alpha1.RobustMQClusterStatus{
		"formed":  statusOf(formed(t), noon),
		"refused": refusedStatus(sample("0.4.11"), v1alpha1.ReasonSpecInvalid, "spec.x: no", noon),
	} {
		for _, c := range v1alpha1.ConditionTypes {
			if meta.FindStatusCondition(st.Conditions, c) == nil {
				t.Errorf("%s: condition %s is absent", name, c)
			}
		}
	}
}

func TestALeaderWithoutAQuorumBehindItIsNoLeader(t *testing.T) {
	p := formed(t)
	old := uint64(7500)
	for group, g := range p.observed.states["c-placement-center-0"].Raft {
		g.MillisSinceQuorumAck = &old
		p.observed.states["c-placement-center-0"].Raft[group] = g
	}
	p.snapshot = newSnapshot(p, topology.DefaultLimits())
	st := statusOf(p, noon)
	if c := condition(t, st, v1alpha1.ConditionQuorumHealthy); c.Status != metav1.ConditionFalse || st.Leader != "" {
		t.Errorf("quorum %s, leader %q: %s", c.Status, st.Leader, c.Message)
	}
}

func TestAMissingAgentIsNamedWithItsReason(t *testing.T) {
	p := formed(t)
	pod := p.observed.pods["c-mqtt-broker-1"]
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{
		{Name: "server", Image: "example.org/none:1", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}},
	}}
	delete(p.observed.states, pod.Name)
	p.snapshot = newSnapshot(p, topology.DefaultLimits())
	c := condition(t, statusOf(p, noon), v1alpha1.ConditionReady)
	if c.Reason != v1alpha1.ReasonImagePullFailed || !strings.Contains(c.Message, "c-mqtt-broker-1") || !strings.Contains(c.Message, "example.org/none:1") {
		t.Errorf("%s: %s", c.Reason, c.Message)
	}
}

func TestAnOlderConfigurationInARunningServerIsPending(t *testing.T) {
	p := formed(t)
	st := p.observed.states["c-mqtt-broker-0"]
	st.Config.Mounted = "b"
	p.observed.states["c-mqtt-broker-0"] = st
	p.snapshot = newSnapshot(p, topology.DefaultLimits())
	c := condition(t, statusOf(p, noon), v1alpha1.ConditionConfigApplied)
	if c.Status != metav1.ConditionFalse || !strings.Contains(c.Message, "c-mqtt-broker-0") {
		t.Errorf("%s %s", c.Status, c.Message)
	}
}

func TestAPendingPodNamesWhatItWaitsFor(t *testing.T) {
	class := "fast"
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data-c-mqtt-broker-0"}, Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: &class}, Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending}}
	unscheduled := func(message string) *corev1.Pod {
		return &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: message}}}}
	}
	for name, c := range map[string]struct {
		pod    *corev1.Pod
		claim  *corev1.PersistentVolumeClaim
		reason string
		words  []string
	}{
		"a full node":      {unscheduled("0/5 nodes are available: 5 Insufficient cpu."), nil, v1alpha1.ReasonUnschedulable, []string{"Insufficient cpu"}},
		"an unbound claim": {unscheduled("pod has unbound immediate PersistentVolumeClaims"), claim, v1alpha1.ReasonWaitingForVolume, []string{claim.Name, "fast"}},
		"a claim alone":    {&corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodPending}}, claim, v1alpha1.ReasonWaitingForVolume, []string{claim.Name}},
	} {
		reason, message := pendingReason(c.pod, c.claim)
		if reason != c.reason || slices.ContainsFunc(c.words, func(w string) bool { return !strings.Contains(message, w) }) {
			t.Errorf("%s: %s %q", name, reason, message)
		}
	}
}

func TestTheIdentityComesFromRetainedVolumesBeforeAnythingElse(t *testing.T) {
	fresh := func() string { return "fresh" }
	claims := func(uids ...string) *observation {
		o := &observation{claims: map[string]*corev1.PersistentVolumeClaim{}}
		for i, uid := range uids {
			name := manifests.PodName(sample("0.4.11"), v1alpha1.RolePlacementCenter, int32(i))
			o.claims[name] = &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data-" + name, Annotations: map[string]string{v1alpha1.AnnotationClusterUID: uid, v1alpha1.AnnotationFounded: "true"}}}
		}
		return o
	}
	id, changed, err := identify(sample("0.4.11"), claims(), fresh)
	if err != nil || !changed || id.uid != "fresh" || id.founded {
		t.Errorf("nothing there: %+v %v %v", id, changed, err)
	}
	id, changed, err = identify(sample("0.4.11"), claims("old", "old", "old"), fresh)
	if err != nil || !changed || id.uid != "old" || !id.founded {
		t.Errorf("retained volumes: %+v %v %v", id, changed, err)
	}
	known := sample("0.4.11")
	known.Status.ClusterUID = "mine"
	if _, _, err = identify(known, claims("other"), fresh); err == nil {
		t.Error("volumes of another cluster than the status says are taken without a word")
	}
	if _, _, err = identify(sample("0.4.11"), claims("a", "b"), fresh); err == nil {
		t.Error("volumes of two clusters are taken without a word")
	}
}

func TestTransitionsAreToldOnce(t *testing.T) {
	after := statusOf(formed(t), noon)
	told := transitions(v1alpha1.RobustMQClusterStatus{}, after)
	var reasons []string
	for _, tr := range told {
		reasons = append(reasons, tr.reason)
	}
	want := []string{"Founded", "MemberJoined", "MemberJoined", "MemberJoined", "NodeInService", "NodeInService", "Ready"}
	if !slices.Equal(reasons, want) {
		t.Errorf("told %v, want %v", reasons, want)
	}
	if again := transitions(after, after); len(again) != 0 {
		t.Errorf("told again: %v", again)
	}
}

func TestTheFoundingIsToldBeforeTheFoundersMembership(t *testing.T) {
	row := v1alpha1.MemberStatus{Pod: "c-placement-center-0", Role: v1alpha1.RolePlacementCenter, InService: true}
	seen := v1alpha1.RobustMQClusterStatus{Members: []v1alpha1.MemberStatus{row}}
	recorded := v1alpha1.RobustMQClusterStatus{Founded: true, Members: []v1alpha1.MemberStatus{row}}
	if told := transitions(v1alpha1.RobustMQClusterStatus{}, seen); len(told) != 0 {
		t.Errorf("told before the founding was recorded: %v", told)
	}
	told := transitions(seen, recorded)
	if len(told) != 2 || told[0].reason != "Founded" || told[1].reason != "MemberJoined" {
		t.Errorf("told %v", told)
	}
	if again := transitions(recorded, recorded); len(again) != 0 {
		t.Errorf("told again: %v", again)
	}
}

func TestMonitoringIsAConditionOfThoseWhoWantItAndStandsUntilSomebodyLooksAgain(t *testing.T) {
	p := formed(t)
	if st := statusOf(p, noon); meta.FindStatusCondition(st.Conditions, v1alpha1.ConditionMonitoringAvailable) != nil {
		t.Error("said before anybody looked")
	}
	p.monitored = &MonitoringFound{Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonKindsMissing, Message: "install it"}
	p.cluster.Status = statusOf(p, noon)
	if c := condition(t, p.cluster.Status, v1alpha1.ConditionMonitoringAvailable); c.Status != metav1.ConditionFalse || c.Reason != v1alpha1.ReasonKindsMissing || c.ObservedGeneration != p.cluster.Generation {
		t.Errorf("%+v", c)
	}
	if c := condition(t, p.cluster.Status, v1alpha1.ConditionReady); c.Status != metav1.ConditionTrue {
		t.Errorf("a cluster that nobody watches serves all the same: %+v", c)
	}
	p.monitored = nil // the operator has just begun
	if again := statusOf(p, noon.Add(time.Hour)); !equality.Semantic.DeepEqual(p.cluster.Status, again) {
		t.Errorf("the status moved:\n%+v\n%+v", p.cluster.Status, again)
	}
	p.desired.Spec.Monitoring.Enabled = new(bool)
	if st := statusOf(p, noon); meta.FindStatusCondition(st.Conditions, v1alpha1.ConditionMonitoringAvailable) != nil {
		t.Error("said of a cluster that is not to be monitored")
	}
}
