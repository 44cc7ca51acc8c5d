package cluster

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// observePulls says of every pod that is to be made anew how far its new images are on its node, and removes the Jobs that pull images which nobody wants any more.
//
// Before an upgrade with everything stopped they are those of the new version, for every pod.
//
// A node's own list of images is no answer: it ends after 50. So a Job runs once on each node in question; one that has ended is the record, until it goes ten minutes later.
func (r *Reconciler) observePulls(ctx context.Context, p *pass) error {
	wanted := map[string]bool{}
	ahead := p.hop != nil && p.hop.ready // every pod goes then, and before that none is made anew
	p.pulled, p.pulledInputs = p.desired, p.inputs
	p.pulledInputs.AgentMounted = p.mayMount
	if ahead {
		p.pulled = p.desired.DeepCopy()
		p.pulled.Spec.Version = p.cluster.Spec.Version
		p.pulledInputs.ServerImage = manifests.ServerImage(p.pulled, r.ServerImage)
	}
	for i := range p.snapshot.Members {
		m := &p.snapshot.Members[i]
		pod := p.observed.pods[m.Pod]
		if pod == nil || pod.Spec.NodeName == "" || !m.TemplateStale && !ahead {
			continue
		}
		if !hasImages(pod, p.pulledInputs, m.OnlyImage) {
			m.Pull.Phase = topology.PullWanted
			wanted[manifests.PullJobName(p.pulled, p.pulledInputs, m.Node)] = true
		}
	}
	if len(wanted) == 0 && len(p.observed.pulls) == 0 {
		return nil
	}
	var jobs batchv1.JobList
	if err := r.List(ctx, &jobs, client.InNamespace(p.cluster.Namespace),
		client.MatchingLabels{v1alpha1.LabelCluster: p.cluster.Name, v1alpha1.LabelRole: v1alpha1.ComponentPull}); err != nil {
		return fmt.Errorf("listing the Jobs that pull images for cluster %s: %w", p.cluster.Name, err)
	}
	byName := map[string]*batchv1.Job{}
	for i := range jobs.Items {
		job := &jobs.Items[i]
		if wanted[job.Name] {
			byName[job.Name] = job
			continue
		}
		if job.DeletionTimestamp != nil || finished(job) != "" {
			continue // goes by itself
		}
		if err := r.Delete(ctx, job, client.PropagationPolicy(metav1.DeletePropagationBackground)); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting Job %s: %w", job.Name, err)
		}
	}
	for i := range p.snapshot.Members {
		if m := &p.snapshot.Members[i]; m.Pull.Phase == topology.PullWanted {
			name := manifests.PullJobName(p.pulled, p.pulledInputs, m.Node)
			m.Pull = pullOf(byName[name], p.observed.pulls[name])
			r.noteMount(p, m, byName[name])
		}
	}
	return nil
}

// hasImages reports whether the pod runs the very images that are wanted, with an agent that comes as it is wanted to; how it comes is all the same for a pod that is not made anew.
func hasImages(pod *corev1.Pod, in manifests.Inputs, stays bool) bool {
	if image, mounted := manifests.AgentImageOf(&pod.Spec); image != in.AgentImage || !stays && mounted != in.AgentMounted {
		return false
	}
	for _, c := range pod.Spec.Containers {
		if c.Name == manifests.ContainerServer && c.Image != in.ServerImage {
			return false
		}
	}
	return true
}

// pullOf says how far a pull is: from its Job, and from the Job's pod, where there is one.
func pullOf(job *batchv1.Job, pod *corev1.Pod) topology.Pull {
	if job == nil || job.DeletionTimestamp != nil {
		return topology.Pull{Phase: topology.PullWanted}
	}
	switch finished(job) {
	case batchv1.JobComplete:
		return topology.Pull{Phase: topology.PullDone}
	case batchv1.JobFailed:
		message := "the images were pulled and did not run, or were not pulled within the hour"
		if pod != nil {
			for _, c := range pod.Status.ContainerStatuses {
				if t := c.State.Terminated; t != nil && t.ExitCode != 0 {
					message = fmt.Sprintf("image %s was pulled, and a program in it ended with code %d %s", c.Image, t.ExitCode, t.Message)
				}
			}
		}
		return topology.Pull{Phase: topology.PullFailed, Message: fmt.Sprintf("%s (Job %s)", message, job.Name)}
	}
	if pod == nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return topology.Pull{Phase: topology.PullRunning}
	}
	switch reason, message := pendingReason(pod, nil); reason {
	case v1alpha1.ReasonImagePullFailed, v1alpha1.ReasonPodFailing, v1alpha1.ReasonUnschedulable:
		return topology.Pull{Phase: topology.PullFailed, Reason: reason, Message: message}
	}
	return topology.Pull{Phase: topology.PullRunning}
}

// finished is the condition with which a Job ended, empty while it has not.
func finished(job *batchv1.Job) batchv1.JobConditionType {
	for _, c := range job.Status.Conditions {
		if c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) {
			return c.Type
		}
	}
	return ""
}

// pull begins a pull; one that is there already is the same one.
func (r *Reconciler) pull(ctx context.Context, p *pass, step topology.Step) error {
	for _, m := range p.snapshot.Members {
		if m.Pod != step.Pod {
			continue
		}
		err := r.Create(ctx, manifests.PullJob(p.pulled, p.pulledInputs, m.Role, m.Node), client.FieldOwner(FieldManager))
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("creating the Job that pulls images on node %s: %w", m.Node, err)
		}
	}
	return nil
}
