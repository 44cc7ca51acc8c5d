package registration

import (
	"context"
	"errors"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
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
	var queue priorityqueue.PriorityQueue[reconcile.Request]
	looks, enough := 0, make(chan struct{})
	work := reconcile.Func(func(_ context.Context, req reconcile.Request) (reconcile.Result, error) {
		if req.Name != "there at the start" {
			other := map[string]string{"busy": "also busy", "also busy": "busy"}[req.Name]
			queue.Add(request(other)) // so that one is always waiting
			return reconcile.Result{}, nil
		}
		switch looks++; looks {
		case 1:
			queue.Add(request("busy"))
			queue.Add(request("also busy"))
		case 3:
			close(enough)
		}
		return reconcile.Result{RequeueAfter: time.Millisecond}, nil
	})
	o := Options{Name: "fair", SkipNameValidation: true}.Controller(time.Millisecond, time.Second)
	o.Reconciler = Fair(work)
	c, err := controller.NewUnmanaged("fair", o)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Watch(source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		queue = q.(priorityqueue.PriorityQueue[reconcile.Request])
		queue.AddWithOpts(priorityqueue.AddOpts{Priority: new(handler.LowPriority)}, request("there at the start"))
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

func TestFairLeavesAPriorityThatAControllerChose(t *testing.T) {
	for _, chosen := range []*int{nil, new(7)} {
		result, err := Fair(reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) {
			return reconcile.Result{Priority: chosen}, context.Canceled
		})).Reconcile(t.Context(), reconcile.Request{})
		want := 0
		if chosen != nil {
			want = *chosen
		}
		if !errors.Is(err, context.Canceled) || result.Priority == nil || *result.Priority != want {
			t.Errorf("chosen %v: %+v, %v", chosen, result, err)
		}
	}
}
