package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// machineOf is what decisions are made on of a Kubernetes node.
func machineOf(node *corev1.Node) topology.Machine {
	return topology.Machine{
		Ready: slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		}),
		Cordoned:     node.Spec.Unschedulable,
		OutOfService: slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == topology.TaintOutOfService }),
	}
}

// MayReadMachines asks the API server whether the operator may read Kubernetes nodes and PersistentVolumes. Asking is everybody's right.
func MayReadMachines(ctx context.Context, writer client.Writer) (bool, error) {
	for _, right := range []authorizationv1.ResourceAttributes{{Verb: "list", Resource: "nodes"}, {Verb: "watch", Resource: "nodes"}, {Verb: "get", Resource: "nodes"}, {Verb: "get", Resource: "persistentvolumes"}} {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &right}}
		if err := writer.Create(ctx, review); err != nil {
			return false, fmt.Errorf("asking whether %s may be read: %w", right.Resource, err)
		}
		if !review.Status.Allowed {
			return false, nil
		}
	}
	return true, nil
}

// stripNode leaves of a Node what machineOf, pinnedTo and mountsImages read: there may be thousands of them, with a list of images each.
func stripNode(object any) (any, error) {
	node, ok := object.(*corev1.Node)
	if !ok {
		return object, nil
	}
	small := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node.Name, UID: node.UID, ResourceVersion: node.ResourceVersion}}
	if host, ok := node.Labels[corev1.LabelHostname]; ok {
		small.Labels = map[string]string{corev1.LabelHostname: host}
	}
	small.Spec.Unschedulable = node.Spec.Unschedulable
	info := &node.Status.NodeInfo
	small.Status.NodeInfo = corev1.NodeSystemInfo{OperatingSystem: info.OperatingSystem, KubeletVersion: info.KubeletVersion, ContainerRuntimeVersion: info.ContainerRuntimeVersion}
	for _, taint := range node.Spec.Taints {
		if taint.Key == topology.TaintOutOfService {
			small.Spec.Taints = append(small.Spec.Taints, corev1.Taint{Key: taint.Key, Value: taint.Value, Effect: taint.Effect})
		}
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			small.Status.Conditions = append(small.Status.Conditions, corev1.NodeCondition{Type: c.Type, Status: c.Status})
		}
	}
	return small, nil
}

// machineChanges lets through what machineOf tells apart; kubelets write their nodes every few minutes.
func machineChanges() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false }, // all of them, at the start
		GenericFunc: func(event.GenericEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, ok := e.ObjectOld.(*corev1.Node)
			after, also := e.ObjectNew.(*corev1.Node)
			return ok && also && machineOf(before) != machineOf(after)
		},
	}
}

// clustersOn are the clusters that have a pod on the node.
func (r *Reconciler) clustersOn(ctx context.Context, node client.Object) []reconcile.Request {
	var pods corev1.PodList
	if err := r.List(ctx, &pods, client.HasLabels{v1alpha1.LabelCluster}, client.UnsafeDisableDeepCopy); err != nil {
		return nil // every cluster is looked at every 30 s anyway
	}
	var out []reconcile.Request
	for i := range pods.Items {
		if pods.Items[i].Spec.NodeName != node.GetName() {
			continue
		}
		request := reconcile.Request{NamespacedName: types.NamespacedName{Namespace: pods.Items[i].Namespace, Name: pods.Items[i].Labels[v1alpha1.LabelCluster]}}
		if !slices.Contains(out, request) {
			out = append(out, request)
		}
	}
	return out
}

// observeMachines looks at the nodes that carry the cluster's pods, and at the volumes of those pods that no node takes. What cannot be read is not known, and then nothing follows from it.
func (r *Reconciler) observeMachines(ctx context.Context, p *pass) {
	if r.Machines == nil {
		return
	}
	o := p.observed
	o.machines, o.local = map[string]topology.Machine{}, map[string]*topology.LocalVolume{}
	for name, pod := range o.pods {
		if pod.Spec.NodeName != "" {
			r.observeMachine(ctx, p, pod.Spec.NodeName)
			continue
		}
		claim := o.claims[name]
		if claim == nil || claim.Spec.VolumeName == "" || !unschedulable(pod) {
			continue
		}
		var volume corev1.PersistentVolume
		if err := r.Reader.Get(ctx, client.ObjectKey{Name: claim.Spec.VolumeName}, &volume); err != nil {
			if !apierrors.IsNotFound(err) {
				p.log.Info("a volume cannot be read", "volume", claim.Spec.VolumeName, "error", err.Error())
			}
			continue
		}
		if hosts := pinnedTo(&volume); len(hosts) == 1 {
			o.local[name] = &topology.LocalVolume{Name: volume.Name, Machine: hosts[0], Kept: volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain}
			r.observeMachine(ctx, p, hosts[0])
		}
	}
}

func (r *Reconciler) observeMachine(ctx context.Context, p *pass, name string) {
	if _, known := p.observed.machines[name]; known {
		return
	}
	node, err := findMachine(ctx, r.Machines, name)
	switch {
	case err != nil:
		p.log.Info("a Kubernetes node cannot be read", "node", name, "error", err.Error())
	case node == nil:
		p.observed.machines[name] = topology.Machine{Gone: true}
	default:
		p.observed.machines[name] = machineOf(node)
	}
}

