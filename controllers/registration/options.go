package registration

import (
	"cmp"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Options shape a controller.
type Options struct {
	// Name in logs and metrics, which tells several controllers of one kind in a process apart (tests); empty: the controller's own.
	Name string
	// Concurrency is how many objects are reconciled at once; at least 1.
	Concurrency int
	// SkipNameValidation allows several controllers of one name in a process (tests).
	SkipNameValidation bool
}

// Named returns the name to register under: Name, or the controller's own.
func (o Options) Named(own string) string { return cmp.Or(o.Name, own) }

// Controller returns controller-runtime's options. All objects wait their turn alike: controller-runtime's queue of priorities puts those that are there when the operator starts behind all that change
// meanwhile, and would leave them there, without a first look, for as long as the others keep all workers busy.
// An object whose pass failed is looked at again after first, then after twice as long each time, at most after last.
func (o Options) Controller(first, last time.Duration) controller.Options {
	return controller.Options{
		MaxConcurrentReconciles: max(o.Concurrency, 1), SkipNameValidation: &o.SkipNameValidation, UsePriorityQueue: new(false),
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](first, last),
	}
}
