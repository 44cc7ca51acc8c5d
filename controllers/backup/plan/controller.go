package plan

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
	"github.com/robustmq/robustmq-operator/controllers/installation"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/monitoring"
)

// Reconciler carries out the backup plans of RobustMQClusters. Every field but the client may be injected by tests.
type Reconciler struct {
	client.Client
	// Reader reads past the cache: Secrets that users named are not ours to hold in memory.
	Reader client.Reader
	Events events.EventRecorder
	// AgentImage is the image of Jobs.
	AgentImage string
	// Restores lists the restores of a namespace; nil where there are none (tests). No backup is made while one is under way.
	Restores func(ctx context.Context, namespace string) ([]v1alpha1.RobustMQRestore, error)
	// Metrics are what is exported.
	Metrics *monitoring.Backups
	// Work counts passes and writes; nil: nobody counts.
	Work    *monitoring.Work
	Timings Timings
	Now     func() time.Time

	mu           sync.Mutex
	installation installation.ID
	// deleted are clusters of which a backup was deleted from its bucket since the last collection. Losing it delays that to the daily one.
	deleted map[types.NamespacedName]bool
}

// Timings are how long things are waited for.
type Timings struct {
	// Quiet is the longest time between two looks at a cluster: Secrets that users named are not watched, and a clock may be set. Mending is the same while the destination is not known to
	// be good: somebody is about to correct it.
	Quiet, Mending time.Duration
	// Busy is the shortest.
	Busy time.Duration
	// Yield is how long a collection that runs may make a backup wait.
	Yield time.Duration
}

// DefaultTimings are those of the product.
func DefaultTimings() Timings {
	return Timings{Quiet: 5 * time.Minute, Mending: 30 * time.Second, Busy: time.Second, Yield: 5 * time.Minute}
}

// pass is one look at one cluster: what was read, and what follows.
type pass struct {
	cluster *v1alpha1.RobustMQCluster
	now     time.Time
	// own are the cluster's backups, the oldest first; running what has to end before the next one is made.
	own     []*v1alpha1.RobustMQBackup
	running string
	// wanted: a backup is being made, or waits for its turn.
	wanted     bool
	place      destination
	probe      *work
	collection *work
	reading    *work
	// next is what the status becomes.
	next *v1alpha1.BackupPlanStatus
	wake time.Time
}

// wakeAt asks for another pass at a time, if none comes before.
func (p *pass) wakeAt(at time.Time) {
	if p.wake.IsZero() || at.Before(p.wake) {
		p.wake = at
	}
}

// Reconcile is one pass: observe, note what ended, make what is due, write the status, begin what comes next.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var cluster v1alpha1.RobustMQCluster
	if err := r.Get(ctx, req.NamespacedName, &cluster); err != nil {
		if apierrors.IsNotFound(err) {
			r.forget(req.NamespacedName)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !cluster.DeletionTimestamp.IsZero() {
		r.forget(req.NamespacedName)
		return ctrl.Result{}, nil
	}
	var result ctrl.Result
	var err error
	if cluster.Spec.Backup == nil {
		r.forget(req.NamespacedName)
		err = r.clearStatus(ctx, &cluster)
	} else {
		result, err = r.reconcile(ctx, &cluster)
	}
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		// Somebody wrote in between, or it is gone: what was read is old.
		monitoring.Waiting(ctx)
		return ctrl.Result{RequeueAfter: r.Timings.Busy}, nil
	}
	return result, err
}

func (r *Reconciler) reconcile(ctx context.Context, cluster *v1alpha1.RobustMQCluster) (ctrl.Result, error) {
	p, err := r.observe(ctx, cluster)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := r.noteEnds(ctx, p); err != nil {
		return ctrl.Result{}, err
	}
	if err := r.makeDue(ctx, p); err != nil {
		return ctrl.Result{}, err
	}
	remember(p.next, p.own)
	if err := r.dropStale(ctx, p); err != nil {
		return ctrl.Result{}, err
	}
	ready := since(cluster.Status.Conditions, storageReady(cluster, p.next.Storage, p.place, pendingOf(p.probe)), seconds(p.now))
	conditions := []metav1.Condition{ready}
	if c := backupsVerified(cluster, p.next.Verification); c != nil {
		conditions = append(conditions, since(cluster.Status.Conditions, *c, seconds(p.now)))
	}
	wrote, err := r.writeStatus(ctx, cluster, p.next, conditions)
	if err != nil {
		return ctrl.Result{}, err
	}
	if wrote {
		r.tell(ctx, p, conditions)
	}
	plan, failed := figures(p.next, ready, p.own)
	if every := cluster.Spec.Backup.VerifyEvery; every != nil {
		plan.VerifyEvery = every.Duration
	}
	r.Metrics.Set(client.ObjectKeyFromObject(cluster), plan, failed)
	if !cluster.Spec.Paused && cluster.Status.ClusterUID != "" {
		if err := r.keepProbing(ctx, p); err != nil {
			return ctrl.Result{}, err
		}
		if err := r.keepCollecting(ctx, p, ready); err != nil {
			return ctrl.Result{}, err
		}
		if err := r.keepVerifying(ctx, p, ready); err != nil {
			return ctrl.Result{}, err
		}
	}
	if p.running != "" || ready.Status != metav1.ConditionTrue {
		monitoring.Waiting(ctx)
	}
	if ready.Status != metav1.ConditionTrue {
		p.wakeAt(p.now.Add(r.Timings.Mending))
	}
	p.wakeAt(p.now.Add(r.Timings.Quiet))
	return ctrl.Result{RequeueAfter: max(p.wake.Sub(p.now), r.Timings.Busy)}, nil
}

