package kube

import (
	"context"
	"fmt"
	"maps"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// jobs is the Job controller, for Jobs of one pod that is never tried again (completions 1, backoffLimit 0), and the collector's part of their deletion in the foreground.
type jobs struct{ *ControlPlane }

// Reconcile implements reconcile.Reconciler.
func (r *jobs) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if r.namespace(req.Namespace) == nil {
		return reconcile.Result{}, nil
	}
	var j batchv1.Job
	if err := r.direct.Get(ctx, req.NamespacedName, &j); err != nil { // the cache could make a second pod
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if j.Spec.BackoffLimit == nil || *j.Spec.BackoffLimit != 0 || j.Spec.Completions == nil || *j.Spec.Completions != 1 {
		return reconcile.Result{}, reconcile.TerminalError(fmt.Errorf("job %s: only one pod without a second attempt is simulated", req))
	}
	var all corev1.PodList
	if err := r.direct.List(ctx, &all, client.InNamespace(req.Namespace), client.MatchingLabels{batchv1.JobNameLabel: j.Name}); err != nil {
		return reconcile.Result{}, fmt.Errorf("list pods: %w", err)
	}
	pods := slices.DeleteFunc(all.Items, func(p corev1.Pod) bool { return !metav1.IsControlledBy(&p, &j) })
	if j.DeletionTimestamp != nil {
		return reconcile.Result{RequeueAfter: retryAfter}, r.deleteInForeground(ctx, &j, pods)
	}
	if slices.ContainsFunc(j.Status.Conditions, func(c batchv1.JobCondition) bool {
		return c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed
	}) {
		return reconcile.Result{}, nil
	}
	switch {
	case len(pods) == 0 && j.Status.Active == 0:
		return reconcile.Result{}, r.begin(ctx, &j)
	case len(pods) == 0:
		return reconcile.Result{}, r.end(ctx, &j, batchv1.JobFailed, batchv1.JobReasonBackoffLimitExceeded, "Job has reached the specified backoff limit")
	case pods[0].Status.Phase == corev1.PodSucceeded:
		return reconcile.Result{}, r.end(ctx, &j, batchv1.JobComplete, batchv1.JobReasonCompletionsReached, "Reached expected number of succeeded pods")
	case pods[0].Status.Phase == corev1.PodFailed:
		return reconcile.Result{}, r.end(ctx, &j, batchv1.JobFailed, batchv1.JobReasonBackoffLimitExceeded, "Job has reached the specified backoff limit")
	}
	return reconcile.Result{}, nil
}

// begin writes down that there is a pod before it makes it: one that is gone later was one that failed.
func (r *jobs) begin(ctx context.Context, j *batchv1.Job) error {
	now := metav1.Now()
	j.Status.StartTime, j.Status.Active = &now, 1
	if err := r.direct.Status().Update(ctx, j); err != nil {
		return client.IgnoreNotFound(ignoreConflict(err))
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: j.Name + "-" + rand.String(5), Namespace: j.Namespace, Labels: maps.Clone(j.Spec.Template.Labels), Annotations: maps.Clone(j.Spec.Template.Annotations),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(j, batchv1.SchemeGroupVersion.WithKind("Job"))},
		},
		Spec: *j.Spec.Template.Spec.DeepCopy(),
	}
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[batchv1.JobNameLabel], pod.Labels[batchv1.ControllerUidLabel] = j.Name, string(j.UID)
	if err := r.direct.Create(ctx, pod); err != nil {
		return fmt.Errorf("create the pod of job %s: %w", j.Name, err)
	}
	return nil
}

func (r *jobs) end(ctx context.Context, j *batchv1.Job, how batchv1.JobConditionType, reason, message string) error {
	now := metav1.Now()
	before := batchv1.JobFailureTarget
	j.Status.Active = 0
	if how == batchv1.JobComplete {
		before = batchv1.JobSuccessCriteriaMet
		j.Status.Succeeded, j.Status.CompletionTime = 1, &now
	} else {
		j.Status.Failed = 1
	}
	for _, kind := range []batchv1.JobConditionType{before, how} {
		j.Status.Conditions = append(j.Status.Conditions, batchv1.JobCondition{Type: kind, Status: corev1.ConditionTrue, Reason: reason, Message: message, LastProbeTime: now, LastTransitionTime: now})
	}
	if err := r.direct.Status().Update(ctx, j); client.IgnoreNotFound(ignoreConflict(err)) != nil {
		return fmt.Errorf("status of job %s: %w", j.Name, err)
	}
	return nil
}

// deleteInForeground removes the pods first, and lets the Job go when none is left.
func (r *jobs) deleteInForeground(ctx context.Context, j *batchv1.Job, pods []corev1.Pod) error {
	for i := range pods {
		if err := r.direct.Delete(ctx, &pods[i], client.Preconditions{UID: &pods[i].UID}); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete pod %s: %w", pods[i].Name, err)
		}
	}
	if len(pods) > 0 || !controllerutil.RemoveFinalizer(j, metav1.FinalizerDeleteDependents) {
		return nil
	}
	return client.IgnoreNotFound(ignoreConflict(r.direct.Update(ctx, j)))
}

func ignoreConflict(err error) error {
	if apierrors.IsConflict(err) {
		return nil // the next pass reads anew
	}
	return err
}
