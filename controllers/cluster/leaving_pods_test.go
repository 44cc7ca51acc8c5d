package cluster

import (
	"context"
	"io"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

func TestAPodIsRemovedWhenItIsBeingDeletedAndRunsNothingMore(t *testing.T) {
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
	running, waiting := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}
	for name, c := range map[string]struct {
		change func(*corev1.Pod)
		want   bool
	}{
		"ended":                                {func(*corev1.Pod) {}, true},
		"a broker":                             {func(p *corev1.Pod) { p.Labels[v1alpha1.LabelRole] = v1alpha1.ComponentMQTTBroker }, true},
		"a backup's pod":                       {func(p *corev1.Pod) { p.Labels[v1alpha1.LabelRole] = v1alpha1.ComponentBackup }, false},
		"not being deleted":                    {func(p *corev1.Pod) { p.DeletionTimestamp = nil }, false},
		"its server runs":                      {func(p *corev1.Pod) { p.Status.ContainerStatuses[0].State = running }, false},
		"its server is about to run":           {func(p *corev1.Pod) { p.Status.ContainerStatuses[0].State = waiting }, false},
		"its installer runs":                   {func(p *corev1.Pod) { p.Status.InitContainerStatuses[0].State = running }, false},
		"nothing is said of its server":        {func(p *corev1.Pod) { p.Status.ContainerStatuses = nil }, false},
		"nothing is said of another container": {func(p *corev1.Pod) { p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "sidecar"}) }, false},
		"another container of somebody's runs": {func(p *corev1.Pod) {
			p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{State: running})
		}, false},
		"another container of somebody's ended": {func(p *corev1.Pod) {
			p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{State: ended})
		}, true},
	} {
		pod := &corev1.Pod{
			// The finalizer stands for a kubelet that takes its time: the fake client has no object that is being deleted without one.
			ObjectMeta: metav1.ObjectMeta{Name: "demo-placement-center-0", Namespace: "ns", UID: "u", DeletionTimestamp: ptr.To(metav1.Now()), Finalizers: []string{"example.com/kubelet"}, Labels: map[string]string{v1alpha1.LabelRole: v1alpha1.ComponentPlacementCenter}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "server"}}},
			Status: corev1.PodStatus{
				InitContainerStatuses: []corev1.ContainerStatus{{Name: "agent", State: ended}}, ContainerStatuses: []corev1.ContainerStatus{{Name: "server", State: ended}},
			},
		}
		c.change(pod)
		if pod.DeletionTimestamp == nil {
			pod.Finalizers = nil
		}
		removed := false
		api := fake.NewClientBuilder().WithObjects(pod).WithInterceptorFuncs(interceptor.Funcs{
			Delete: func(_ context.Context, _ client.WithWatch, object client.Object, options ...client.DeleteOption) error {
				var o client.DeleteOptions
				o.ApplyOptions(options)
				removed = *o.GracePeriodSeconds == 0 && *o.Preconditions.UID == "u" && *o.Preconditions.ResourceVersion == object.GetResourceVersion()
				return apierrors.NewNotFound(corev1.Resource("pods"), object.GetName()) // somebody was faster
			},
		}).Build()
		if _, err := (&LeavingPods{Client: api}).Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(pod)}); err != nil || removed != c.want {
			t.Errorf("%s: removed %t, want %t, %v", name, removed, c.want, err)
		}
	}
}

func TestAPodThatIsGoneIsNoError(t *testing.T) {
	api := fake.NewClientBuilder().Build()
	if _, err := (&LeavingPods{Client: api}).Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Namespace: "ns", Name: "gone"}}); err != nil {
		t.Error(err)
	}
}

func TestTheNameOfAPodThatLeavesGoesFirst(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*corev1.Pod)
		want   bool
	}{
		"it leaves":             {func(*corev1.Pod) {}, true},
		"it stays":              {func(p *corev1.Pod) { p.DeletionTimestamp, p.Finalizers = nil, nil }, false},
		"it has none any more":  {func(p *corev1.Pod) { delete(p.Labels, v1alpha1.LabelNamed) }, false},
		"it is somebody else's": {func(p *corev1.Pod) { p.Labels[v1alpha1.LabelRole] = "database" }, false},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: "demo-mqtt-broker-0", Namespace: "ns", UID: "u", DeletionTimestamp: ptr.To(metav1.Now()), Finalizers: []string{"example.com/kubelet"},
			Labels: map[string]string{v1alpha1.LabelRole: v1alpha1.ComponentMQTTBroker, v1alpha1.LabelNamed: "true"},
		}}
		c.change(pod)
		patched := false
		api := fake.NewClientBuilder().WithObjects(pod).WithInterceptorFuncs(interceptor.Funcs{
			Patch: func(ctx context.Context, inner client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
				patched = true
				return inner.Patch(ctx, object, patch, options...)
			},
		}).Build()
		if _, err := (&LeavingPods{Client: api}).Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(pod)}); err != nil || patched != c.want {
			t.Errorf("%s: patched %t, want %t, %v", name, patched, c.want, err)
		}
		var after corev1.Pod
		if err := api.Get(t.Context(), client.ObjectKeyFromObject(pod), &after); err != nil || c.want && (after.Labels[v1alpha1.LabelNamed] != "" || after.Labels[v1alpha1.LabelRole] == "") {
			t.Errorf("%s: %v, %v", name, after.Labels, err)
		}
	}
}

// lastWords is the agent of a pod that leaves.
type lastWords struct {
	agentclient.Client
	calls *atomic.Int64
	end   func(ctx context.Context, call int64) (protocol.End, error)
}

