package backup

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/agents"
	"github.com/robustmq/robustmq-operator/controllers/backup/removal"
	"github.com/robustmq/robustmq-operator/controllers/installation"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/monitoring"
)

// Reconciler carries out RobustMQBackups. Every field but the client may be injected by tests.
type Reconciler struct {
	client.Client
	// Reader reads past the cache: Secrets that users named, and what must not be decided on old news.
	Reader client.Reader
	Events events.EventRecorder
	// Agents makes clients of the agents, with one mutual-TLS transport a cluster.
	Agents agents.Pool
	// AgentImage carries the program of the Jobs.
	AgentImage string
	// Restores lists the restores of a namespace; nil where there are none (tests). No backup is begun beside one that is under way, and none that it reads is removed.
	Restores func(ctx context.Context, namespace string) ([]v1alpha1.RobustMQRestore, error)
	// Work counts passes and writes; nil: nobody counts.
	Work *monitoring.Work

	Timings Timings
	Now     func() time.Time

	// beginning lets one pass at a time look past the cache and make a Job.
	beginning sync.Mutex

	mu           sync.Mutex
	memory       map[types.NamespacedName]*memory
	installation installation.ID
}

// Timings are the reconciler's own times. Zero values are replaced by the defaults.
type Timings struct {
	// Waiting is how soon a backup that waits is looked at again.
	Waiting time.Duration
	// Progress is how often the agent is asked for the progress, and how often that is written at most.
	Progress time.Duration
	// Observe bounds the questions to all agents together.
	Observe time.Duration
	// CatchUp is how long a follower may take to reach the recovery point before the leader is taken.
	CatchUp time.Duration
	// Slack is how much later than the Job itself a backup that stands still is given up: the Job knows better why.
	Slack time.Duration
	// Deletion is how long the removal from the bucket may keep an object: longer than the lock of a Job that died is in its way (archive.LockTTL). Retry is the time between two attempts.
	Deletion, Retry time.Duration
}

// DefaultTimings are the times at real speed.
func DefaultTimings() Timings {
	return Timings{
		Waiting: 2 * time.Second, Progress: 5 * time.Second, Observe: 5 * time.Second, CatchUp: 15 * time.Second, Slack: 30 * time.Second,
		Deletion: 15 * time.Minute, Retry: time.Minute,
	}
}

// memory is what the operator remembers of a backup between two passes. Losing it delays the backup and changes no decision.
type memory struct {
	uid          types.UID // of the backup: another one of its name begins anew
	point        recoveryPoint
	asked        time.Time
	image        *protocol.Image
	imageProblem string
}

// Reconcile is one pass: observe, decide, status, act.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var b v1alpha1.RobustMQBackup
	if err := r.Get(ctx, req.NamespacedName, &b); err != nil {
		if apierrors.IsNotFound(err) {
			r.forget(req.NamespacedName)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	result, err := r.reconcile(ctx, &b)
	if apierrors.IsConflict(err) {
		// Somebody wrote in between: what was read is old, the next pass reads anew.
		monitoring.Waiting(ctx)
		return ctrl.Result{RequeueAfter: r.Timings.Waiting}, nil
	}
	return result, err
}

func (r *Reconciler) reconcile(ctx context.Context, b *v1alpha1.RobustMQBackup) (ctrl.Result, error) {
	if !b.DeletionTimestamp.IsZero() {
		return r.finalize(ctx, b)
	}
	if b.Spec.DeletionPolicy == v1alpha1.BackupDeleted && !b.Ended() && !controllerutil.ContainsFinalizer(b, v1alpha1.FinalizerBackup) {
		// Before anything can be in the bucket.
		after := b.DeepCopy()
		controllerutil.AddFinalizer(after, v1alpha1.FinalizerBackup)
		if err := r.Patch(ctx, after, client.MergeFromWithOptions(b, client.MergeFromWithOptimisticLock{}), client.FieldOwner(FieldManager)); apierrors.IsNotFound(err) {
			return ctrl.Result{}, nil // deleted since it was read
		} else if err != nil {
			return ctrl.Result{}, fmt.Errorf("putting the finalizer on backup %s: %w", b.Name, err)
		}
		b = after
	}
	o, err := r.observe(ctx, b)
	if err != nil {
		return ctrl.Result{}, err
	}
	v := decide(o, r.Timings)
	if err := r.writeStatus(ctx, b, computeStatus(o, v, r.Timings)); err != nil {
		return ctrl.Result{}, err
	}
	if v.begin {
		if err := r.begin(ctx, o); err != nil {
			return ctrl.Result{}, err
		}
	}
	if v.remove {
		if err := removal.Job(ctx, r.Client, o.job); err != nil {
			return ctrl.Result{}, err
		}
	}
	if v.stage == v1alpha1.BackupFailed && !b.Ended() {
		r.letGo(ctx, o)
	}
	switch {
	case over(v.stage) && !b.Ended():
		r.forget(client.ObjectKeyFromObject(b))
		return ctrl.Result{RequeueAfter: r.Timings.Waiting}, nil // once more, for what is left of its Job
	case over(v.stage):
		return ctrl.Result{}, nil
	}
	monitoring.Waiting(ctx)
	if v.stage == v1alpha1.BackupWaiting {
		return ctrl.Result{RequeueAfter: r.Timings.Waiting}, nil
	}
	return ctrl.Result{RequeueAfter: r.Timings.Progress}, nil
}

// writeStatus writes the status where it differs, and tells what changed as events. The resource version is part of it: what has ended in the meantime stays as it ended.
func (r *Reconciler) writeStatus(ctx context.Context, b *v1alpha1.RobustMQBackup, next v1alpha1.RobustMQBackupStatus) error {
	if equality.Semantic.DeepEqual(b.Status, next) {
		return nil
	}
	after := b.DeepCopy()
	after.Status = next
	err := r.Status().Update(ctx, after, client.FieldOwner(FieldManager))
	switch {
	case apierrors.IsNotFound(err):
		return nil // deleted since it was read
	case err != nil:
		return fmt.Errorf("writing the status of backup %s: %w", b.Name, err)
	}
	for _, t := range transitions(b.Status, next) {
		r.tell(ctx, after, t.kind, t.reason, t.message)
	}
	return nil
}

func (r *Reconciler) remember(b *v1alpha1.RobustMQBackup) *memory {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.memory == nil {
		r.memory = map[types.NamespacedName]*memory{}
	}
	key := client.ObjectKeyFromObject(b)
	if m := r.memory[key]; m == nil || m.uid != b.UID {
		r.memory[key] = &memory{uid: b.UID}
	}
	return r.memory[key]
}

func (r *Reconciler) forget(key types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.memory, key)
}

// tell makes an event, and a line in the log. The event's note has 1024 bytes at most, or the API server refuses it.
func (r *Reconciler) tell(ctx context.Context, b *v1alpha1.RobustMQBackup, kind, reason, message string) {
	ctrl.LoggerFrom(ctx).Info("changed", "cluster", b.Namespace+"/"+b.Spec.ClusterName, "step", b.Status.Stage, "reason", reason, "message", message)
	r.Events.Eventf(b, nil, kind, reason, reason, "%s", cut(message, 1000))
}
