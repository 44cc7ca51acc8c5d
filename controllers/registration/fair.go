package registration

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Fair makes objects that a controller looks at again wait their turn with all others. controller-runtime's queue gives those that are there when the operator starts a lower priority than those that
// change meanwhile, which is right for the first look; but it would keep them there at every look that no event led to, and most of what concerns a raft group is no event: for as long as the others keep
// all workers busy, theirs would stand still.
func Fair(inner reconcile.Reconciler) reconcile.Reconciler {
	return reconcile.Func(func(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
		result, err := inner.Reconcile(ctx, req)
		if result.Priority == nil {
			result.Priority = new(0)
		}
		return result, err
	})
}
