package restore

import (
	"context"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/controllers/agents"
	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
	"github.com/robustmq/robustmq-operator/controllers/backup/refused"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

// observe reads what a decision about the restore depends on in its stage.
func (r *Reconciler) observe(ctx context.Context, x *v1alpha1.RobustMQRestore) (*observation, error) {
	o := &observation{now: r.Now(), restore: x, domain: r.ClusterDomain}
	o.since = r.seenSince(x, o.now)
	var err error
	if o.cluster, err = r.cluster(ctx, x); err != nil {
		return nil, err
	}
	if o.push, err = r.observeJob(ctx, o, job.Restore, manifests.RestoreJobName(x.Name)); err != nil {
		return nil, err
	}
	if o.push.job != nil {
		if request, err := requestOf(job.Restore, o.push.job); err == nil {
			o.pushed = request.Restore
		}
	}
	if o.inspect, err = r.observeJob(ctx, o, job.Inspect, manifests.InspectJobName(x.Name)); err != nil {
		return nil, err
	}
	o.found = foundBy(o)
	switch x.Status.Stage {
	case "", v1alpha1.RestoreWaiting:
		if err := r.observePlace(ctx, o); err != nil {
			return nil, err
		}
		return o, r.observeBefore(ctx, o)
	case v1alpha1.RestoreFailed, v1alpha1.RestoreAborted:
		return o, nil
	case v1alpha1.RestoreSaving:
		if o.safety, err = r.backup(ctx, x.Namespace, safetyName(x)); err != nil {
			return nil, err
		}
	}
	if err := r.observePlace(ctx, o); err != nil {
		return nil, err
	}
	if o.cluster == nil {
		return o, nil
	}
	if err := r.observePods(ctx, o); err != nil {
		return nil, err
	}
	r.observeStock(ctx, o)
	if x.Status.Stage == v1alpha1.RestoreVerifying && o.found != nil && o.unproven(o.voters()) == "" {
		r.count(ctx, o)
	}
	return o, nil
}

// observeStock has a broker say what the cluster holds, once before it is stopped and once when all serve again. Who restores after a loss has nothing to compare with.
func (r *Reconciler) observeStock(ctx context.Context, o *observation) {
	switch stage := o.restore.Status.Stage; {
	case !o.overwrites():
	case stage == v1alpha1.RestoreStopping:
		o.before = r.stock(o.restore, func() *inventory { return r.takeStock(ctx, o) })
	case stage == v1alpha1.RestoreStarting:
		o.before = r.stock(o.restore, nil)
		if len(o.outOfService()) == 0 {
			o.after = r.takeStock(ctx, o)
		}
	}
}

// foundBy is what the inspection found, of the backup that was chosen.
func foundBy(o *observation) *job.Result {
	run, chosen := o.inspect.run, o.restore.Status.Source
	if o.inspect.job == nil || !run.OK() || run.Result.Inspected == nil {
		return nil
	}
	if chosen.Key != "" && (chosen.Key != run.Result.Key || chosen.ManifestSHA256 != run.Result.ManifestSHA256) {
		return nil
	}
	return run.Result
}

// cluster of the restore, past the cache, with the defaults of its spec; nil when there is none.
func (r *Reconciler) cluster(ctx context.Context, x *v1alpha1.RobustMQRestore) (*v1alpha1.RobustMQCluster, error) {
	var c v1alpha1.RobustMQCluster
	err := r.Reader.Get(ctx, types.NamespacedName{Namespace: x.Namespace, Name: x.Spec.ClusterName}, &c)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading cluster %s: %w", x.Spec.ClusterName, err)
	}
	c.Default()
	return &c, nil
}

// backup of that name; nil when there is none.
func (r *Reconciler) backup(ctx context.Context, namespace, name string) (*v1alpha1.RobustMQBackup, error) {
	var b v1alpha1.RobustMQBackup
	err := r.Reader.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &b)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading backup %s: %w", name, err)
	}
	return &b, nil
}

// observeJob reads a Job of this restore past the cache, and its pods: a Job that was only not seen yet must not be made, or missed, twice. One of its name that is somebody else's is none.
func (r *Reconciler) observeJob(ctx context.Context, o *observation, kind job.Kind, name string) (jobFacts, error) {
	var j batchv1.Job
	err := r.Reader.Get(ctx, types.NamespacedName{Namespace: o.restore.Namespace, Name: name}, &j)
	switch {
	case apierrors.IsNotFound(err):
		return jobFacts{}, nil
	case err != nil:
		return jobFacts{}, fmt.Errorf("reading Job %s: %w", name, err)
	case !metav1.IsControlledBy(&j, o.restore):
		// The create that follows finds it, and is tried again until the garbage collector, or its owner, has removed it.
		return jobFacts{}, nil
	}
	var list corev1.PodList
	if err := r.Reader.List(ctx, &list, client.InNamespace(j.Namespace), client.MatchingLabels{batchv1.JobNameLabel: j.Name}); err != nil {
		return jobFacts{}, fmt.Errorf("listing the pods of Job %s: %w", j.Name, err)
	}
	pods := make([]*corev1.Pod, 0, len(list.Items))
	for i := range list.Items {
		pods = append(pods, &list.Items[i])
	}
	facts := jobFacts{job: &j, run: outcome.Of(kind, &j, pods, o.now)}
	if facts.run.Phase == outcome.Pending && len(pods) == 0 {
		if why := refused.Why(ctx, r.Reader, &j, o.now); why != "" {
			facts.run.Message = why
		}
	}
	return facts, nil
}

