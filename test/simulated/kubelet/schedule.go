package kubelet

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// schedule binds the pod to a machine once its claims are bound and a machine takes it. It returns false when the pod is gone.
func (w *worker) schedule() bool {
	if w.current().Spec.NodeName != "" {
		w.mu.Lock()
		w.node = w.pod.Spec.NodeName
		w.mu.Unlock()
		return true
	}
	for w.ctx.Err() == nil {
		changed := w.k.change()
		node, why := w.place()
		if why == "" {
			pod := w.current()
			binding := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID}, Target: corev1.ObjectReference{Kind: "Node", Name: node}}
			err := w.k.Client.SubResource("binding").Create(w.ctx, pod, binding)
			if err == nil || apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
				return w.ctx.Err() == nil
			}
			why = err.Error()
		}
		w.publish(func(s *corev1.PodStatus) {
			s.Phase = corev1.PodPending
			setCondition(s, corev1.PodScheduled, corev1.ConditionFalse, corev1.PodReasonUnschedulable, why)
		})
		w.event("FailedScheduling", why)
		w.k.await(w.ctx, changed, time.Second)
	}
	return false
}

// place picks a machine: the one that has the pod's data, else the one with the fewest pods of the same role, then of any.
func (w *worker) place() (node, why string) {
	pod := w.current()
	home, why := w.claimsBound(pod)
	if why != "" {
		return "", why
	}
	k := w.k
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.unschedulable != nil {
		if why := k.unschedulable(pod); why != "" {
			return "", why
		}
	}
	load := map[string]int{}
	for _, other := range k.pods {
		if other == w {
			continue
		}
		load[other.nodeName()]++
		if other.role == w.role {
			load[other.nodeName()] += 1000
		}
	}
	least := -1
	for i := range k.Options.Nodes {
		name := k.machineName(i)
		if !k.nodes[name].on || k.cordoned[name] || home != "" && home != name || !wantsNode(pod, name) {
			continue
		}
		if least < 0 || load[name] < least {
			node, least = name, load[name]
		}
	}
	if node == "" {
		return "", fmt.Sprintf("0/%d nodes are available: %d node(s) had volume node affinity conflict or were unreachable.", len(k.nodes), len(k.nodes))
	}
	for _, uid := range w.claimsOf() {
		k.claims[uid] = node
	}
	w.mu.Lock()
	w.node = node // before the binding is written, so that the next pod sees it
	w.mu.Unlock()
	return node, ""
}

// wantsNode reports whether the pod's required node affinity lets it onto the machine, as far as it names machines.
func wantsNode(pod *corev1.Pod, node string) bool {
	if pod.Spec.Affinity == nil || pod.Spec.Affinity.NodeAffinity == nil || pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return true
	}
	for _, term := range pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		if !slices.ContainsFunc(term.MatchFields, func(r corev1.NodeSelectorRequirement) bool {
			return r.Key == "metadata.name" && !slices.Contains(r.Values, node)
		}) {
			return true
		}
	}
	return false
}

// claimsBound reads the pod's claims; home is the machine that has their data already. Where the machine has no power, a volume that is not local is attached to another.
func (w *worker) claimsBound(pod *corev1.Pod) (home, why string) {
	uids := map[string]types.UID{}
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim == nil {
			continue
		}
		var claim corev1.PersistentVolumeClaim
		name := v.PersistentVolumeClaim.ClaimName
		if err := w.k.Client.Get(w.ctx, client.ObjectKey{Namespace: pod.Namespace, Name: name}, &claim); err != nil {
			return "", fmt.Sprintf("persistentvolumeclaim %q not found", name)
		}
		if claim.DeletionTimestamp != nil {
			return "", fmt.Sprintf("persistentvolumeclaim %q is being deleted", name)
		}
		if claim.Status.Phase != corev1.ClaimBound {
			return "", "pod has unbound immediate PersistentVolumeClaims"
		}
		uids[v.Name] = claim.UID
		w.k.mu.Lock()
		node := w.k.claims[claim.UID]
		w.k.mu.Unlock()
		if node != "" && (w.k.powered(node) || w.k.local(w.ctx, &claim)) {
			home = node
		}
	}
	w.mu.Lock()
	w.claimUIDs = uids
	w.mu.Unlock()
	return home, ""
}

// claimsOf maps the pod's volumes to the claims behind them.
func (w *worker) claimsOf() map[string]types.UID {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.claimUIDs
}

// takeName waits until the pod that had this name before has let its volumes go.
func (w *worker) takeName() bool {
	for w.ctx.Err() == nil {
		changed := w.k.change()
		w.k.mu.Lock()
		holder := w.k.names[w.name]
		if holder == nil {
			w.k.names[w.name] = w
		}
		w.k.mu.Unlock()
		if holder == nil || holder == w {
			return true
		}
		w.k.await(w.ctx, changed, time.Second)
	}
	return false
}

// event writes one event of a kubelet or scheduler, once for each pod and message.
func (w *worker) event(reason, message string) {
	key := string(w.uid) + reason + message
	w.k.mu.Lock()
	told := w.k.told[key]
	w.k.told[key] = true
	w.k.mu.Unlock()
	if told {
		return
	}
	pod := w.current()
	now := metav1.Now()
	_ = w.k.Client.Create(context.WithoutCancel(w.ctx), &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{GenerateName: pod.Name + ".", Namespace: pod.Namespace},
		InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Reason:         reason, Message: message, Type: corev1.EventTypeWarning, Count: 1, FirstTimestamp: now, LastTimestamp: now,
		Source: corev1.EventSource{Component: "kubelet"},
	})
}

// roleOf is what machines are spread by.
func roleOf(pod *corev1.Pod) string { return pod.Labels["app.kubernetes.io/component"] }
