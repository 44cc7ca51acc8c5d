package kubelet

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/robustmq/robustmq-operator/test/simulated/network"
)

// worker cares for one pod, from its scheduling to its end.
type worker struct {
	k    *Kubelet
	uid  types.UID
	name string
	role string
	// ctx ends when the object is gone or the test is over: everything is killed.
	ctx    context.Context
	cancel context.CancelFunc

	mu          sync.Mutex
	claimUIDs   map[string]types.UID // volume -> claim; replaced whole
	pod         *corev1.Pod
	node        string
	host        *network.Host
	term        chan struct{} // closed when the object is being deleted
	touched     chan struct{} // closed and replaced when its annotations or images change: a kubelet brings the volumes of a pod that was changed up to date at once
	terminating bool
	kill        map[string]context.CancelFunc // running container -> SIGKILL
	restarts    map[string]int32
	backoffs    map[string]time.Duration

	status statusWriter
}

func newWorker(k *Kubelet, pod *corev1.Pod) *worker {
	w := &worker{k: k, uid: pod.UID, name: pod.Name, role: roleOf(pod), pod: pod, term: make(chan struct{}), touched: make(chan struct{}),
		kill: map[string]context.CancelFunc{}, restarts: map[string]int32{}, backoffs: map[string]time.Duration{}}
	w.ctx, w.cancel = context.WithCancel(k.ctx)
	w.status.start(pod)
	w.update(pod)
	return w
}

func (w *worker) update(pod *corev1.Pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !maps.Equal(w.pod.Annotations, pod.Annotations) || !slices.EqualFunc(w.pod.Spec.Containers, pod.Spec.Containers, func(a, b corev1.Container) bool { return a.Image == b.Image }) {
		close(w.touched)
		w.touched = make(chan struct{})
	}
	w.pod = pod
	if pod.DeletionTimestamp != nil && !w.terminating {
		w.terminating = true
		close(w.term)
	}
}

// touch is closed at the next change of the pod's annotations or images.
func (w *worker) touch() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.touched
}

func (w *worker) current() *corev1.Pod {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pod
}

func (w *worker) nodeName() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.node
}

func (w *worker) address() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.host == nil {
		return ""
	}
	return w.host.Address
}

func (w *worker) crash() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, kill := range w.kill {
		kill()
	}
	return len(w.kill) > 0
}

func (w *worker) run() {
	defer w.cancel()
	defer func() {
		if err := os.RemoveAll(w.dir()); err != nil {
			w.k.Trouble("kubelet: remove the folders of %s: %v", w.name, err)
		}
	}()
	if !w.schedule() || !w.takeName() {
		return
	}
	for {
		machine := w.machine()
		ended := w.sandbox(machine.ctx)
		switch {
		case w.ctx.Err() != nil:
			return
		case ended:
			w.finish()
			return
		}
		w.k.await(w.ctx, machine.ctx.Done(), 0) // the power is off, or will be in a moment
		if !w.darkness() {
			return
		}
	}
}

func (w *worker) machine() *machine {
	node := w.nodeName()
	w.k.mu.Lock()
	defer w.k.mu.Unlock()
	m := *w.k.nodes[node]
	return &m
}

// darkness is the time in which the machine has no power: the node monitor marks the pod not ready, later the pod starts again. False: the pod is gone.
func (w *worker) darkness() bool {
	deadline := time.Now().Add(w.k.scaled(w.k.NodeMonitorGrace))
	marked := false
	for w.ctx.Err() == nil {
		changed := w.k.change()
		if w.machine().on {
			w.publish(func(s *corev1.PodStatus) {
				s.Phase = corev1.PodRunning
				for i := range s.ContainerStatuses {
					c := &s.ContainerStatuses[i]
					c.Ready, c.Started = false, new(bool)
					if c.State.Running != nil { // the runtime no longer knows how it ended
						c.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 255, Reason: "Unknown", StartedAt: c.State.Running.StartedAt}}
					}
				}
			})
			return true
		}
		if !marked && time.Now().After(deadline) {
			w.publish(func(s *corev1.PodStatus) { setCondition(s, corev1.PodReady, corev1.ConditionFalse, "NodeNotReady", "") })
			marked = true
		}
		w.k.await(w.ctx, changed, time.Second)
	}
	return false
}

func (w *worker) restarted(container string) int32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.restarts[container]++
	return w.restarts[container]
}

