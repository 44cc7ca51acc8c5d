package kubelet

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// fastest is how often a probe asks at most: at a speed of 50 a period of 1 s would be 20 ms, for every pod of every test.
const fastest = 25 * time.Millisecond

// slowestStart is the least that a startup probe gives in wall-clock time: a minute at speed 50 would be a second, in which two busy cores start nothing.
const slowestStart = 10 * time.Second

// probe runs the container's startup, readiness and liveness probes until ctx ends. The channel is closed when the container has to be restarted.
func (w *worker) probe(ctx context.Context, c *corev1.Container, address string) <-chan struct{} {
	unhealthy := make(chan struct{})
	if isInit(w.current(), c) {
		return unhealthy
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: false, MaxIdleConnsPerHost: 2},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	go func() {
		defer client.CloseIdleConnections()
		if c.StartupProbe != nil && !w.untilStarted(ctx, c, client, address) {
			if ctx.Err() == nil {
				close(unhealthy)
			}
			return
		}
		w.publish(func(s *corev1.PodStatus) {
			if ctx.Err() == nil {
				*statusOf(s, c).Started = true
			}
		})
		if c.LivenessProbe != nil {
			go func() {
				if w.untilFailed(ctx, c.LivenessProbe, client, address) {
					close(unhealthy)
				}
			}()
		}
		w.followReadiness(ctx, c, client, address)
	}()
	return unhealthy
}

func (w *worker) untilStarted(ctx context.Context, c *corev1.Container, client *http.Client, address string) bool {
	failures, patience := int32(0), time.Now().Add(slowestStart)
	for w.pause(ctx, c.StartupProbe) {
		if w.ask(ctx, c.StartupProbe, client, address) {
			return true
		}
		if failures++; failures >= c.StartupProbe.FailureThreshold && time.Now().After(patience) {
			return false
		}
	}
	return false
}

func (w *worker) untilFailed(ctx context.Context, p *corev1.Probe, client *http.Client, address string) bool {
	failures := int32(0)
	for w.pause(ctx, p) {
		if w.ask(ctx, p, client, address) {
			failures = 0
		} else if failures++; failures >= p.FailureThreshold && ctx.Err() == nil {
			return !w.isTerminating() // liveness is not asked of a pod that ends
		}
	}
	return false
}

func (w *worker) isTerminating() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.terminating
}

func (w *worker) followReadiness(ctx context.Context, c *corev1.Container, client *http.Client, address string) {
	if c.ReadinessProbe == nil {
		w.setReady(ctx, c, true)
		return
	}
	ready, failures := false, int32(0)
	for w.pause(ctx, c.ReadinessProbe) {
		ok := w.ask(ctx, c.ReadinessProbe, client, address)
		if ok {
			failures = 0
		} else {
			failures++
		}
		if next := ok || ready && failures < c.ReadinessProbe.FailureThreshold; next != ready && ctx.Err() == nil {
			ready = next
			w.setReady(ctx, c, ready)
		}
	}
}

func (w *worker) setReady(ctx context.Context, c *corev1.Container, ready bool) {
	w.publish(func(s *corev1.PodStatus) {
		if ctx.Err() != nil {
			return
		}
		statusOf(s, c).Ready = ready
		all := len(s.ContainerStatuses) == len(w.current().Spec.Containers)
		for i := range s.ContainerStatuses {
			all = all && s.ContainerStatuses[i].Ready
		}
		if !all {
			w.unready(s)
			return
		}
		setCondition(s, corev1.ContainersReady, corev1.ConditionTrue, "", "")
		setCondition(s, corev1.PodReady, corev1.ConditionTrue, "", "")
	})
}

func (w *worker) pause(ctx context.Context, p *corev1.Probe) bool {
	timer := time.NewTimer(max(fastest, w.k.scaled(time.Duration(p.PeriodSeconds)*time.Second)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// ask asks once. The kubelet is on the pod's machine: no fault of the network is between them. The time-out keeps a floor, because two busy cores are slower than a probe's second at speed 50.
func (w *worker) ask(ctx context.Context, p *corev1.Probe, client *http.Client, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, max(2*time.Second, w.k.scaled(time.Duration(p.TimeoutSeconds)*time.Second)))
	defer cancel()
	switch {
	case p.HTTPGet != nil:
		url := "http://" + net.JoinHostPort(address, p.HTTPGet.Port.String()) + p.HTTPGet.Path
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			w.k.Trouble("kubelet: probe %s: %v", url, err)
			return false
		}
		answer, err := client.Do(request)
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode >= 200 && answer.StatusCode < 400
	case p.TCPSocket != nil:
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(p.TCPSocket.Port.IntValue())))
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	}
	w.k.Trouble("kubelet: a probe of %s is of a kind that is not simulated: %s", w.name, fmt.Sprint(p.ProbeHandler))
	return false
}
