package manifests

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// stamped writes into a template the hash of all in it that a pod's server depends on. Pods carry it, so that one that was made from another template is told apart from one whose
// template differs in the agent's image alone, or in how that comes: the image changes with every release of the operator, and no server is restarted for it.
func stamped(template corev1.PodTemplateSpec) corev1.PodTemplateSpec {
	bare := template.DeepCopy()
	delete(bare.Annotations, v1alpha1.AnnotationTemplate)
	undelivered(&bare.Spec)
	text, err := json.Marshal(bare)
	if err != nil {
		panic(fmt.Sprintf("a pod template is no JSON: %v", err)) // it is made of the API's own types
	}
	sum := sha256.Sum256(text)
	template.Annotations[v1alpha1.AnnotationTemplate] = hex.EncodeToString(sum[:8])
	return template
}

// TemplateHash is the hash in the template of a StatefulSet; empty when it was made by a release that wrote none.
func TemplateHash(set *appsv1.StatefulSet) string {
	return set.Spec.Template.Annotations[v1alpha1.AnnotationTemplate]
}

// OnlyImageDiffers reports whether a pod becomes what the set makes of its present template by another image of its server, and the version that goes with it: what can be changed in a pod that
// runs. A pod whose images are not those of its template, since somebody rewrites them when pods are made, does not.
func OnlyImageDiffers(set *appsv1.StatefulSet, pod *corev1.Pod) bool {
	template := *set.Spec.Template.DeepCopy()
	wanted, _ := AgentImageOf(&template.Spec)
	if has, _ := AgentImageOf(&pod.Spec); has != wanted {
		return false
	}
	for i := range template.Spec.Containers {
		if c := &template.Spec.Containers[i]; c.Name == ContainerServer {
			c.Image = imageOf(pod.Spec.Containers, c.Name)
		}
	}
	template.Annotations[v1alpha1.AnnotationVersion] = pod.Annotations[v1alpha1.AnnotationVersion]
	hash := pod.Annotations[v1alpha1.AnnotationTemplate]
	return hash != "" && stamped(template).Annotations[v1alpha1.AnnotationTemplate] == hash
}

func imageOf(containers []corev1.Container, name string) string {
	for i := range containers {
		if containers[i].Name == name {
			return containers[i].Image
		}
	}
	return ""
}
