package trigger

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func TestTheWishToDeleteComesThroughAndNoOtherUpdate(t *testing.T) {
	there, going := &corev1.Pod{}, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: ptr.To(metav1.Now())}}
	for _, c := range []struct {
		before, after *corev1.Pod
		want          bool
	}{{there, there, false}, {there, going, true}, {going, going, false}} {
		if got := Deleted().Update(event.UpdateEvent{ObjectOld: c.before, ObjectNew: c.after}); got != c.want {
			t.Errorf("%v to %v: %t", c.before.DeletionTimestamp, c.after.DeletionTimestamp, got)
		}
	}
	if !Deleted().Create(event.CreateEvent{Object: there}) || !Deleted().Delete(event.DeleteEvent{Object: there}) {
		t.Error("what comes and what goes is kept back")
	}
}

func TestALabelNamesTheObjectThatGetsAPass(t *testing.T) {
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	defer queue.ShutDown()
	handle := Labelled("example.com/of")
	for _, labels := range []map[string]string{nil, {"example.com/other": "x"}, {"example.com/of": "c"}} {
		handle.Create(t.Context(), event.CreateEvent{Object: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", Labels: labels}}}, queue)
	}
	if queue.Len() != 1 {
		t.Fatalf("%d requests", queue.Len())
	}
	if got, _ := queue.Get(); got.String() != "ns/c" {
		t.Errorf("%s", got)
	}
}

func TestABurstOfChangesIsOnePassAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
		defer queue.ShutDown()
		the := []reconcile.Request{{NamespacedName: types.NamespacedName{Name: "the one"}}}
		handle := After(2*time.Second, func(context.Context, client.Object) []reconcile.Request { return the })
		handle.Create(t.Context(), event.CreateEvent{Object: &corev1.Pod{}}, queue)
		handle.Update(t.Context(), event.UpdateEvent{ObjectOld: &corev1.Pod{}, ObjectNew: &corev1.Pod{}}, queue)
		<-time.After(1900 * time.Millisecond)
		handle.Delete(t.Context(), event.DeleteEvent{Object: &corev1.Pod{}}, queue)
		synctest.Wait()
		if n := queue.Len(); n != 0 {
			t.Errorf("%d passes before the time", n)
		}
		<-time.After(200 * time.Millisecond)
		synctest.Wait()
		if n := queue.Len(); n != 1 {
			t.Errorf("%d passes, want 1", n)
		}
	})
}
