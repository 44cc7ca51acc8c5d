package kubelet

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// statusWriter holds the pod's status as this kubelet knows it; the API has a copy.
type statusWriter struct {
	mu   sync.Mutex
	now  corev1.PodStatus
	sent corev1.PodStatus
}

func (s *statusWriter) start(pod *corev1.Pod) {
	s.now = *pod.Status.DeepCopy()
	s.sent = *pod.Status.DeepCopy()
}

// publish changes the pod's status and writes it if that made a difference. Writes of one pod are in order.
func (w *worker) publish(change func(*corev1.PodStatus)) {
	w.status.mu.Lock()
	defer w.status.mu.Unlock()
	change(&w.status.now)
	if w.status.now.StartTime == nil && w.nodeName() != "" {
		w.status.now.StartTime = &metav1.Time{Time: time.Now()}
	}
	if reflect.DeepEqual(w.status.now, w.status.sent) || w.ctx.Err() != nil {
		return
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": w.uid}, "status": w.status.now})
	if err != nil {
		w.k.Trouble("kubelet: status of %s: %v", w.name, err)
		return
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: w.name, Namespace: w.current().Namespace}}
	for try := 0; ; try++ {
		err = w.k.Client.Status().Patch(w.ctx, pod, client.RawPatch(types.MergePatchType, body))
		if err == nil {
			w.status.sent = *w.status.now.DeepCopy()
			return
		}
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) || w.ctx.Err() != nil {
			return // the object is gone: HandleGone ends this worker
		}
		if try == 5 {
			w.k.Trouble("kubelet: write the status of %s: %v", w.name, err)
			return
		}
	}
}

// finish ends a pod whose containers have ended, and removes it when it is being deleted: one that is never restarted stays until somebody asks for that.
func (w *worker) finish() {
	w.publish(func(s *corev1.PodStatus) {
		s.Phase = corev1.PodSucceeded
		for i := range s.ContainerStatuses {
			if t := s.ContainerStatuses[i].State.Terminated; t == nil || t.ExitCode != 0 {
				s.Phase = corev1.PodFailed
			}
		}
		w.unready(s)
	})
	select {
	case <-w.term:
	case <-w.ctx.Done():
		return
	}
	pod := w.current()
	zero := int64(0)
	for try := 0; w.ctx.Err() == nil; try++ {
		err := w.k.Client.Delete(context.WithoutCancel(w.ctx), pod, &client.DeleteOptions{GracePeriodSeconds: &zero, Preconditions: &metav1.Preconditions{UID: &w.uid}})
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return
		}
		if try == 5 {
			w.k.Trouble("kubelet: remove %s: %v", w.name, err)
			return
		}
	}
}

func setCondition(s *corev1.PodStatus, kind corev1.PodConditionType, status corev1.ConditionStatus, reason, message string) {
	i := slices.IndexFunc(s.Conditions, func(c corev1.PodCondition) bool { return c.Type == kind })
	if i < 0 {
		s.Conditions = append(s.Conditions, corev1.PodCondition{Type: kind})
		i = len(s.Conditions) - 1
	}
	c := &s.Conditions[i]
	if c.Status != status {
		c.LastTransitionTime = metav1.Now()
	}
	c.Status, c.Reason, c.Message = status, reason, message
}

func isInit(pod *corev1.Pod, c *corev1.Container) bool {
	return slices.ContainsFunc(pod.Spec.InitContainers, func(i corev1.Container) bool { return i.Name == c.Name })
}

// statusOf returns the container's status, making it when it is missing.
func statusOf(s *corev1.PodStatus, c *corev1.Container) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses} {
		for i := range list {
			if list[i].Name == c.Name {
				return &list[i]
			}
		}
	}
	s.ContainerStatuses = append(s.ContainerStatuses, corev1.ContainerStatus{Name: c.Name, Image: c.Image})
	return &s.ContainerStatuses[len(s.ContainerStatuses)-1]
}

// waitAll puts every container that does not run into a waiting state.
func (w *worker) waitAll(s *corev1.PodStatus, pod *corev1.Pod, reason, message string) {
	waiting := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	fill := func(list []corev1.ContainerStatus, containers []corev1.Container) []corev1.ContainerStatus {
		for i := range containers {
			at := slices.IndexFunc(list, func(c corev1.ContainerStatus) bool { return c.Name == containers[i].Name })
			if at < 0 {
				list = append(list, corev1.ContainerStatus{Name: containers[i].Name, Image: containers[i].Image, State: waiting})
				continue
			}
			if list[at].State.Terminated != nil { // the machine lost its power under it
				list[at].LastTerminationState = list[at].State
				list[at].RestartCount = w.restarted(list[at].Name)
			}
			list[at].State, list[at].Ready = waiting, false
		}
		return list
	}
	s.InitContainerStatuses = fill(s.InitContainerStatuses, pod.Spec.InitContainers)
	s.ContainerStatuses = fill(s.ContainerStatuses, pod.Spec.Containers)
}
