package restore

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/agents"
	"github.com/robustmq/robustmq-operator/controllers/installation"
	"github.com/robustmq/robustmq-operator/monitoring"
)

// FieldManager owns the fields that the operator writes.
const FieldManager = "robustmq-operator"

// Reconciler carries out RobustMQRestores. Every field but the client may be injected by tests.
type Reconciler struct {
	client.Client
	// Reader reads past the cache: the restore and the cluster, on old news of which no order is given, and Secrets that users named.
	Reader client.Reader
	Events events.EventRecorder
	// Agents makes clients of the agents, with one mutual-TLS transport a cluster.
	Agents agents.Pool
	// AgentImage carries the program of the Jobs.
	AgentImage string
	// ClusterDomain is the DNS domain of the Kubernetes cluster; default cluster.local. It must be the one of controllers/cluster: the members' addresses are made of it.
	ClusterDomain string
	// Work counts passes and writes; nil: nobody counts.
	Work *monitoring.Work

	Timings Timings
	Now     func() time.Time

	mu           sync.Mutex
	memory       map[types.NamespacedName]memory
	installation installation.ID
}

// Timings are the reconciler's own times. Zero values are replaced by the defaults.
type Timings struct {
	// Waiting is how soon a restore that waits for its turn is looked at again, Busy one that is under way, Left one that is complete and has something to remove.
	Waiting, Busy, Left time.Duration
	// Progress is how often progress is written at most.
	Progress time.Duration
	// Observe bounds the questions to all agents together, Order the orders of one pass, Poll is how often a census is asked for within a pass.
	Observe, Order, Poll time.Duration
	// Inspect is how long the backup may be looked at in vain before the restore is refused, Retry the time between two attempts of a Job.
	Inspect, Retry time.Duration
	// Brokers is how long a broker or journal server that cannot be asked keeps the members from being stopped.
	Brokers time.Duration
	// Stuck is how long no byte may move before a restore of a living cluster is taken back.
	Stuck time.Duration
	// Verify is how long the members may take to agree before that is called a trouble.
	Verify time.Duration
	// Deletion is how long members that cannot be asked may keep a deleted object.
	Deletion time.Duration
}

// DefaultTimings are the times at real speed.
func DefaultTimings() Timings {
	return Timings{
		Waiting: 2 * time.Second, Busy: 2 * time.Second, Left: 30 * time.Second, Progress: 5 * time.Second, Observe: 5 * time.Second, Order: 45 * time.Second, Poll: 250 * time.Millisecond,
		Inspect: 10 * time.Minute, Retry: 15 * time.Second, Brokers: 2 * time.Minute, Stuck: 15 * time.Minute, Verify: 5 * time.Minute, Deletion: 10 * time.Minute,
	}
}

// memory is what the operator remembers of a restore between two passes. It is for words alone: losing it changes no decision.
type memory struct {
	uid   types.UID
	stage v1alpha1.RestoreStage
	since time.Time // when it was first seen in its stage
	// before is what the cluster held before it was stopped; asked: it was tried to find that out.
	before *inventory
	asked  bool
}

// Reconcile is one pass: observe, decide, status, act.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var x v1alpha1.RobustMQRestore
	// Past the cache: an order to an agent on old news may undo what was done since.
	if err := r.Reader.Get(ctx, req.NamespacedName, &x); err != nil {
		if apierrors.IsNotFound(err) {
			r.forget(req.NamespacedName)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	result, err := r.reconcile(ctx, &x)
	if apierrors.IsConflict(err) {
		// Somebody wrote in between: what was read is old, the next pass reads anew.
		monitoring.Waiting(ctx)
		return ctrl.Result{RequeueAfter: r.Timings.Waiting}, nil
	}
	return result, err
}

func (r *Reconciler) reconcile(ctx context.Context, x *v1alpha1.RobustMQRestore) (ctrl.Result, error) {
	finalizer := controllerutil.ContainsFinalizer(x, v1alpha1.FinalizerRestore)
	switch {
	case x.Ended() && !finalizer, !x.DeletionTimestamp.IsZero() && !finalizer:
		r.forget(client.ObjectKeyFromObject(x))
		return ctrl.Result{}, nil
	case !finalizer:
		// Before anything can be stopped.
		after := x.DeepCopy()
		controllerutil.AddFinalizer(after, v1alpha1.FinalizerRestore)
		if err := r.Patch(ctx, after, client.MergeFromWithOptions(x, client.MergeFromWithOptimisticLock{}), client.FieldOwner(FieldManager)); err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(fmt.Errorf("putting the finalizer on restore %s: %w", x.Name, err))
		}
		x = after
	}
	o, err := r.observe(ctx, x)
	if err != nil {
		return ctrl.Result{}, err
	}
	v := decide(o, r.Timings)
	if err := r.writeStatus(ctx, o, computeStatus(o, v, r.Timings)); err != nil {
		return ctrl.Result{}, err
	}
	if err := r.act(ctx, o, v); err != nil {
		return ctrl.Result{}, err
	}
	if v.release {
		r.forget(client.ObjectKeyFromObject(x))
		return ctrl.Result{}, nil
	}
	monitoring.Waiting(ctx)
	switch {
	case v.stage != x.Status.Stage:
		return ctrl.Result{RequeueAfter: time.Millisecond}, nil
	case v.stage == v1alpha1.RestoreComplete:
		return ctrl.Result{RequeueAfter: r.Timings.Left}, nil
	case v.stage == v1alpha1.RestoreWaiting:
		return ctrl.Result{RequeueAfter: r.Timings.Waiting}, nil
	}
	return ctrl.Result{RequeueAfter: r.Timings.Busy}, nil
}