// observePlace finds out where the backup is: the Jobs of this restore know it, else the spec says it, or the backup that it names.
func (r *Reconciler) observePlace(ctx context.Context, o *observation) error {
	source := o.restore.Spec.Source
	if source.BackupName != "" {
		b, err := r.backup(ctx, o.restore.Namespace, source.BackupName)
		if err != nil {
			return err
		}
		o.named = b
	}
	switch {
	case o.inspect.job != nil && destinationOf(o.inspect.job) != nil:
		o.place = destinationOf(o.inspect.job)
	case o.push.job != nil && destinationOf(o.push.job) != nil:
		o.place = destinationOf(o.push.job)
	case o.named != nil && o.named.Ended() && !o.named.Restorable():
		o.forbidden = append(o.forbidden, fmt.Sprintf("%s: choose a backup that is Complete (kubectl get rmqb)", whyFailed(o.named)))
	case source.BackupName != "" && (o.named == nil || o.named.Status.Destination == nil || o.named.Status.Key == ""):
		o.unplaced = &wait{v1alpha1.ReasonWaitingForCluster, fmt.Sprintf("where backup %s is, is not known: it does not exist, or is not complete (spec.source.backupName)", source.BackupName)}
	case source.BackupName != "":
		o.place = o.named.Status.Destination
	case source.Destination != nil:
		o.place = source.Destination
	case o.cluster != nil && o.cluster.Spec.Backup != nil:
		o.place = &o.cluster.Spec.Backup.Destination
	default:
		o.unplaced = &wait{v1alpha1.ReasonNoDestination, "neither spec.source.destination nor spec.backup.destination of the cluster says where the backup is"}
	}
	return nil
}

// observePods finds the pods of the cluster and asks their agents, all at once.
func (r *Reconciler) observePods(ctx context.Context, o *observation) error {
	var pods corev1.PodList
	if err := r.List(ctx, &pods, client.InNamespace(o.cluster.Namespace), client.MatchingLabels{v1alpha1.LabelCluster: o.cluster.Name}); err != nil {
		return fmt.Errorf("listing the pods of cluster %s: %w", o.cluster.Name, err)
	}
	byName := map[string]*corev1.Pod{}
	for i := range pods.Items {
		byName[pods.Items[i].Name] = &pods.Items[i]
	}
	o.members, o.nodes = nil, nil
	for _, m := range rosterOf(o.cluster, byName) {
		if m.role == v1alpha1.RolePlacementCenter {
			o.members = append(o.members, m)
		} else {
			o.nodes = append(o.nodes, m)
		}
	}
	identity, err := agents.Identity(ctx, r.Client, o.cluster)
	if err != nil {
		for _, list := range [][]member{o.members, o.nodes} {
			for i := range list {
				list[i].problem = err.Error()
			}
		}
		return nil
	}
	r.askAll(ctx, o.cluster, identity, byName, slices.Concat(pointers(o.members), pointers(o.nodes)))
	return nil
}

func pointers(list []member) []*member {
	out := make([]*member, 0, len(list))
	for i := range list {
		out = append(out, &list[i])
	}
	return out
}

// maxOrdinals is how many pods of a role are looked for beyond those that the spec asks for.
const maxOrdinals = 7

// rosterOf are the members and nodes that the spec asks for, and those beyond whose pods exist.
func rosterOf(c *v1alpha1.RobustMQCluster, pods map[string]*corev1.Pod) []member {
	var out []member
	seen := map[v1alpha1.Role]bool{}
	add := func(role v1alpha1.Role, replicas int32) {
		seen[role] = true
		for ordinal := range replicas + maxOrdinals {
			m := member{pod: manifests.PodName(c, role, ordinal), role: role, nodeID: role.BaseNodeID() + uint64(ordinal), wanted: ordinal < replicas} //nolint:gosec // not negative
			if pod := pods[m.pod]; pod != nil {
				m.exists, m.address = true, pod.Status.PodIP
			}
			if m.wanted || m.exists {
				out = append(out, m)
			}
		}
	}
	for _, view := range c.Spec.Roles() {
		add(view.Role, view.Replicas)
	}
	if !seen[v1alpha1.RoleJournalServer] {
		add(v1alpha1.RoleJournalServer, 0)
	}
	return out
}
