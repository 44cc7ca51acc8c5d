package outcome

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

// Phase of a Job.
type Phase string

// The phases.
const (
	Pending Phase = "Pending" // its program does not run yet
	Running Phase = "Running"
	Ended   Phase = "Ended"
)

// Outcome is how a Job is going, or how it ended.
type Outcome struct {
	Phase Phase
	// Since is when the program began (Running) or ended (Ended), as far as it is known.
	Since time.Time
	// Result is what an ended Job said of itself; nil when it left nothing that can be read.
	Result *job.Result
	// Reason and Message say what a pending Job waits for, and why an ended one failed: reasons of the API's closed set.
	Reason, Message string
}

// OK reports whether the Job says that it did what it was to do. Nothing else than its own result makes it true.
func (o Outcome) OK() bool {
	return o.Phase == Ended && o.Result != nil && o.Reason == "" && o.Result.OK()
}

// lostAfter is how long after the end of a Job its pod may still look alive: the node is gone then, and will not tell.
const lostAfter = 2 * time.Minute

// Of looks at a Job and at the pods that may be its own. Kubernetes may, though rarely, start a Job's pod twice: what one of them completed is complete.
func Of(kind job.Kind, j *batchv1.Job, pods []*corev1.Pod, now time.Time) Outcome {
	var ended, alive []*corev1.Pod
	for _, pod := range pods {
		if owner := metav1.GetControllerOf(pod); owner == nil || owner.UID != j.UID {
			continue
		}
		if o := said(kind, pod); o.OK() {
			return o
		}
		if hasEnded(pod) {
			ended = append(ended, pod)
		} else {
			alive = append(alive, pod)
		}
	}
	over := finished(j)
	if len(alive) > 0 && (over == nil || now.Sub(over.LastTransitionTime.Time) < lostAfter) {
		return going(alive)
	}
	switch {
	case len(alive) > 0:
		return Outcome{Phase: Ended, Since: over.LastTransitionTime.Time, Reason: v1alpha1.ReasonPodLost,
			Message: fmt.Sprintf("Kubernetes ended the Job (%s) and its pod %s on node %s does not say how it ended", over.Reason, alive[0].Name, alive[0].Spec.NodeName)}
	case len(ended) > 0:
		newest := slices.MaxFunc(ended, func(a, b *corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
		return inWords(said(kind, newest), newest, over)
	case over != nil:
		return withoutPod(over)
	}
	return Outcome{Phase: Pending, Reason: v1alpha1.ReasonWaitingForPods, Message: fmt.Sprintf("Kubernetes has not made the pod of Job %s yet; if it stays so, a quota or an admission rule may forbid it: kubectl describe job %s", j.Name, j.Name)}
}

// Finished reports whether Kubernetes is done with a Job.
func Finished(j *batchv1.Job) bool { return finished(j) != nil }

func finished(j *batchv1.Job) *batchv1.JobCondition {
	for i, c := range j.Status.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			return &j.Status.Conditions[i]
		}
	}
	return nil
}

// hasEnded reports whether nothing of the pod runs any more.
func hasEnded(pod *corev1.Pod) bool {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return true
	}
	c := container(pod)
	return c != nil && c.State.Terminated != nil
}

func container(pod *corev1.Pod) *corev1.ContainerStatus {
	for i, c := range pod.Status.ContainerStatuses {
		if c.Name == manifests.ContainerJob {
			return &pod.Status.ContainerStatuses[i]
		}
	}
	return nil
}

// said is what the pod's program left as its result. Success needs both: a result that says so, and exit code 0.
func said(kind job.Kind, pod *corev1.Pod) Outcome {
	c := container(pod)
	if c == nil || c.State.Terminated == nil {
		return Outcome{}
	}
	t := c.State.Terminated
	o := Outcome{Phase: Ended, Since: t.FinishedAt.Time}
	if t.Message == "" {
		return o.failed(v1alpha1.ReasonCrashed, fmt.Sprintf("its program ended with exit code %d and left no result", t.ExitCode))
	}
	result, err := job.ParseResult(kind, t.Message)
	switch {
	case err != nil:
		return o.failed(v1alpha1.ReasonCrashed, fmt.Sprintf("its program ended with exit code %d and left a result that cannot be read (do operator and agent have one version?): %v", t.ExitCode, err))
	case result.OK() && t.ExitCode != 0:
		return o.failed(v1alpha1.ReasonCrashed, fmt.Sprintf("its program said %s and ended with exit code %d", result.Reason, t.ExitCode))
	case !result.OK():
		o.Result = &result
		return o.failed(string(result.Reason), result.Message)
	}
	o.Result = &result
	return o
}

func (o Outcome) failed(reason, message string) Outcome {
	o.Reason, o.Message = reason, message
	return o
}

// inWords adds what Kubernetes says of the end: a program that was killed cannot say why.
func inWords(o Outcome, pod *corev1.Pod, over *batchv1.JobCondition) Outcome {
	o.Phase = Ended
	if o.Since.IsZero() && over != nil {
		o.Since = over.LastTransitionTime.Time
	}
	// What the program found out by itself is nearer to the cause than how it was ended; that it was interrupted says nothing but that.
	if o.Result != nil && o.Result.Reason != job.Interrupted && o.Result.Reason != job.Crashed {
		return o
	}
	c := container(pod)
	switch {
	case over != nil && over.Type == batchv1.JobFailed && over.Reason == batchv1.JobReasonDeadlineExceeded:
		return o.failed(v1alpha1.ReasonJobDeadline, "the Job was active for longer than it may be")
	case c != nil && c.State.Terminated != nil && c.State.Terminated.Reason == "OOMKilled":
		return o.failed(v1alpha1.ReasonOOMKilled, "its program was killed because it wanted more memory than its limit, or than the node had")
	case pod.Status.Reason == "Evicted":
		return o.failed(v1alpha1.ReasonEvicted, fmt.Sprintf("node %s evicted its pod: %s", pod.Spec.NodeName, cmp.Or(pod.Status.Message, "it did not say why")))
	}
	if disruption := disruptionOf(pod); disruption != "" {
		return o.failed(v1alpha1.ReasonEvicted, "its pod was removed: "+disruption)
	}
	if o.Reason == "" { // no status of the container at all
		return o.failed(cmp.Or(knownPodReason(pod.Status.Reason), v1alpha1.ReasonPodLost), fmt.Sprintf("its pod %s failed before its program could say anything: %s", pod.Name, cmp.Or(pod.Status.Message, pod.Status.Reason, "Kubernetes does not say why")))
	}
	return o
}

// disruptionOf is why Kubernetes was about to remove the pod: preemption, a drain, a taint.
func disruptionOf(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			return fmt.Sprintf("%s (%s)", cmp.Or(c.Message, "no message"), c.Reason)
		}
	}
	return ""
}

func knownPodReason(reason string) string {
	if reason == "UnexpectedAdmissionError" || reason == "OutOfcpu" || reason == "OutOfmemory" {
		return v1alpha1.ReasonUnschedulable
	}
	return ""
}

// withoutPod is the end of a Job whose pod is gone, and its result with it.
func withoutPod(over *batchv1.JobCondition) Outcome {
	o := Outcome{Phase: Ended, Since: over.LastTransitionTime.Time}
	if over.Reason == batchv1.JobReasonDeadlineExceeded {
		return o.failed(v1alpha1.ReasonJobDeadline, "the Job was active for longer than it may be")
	}
	return o.failed(v1alpha1.ReasonPodLost, fmt.Sprintf("its pod was removed, and its result with it (%s: %s)", over.Reason, over.Message))
}
