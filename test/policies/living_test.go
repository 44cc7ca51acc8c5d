package policies

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/cluster"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// living is a founded cluster "c" whose pods are objects without a kubelet, and whose agents say what the test says: the reconciler sees voters and their absence as in life.
type living struct {
	*tenant
	reconciler *cluster.Reconciler
	size       int

	mu     sync.Mutex
	states map[string]protocol.State // by the pod's address; an agent that is not here does not answer
	orders []string                  // that were given to any agent
}

// stand makes the cluster with that many members of the placement centre, all in service.
func (n *tenant) stand(t *testing.T, size int) *living {
	t.Helper()
	l := &living{tenant: n, size: size, states: map[string]protocol.State{}}
	l.reconciler = n.newReconciler(voices{l})
	n.cluster(t, size)
	l.pass(t) // makes the objects and the identity
	c := l.read(t)
	if c.Status.ClusterUID == "" {
		t.Fatalf("no identity: %+v", c.Status)
	}
	for i := range size {
		l.member(t, c, int32(i))
	}
	c = l.pass(t)
	if health := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionQuorumHealthy); health == nil || health.Status != metav1.ConditionTrue || !c.Status.Founded {
		t.Fatalf("founded %t; %+v", c.Status.Founded, health)
	}
	return l
}

// pod makes a pod that runs, and its volume claim.
func (l *living) pod(t *testing.T, c *v1alpha1.RobustMQCluster, role v1alpha1.Role, ordinal int32, address string) (name string) {
	t.Helper()
	labels := map[string]string{v1alpha1.LabelCluster: c.Name}
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Name: manifests.VolumeClaimName(c, role, ordinal), Namespace: l.namespace, Labels: labels,
			Annotations: map[string]string{v1alpha1.AnnotationFounded: "true", v1alpha1.AnnotationClusterUID: c.Status.ClusterUID},
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: manifests.PodName(c, role, ordinal), Namespace: l.namespace, Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "server", Image: "server"}}},
	}
	for _, o := range []client.Object{claim, pod} {
		if err := l.admin.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: address, PodIPs: []corev1.PodIP{{IP: address}},
		ContainerStatuses: []corev1.ContainerStatus{{Name: "server", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}},
	}
	if err := l.admin.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	return pod.Name
}

// member makes one member of the placement centre, and what its agent says: a follower of the first, which leads.
func (l *living) member(t *testing.T, c *v1alpha1.RobustMQCluster, ordinal int32) {
	t.Helper()
	address := fmt.Sprintf("10.0.0.%d", 1+ordinal)
	name := l.pod(t, c, v1alpha1.RolePlacementCenter, ordinal, address)
	id, acknowledged := uint64(1+ordinal), uint64(12)
	raft := robustmq.ClusterStatus{}
	for _, group := range robustmq.Groups {
		g := robustmq.GroupState{Running: true, ID: id, Term: 1, State: "Follower", CurrentLeader: 1, LastLogIndex: 40, Configs: [][]uint64{nil}}
		for voter := range l.size {
			g.Configs[0] = append(g.Configs[0], uint64(1+voter))
		}
		if id == 1 {
			g.State, g.MillisSinceQuorumAck = "Leader", &acknowledged
		}
		raft[group] = g
	}
	l.states[address] = protocol.State{
		Pod: name, NodeID: id, Role: string(v1alpha1.RolePlacementCenter), ClusterUID: c.Status.ClusterUID,
		Volume: protocol.VolumeState{Phase: protocol.VolumeInitialised, Marker: &protocol.Marker{ClusterUID: c.Status.ClusterUID, NodeID: id, Generation: 1, Origin: protocol.OriginJoined, Member: true}},
		Gate:   protocol.GateState{Open: true, Reason: protocol.GateOpen},
		Server: protocol.ServerState{Phase: protocol.ServerRunning, Version: c.Spec.Version},
		Config: protocol.ConfigState{Mounted: "a", Running: "a"},
		Raft:   raft,
	}
}

// waiting is a broker that was made anew: its volume is empty, and its agent waits for the order to join.
func (l *living) waiting(t *testing.T) (address string) {
	t.Helper()
	c := l.read(t)
	address = "10.0.1.1"
	name := l.pod(t, c, v1alpha1.RoleMQTTBroker, 0, address)
	l.states[address] = protocol.State{
		Pod: name, NodeID: v1alpha1.RoleMQTTBroker.BaseNodeID(), Role: string(v1alpha1.RoleMQTTBroker), ClusterUID: c.Status.ClusterUID,
		Volume: protocol.VolumeState{Phase: protocol.VolumeEmpty}, Gate: protocol.GateState{Reason: protocol.GateAwaitsOrder}, Server: protocol.ServerState{Phase: protocol.ServerStopped},
		Config: protocol.ConfigState{Mounted: "a"},
	}
	return address
}

