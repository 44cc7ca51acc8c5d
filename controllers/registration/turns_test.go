package registration

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

func TestAnObjectThatWasThereAtTheStartIsLookedAtAgainWhileOthersKeepTheWorkersBusy(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	request := func(name string) reconcile.Request {
		return reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}
	}
	var queue workqueue.TypedRateLimitingInterface[reconcile.Request]
	looks, enough := 0, make(chan struct{})
	work := reconcile.Func(func(_ context.Context, req reconcile.Request) (reconcile.Result, error) {
		if req.Name != "there at the start" {
			other := map[string]string{"busy": "also busy", "also busy": "busy"}[req.Name]
			queue.Add(request(other)) // so that one is always waiting
			return reconcile.Result{}, nil
		}
		if looks++; looks == 3 {
			close(enough)
		}
		return reconcile.Result{RequeueAfter: time.Millisecond}, nil
	})
	o := Options{Name: "fair", SkipNameValidation: true}.Controller(time.Millisecond, time.Second)
	o.Reconciler = work
	c, err := controller.NewUnmanaged("fair", o)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Watch(source.Func(func(ctx context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		queue = q
		queue.Add(request("busy"))
		queue.Add(request("also busy"))
		listed := event.CreateEvent{Object: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "there at the start"}}, IsInInitialList: true}
		(&handler.EnqueueRequestForObject{}).Create(ctx, listed, q)
		return nil
	})); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Start(ctx) }()
	select {
	case <-enough:
	case <-ctx.Done():
		t.Error("it was not looked at three times within 20 s")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
