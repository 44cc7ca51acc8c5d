package kubelet

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func (o Options) machineName(i int) string { return fmt.Sprintf("%snode-%d", o.Prefix, i) }

// report keeps the Nodes of all machines as their kubelets and the node monitor keep them: one that has power has a Node that is Ready, made anew when it was deleted; one that has none is Unknown
// after the monitor's grace, and nobody makes its Node anew.
func (k *Kubelet) report() {
	for k.ctx.Err() == nil {
		changed := k.change()
		for _, name := range k.Nodes() {
			if err := k.reportOne(name); err != nil && k.ctx.Err() == nil && !apierrors.IsConflict(err) {
				k.Trouble("node %s: %v", name, err)
			}
		}
		k.await(k.ctx, changed, time.Second)
	}
}

func (k *Kubelet) reportOne(name string) error {
	k.mu.Lock()
	m := *k.nodes[name]
	k.mu.Unlock()
	var node corev1.Node
	err := k.Client.Get(k.ctx, client.ObjectKey{Name: name}, &node)
	switch {
	case apierrors.IsNotFound(err) && m.on:
		made := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}}
		if err := k.Client.Create(k.ctx, made); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
		return nil
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return err
	}
	k.mu.Lock()
	k.cordoned[name] = node.Spec.Unschedulable
	k.mu.Unlock()
	want := corev1.ConditionTrue
	if !m.on && time.Since(m.off) >= k.scaled(k.NodeMonitorGrace) {
		want = corev1.ConditionUnknown
	} else if !m.on {
		return nil
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == want {
			return nil
		}
	}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: want, LastTransitionTime: metav1.Now(), Reason: "Simulated"}}
	return client.IgnoreNotFound(k.Client.Status().Update(k.ctx, &node))
}

// HomeOf is the machine that has a claim's data, "" when none has.
func (k *Kubelet) HomeOf(claim *corev1.PersistentVolumeClaim) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.claims[claim.UID]
}

func (k *Kubelet) powered(node string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.nodes[node].on
}

// local reports whether a claim's volume is one that says on which machine it can be reached.
func (k *Kubelet) local(ctx context.Context, claim *corev1.PersistentVolumeClaim) bool {
	var volume corev1.PersistentVolume
	err := k.Client.Get(ctx, client.ObjectKey{Name: claim.Spec.VolumeName}, &volume)
	return err == nil && volume.Spec.NodeAffinity != nil
}
