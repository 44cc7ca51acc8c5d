package outcome

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func newJob(conditions ...batchv1.JobCondition) *batchv1.Job {
	return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "b-backup", UID: "j"}, Status: batchv1.JobStatus{Conditions: conditions}}
}

func failedBy(reason string, ago time.Duration) batchv1.JobCondition {
	return batchv1.JobCondition{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: reason, Message: "m", LastTransitionTime: metav1.NewTime(noon.Add(-ago))}
}

func pod(state corev1.ContainerState, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "b-backup-x", OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(newJob(), batchv1.SchemeGroupVersion.WithKind("Job"))}, CreationTimestamp: metav1.NewTime(noon)},
		Spec:       corev1.PodSpec{NodeName: "node-1"},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{Name: "backup", Image: "agent:v1", State: state}}},
	}
	if state.Terminated != nil {
		p.Status.Phase = corev1.PodFailed
	}
	for _, c := range change {
		c(p)
	}
	return p
}

func waiting(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func ended(code int32, reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, Message: message, FinishedAt: metav1.NewTime(noon)}}
}

func result(reason job.Reason) string {
	r := job.Result{Kind: job.Delete, Reason: reason, Message: "in its own words"}
	return string(r.Encode())
}

func TestAJobIsGoingOrHasEnded(t *testing.T) {
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(noon)}}
	pending := func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }
	for name, x := range map[string]struct {
		job             *batchv1.Job
		pods            []*corev1.Pod
		phase           Phase
		reason, message string
	}{
		"no pod yet":          {newJob(), nil, Pending, v1alpha1.ReasonWaitingForPods, "kubectl describe job b-backup"},
		"somebody else's pod": {newJob(), []*corev1.Pod{pod(ended(0, "Completed", result(job.BackupDeleted)), func(p *corev1.Pod) { p.OwnerReferences[0].UID = "x" })}, Pending, v1alpha1.ReasonWaitingForPods, "has not made the pod"},
		"unschedulable": {newJob(), []*corev1.Pod{pod(corev1.ContainerState{}, pending, func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/3 nodes are available"}}
		})}, Pending, v1alpha1.ReasonUnschedulable, "0/3 nodes are available"},
		"an image that is missing":                  {newJob(), []*corev1.Pod{pod(waiting("ImagePullBackOff", "not found"), pending)}, Pending, v1alpha1.ReasonImagePullFailed, "image agent:v1 of pod b-backup-x cannot be pulled (ImagePullBackOff: not found)"},
		"a key that is missing":                     {newJob(), []*corev1.Pod{pod(waiting("CreateContainerConfigError", `couldn't find key x`), pending)}, Pending, v1alpha1.ReasonPodFailing, "couldn't find key x"},
		"without a node":                            {newJob(), []*corev1.Pod{pod(waiting("", ""), pending, func(p *corev1.Pod) { p.Spec.NodeName = "" })}, Pending, v1alpha1.ReasonWaitingForPods, "waits for a node"},
		"being started":                             {newJob(), []*corev1.Pod{pod(waiting("ContainerCreating", ""), pending)}, Pending, v1alpha1.ReasonWaitingForPods, "is being started on node node-1"},
		"running":                                   {newJob(), []*corev1.Pod{pod(running)}, Running, "", ""},
		"running beside one that ended badly":       {newJob(), []*corev1.Pod{pod(ended(1, "Error", result(job.AccessDenied))), pod(running)}, Running, "", ""},
		"done":                                      {newJob(), []*corev1.Pod{pod(ended(0, "Completed", result(job.BackupDeleted)))}, Ended, "", ""},
		"done by one of two pods":                   {newJob(failedBy("BackoffLimitExceeded", 0)), []*corev1.Pod{pod(ended(0, "Completed", result(job.BackupDeleted))), pod(ended(1, "Error", result(job.Interrupted)))}, Ended, "", ""},
		"failed, in its own words":                  {newJob(), []*corev1.Pod{pod(ended(1, "Error", result(job.AccessDenied)))}, Ended, string(job.AccessDenied), "in its own words"},
		"failed in its own words, and then evicted": {newJob(), []*corev1.Pod{pod(ended(1, "Error", result(job.AccessDenied)), func(p *corev1.Pod) { p.Status.Reason = "Evicted" })}, Ended, string(job.AccessDenied), "in its own words"},
		"without a word":                            {newJob(), []*corev1.Pod{pod(ended(2, "Error", ""))}, Ended, v1alpha1.ReasonCrashed, "exit code 2 and left no result"},
		"exit code 0 without a word":                {newJob(), []*corev1.Pod{pod(ended(0, "Completed", ""))}, Ended, v1alpha1.ReasonCrashed, "left no result"},
		"a result that is none":                     {newJob(), []*corev1.Pod{pod(ended(0, "Completed", `{"kind":"delete","reason":"Wonderful"}`))}, Ended, v1alpha1.ReasonCrashed, "do operator and agent have one version?"},
		"the result of another kind":                {newJob(), []*corev1.Pod{pod(ended(0, "Completed", `{"kind":"probe","reason":"DestinationWritable"}`))}, Ended, v1alpha1.ReasonCrashed, "cannot be read"},
		"half a result":                             {newJob(), []*corev1.Pod{pod(ended(0, "Completed", result(job.BackupDeleted)[:20]))}, Ended, v1alpha1.ReasonCrashed, "cannot be read"},
		"a success with exit code 1":                {newJob(), []*corev1.Pod{pod(ended(1, "Error", result(job.BackupDeleted)))}, Ended, v1alpha1.ReasonCrashed, "exit code 1"},
		"killed for its memory":                     {newJob(), []*corev1.Pod{pod(ended(137, "OOMKilled", ""))}, Ended, v1alpha1.ReasonOOMKilled, "more memory"},
		"evicted": {newJob(), []*corev1.Pod{pod(ended(1, "Error", result(job.Interrupted)), func(p *corev1.Pod) {
			p.Status.Reason, p.Status.Message = "Evicted", "The node was low on resource: memory"
		})}, Ended, v1alpha1.ReasonEvicted, "node node-1 evicted its pod: The node was low on resource: memory"},
		"drained": {newJob(), []*corev1.Pod{pod(ended(1, "Error", result(job.Interrupted)), func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI", Message: "Eviction API: evicting"}}
		})}, Ended, v1alpha1.ReasonEvicted, "Eviction API: evicting (EvictionByEvictionAPI)"},
		"interrupted by nobody knows whom":             {newJob(), []*corev1.Pod{pod(ended(1, "Error", result(job.Interrupted)))}, Ended, string(job.Interrupted), "in its own words"},
		"active for too long":                          {newJob(failedBy("DeadlineExceeded", 0)), []*corev1.Pod{pod(ended(1, "Error", result(job.Interrupted)))}, Ended, v1alpha1.ReasonJobDeadline, "longer than it may be"},
		"active for too long, and its pod is gone":     {newJob(failedBy("DeadlineExceeded", 0)), nil, Ended, v1alpha1.ReasonJobDeadline, "longer than it may be"},
		"over, and its pod is gone":                    {newJob(failedBy("BackoffLimitExceeded", 0)), nil, Ended, v1alpha1.ReasonPodLost, "its pod was removed, and its result with it"},
		"complete, and its pod is gone":                {newJob(batchv1.JobCondition{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}), nil, Ended, v1alpha1.ReasonPodLost, "its result with it"},
		"over, and its pod still looks alive":          {newJob(failedBy("BackoffLimitExceeded", lostAfter-time.Second)), []*corev1.Pod{pod(running)}, Running, "", ""},
		"over for long, and its pod still looks alive": {newJob(failedBy("BackoffLimitExceeded", lostAfter)), []*corev1.Pod{pod(running)}, Ended, v1alpha1.ReasonPodLost, "pod b-backup-x on node node-1 does not say how it ended"},
		"failed before its container was made": {newJob(), []*corev1.Pod{pod(corev1.ContainerState{}, func(p *corev1.Pod) {
			p.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "OutOfmemory", Message: "Node didn't have enough resource: memory"}
		})}, Ended, v1alpha1.ReasonUnschedulable, "enough resource"},
		"evicted before its container was made":            {newJob(), []*corev1.Pod{pod(corev1.ContainerState{}, func(p *corev1.Pod) { p.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted"} })}, Ended, v1alpha1.ReasonEvicted, "it did not say why"},
		"failed, and Kubernetes has no word for it either": {newJob(), []*corev1.Pod{pod(corev1.ContainerState{}, func(p *corev1.Pod) { p.Status = corev1.PodStatus{Phase: corev1.PodFailed} })}, Ended, v1alpha1.ReasonPodLost, "Kubernetes does not say why"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Of(job.Delete, x.job, x.pods, noon)
			if got.Phase != x.phase || got.Reason != x.reason || !strings.Contains(got.Message, x.message) {
				t.Errorf("%+v", got)
			}
			if got.OK() != (x.phase == Ended && x.reason == "") {
				t.Errorf("OK is %t: %+v", got.OK(), got)
			}
		})
	}
}

// Whatever a pod leaves behind, it is a success only with a result of its own kind that says so and exit code 0; and there are always words.
func FuzzNothingButItsOwnResultMakesAJobASuccess(f *testing.F) {
	for _, message := range []string{"", result(job.BackupDeleted), result(job.AccessDenied), `{"kind":"delete","reason":"BackupDeleted"}`, `{"kind":"take","reason":"BackupComplete"}`, strings.Repeat("x", 9000), "\x00\xff"} {
		f.Add(message, int32(0), "Completed", "")
		f.Add(message, int32(137), "OOMKilled", "Evicted")
	}
	f.Fuzz(func(t *testing.T, message string, code int32, reason, podReason string) {
		got := Of(job.Delete, newJob(), []*corev1.Pod{pod(ended(code, reason, message), func(p *corev1.Pod) { p.Status.Reason = podReason })}, noon)
		r, err := job.ParseResult(job.Delete, message)
		if want := err == nil && code == 0 && r.Reason == job.BackupDeleted; got.OK() != want {
			t.Errorf("success %t, want %t: %+v", got.OK(), want, got)
		}
		if !got.OK() && (got.Reason == "" || got.Phase != Ended) {
			t.Errorf("no reason: %+v", got)
		}
	})
}
