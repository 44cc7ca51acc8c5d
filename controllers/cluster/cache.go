package cluster

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

// CacheByObject limits what the operator holds in memory to objects that carry its own label: nobody else's Secrets, pods or volume claims. Of those it holds what it reads (see Slim).
func CacheByObject() map[client.Object]cache.ByObject {
	ours := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{v1alpha1.LabelManaged: v1alpha1.ManagedBy}), Transform: Slim}
	out := map[client.Object]cache.ByObject{}
	for _, object := range []client.Object{
		&corev1.Pod{}, &corev1.PersistentVolumeClaim{}, &corev1.Secret{}, &corev1.Service{}, &corev1.ServiceAccount{},
		&appsv1.StatefulSet{}, &batchv1.Job{}, &policyv1.PodDisruptionBudget{}, &networkingv1.NetworkPolicy{}, &networkingv1.Ingress{},
	} {
		out[object] = ours
	}
	out[&corev1.Node{}] = cache.ByObject{Transform: stripNode} // everybody's, and of each as little as decisions are made on
	return out
}

// Slim takes out of an object, before it goes into the cache, what the operator never reads: most of it is who owns which field, and the pods' specs, of which every cluster has many and no two
// processes need a copy. Objects from the cache are therefore never written back whole, but for a status, whose metadata the API server does not take.
func Slim(object any) (any, error) {
	o, err := meta.Accessor(object)
	if err != nil {
		return object, nil //nolint:nilerr // a tombstone, say: what has no metadata has nothing to lose
	}
	o.SetManagedFields(appliedByUs(o.GetManagedFields()))
	manifests.ForgetOwner(o)
	switch object := object.(type) {
	case *corev1.Pod:
		slimPod(object)
	case *appsv1.StatefulSet:
		// The largest by far. Its template is told by its hash, and is read from the API server before it is compared (see apply).
		object.ManagedFields, object.Spec.Template.Spec = nil, corev1.PodSpec{}
	}
	words.within(object)
	return object, nil
}

// words are those of all cached objects.
var words interner

// appliedByUs is what the operator owns by apply: the API server's answer to what it wants is compared with that (manifests.Equal).
func appliedByUs(entries []metav1.ManagedFieldsEntry) []metav1.ManagedFieldsEntry {
	for _, e := range entries {
		if e.Manager == FieldManager && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == "" {
			return []metav1.ManagedFieldsEntry{e}
		}
	}
	return nil
}

// slimPod keeps of a pod where it runs, which images it runs, and how it does.
func slimPod(pod *corev1.Pod) {
	pod.Spec = corev1.PodSpec{
		NodeName: pod.Spec.NodeName, InitContainers: images(pod.Spec.InitContainers), Containers: images(pod.Spec.Containers), Volumes: slices.Clone(manifests.AgentVolumes(pod.Spec.Volumes)),
	}
	for _, label := range []string{appsv1.StatefulSetPodNameLabel, appsv1.PodIndexLabel} { // the pod's name says both, and the others are the same for all pods of a role
		delete(pod.Labels, label)
	}
	status := &pod.Status
	status.HostIP, status.HostIPs, status.PodIPs = "", nil, nil
	status.Conditions = slices.DeleteFunc(status.Conditions, func(c corev1.PodCondition) bool { return !slices.Contains(readConditions, c.Type) })
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range statuses {
			s := &statuses[i]
			s.ImageID, s.ContainerID = "", ""
			s.Resources, s.AllocatedResources, s.AllocatedResourcesStatus, s.VolumeMounts, s.User = nil, nil, nil, nil, nil
		}
	}
}

// readConditions of pods are those that anything is decided on.
var readConditions = []corev1.PodConditionType{corev1.PodReady, corev1.PodScheduled, corev1.DisruptionTarget}

func images(containers []corev1.Container) []corev1.Container {
	var out []corev1.Container
	for _, c := range containers {
		out = append(out, corev1.Container{Name: c.Name, Image: c.Image, RestartPolicy: c.RestartPolicy})
	}
	return out
}
