package kubelet

import (
	"context"
	"runtime"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	firstBackoff = 10 * time.Second
	// calmAfter: a container that ran this long starts again without a memory of earlier crashes.
	calmAfter = 10 * time.Minute
)

// image waits until the image can be pulled. False: the pod is being deleted, or the power went.
func (w *worker) image(power context.Context, c *corev1.Container) (Program, bool) {
	for first := true; ; first = false {
		changed := w.k.change()
		why := w.k.pullFailure(c.Image)
		program := w.k.Programs(c.Image, c)
		if why == "" && program != nil {
			return program, true
		}
		if why == "" {
			why = "failed to resolve reference \"" + c.Image + "\": not found"
		}
		reason, message := "ImagePullBackOff", "Back-off pulling image \""+c.Image+"\": ErrImagePull: "+why
		if first {
			reason, message = "ErrImagePull", why
		}
		w.publish(func(s *corev1.PodStatus) {
			statusOf(s, c).State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
		})
		w.event("Failed", "Failed to pull image \""+c.Image+"\": "+why)
		if !w.await(power, changed, firstBackoff) {
			return nil, false
		}
	}
}

// initialise runs an init container until it succeeded.
func (w *worker) initialise(power context.Context, c *corev1.Container) bool {
	for {
		program, ok := w.image(power, c)
		if !ok {
			return false
		}
		code, ok := w.once(power, c, program)
		if !ok {
			return false
		}
		if code == 0 {
			return true
		}
		if !w.backOff(power, c, 0) {
			return false
		}
	}
}

// keepRunning starts a container again whenever it ends, until the pod is deleted or the power goes; one of a pod that is never restarted runs once. Each time it is what the pod says then: its image
// can be changed, and one that runs is ended for that, and started with the other one at once.
func (w *worker) keepRunning(power context.Context, i int) {
	for {
		c := &w.current().Spec.Containers[i]
		program, ok := w.image(power, c)
		if !ok {
			return
		}
		start := time.Now()
		if _, ok := w.once(power, c, program); !ok || w.current().Spec.RestartPolicy == corev1.RestartPolicyNever {
			return
		}
		if w.otherImage(c) {
			w.countRestart(c, 0)
			continue
		}
		if !w.backOff(power, c, time.Since(start)) {
			return
		}
	}
}

// otherImage reports whether the pod wants another image of a container than the one that was started.
func (w *worker) otherImage(started *corev1.Container) bool {
	containers := w.current().Spec.Containers
	i := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == started.Name })
	return i >= 0 && containers[i].Image != started.Image
}

