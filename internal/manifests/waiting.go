package manifests

import "slices"

// What kubelets say of a container that waits (Kubernetes, in pkg/kubelet: images/types.go, kuberuntime/kuberuntime_container.go and container/sync_result.go).
var (
	notPulled = []string{"ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError", "RegistryUnavailable"}
	notMade   = []string{"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
)

// ImageNotPulled reports whether a waiting container's reason says that its image cannot be brought.
func ImageNotPulled(reason string) bool { return slices.Contains(notPulled, reason) }

// ContainerNotMade reports whether a waiting container's reason says that it cannot be made or started.
func ContainerNotMade(reason string) bool { return slices.Contains(notMade, reason) }
