package monitoring

import (
	"context"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Results of a reconcile. What an operator that is at rest shows is unchanged alone.
const (
	ResultUnchanged = "unchanged" // everything was as it should be
	ResultChanged   = "changed"   // something was written, or an agent was given an order
	ResultWaiting   = "waiting"   // nothing was written, and something is waited for
	ResultError     = "error"
)

// Work exports what the controllers do: passes by their results, and writes by kind and verb. Controllers, kinds and verbs are closed sets; clusters are no label.
type Work struct {
	reconciles, writes *prometheus.CounterVec
}

// NewWork makes the metrics; whoever makes them registers them.
func NewWork() *Work {
	return &Work{
		reconciles: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "robustmq_operator_reconciles_total",
			Help: "Passes of the controllers by result: unchanged (everything was as it should be), changed (something was written or ordered), waiting (something is waited for), error.",
		}, []string{"controller", "result"}),
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "robustmq_operator_writes_total",
			Help: "Writes to the API server that it took, without events and leases, by kind and verb (create, update, patch, apply, delete; of a status with /status behind its kind).",
		}, []string{"controller", "kind", "verb"}),
	}
}

// Describe sends what there can be.
func (w *Work) Describe(ch chan<- *prometheus.Desc) {
	w.reconciles.Describe(ch)
	w.writes.Describe(ch)
}

// Collect sends what there is.
func (w *Work) Collect(ch chan<- prometheus.Metric) {
	w.reconciles.Collect(ch)
	w.writes.Collect(ch)
}

// tally is what one pass did.
type tally struct{ changed, waiting atomic.Bool }

type tallyKey struct{}

func tallyOf(ctx context.Context) *tally {
	t, _ := ctx.Value(tallyKey{}).(*tally)
	return t
}

// Changed notes that the pass of this context gave an order. Writes through a client of Work.Client are noted by themselves.
func Changed(ctx context.Context) {
	if t := tallyOf(ctx); t != nil {
		t.changed.Store(true)
	}
}

// Waiting notes that the pass of this context waits for something.
func Waiting(ctx context.Context) {
	if t := tallyOf(ctx); t != nil {
		t.waiting.Store(true)
	}
}

func (t *tally) result(err error) string {
	switch {
	case err != nil:
		return ResultError
	case t.changed.Load():
		return ResultChanged
	case t.waiting.Load():
		return ResultWaiting
	}
	return ResultUnchanged
}

// Reconciler counts the passes of a controller. With a nil receiver it is the reconciler itself.
func (w *Work) Reconciler(controller string, inner reconcile.Reconciler) reconcile.Reconciler {
	if w == nil {
		return inner
	}
	for _, result := range []string{ResultUnchanged, ResultChanged, ResultWaiting, ResultError} {
		w.reconciles.WithLabelValues(controller, result) // so that a rate sees the first one
	}
	return reconcile.Func(func(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
		t := &tally{}
		result, err := inner.Reconcile(context.WithValue(ctx, tallyKey{}, t), req)
		w.reconciles.WithLabelValues(controller, t.result(err)).Inc()
		return result, err
	})
}