// once runs a container to its end and writes down how it ended. False: the pod is being deleted, or the power went.
func (w *worker) once(power context.Context, c *corev1.Container, program Program) (code int, goOn bool) {
	process, err := w.processOf(c)
	if err != nil {
		w.k.Trouble("kubelet: start %s of %s: %v", c.Name, w.name, err)
		return 128, false
	}
	if err := makeLastWords(process.Root, c); err != nil {
		w.k.Trouble("kubelet: start %s of %s: %v", c.Name, w.name, err)
		return 128, false
	}
	killed, kill := context.WithCancel(power)
	defer kill()
	stop := make(chan struct{}) // SIGTERM
	w.mu.Lock()
	w.kill[c.Name] = kill
	w.mu.Unlock()
	started := metav1.Now()
	w.publish(func(s *corev1.PodStatus) {
		status := statusOf(s, c)
		status.Image, status.ImageID = c.Image, c.Image
		status.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}}
		status.Started = new(bool)
		*status.Started = c.StartupProbe == nil
	})
	exit := make(chan int, 1)
	go func() { exit <- program(killed, stop, process) }()
	probing, endProbes := context.WithCancel(killed)
	unhealthy := w.probe(probing, c, process.Host.Address)

	term, terminating := w.term, false
	var graceOver <-chan time.Time
	endNow := func(grace time.Duration) {
		close(stop)
		timer := time.NewTimer(w.k.scaled(grace))
		graceOver = timer.C
	}
	touched := w.touch()
	if w.otherImage(c) {
		endNow(w.specGrace())
	}
	killing := killed.Done()
	var mustEnd <-chan time.Time
	for running := true; running; {
		select {
		case code = <-exit:
			running = false
		case <-term:
			term, terminating = nil, true
			if graceOver == nil {
				endNow(w.grace())
			}
		case <-touched:
			touched = w.touch() // before the look
			if graceOver == nil && w.otherImage(c) {
				endNow(w.specGrace())
			}
		case <-unhealthy:
			unhealthy = nil
			if graceOver == nil {
				w.event("Unhealthy", "Liveness probe failed: container "+c.Name+" will be restarted")
				endNow(w.specGrace())
			}
		case <-graceOver:
			graceOver = make(chan time.Time)
			kill()
		case <-killing:
			killing = nil
			mustEnd = time.After(20 * time.Second)
		case <-mustEnd:
			stacks := make([]byte, 4<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			_, _ = process.Log.Write(stacks)
			w.k.Trouble("kubelet: %s of %s did not end within 20 s of SIGKILL; its log holds all stacks", c.Name, w.name)
		}
	}
	wasKilled := killed.Err() != nil
	endProbes()
	w.mu.Lock()
	delete(w.kill, c.Name)
	w.mu.Unlock()
	if power.Err() != nil {
		return code, false
	}
	if wasKilled {
		code = 137
	}
	w.publish(func(s *corev1.PodStatus) {
		status := statusOf(s, c)
		reason := "Error"
		switch {
		case w.k.takeOOM(w.name):
			reason = "OOMKilled"
		case code == 0:
			reason = "Completed"
		}
		ended := &corev1.ContainerStateTerminated{ExitCode: int32(code), Reason: reason, StartedAt: started, FinishedAt: metav1.Now(), Message: lastWords(process.Root, c)} //nolint:gosec // an exit code
		status.State = corev1.ContainerState{Terminated: ended}
		status.Ready, status.Started = isInit(w.current(), c) && code == 0, new(bool)
		if !isInit(w.current(), c) {
			w.unready(s)
		}
	})
	return code, !terminating
}

// backOff waits as long as the kubelet does before it starts a crashed container again: nothing at first, then 10 s, doubling.
func (w *worker) backOff(power context.Context, c *corev1.Container, ran time.Duration) bool {
	w.mu.Lock()
	d, crashedBefore := w.backoffs[c.Name]
	switch {
	case !crashedBefore || ran > w.k.scaled(calmAfter):
		d = 0
		w.backoffs[c.Name] = firstBackoff
	default:
		w.backoffs[c.Name] = min(2*d, w.k.MaxBackoff)
	}
	w.mu.Unlock()
	d = min(d, w.k.MaxBackoff)
	w.countRestart(c, d)
	return w.await(power, nil, d)
}

// countRestart says that a container has ended and is started again, after d.
func (w *worker) countRestart(c *corev1.Container, d time.Duration) {
	count := w.restarted(c.Name)
	w.publish(func(s *corev1.PodStatus) {
		status := statusOf(s, c)
		status.LastTerminationState, status.RestartCount = status.State, count
		if d > 0 {
			status.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off " + d.String() + " restarting failed container=" + c.Name}}
		}
	})
}

// grace is what the deletion gives the pod.
func (w *worker) grace() time.Duration {
	if s := w.current().DeletionGracePeriodSeconds; s != nil {
		return time.Duration(*s) * time.Second
	}
	return w.specGrace()
}

func (w *worker) specGrace() time.Duration {
	if s := w.current().Spec.TerminationGracePeriodSeconds; s != nil {
		return time.Duration(*s) * time.Second
	}
	return 30 * time.Second
}
