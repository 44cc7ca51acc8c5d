package world

import (
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ClusterDomain ends every name.
const ClusterDomain = "cluster.local"

// zone keeps the network's names as CoreDNS and the EndpointSlice controller would: a pod has a name only through its governing Service, and only while it is ready, or the Service publishes not-ready addresses too.
type zone struct {
	w *World

	mu      sync.Mutex
	pending bool
}

func newZone(w *World) *zone { return &zone{w: w} }

// changed makes the names follow after the delay. Changes that come while one is on its way are seen by it.
func (z *zone) changed() {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.pending || z.w.ctx.Err() != nil {
		return
	}
	z.pending = true
	time.AfterFunc(max(time.Millisecond, z.w.Scaled(z.w.Options.DNSDelay)), func() {
		z.mu.Lock()
		z.pending = false
		z.mu.Unlock()
		if z.w.ctx.Err() == nil {
			z.publish()
		}
	})
}

func (z *zone) publish() {
	var services corev1.ServiceList
	var pods corev1.PodList
	cache := z.w.Env.Kube.Client
	if err := cache.List(z.w.ctx, &services, client.InNamespace(z.w.Namespace)); err != nil {
		z.w.Trouble("dns: %v", err)
		return
	}
	if err := cache.List(z.w.ctx, &pods, client.InNamespace(z.w.Namespace)); err != nil {
		z.w.Trouble("dns: %v", err)
		return
	}
	names := map[string][]string{}
	for i := range services.Items {
		service := &services.Items[i]
		if service.Spec.ClusterIP != corev1.ClusterIPNone || len(service.Spec.Selector) == 0 {
			continue // a virtual address needs no pod's name; what a Service's clients reach is asked of Endpoints
		}
		suffix := "." + service.Namespace + ".svc." + ClusterDomain
		for j := range pods.Items {
			pod := &pods.Items[j]
			if !published(service, pod) {
				continue
			}
			names[service.Name+suffix] = append(names[service.Name+suffix], pod.Status.PodIP)
			if pod.Spec.Subdomain == service.Name && pod.Spec.Hostname != "" {
				name := pod.Spec.Hostname + "." + service.Name + suffix
				names[name] = append(names[name], pod.Status.PodIP)
			}
		}
	}
	z.w.Network.Publish(names)
}

// published reports whether the EndpointSlice controller lists the pod as ready: its rules of readiness are those of discovery/v1.
func published(service *corev1.Service, pod *corev1.Pod) bool {
	if pod.Status.PodIP == "" || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return false
	}
	if !labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(pod.Labels)) {
		return false
	}
	return service.Spec.PublishNotReadyAddresses || podReady(pod) && pod.DeletionTimestamp == nil
}

func podReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// Endpoints are the addresses that clients of a Service reach.
func (w *World) Endpoints(service string) []string {
	w.T.Helper()
	var s corev1.Service
	if err := w.Client.Get(w.ctx, client.ObjectKey{Namespace: w.Namespace, Name: service}, &s); err != nil {
		w.T.Fatalf("get Service %s: %v", service, err)
	}
	var pods corev1.PodList
	if err := w.Client.List(w.ctx, &pods, client.InNamespace(w.Namespace)); err != nil {
		w.T.Fatalf("list pods: %v", err)
	}
	var found []string
	for i := range pods.Items {
		if published(&s, &pods.Items[i]) {
			found = append(found, pods.Items[i].Status.PodIP)
		}
	}
	return found
}
