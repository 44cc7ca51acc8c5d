package plan

import (
	"context"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	told "github.com/robustmq/robustmq-operator/controllers/backup/destination"
	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
	"github.com/robustmq/robustmq-operator/controllers/backup/refused"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

// keepJob is how long a Job that has ended stays, so that its log can be read.
const keepJob = 24 * time.Hour

// annotationFingerprint on the Job of a probe says which destination it tries.
const annotationFingerprint = "robustmq.io/destination"

// work is one Job of the plan. It has one name for ever: the next one is made when the status says how the last one ended, so there is never more than one.
type work struct {
	kind job.Kind
	name string
	// job is nil when there is none.
	job *batchv1.Job
	// foreign is true of an object of that name that is not this cluster's: of an earlier cluster of its name, or somebody's own.
	foreign bool
	// begun is true of a Job that this pass has made.
	begun bool
	state outcome.Outcome
}

// ended reports whether there is a Job whose end the status does not know yet.
func (w *work) ended(known v1alpha1.JobOutcome) bool {
	return w.job != nil && !w.foreign && w.state.Phase == outcome.Ended && known.JobUID != string(w.job.UID)
}

// active reports whether a Job is on its way.
func (w *work) active() bool {
	return w.begun || w.job != nil && !w.foreign && w.state.Phase != outcome.Ended
}

// observeWork looks at the Job of a name and how it is going.
func (r *Reconciler) observeWork(ctx context.Context, p *pass, kind job.Kind, name string) (*work, error) {
	w := &work{kind: kind, name: name}
	var j batchv1.Job
	switch err := r.Get(ctx, client.ObjectKey{Namespace: p.cluster.Namespace, Name: name}, &j); {
	case apierrors.IsNotFound(err):
		return w, nil
	case err != nil:
		return nil, fmt.Errorf("reading Job %s: %w", name, err)
	}
	w.job = &j
	if owner := metav1.GetControllerOf(&j); owner == nil || owner.UID != p.cluster.UID {
		w.foreign = true
		return w, nil
	}
	var list corev1.PodList
	if err := r.List(ctx, &list, client.InNamespace(p.cluster.Namespace), client.MatchingLabels{v1alpha1.LabelCluster: p.cluster.Name, v1alpha1.LabelJob: string(kind)}); err != nil {
		return nil, fmt.Errorf("listing the pods of Job %s: %w", name, err)
	}
	pods := make([]*corev1.Pod, 0, len(list.Items))
	for i := range list.Items {
		pods = append(pods, &list.Items[i])
	}
	w.state = outcome.Of(kind, &j, pods, p.now)
	if w.state.Phase == outcome.Pending && !slices.ContainsFunc(pods, func(pod *corev1.Pod) bool { return metav1.IsControlledBy(pod, &j) }) {
		if why := refused.Why(ctx, r.Reader, &j, p.now); why != "" {
			w.state.Message = why
		}
	}
	if w.state.Phase == outcome.Ended && !outcome.Finished(&j) {
		// Its program has ended and Kubernetes has yet to say so of the Job, which cannot be replaced before.
		w.state.Phase = outcome.Running
	}
	return w, nil
}

// remove a Job with its pods, if it is still the one that was seen.
func (r *Reconciler) remove(ctx context.Context, w *work) error {
	if !w.job.DeletionTimestamp.IsZero() {
		return nil
	}
	err := r.Delete(ctx, w.job, client.PropagationPolicy(metav1.DeletePropagationBackground), client.Preconditions{UID: &w.job.UID})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("deleting Job %s: %w", w.name, err)
	}
	return nil
}

// taken says what is in the way of a Job.
func (w *work) taken() string {
	return fmt.Sprintf("Job %s exists and is not this cluster's: of an earlier cluster of its name, which goes by itself, or somebody's own: remove that", w.name)
}

// start makes a Job, or first removes the one before it, whose going brings the next pass. It reports whether it made one.
func (r *Reconciler) start(ctx context.Context, p *pass, w *work, request job.Request, o manifests.JobOptions) (bool, error) {
	if w.foreign {
		return false, nil
	}
	if w.job != nil {
		return false, r.remove(ctx, w)
	}
	text, err := request.Encode(w.kind)
	if err != nil {
		return false, err
	}
	o.Kind, o.Name, o.Request = manifests.JobKind(w.kind), w.name, []byte(text)
	o.Owner = *metav1.NewControllerRef(p.cluster, v1alpha1.GroupVersion.WithKind("RobustMQCluster"))
	o.Destination, o.Keep = &p.cluster.Spec.Backup.Destination, keepJob
	err = r.Create(ctx, manifests.Job(p.cluster, manifests.Inputs{AgentImage: r.AgentImage}, o), client.FieldOwner(FieldManager))
	switch {
	case apierrors.IsAlreadyExists(err): // the cache is behind, or it is one that the cache leaves out
		var there batchv1.Job
		if err := r.Reader.Get(ctx, client.ObjectKey{Namespace: p.cluster.Namespace, Name: w.name}, &there); err != nil {
			return false, client.IgnoreNotFound(err)
		}
		if owner := metav1.GetControllerOf(&there); owner == nil || owner.UID != p.cluster.UID {
			r.event(ctx, p.cluster, nil, corev1.EventTypeWarning, v1alpha1.ReasonNameTaken, w.taken())
		}
		return false, nil
	case err != nil:
		return false, fmt.Errorf("creating Job %s: %w", w.name, err)
	}
	w.begun = true
	return true, nil
}

// request is what every Job is told.
func (r *Reconciler) request(ctx context.Context, cluster *v1alpha1.RobustMQCluster) (job.Request, error) {
	installation, err := r.installation.Get(ctx, r.Reader)
	if err != nil {
		return job.Request{}, err
	}
	return job.Request{
		Destination: told.Of(&cluster.Spec.Backup.Destination),
		Owner:       job.Owner{ClusterUID: cluster.Status.ClusterUID, Name: cluster.Name, Namespace: cluster.Namespace, Installation: installation},
	}, nil
}