// down is what a dead node looks like: its agent does not answer, and the leader still counts the member among the voters.
func (l *living) down(t *testing.T, ordinal int) (pod string) {
	t.Helper()
	address := fmt.Sprintf("10.0.0.%d", 1+ordinal)
	l.mu.Lock()
	pod = l.states[address].Pod
	delete(l.states, address)
	l.mu.Unlock()
	c := l.pass(t)
	for _, row := range c.Status.Members {
		if row.Pod == pod && !row.InService && len(row.VoterIn) > 0 {
			return pod
		}
	}
	t.Fatalf("%s is not seen as a voter that is down: %+v", pod, c.Status.Members)
	return ""
}

// pass is one of the reconciler's; it returns the cluster as it is then.
func (l *living) pass(t *testing.T) *v1alpha1.RobustMQCluster {
	t.Helper()
	if _, err := l.reconciler.Reconcile(t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: l.namespace, Name: "c"}}); err != nil {
		t.Fatalf("reconciling: %v", err)
	}
	return l.read(t)
}

func (l *living) read(t *testing.T) *v1alpha1.RobustMQCluster {
	t.Helper()
	var c v1alpha1.RobustMQCluster
	if err := l.admin.Get(t.Context(), client.ObjectKey{Namespace: l.namespace, Name: "c"}, &c); err != nil {
		t.Fatal(err)
	}
	return &c
}

// putBack makes the spec what it was, and the status what is true.
func (l *living) putBack(t *testing.T) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"placementCenter":{"replicas":%d}}}`, l.size)
	if err := l.operator.Patch(t.Context(), bare(l.namespace), client.RawPatch(types.MergePatchType, patch)); err != nil {
		t.Fatal(err)
	}
	if held := heldBack(l.pass(t)); held != "" {
		t.Fatalf("nothing is asked for, and it is held back: %s", held)
	}
}

// held reconciles what was stored, and wants it held back by the rule because of the pod, with nothing done: no object of the data plane is written and no agent is ordered.
func (l *living) held(t *testing.T, rule, pod string) error {
	t.Helper()
	before := l.written(t)
	said := heldBack(l.pass(t))
	for _, part := range []string{"spec.placementCenter.replicas: ", rule, pod} {
		if !strings.Contains(said, part) {
			return fmt.Errorf("the condition does not say %q: %q", part, said)
		}
	}
	if after := l.written(t); after != before {
		return fmt.Errorf("the data plane was written:\n%s\nbefore:\n%s", after, before)
	}
	if len(l.orders) > 0 {
		return fmt.Errorf("agents were ordered: %q", l.orders)
	}
	return nil
}

// heldBack is why a change waits, as both conditions say it that a person looks at; "" when none does.
func heldBack(c *v1alpha1.RobustMQCluster) string {
	said := ""
	for _, name := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionDegraded} {
		condition := meta.FindStatusCondition(c.Status.Conditions, name)
		if condition == nil || condition.Reason != v1alpha1.ReasonChangeHeld {
			return ""
		}
		said = condition.Message
	}
	return said
}

// voices are the agents as the reconciler reaches them.
type voices struct{ *living }

func (v voices) Client(_ string, _ agentclient.Identity, podIP string) (agentclient.Client, error) {
	return &voice{of: v.living, address: podIP}, nil
}

func (voices) Forget(string) {}
func (voices) Trim(string)   {}

// voice is one agent: it says its state, and takes no order.
type voice struct {
	agentclient.Client
	of      *living
	address string
}

func (v *voice) State(context.Context) (protocol.State, error) {
	v.of.mu.Lock()
	defer v.of.mu.Unlock()
	state, ok := v.of.states[v.address]
	if !ok {
		return protocol.State{}, errors.New("no route to host")
	}
	return state, nil
}

func (v *voice) order(what string) error {
	v.of.mu.Lock()
	defer v.of.mu.Unlock()
	v.of.orders = append(v.of.orders, v.address+": "+what)
	return errors.New("this agent takes no orders")
}

func (v *voice) Gate(_ context.Context, o protocol.GateOrder) (protocol.State, error) {
	return protocol.State{}, v.order(string(o.Action))
}

func (v *voice) Server(_ context.Context, o protocol.ServerOrder) (protocol.State, error) {
	return protocol.State{}, v.order(string(o.Action))
}

func (v *voice) Wipe(context.Context, protocol.WipeOrder) (protocol.State, error) {
	return protocol.State{}, v.order("wipe")
}

func (v *voice) Join(_ context.Context, o protocol.MembershipOrder) (protocol.State, error) {
	return protocol.State{}, v.order(fmt.Sprintf("join %d", o.NodeID))
}

func (v *voice) Leave(_ context.Context, o protocol.MembershipOrder) (protocol.State, error) {
	return protocol.State{}, v.order(fmt.Sprintf("leave %d", o.NodeID))
}

func (v *voice) Unregister(_ context.Context, o protocol.MembershipOrder) (protocol.State, error) {
	return protocol.State{}, v.order(fmt.Sprintf("unregister %d", o.NodeID))
}

// Admin reads: it changes nothing here, and knows nothing.
func (*voice) Admin(context.Context, string, string, any) (json.RawMessage, error) {
	return nil, errors.New("there is no server")
}
