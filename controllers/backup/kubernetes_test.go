package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// Client makes the world the agents, too.
func (d *dice) Client(_ string, _ agentclient.Identity, podIP string) (agentclient.Client, error) {
	return &agent{d: d, node: uint64(podIP[len(podIP)-1] - '0')}, nil
}

type agent struct {
	agentclient.Client
	d    *dice
	node uint64
}

func (a *agent) State(context.Context) (protocol.State, error) {
	if !a.d.agents {
		return protocol.State{}, errors.New("connection refused")
	}
	state := *newMember(a.node, raft(a.node, 1, 10)).state
	var jobs batchv1.JobList
	if err := a.d.truth.List(context.Background(), &jobs); err != nil {
		return protocol.State{}, err
	}
	for i := range jobs.Items {
		if r := readRecord(&jobs.Items[i]); r.problem == "" && r.take.Member.Pod == state.Pod {
			state.Images.Image = &protocol.Image{ID: r.take.ImageID, Progress: &a.d.progress}
		}
	}
	return state, nil
}

// ReleaseImage: none is taken away from a backup that is being made.
func (a *agent) ReleaseImage(ctx context.Context, id string) error {
	if !a.d.agents {
		return errors.New("connection refused")
	}
	var all v1alpha1.RobustMQBackupList
	if err := a.d.truth.List(ctx, &all); err != nil {
		return err
	}
	for i := range all.Items {
		if b := &all.Items[i]; imageID(b) == id && b.Status.Stage != v1alpha1.BackupFailed {
			a.d.fail("the image of %s, which is %s, was released", b.Name, b.Status.Stage)
		}
	}
	a.d.released++
	return nil
}

type quiet struct{}

func (quiet) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {}

// jobs that live, with their pod if there is one.
func (d *dice) jobs() map[*batchv1.Job]*corev1.Pod {
	var jobs batchv1.JobList
	var pods corev1.PodList
	d.must(d.truth.List(d.t.Context(), &jobs))
	d.must(d.truth.List(d.t.Context(), &pods, client.HasLabels{batchv1.JobNameLabel}))
	out := map[*batchv1.Job]*corev1.Pod{}
	for i := range jobs.Items {
		out[&jobs.Items[i]] = nil
		for k := range pods.Items {
			if metav1.IsControlledBy(&pods.Items[k], &jobs.Items[i]) {
				out[&jobs.Items[i]] = &pods.Items[k]
			}
		}
	}
	return out
}

// anyJob is one of them, always the same for a seed.
func (d *dice) anyJob() (*batchv1.Job, *corev1.Pod) {
	all := d.jobs()
	var names []*batchv1.Job
	for j := range all {
		names = append(names, j)
	}
	if len(names) == 0 {
		return nil, nil
	}
	slices.SortFunc(names, func(a, b *batchv1.Job) int {
		return int(a.CreationTimestamp.Sub(b.CreationTimestamp.Time)) + len(a.UID+a.UID) - len(b.UID+b.UID)
	})
	j := names[d.IntN(len(names))]
	return j, all[j]
}

// kubernetes takes one step with one Job: its pod is made, runs, ends in one of many ways, and the Job is seen to have ended.
func (d *dice) kubernetes(luck int) {
	ctx := d.t.Context()
	j, pod := d.anyJob()
	switch {
	case j == nil:
	case pod == nil && outcome.Finished(j):
	case pod == nil:
		p := podFor(j, corev1.ContainerState{}, func(p *corev1.Pod) {
			d.uids++
			p.Name, p.UID, p.CreationTimestamp = fmt.Sprintf("%s-%d", j.Name, d.uids), types.UID(fmt.Sprintf("p%d", d.uids)), metav1.NewTime(d.now)
			p.Status.Phase = corev1.PodPending
		})
		d.must(d.truth.Create(ctx, p))
		d.note("pod of %s made", j.Name)
	case pod.Status.Phase == corev1.PodPending:
		pod.Status.Phase, pod.Status.ContainerStatuses[0].State = corev1.PodRunning, running(d.now)
		d.must(d.truth.Status().Update(ctx, pod))
		d.note("%s runs", pod.Name)
	case pod.Status.Phase == corev1.PodRunning:
		d.end(j, pod, luck)
	case !outcome.Finished(j):
		kind := batchv1.JobComplete
		if pod.Status.Phase == corev1.PodFailed {
			kind = batchv1.JobFailed
		}
		j.Status.Conditions = append(j.Status.Conditions, batchv1.JobCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(d.now)})
		d.must(d.truth.Status().Update(ctx, j))
		d.note("%s is seen to have ended: %s", j.Name, kind)
	}
}

func (d *dice) end(j *batchv1.Job, pod *corev1.Pod, luck int) {
	kind := job.Kind(j.Labels[v1alpha1.LabelJob])
	message, code := "", int32(1)
	switch {
	case luck < 5 && kind == job.Take:
		r := success(j)
		message, code = string(r.Encode()), 0
		d.said[j.OwnerReferences[0].UID] = true
	case luck < 5:
		message, code = string(job.Result{Kind: job.Delete, Reason: job.BackupDeleted, Message: "gone"}.Encode()), 0
	case luck == 5:
		message = string(job.Result{Kind: kind, Reason: job.StoreUnavailable, Message: "m"}.Encode())
	case luck == 6: // it ends well and says nothing
		code = 0
	case luck == 7: // half of what it wanted to say
		message, code = string(job.Result{Kind: kind, Reason: job.BackupComplete}.Encode())[:20], 0
	case luck == 8: // it says success of something else
		r := success(newJob(newBackup(), newCluster()))
		message, code = string(r.Encode()), 0
	case luck == 9: // killed after it had said so
		if kind == job.Take {
			r := success(j)
			message = string(r.Encode())
		}
		code = 137
	}
	pod.Status.ContainerStatuses[0].State = terminated(d.now, code, message)
	pod.Status.Phase = corev1.PodSucceeded
	if code != 0 {
		pod.Status.Phase = corev1.PodFailed
	}
	d.must(d.truth.Status().Update(d.t.Context(), pod))
	d.note("%s ended with %d: %.60s", pod.Name, code, message)
}

// collect removes what has lost its owner.
func (d *dice) collect() {
	ctx := d.t.Context()
	var jobs batchv1.JobList
	d.must(d.truth.List(ctx, &jobs))
	for i := range jobs.Items {
		owner := metav1.GetControllerOf(&jobs.Items[i])
		var b v1alpha1.RobustMQBackup
		if owner != nil && apierrors.IsNotFound(d.truth.Get(ctx, types.NamespacedName{Namespace: "ns", Name: owner.Name}, &b)) {
			d.must(d.truth.Delete(ctx, &jobs.Items[i]))
		}
	}
	var pods corev1.PodList
	d.must(d.truth.List(ctx, &pods, client.HasLabels{batchv1.JobNameLabel}))
	for i := range pods.Items {
		var j batchv1.Job
		if apierrors.IsNotFound(d.truth.Get(ctx, types.NamespacedName{Namespace: "ns", Name: pods.Items[i].Labels[batchv1.JobNameLabel]}, &j)) {
			d.must(d.truth.Delete(ctx, &pods.Items[i]))
		}
	}
}
