package manifests

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// The agent comes out of an image of its own, so that RobustMQ's may be anybody's: an init container copies it, or that image is mounted (Inputs.AgentMounted). A mounted one is there as soon as the pod is,
// which makes a pod that is made anew serve more than a second earlier; it takes a node that can mount images. No server depends on which it is: the hash of a template leaves both out (stamped).

// deliver brings the agent into a pod: what its init containers and its volume of that name are. resources are those of the copying.
func deliver(in Inputs, resources corev1.ResourceRequirements) ([]corev1.Container, corev1.Volume) {
	if in.AgentMounted {
		return nil, corev1.Volume{Name: volumeAgent, VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: in.AgentImage}}}
	}
	return []corev1.Container{installer(in, resources)}, memoryless(volumeAgent)
}

// installer copies the agent. Nothing needs it to reach the disk: after a power cut it is copied again.
func installer(in Inputs, resources corev1.ResourceRequirements) corev1.Container {
	return corev1.Container{
		Name:            ContainerAgent,
		Image:           in.AgentImage,
		Command:         []string{"/agent", "install", agentBinary},
		Resources:       resources,
		VolumeMounts:    []corev1.VolumeMount{{Name: volumeAgent, MountPath: protocol.AgentDir}},
		SecurityContext: restricted(),
	}
}

// undelivered takes what brings the agent out of a pod's spec.
func undelivered(spec *corev1.PodSpec) {
	var initial []corev1.Container
	for _, c := range spec.InitContainers {
		if c.Name != ContainerAgent {
			initial = append(initial, c)
		}
	}
	var volumes []corev1.Volume
	for _, v := range spec.Volumes {
		if v.Name != volumeAgent {
			volumes = append(volumes, v)
		}
	}
	spec.InitContainers, spec.Volumes = initial, volumes
}

// AgentImageOf is the image that a pod has its agent from, and whether it is mounted; empty when it has none.
func AgentImageOf(spec *corev1.PodSpec) (image string, mounted bool) {
	if v := AgentVolumes(spec.Volumes); len(v) > 0 {
		return v[0].Image.Reference, true
	}
	return imageOf(spec.InitContainers, ContainerAgent), false
}

// AgentVolumes are those of a pod's volumes that are the agent's image: one at most.
func AgentVolumes(volumes []corev1.Volume) []corev1.Volume {
	for i, v := range volumes {
		if v.Name == volumeAgent && v.Image != nil {
			return volumes[i : i+1 : i+1]
		}
	}
	return nil
}
