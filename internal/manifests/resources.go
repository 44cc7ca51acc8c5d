package manifests

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// installResources are those of a Job that copies the agent once, for a try. In a server's pod that is done with the server's own resources: what a pod asks for is what the larger of both asks for, and at a tenth
// of a processor the copy took a third of a second, in which the server was away.
func installResources() corev1.ResourceRequirements {
	list := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("64Mi")}
	return corev1.ResourceRequirements{Requests: list, Limits: list.DeepCopy()}
}