// findMachine returns the node that has that name, or that host name: volumes may be bound to the latter, which differs from the former in some clouds. nil when there is none.
func findMachine(ctx context.Context, reader client.Reader, name string) (*corev1.Node, error) {
	var node corev1.Node
	err := reader.Get(ctx, client.ObjectKey{Name: name}, &node)
	if err == nil {
		return &node, nil
	}
	if !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("reading node %s: %w", name, err)
	}
	var nodes corev1.NodeList
	if err := reader.List(ctx, &nodes, client.MatchingLabels{corev1.LabelHostname: name}); err != nil {
		return nil, fmt.Errorf("looking for the node with host name %s: %w", name, err)
	}
	if len(nodes.Items) == 0 {
		return nil, nil
	}
	return &nodes.Items[0], nil
}

func unschedulable(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse
	})
}

// pinnedTo are the machines on which a volume can be reached, where it says so by name or host name. One that is bound to anything else, a zone above all, can be reached again from a machine
// that is still to come, and so is on none in particular; so are those of drivers with keys of their own.
func pinnedTo(volume *corev1.PersistentVolume) []string {
	if volume.Spec.NodeAffinity == nil || volume.Spec.NodeAffinity.Required == nil {
		return nil
	}
	var hosts []string
	for _, term := range volume.Spec.NodeAffinity.Required.NodeSelectorTerms {
		var here []string
		for _, r := range slices.Concat(term.MatchExpressions, term.MatchFields) {
			if r.Operator == corev1.NodeSelectorOpIn && (r.Key == corev1.LabelHostname || r.Key == metav1.ObjectNameField) {
				here = append(here, r.Values...)
			}
		}
		if len(here) == 0 {
			return nil
		}
		hosts = append(hosts, here...)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// forceDelete removes the very pod that was observed without waiting for its machine, once the API server itself, not the cache, or the pod's own agent has confirmed at this moment that it does not run.
func (r *Reconciler) forceDelete(ctx context.Context, p *pass, step topology.Step) error {
	pod := p.observed.pods[step.Pod]
	if pod == nil {
		return nil
	}
	if _, answered := p.observed.states[step.Pod]; answered {
		if err := r.confirmStopped(ctx, p, step); err != nil {
			return err
		}
	} else if err := r.confirmDead(ctx, pod.Spec.NodeName); err != nil {
		return err
	}
	return client.IgnoreNotFound(r.Delete(ctx, pod, client.GracePeriodSeconds(0), client.Preconditions{UID: &pod.UID}))
}

func (r *Reconciler) confirmDead(ctx context.Context, machine string) error {
	node, err := findMachine(ctx, r.Reader, machine)
	if err != nil {
		return err
	}
	if node == nil {
		return nil
	}
	if at := machineOf(node); !at.OutOfService || at.Ready {
		return fmt.Errorf("node %s exists and is not out of service (ready: %t): whatever does not answer may run", machine, at.Ready)
	}
	return nil
}

func (r *Reconciler) confirmStopped(ctx context.Context, p *pass, step topology.Step) error {
	ctx, cancel := context.WithTimeout(ctx, r.Timings.Order)
	defer cancel()
	agent, err := p.agent(step.Pod)
	if err != nil {
		return err
	}
	state, err := agent.State(ctx)
	if err != nil {
		return fmt.Errorf("whether its server is stopped: %w", err)
	}
	if state.Pod != step.Pod || state.Server.Phase != protocol.ServerStopped || !state.Terminating && state.Gate.Reason != protocol.GateHeld {
		return fmt.Errorf("the agent of pod %s does not say that it has stopped its server for good (%s, gate %s)", state.Pod, state.Server.Phase, state.Gate.Reason)
	}
	return nil
}

// renewVolume deletes the very claim and pod that were observed: their StatefulSet makes both anew. That the machine and the volume are what they were is asked of the API server once more.
func (r *Reconciler) renewVolume(ctx context.Context, p *pass, step topology.Step) error {
	pod, claim, local := p.observed.pods[step.Pod], p.observed.claims[step.Pod], p.observed.local[step.Pod]
	if pod == nil || claim == nil || local == nil {
		return errors.New("its pod, its volume claim or its volume is not there any more")
	}
	var now corev1.Pod
	if err := r.Reader.Get(ctx, client.ObjectKeyFromObject(pod), &now); err != nil {
		return fmt.Errorf("reading pod %s: %w", pod.Name, err)
	}
	if now.UID != pod.UID || now.Spec.NodeName != "" {
		return fmt.Errorf("pod %s was scheduled, or made anew, meanwhile", pod.Name)
	}
	var volume corev1.PersistentVolume
	if err := r.Reader.Get(ctx, client.ObjectKey{Name: claim.Spec.VolumeName}, &volume); err != nil {
		return fmt.Errorf("reading volume %s: %w", claim.Spec.VolumeName, err)
	}
	kept := volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain
	if !slices.Equal(pinnedTo(&volume), []string{local.Machine}) || kept != local.Kept {
		return fmt.Errorf("volume %s has changed meanwhile", volume.Name)
	}
	node, err := findMachine(ctx, r.Reader, local.Machine)
	if err != nil {
		return err
	}
	if node != nil {
		return fmt.Errorf("node %s exists again", local.Machine)
	}
	if err := r.Delete(ctx, claim, client.Preconditions{UID: &claim.UID}); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting volume claim %s: %w", claim.Name, err)
	}
	return client.IgnoreNotFound(r.Delete(ctx, pod, client.Preconditions{UID: &pod.UID}))
}
