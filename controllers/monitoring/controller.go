package monitoring

import (
	"context"
	"errors"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/cluster"
	"github.com/robustmq/robustmq-operator/monitoring"
)

// Reconciler keeps the ServiceMonitor and the PrometheusRule of each cluster. It looks when a spec changed, when somebody changed one of those objects, and when one of their kinds came or went;
// not otherwise.
type Reconciler struct {
	client.Client
	// Reader reads past the cache.
	Reader client.Reader
	// Rules gives the alerts of a cluster.
	Rules Rules
	// Record takes what was found.
	Record *Record
	// Work counts passes and writes; nil: nobody counts.
	Work *monitoring.Work
	// Timings are the default ones where they are zero.
	Timings Timings

	keeper keeper
	// monitors and rules follow what is there of the two kinds.
	monitors, rules *follower
}

// Timings of both reconcilers.
type Timings struct {
	// LookAgain is how soon a kind is asked for again that nothing tells of.
	LookAgain time.Duration
	// Refused is how soon what the API server refused is tried again, or what has a name that is taken.
	Refused time.Duration
	// Settle is how long after a change of a cluster the dashboards are looked at, which are the same for all clusters.
	Settle time.Duration
}

// DefaultTimings are the times at real speed.
func DefaultTimings() Timings {
	return Timings{LookAgain: lookAgain, Refused: time.Minute, Settle: 2 * time.Second}
}

// Reconcile brings the objects of one cluster to what its spec says.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var c v1alpha1.RobustMQCluster
	if err := r.Get(ctx, req.NamespacedName, &c); client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, err
	} else if err != nil || !c.DeletionTimestamp.IsZero() {
		r.forget(req.NamespacedName) // its objects go with it: it owns them
		return ctrl.Result{}, nil
	}
	if c.Spec.Paused {
		return ctrl.Result{}, nil // nothing is written for it; that it goes on is a change of its spec
	}
	c.Default()
	rule, err := prometheusRule(&c, r.Rules)
	if err != nil {
		return ctrl.Result{}, err
	}
	var outcomes []outcome
	for _, o := range []struct {
		follower *follower
		wanted   client.Object
	}{{r.monitors, serviceMonitor(&c)}, {r.rules, rule}} {
		out := outcome{kind: o.follower.kind, is: o.follower.availability()}
		switch {
		case o.wanted == nil && out.is == available:
			if seen := o.follower.get(req.NamespacedName); seen != nil && metav1.IsControlledBy(seen, &c) {
				out.err = r.keeper.remove(ctx, o.follower.kind, seen)
			}
		case o.wanted == nil:
			continue
		case out.is == unknown:
			return ctrl.Result{}, nil // it will be told
		case out.is == available:
			out.err = r.keeper.keep(ctx, o.wanted, o.follower.get(req.NamespacedName))
		}
		if errors.Is(out.err, errLeaving) {
			return ctrl.Result{RequeueAfter: servedSoon}, nil
		}
		outcomes = append(outcomes, out)
	}
	found := judge(outcomes)
	if found.Status != metav1.ConditionTrue {
		monitoring.Waiting(ctx)
	}
	r.Record.set(&c, found)
	return next(outcomes, r.Timings.Refused)
}

// next says when to look again: at once and then ever more rarely after what may be gone a moment later, in a while after what somebody has to change.
func next(outcomes []outcome, refused time.Duration) (ctrl.Result, error) {
	var again time.Duration
	var errs []error
	for _, o := range outcomes {
		var taken *takenError
		switch {
		case o.err == nil:
		case errors.As(o.err, &taken), cluster.Refused(o.err), gone(o.err):
			// A kind that goes and is back before its watch was renewed leaves no trace there.
			again = refused
		default:
			errs = append(errs, o.err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: again}, nil
}

func (r *Reconciler) forget(key types.NamespacedName) {
	r.Record.forget(key)
	for _, f := range []*follower{r.monitors, r.rules} {
		r.keeper.forget(f.kind.Kind + " " + key.String())
	}
}