// sandbox mounts the volumes, runs the init containers and then the containers. True: all ended because the pod is being deleted; false: the power went, or ctx ended.
func (w *worker) sandbox(power context.Context) (ended bool) {
	power, stop := context.WithCancel(power)
	defer stop()
	defer context.AfterFunc(w.ctx, stop)()
	w.publish(func(s *corev1.PodStatus) {
		s.Phase = corev1.PodPending
		setCondition(s, corev1.PodScheduled, corev1.ConditionTrue, "", "")
		setCondition(s, corev1.PodReadyToStartContainers, corev1.ConditionFalse, "", "")
		setCondition(s, corev1.PodInitialized, corev1.ConditionFalse, "ContainersNotInitialized", "containers with incomplete status")
		w.unready(s)
		w.waitAll(s, w.current(), "ContainerCreating", "")
	})
	for {
		changed := w.k.change()
		err := w.mount()
		if err == nil {
			break
		}
		w.event("FailedMount", err.Error())
		if !w.await(power, changed, time.Second) {
			return power.Err() == nil
		}
	}
	address := network.NextAddress()
	w.mu.Lock()
	w.host = w.k.Network.Attach(w.name, address)
	w.mu.Unlock()
	w.publish(func(s *corev1.PodStatus) {
		s.PodIP, s.PodIPs = address, []corev1.PodIP{{IP: address}}
		s.HostIP = "127.0.0.1"
		setCondition(s, corev1.PodReadyToStartContainers, corev1.ConditionTrue, "", "")
	})
	pod := w.current()
	for i := range pod.Spec.InitContainers {
		if !w.initialise(power, &pod.Spec.InitContainers[i]) {
			return power.Err() == nil
		}
	}
	w.publish(func(s *corev1.PodStatus) {
		s.Phase = corev1.PodRunning
		setCondition(s, corev1.PodInitialized, corev1.ConditionTrue, "", "")
	})
	refreshing := make(chan struct{})
	go func() {
		defer close(refreshing)
		for touched := w.touch(); w.k.await(power, touched, w.k.SecretDelay); {
			touched = w.touch() // before the look: what changes meanwhile is looked at again
			w.refresh()
		}
	}()
	var all sync.WaitGroup
	for i := range pod.Spec.Containers {
		all.Add(1)
		go func() {
			defer all.Done()
			w.keepRunning(power, i)
		}()
	}
	all.Wait()
	ended = power.Err() == nil
	stop()
	<-refreshing
	return ended
}

// await waits for a change, d, the pod's deletion or the end of the power; true: go on.
func (w *worker) await(power context.Context, changed <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(w.k.scaled(d))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-w.term:
		return false
	case <-power.Done():
		return false
	}
	return true
}

func (w *worker) unready(s *corev1.PodStatus) {
	setCondition(s, corev1.ContainersReady, corev1.ConditionFalse, "ContainersNotReady", "containers with unready status")
	setCondition(s, corev1.PodReady, corev1.ConditionFalse, "ContainersNotReady", "containers with unready status")
}

// processOf is what a container's process is given.
func (w *worker) processOf(c *corev1.Container) (*Process, error) {
	root, err := w.root(c)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	host, pod := w.host, w.pod
	w.mu.Unlock()
	env := map[string]string{}
	for _, e := range c.Env {
		env[e.Name] = e.Value
		if e.ValueFrom == nil {
			continue
		}
		if e.ValueFrom.FieldRef == nil {
			return nil, errors.New("only field references are simulated in the environment")
		}
		if name, ok := strings.CutPrefix(e.ValueFrom.FieldRef.FieldPath, "metadata.annotations['"); ok {
			env[e.Name] = pod.Annotations[strings.TrimSuffix(name, "']")]
			continue
		}
		switch e.ValueFrom.FieldRef.FieldPath {
		case "metadata.name":
			env[e.Name] = pod.Name
		case "metadata.namespace":
			env[e.Name] = pod.Namespace
		case "status.podIP":
			env[e.Name] = host.Address
		case "spec.nodeName":
			env[e.Name] = w.nodeName()
		default:
			return nil, errors.New("field reference " + e.ValueFrom.FieldRef.FieldPath + " is not simulated")
		}
	}
	log := io.Discard
	if w.k.Log != nil {
		log = w.k.Log(w.name, c.Name)
	}
	return &Process{Pod: pod, Container: c.Name, Args: append(append([]string{}, c.Command...), c.Args...), Env: env, Root: root, Host: host, Log: log}, nil
}
