package manifests

import (
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

func TestOnlyTheImageOfAServerCanBeChangedInAPod(t *testing.T) {
	for what, c := range map[string]struct {
		change func(*v1alpha1.RobustMQCluster, *Inputs, *corev1.Pod)
		only   bool
	}{
		"another image": {func(_ *v1alpha1.RobustMQCluster, in *Inputs, _ *corev1.Pod) { in.ServerImage = "server:2" }, true},
		"another version, another image": {func(c *v1alpha1.RobustMQCluster, in *Inputs, _ *corev1.Pod) {
			c.Spec.Version, in.ServerImage = "0.4.12", "server:2"
		}, true},
		"the version alone: the agent has to know": {func(c *v1alpha1.RobustMQCluster, _ *Inputs, _ *corev1.Pod) { c.Spec.Version = "0.4.12" }, true},
		"another agent with it": {func(_ *v1alpha1.RobustMQCluster, in *Inputs, _ *corev1.Pod) {
			in.ServerImage, in.AgentImage = "server:2", "agent:2"
		}, false},
		"a node selector with it": {func(c *v1alpha1.RobustMQCluster, in *Inputs, _ *corev1.Pod) {
			in.ServerImage = "server:2"
			c.Spec.MQTTBroker.PodTemplate = &v1alpha1.PodTemplateSpec{NodeSelector: map[string]string{"a": "b"}}
		}, false},
		"a label with it, which may be for somebody who looks at new pods": {func(c *v1alpha1.RobustMQCluster, in *Inputs, _ *corev1.Pod) {
			in.ServerImage = "server:2"
			c.Spec.MQTTBroker.PodTemplate = &v1alpha1.PodTemplateSpec{Labels: map[string]string{"a": "b"}}
		}, false},
		"somebody rewrote the image when the pod was made": {func(_ *v1alpha1.RobustMQCluster, in *Inputs, p *corev1.Pod) {
			in.ServerImage, p.Spec.Containers[0].Image = "server:2", "mirror/server:1"
		}, false},
		"somebody rewrote the agent's": {func(_ *v1alpha1.RobustMQCluster, in *Inputs, p *corev1.Pod) {
			in.ServerImage, p.Spec.InitContainers[0].Image = "server:2", "mirror/agent:1"
		}, false},
		"an agent that comes in another way to new pods": {func(_ *v1alpha1.RobustMQCluster, in *Inputs, _ *corev1.Pod) {
			in.ServerImage, in.AgentMounted = "server:2", true
		}, true},
		"a pod of a release that wrote no hash": {func(_ *v1alpha1.RobustMQCluster, in *Inputs, p *corev1.Pod) {
			in.ServerImage = "server:2"
			delete(p.Annotations, v1alpha1.AnnotationTemplate)
		}, false},
		"a sidecar that somebody put into the pod is left alone": {func(_ *v1alpha1.RobustMQCluster, in *Inputs, p *corev1.Pod) {
			in.ServerImage = "server:2"
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "mesh", Image: "mesh:1"})
		}, true},
	} {
		cluster := &v1alpha1.RobustMQCluster{}
		cluster.Name, cluster.Namespace, cluster.Spec.Version = "c", "ns", "0.4.11"
		cluster.Spec.PlacementCenter.Replicas, cluster.Spec.MQTTBroker.Replicas = 3, 2
		in := Inputs{ServerImage: "server:1", AgentImage: "agent:1", Replicas: map[v1alpha1.Role]int32{v1alpha1.RoleMQTTBroker: 2}}
		old := StatefulSet(cluster, in, v1alpha1.RoleMQTTBroker).Spec.Template
		pod := &corev1.Pod{ObjectMeta: old.ObjectMeta, Spec: old.Spec}
		pod.Annotations = maps.Clone(pod.Annotations)
		c.change(cluster, &in, pod)
		if got := OnlyImageDiffers(StatefulSet(cluster, in, v1alpha1.RoleMQTTBroker), pod); got != c.only {
			t.Errorf("%s: %t", what, got)
		}
	}
}