// observe reads what the plan depends on.
func (r *Reconciler) observe(ctx context.Context, cluster *v1alpha1.RobustMQCluster) (*pass, error) {
	p := &pass{cluster: cluster, now: r.Now(), next: &v1alpha1.BackupPlanStatus{}}
	if cluster.Status.Backup != nil {
		p.next = cluster.Status.Backup.DeepCopy()
	}
	var list v1alpha1.RobustMQBackupList
	if err := r.List(ctx, &list, client.InNamespace(cluster.Namespace)); err != nil {
		return nil, fmt.Errorf("listing the backups of cluster %s: %w", cluster.Name, err)
	}
	for i := range list.Items {
		if b := &list.Items[i]; b.Spec.ClusterName == cluster.Name && !b.Ended() && p.running == "" {
			p.running, p.wanted = "the backup "+b.Name, true
		}
	}
	p.own = ofCluster(list.Items, cluster)
	if r.Restores != nil {
		restores, err := r.Restores(ctx, cluster.Namespace)
		if err != nil {
			return nil, fmt.Errorf("listing the restores of cluster %s: %w", cluster.Name, err)
		}
		for i := range restores {
			if s := &restores[i]; s.Spec.ClusterName == cluster.Name && !s.Ended() {
				p.running = "the restore " + s.Name
			}
		}
	}
	var err error
	if p.place, err = r.locate(ctx, cluster); err != nil {
		return nil, err
	}
	if p.probe, err = r.observeWork(ctx, p, job.Probe, manifests.ProbeJobName(cluster.Name)); err != nil {
		return nil, err
	}
	if p.collection, err = r.observeWork(ctx, p, job.Collect, manifests.CollectJobName(cluster.Name)); err != nil {
		return nil, err
	}
	if p.reading, err = r.observeWork(ctx, p, job.Verify, manifests.VerifyJobName(cluster.Name)); err != nil {
		return nil, err
	}
	if p.probe.foreign {
		p.place.lacks(v1alpha1.ReasonNameTaken, p.probe.taken())
	}
	if p.running == "" && p.collection.active() && p.collection.state.Phase == outcome.Running {
		p.running = "the collection"
	}
	return p, nil
}

// noteEnds takes the results of Jobs that have ended into the status. What a collection deleted from the bucket has no object afterwards.
func (r *Reconciler) noteEnds(ctx context.Context, p *pass) error {
	if w := p.probe; w.ended(p.next.Storage.JobOutcome) {
		p.next.Storage.JobOutcome = noted(p.next.Storage.JobOutcome, string(w.job.UID), w.state, p.now)
		p.next.Storage.Fingerprint = w.job.Annotations[annotationFingerprint]
	}
	if w := p.reading; w.ended(p.next.Verification.JobOutcome) {
		name := w.job.Annotations[annotationBackup]
		i := slices.IndexFunc(p.own, func(b *v1alpha1.RobustMQBackup) bool { return b.Name == name })
		var read *v1alpha1.RobustMQBackup
		if i >= 0 {
			read = p.own[i]
		}
		p.next.Verification = verified(p.next.Verification, read, name, string(w.job.UID), w.state, p.now)
	}
	if p.cluster.Spec.Backup.VerifyEvery == nil {
		p.next.Verification = v1alpha1.VerificationStatus{}
	}
	w := p.collection
	if !w.ended(p.next.Collection.JobOutcome) {
		return nil
	}
	if w.state.OK() && w.state.Result.Collected != nil && !p.cluster.Spec.Paused {
		for _, b := range gone(p.own, p.cluster.Spec.Backup, w.state.Result.Collected, w.job.CreationTimestamp.Time) {
			if err := r.drop(ctx, b); err != nil {
				return err
			}
		}
	}
	p.next.Collection = collected(p.next.Collection, string(w.job.UID), w.state, p.now)
	return nil
}

func (r *Reconciler) forget(key types.NamespacedName) {
	r.Metrics.Forget(key)
	r.setDeleted(key, false)
}

func (r *Reconciler) wasDeleted(key types.NamespacedName) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.deleted[key]
}

func (r *Reconciler) setDeleted(key types.NamespacedName, is bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !is {
		delete(r.deleted, key)
		return
	}
	if r.deleted == nil {
		r.deleted = map[types.NamespacedName]bool{}
	}
	r.deleted[key] = true
}
