package cluster

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
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
