package world

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// DeleteNode removes the Node of a machine, as whoever runs the machines does when one is no more. A machine that has power makes it anew.
func (w *World) DeleteNode(name string) {
	w.T.Helper()
	if err := w.Client.Delete(w.ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		w.T.Fatal(err)
	}
}

// ChangeNode changes the Node of a machine.
func (w *World) ChangeNode(name string, change func(*corev1.Node)) {
	w.T.Helper()
	var node corev1.Node
	if err := w.Client.Get(w.ctx, client.ObjectKey{Name: name}, &node); err != nil {
		w.T.Fatal(err)
	}
	before := node.DeepCopy()
	change(&node)
	if err := w.Client.Patch(w.ctx, &node, client.MergeFrom(before)); err != nil {
		w.T.Fatal(err)
	}
}

// NodeReady reports whether the Node of a machine is Ready.
func (w *World) NodeReady(name string) bool {
	var node corev1.Node
	if err := w.Client.Get(w.ctx, client.ObjectKey{Name: name}, &node); err != nil {
		return false
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// PinVolume makes the PersistentVolume of a pod's claim a local one, on the machine that has its data.
func (w *World) PinVolume(pod string, reclaim corev1.PersistentVolumeReclaimPolicy) *corev1.PersistentVolume {
	w.T.Helper()
	claim := w.Claim(pod)
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: claim.Spec.VolumeName},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: claim.Status.Capacity, AccessModes: claim.Spec.AccessModes, PersistentVolumeReclaimPolicy: reclaim,
			PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: "/disks/" + claim.Name}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{w.Kubelet.HomeOf(claim)}}},
			}}}},
		},
	}
	if err := w.Client.Create(w.ctx, volume); err != nil {
		w.T.Fatal(err)
	}
	return volume
}

// cleanNodes removes what is in no namespace. Names of machines begin with the world's, those of volumes with "pv-" and the claim's UID.
func (w *World) cleanNodes(ctx context.Context) {
	for _, name := range w.Kubelet.Nodes() {
		if err := client.IgnoreNotFound(w.Client.Delete(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})); err != nil {
			w.T.Logf("clean node %s: %v", name, err)
		}
	}
	var volumes corev1.PersistentVolumeList
	if err := w.Client.List(ctx, &volumes); err != nil {
		return
	}
	for i := range volumes.Items {
		home := volumes.Items[i].Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0]
		if strings.HasPrefix(home, w.Namespace+"-") {
			volumes.Items[i].Finalizers = nil
			_ = w.Client.Update(ctx, &volumes.Items[i])
			_ = w.Client.Delete(ctx, &volumes.Items[i])
		}
	}
}