// writeStatus writes the status where it differs, and tells what changed as events. The resource version is part of it: what was changed in the meantime, an abort say, is read first.
func (r *Reconciler) writeStatus(ctx context.Context, o *observation, next v1alpha1.RobustMQRestoreStatus) error {
	x := o.restore
	if equality.Semantic.DeepEqual(x.Status, next) {
		return nil
	}
	after := x.DeepCopy()
	after.Status = next
	if err := r.Status().Update(ctx, after, client.FieldOwner(FieldManager)); err != nil {
		return fmt.Errorf("writing the status of restore %s: %w", x.Name, err)
	}
	for _, t := range transitions(x.Status, next) {
		r.tell(ctx, after, t.kind, t.reason, t.message)
		if o.cluster != nil {
			r.Events.Eventf(o.cluster, after, t.kind, t.reason, t.reason, "%s", cut(fmt.Sprintf("restore %s: %s", x.Name, t.message), 1000))
		}
	}
	return nil
}

// tell makes an event, and a line in the log. The event's note has 1024 bytes at most, or the API server refuses it.
func (r *Reconciler) tell(ctx context.Context, x *v1alpha1.RobustMQRestore, kind, reason, message string) {
	ctrl.LoggerFrom(ctx).Info("changed", "cluster", x.Namespace+"/"+x.Spec.ClusterName, "step", x.Status.Stage, "reason", reason, "message", message)
	r.Events.Eventf(x, nil, kind, reason, reason, "%s", cut(message, 1000))
}

// release takes the finalizer off, and says what is left.
func (r *Reconciler) release(ctx context.Context, x *v1alpha1.RobustMQRestore, left string) error {
	var now v1alpha1.RobustMQRestore
	if err := r.Reader.Get(ctx, client.ObjectKeyFromObject(x), &now); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("reading restore %s: %w", x.Name, err))
	}
	if now.UID != x.UID || !controllerutil.ContainsFinalizer(&now, v1alpha1.FinalizerRestore) {
		return nil
	}
	after := now.DeepCopy()
	controllerutil.RemoveFinalizer(after, v1alpha1.FinalizerRestore)
	if err := r.Patch(ctx, after, client.MergeFromWithOptions(&now, client.MergeFromWithOptimisticLock{}), client.FieldOwner(FieldManager)); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("letting restore %s go: %w", x.Name, err))
	}
	if left != "" {
		r.tell(ctx, x, corev1.EventTypeWarning, v1alpha1.ReasonRestoreLeft, "it is deleted although not everything was put in order: "+left)
	}
	return nil
}

// seenSince is when this operator first saw the restore in its stage.
func (r *Reconciler) seenSince(x *v1alpha1.RobustMQRestore, now time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.memory == nil {
		r.memory = map[types.NamespacedName]memory{}
	}
	key := client.ObjectKeyFromObject(x)
	m := r.memory[key]
	if m.uid != x.UID {
		m = memory{uid: x.UID}
	}
	if m.stage != x.Status.Stage {
		m.stage, m.since = x.Status.Stage, now
	}
	r.memory[key] = m
	return m.since
}

// stock is what the cluster held before it was stopped, found out once by take; nil where that is not known.
func (r *Reconciler) stock(x *v1alpha1.RobustMQRestore, take func() *inventory) *inventory {
	key := client.ObjectKeyFromObject(x)
	r.mu.Lock()
	m := r.memory[key]
	r.mu.Unlock()
	if m.asked || take == nil {
		return m.before
	}
	m.asked, m.before = true, take()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.memory[key] = m
	return m.before
}

func (r *Reconciler) forget(key types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.memory, key)
}
