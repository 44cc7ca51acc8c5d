package cluster

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

func TestTheKubeletOfAPodThatWasMadeAnewIsHadToLookAgainOnceAndOnceMore(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	first := now.Format(time.RFC3339Nano)
	for name, c := range map[string]struct {
		change func(*corev1.Pod, *corev1.PersistentVolumeClaim)
		after  time.Duration
		want   string // the annotation then
		again  time.Duration
	}{
		"bound":                     {want: first, again: lookAgain},
		"marked a moment ago":       {func(p *corev1.Pod, _ *corev1.PersistentVolumeClaim) { p.Annotations[v1alpha1.AnnotationLooked] = first }, time.Second, first, lookAgain - time.Second},
		"marked, and still nothing": {func(p *corev1.Pod, _ *corev1.PersistentVolumeClaim) { p.Annotations[v1alpha1.AnnotationLooked] = first }, lookAgain, lookedTwice, 0},
		"marked by somebody":        {func(p *corev1.Pod, _ *corev1.PersistentVolumeClaim) { p.Annotations[v1alpha1.AnnotationLooked] = "x" }, 0, lookedTwice, 0},
		"marked twice": {func(p *corev1.Pod, _ *corev1.PersistentVolumeClaim) {
			p.Annotations[v1alpha1.AnnotationLooked] = lookedTwice
		}, time.Hour, lookedTwice, 0},
		"not bound":      {change: func(p *corev1.Pod, _ *corev1.PersistentVolumeClaim) { p.Spec.NodeName = "" }},
		"has an address": {change: func(p *corev1.Pod, _ *corev1.PersistentVolumeClaim) { p.Status.PodIP = "10.0.0.1" }},
		"runs":           {change: func(p *corev1.Pod, _ *corev1.PersistentVolumeClaim) { p.Status.Phase = corev1.PodRunning }},
		"being deleted": {change: func(p *corev1.Pod, _ *corev1.PersistentVolumeClaim) {
			p.DeletionTimestamp, p.Finalizers = ptr.To(metav1.NewTime(now)), []string{"example.com/x"}
		}},
		"a backup's": {change: func(p *corev1.Pod, _ *corev1.PersistentVolumeClaim) {
			p.Labels[v1alpha1.LabelRole] = v1alpha1.ComponentBackup
		}},
		"the first of its name":        {change: func(p *corev1.Pod, c *corev1.PersistentVolumeClaim) { c.CreationTimestamp = p.CreationTimestamp }},
		"its claim is somebody else's": {change: func(_ *corev1.Pod, c *corev1.PersistentVolumeClaim) { c.Name = "other" }},
		"its claim is older by a second": {change: func(p *corev1.Pod, c *corev1.PersistentVolumeClaim) {
			c.CreationTimestamp = metav1.NewTime(p.CreationTimestamp.Add(-time.Second))
		}},
	} {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name: "demo-placement-center-0", Namespace: "ns", UID: "u", CreationTimestamp: metav1.NewTime(now),
				Labels: map[string]string{v1alpha1.LabelRole: v1alpha1.ComponentPlacementCenter}, Annotations: map[string]string{"example.com/theirs": "1"},
			},
			Spec: corev1.PodSpec{NodeName: "n"}, Status: corev1.PodStatus{Phase: corev1.PodPending},
		}
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: manifests.VolumeClaimOf(pod.Name), Namespace: "ns", CreationTimestamp: metav1.NewTime(now.Add(-time.Minute))}}
		if c.change != nil {
			c.change(pod, claim)
		}
		var patched string
		api := fake.NewClientBuilder().WithObjects(pod, claim).WithInterceptorFuncs(interceptor.Funcs{
			Patch: func(ctx context.Context, inner client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
				raw, err := patch.Data(object)
				patched = string(raw)
				if err != nil {
					return err
				}
				return inner.Patch(ctx, object, patch, options...)
			},
		}).Build()
		before := pod.Annotations[v1alpha1.AnnotationLooked]
		r := &ArrivingPods{Client: api, Now: func() time.Time { return now.Add(c.after) }}
		result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(pod)})
		if err != nil || result.RequeueAfter != c.again {
			t.Errorf("%s: again after %s, want %s, %v", name, result.RequeueAfter, c.again, err)
		}
		var after corev1.Pod
		if err := api.Get(t.Context(), client.ObjectKeyFromObject(pod), &after); err != nil {
			t.Fatal(err)
		}
		if got := after.Annotations[v1alpha1.AnnotationLooked]; got != c.want || after.Annotations["example.com/theirs"] == "" || (patched != "") != (before != c.want) {
			t.Errorf("%s: marked %q, want %q, by %s", name, got, c.want, patched)
		}
	}
	if result, err := (&ArrivingPods{Client: fake.NewClientBuilder().Build()}).Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Namespace: "ns", Name: "gone"}}); err != nil || result != (ctrl.Result{}) {
		t.Errorf("%+v, %v", result, err)
	}
}