// oneAgent is a pool of it.
type oneAgent struct{ agent lastWords }

func (o oneAgent) Client(string, agentclient.Identity, string) (agentclient.Client, error) {
	return o.agent, nil
}

func (l lastWords) End(ctx context.Context) (protocol.End, error) { return l.end(ctx, l.calls.Add(1)) }

func TestAPodIsRemovedWhenItsAgentSaysThatItHasEnded(t *testing.T) {
	ended := func(context.Context, int64) (protocol.End, error) {
		return protocol.End{Pod: "demo-mqtt-broker-0"}, nil
	}
	for name, c := range map[string]struct {
		change func(*corev1.Pod)
		end    func(ctx context.Context, call int64) (protocol.End, error)
		calls  int64
		want   bool
	}{
		"it says so": {end: ended, calls: 1, want: true},
		"it says so later": {end: func(ctx context.Context, call int64) (protocol.End, error) {
			if call < 3 {
				return protocol.End{}, &agentclient.Error{Reason: protocol.ReasonConflict}
			}
			return ended(ctx, call)
		}, calls: 3, want: true},
		"it is another pod's": {end: func(context.Context, int64) (protocol.End, error) {
			return protocol.End{Pod: "demo-mqtt-broker-1"}, nil
		}, calls: 1},
		"it is of an older kind": {end: func(context.Context, int64) (protocol.End, error) {
			return protocol.End{}, &agentclient.Error{Reason: protocol.ReasonBadRequest}
		}, calls: 1},
		"it breaks off":                                 {end: func(context.Context, int64) (protocol.End, error) { return protocol.End{}, io.ErrUnexpectedEOF }, calls: 1},
		"the pod stays":                                 {change: func(p *corev1.Pod) { p.DeletionTimestamp, p.Finalizers = nil, nil }, end: ended},
		"the pod is a backup's":                         {change: func(p *corev1.Pod) { p.Labels[v1alpha1.LabelRole] = v1alpha1.ComponentBackup }, end: ended},
		"the pod has no address":                        {change: func(p *corev1.Pod) { p.Status.PodIP = "" }, end: ended},
		"the pod does not run":                          {change: func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }, end: ended},
		"another container of somebody's may still run": {change: func(p *corev1.Pod) { p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "sidecar"}) }, end: ended},
		"so may a sidecar": {change: func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "agent"}, {Name: "sidecar", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways)}}
		}, end: ended},
		"a container that ended before it does not": {change: func(p *corev1.Pod) { p.Spec.InitContainers = []corev1.Container{{Name: "agent"}} }, end: ended, calls: 1, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := &v1alpha1.RobustMQCluster{ObjectMeta: metav1.ObjectMeta{Name: "demo", Namespace: "ns"}}
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: "demo-mqtt-broker-0", Namespace: "ns", UID: "u", DeletionTimestamp: ptr.To(metav1.Now()), Finalizers: []string{"example.com/kubelet"}, Labels: map[string]string{
					v1alpha1.LabelRole: v1alpha1.ComponentMQTTBroker, v1alpha1.LabelCluster: "demo", v1alpha1.LabelNamed: "true",
				}},
				Spec:   corev1.PodSpec{Containers: []corev1.Container{{Name: "server"}}},
				Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", ContainerStatuses: []corev1.ContainerStatus{{Name: "server", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}},
			}
			if c.change != nil {
				c.change(pod)
			}
			removed := make(chan bool, 2)
			scheme := runtime.NewScheme()
			utilruntime.Must(corev1.AddToScheme(scheme))
			utilruntime.Must(v1alpha1.AddToScheme(scheme))
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: manifests.OperatorPKISecretName(cluster), Namespace: "ns"}}
			api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(pod, cluster, secret).WithInterceptorFuncs(interceptor.Funcs{
				Delete: func(_ context.Context, _ client.WithWatch, _ client.Object, options ...client.DeleteOption) error {
					var o client.DeleteOptions
					o.ApplyOptions(options)
					removed <- *o.GracePeriodSeconds == 0 && *o.Preconditions.UID == "u" && o.Preconditions.ResourceVersion == nil
					return nil
				},
			}).Build()
			agent := lastWords{calls: &atomic.Int64{}, end: c.end}
			r := &LeavingPods{Client: api, Agents: oneAgent{agent}}
			for range 2 { // it is asked by one at a time
				if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(pod)}); err != nil {
					t.Fatal(err)
				}
			}
			var got bool
			for deadline := time.Now().Add(5 * time.Second); ; <-time.After(time.Millisecond) {
				busy := false
				r.asked.Range(func(any, any) bool { busy = true; return false })
				if !busy {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("still being asked")
				}
			}
			select {
			case got = <-removed:
			default:
			}
			if got != c.want || c.want && agent.calls.Load() < c.calls || c.calls == 0 && agent.calls.Load() > 0 {
				t.Errorf("removed %t, want %t; asked %d times, want %d", got, c.want, agent.calls.Load(), c.calls)
			}
		})
	}
}

func TestTheAgentOfAPodThatLeavesIsAskedOnceAtATime(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "u", Labels: map[string]string{}}}
	asked := make(chan bool)
	blocked := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, _ client.WithWatch, _ client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
			asked <- true
			return io.EOF
		},
	}).Build()
	r := &LeavingPods{Client: blocked, Agents: oneAgent{}}
	for range 5 {
		r.askForEnd(t.Context(), pod)
	}
	<-asked
	select {
	case <-asked:
		t.Error("asked twice")
	case <-time.After(100 * time.Millisecond):
	}
}
