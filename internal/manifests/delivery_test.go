package manifests

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

func TestAnAgentThatIsMountedComesFromItsImageAndNoServerIsMadeAnewForIt(t *testing.T) {
	cluster, in := sample(t, "production")
	mounted := in
	mounted.AgentMounted = true
	for _, role := range []v1alpha1.Role{v1alpha1.RolePlacementCenter, v1alpha1.RoleMQTTBroker} {
		copies, mounts := StatefulSet(cluster, in, role), StatefulSet(cluster, mounted, role)
		if TemplateHash(copies) != TemplateHash(mounts) {
			t.Errorf("%s: every pod would be made anew for the way in which its agent comes", role)
		}
		of, by := copies.Spec.Template.Spec, mounts.Spec.Template.Spec
		if image, is := AgentImageOf(&of); image != in.AgentImage || is || len(of.InitContainers) != 1 {
			t.Errorf("%s: copied: %q, mounted %t, %d init containers", role, image, is, len(of.InitContainers))
		}
		if image, is := AgentImageOf(&by); image != in.AgentImage || !is || len(by.InitContainers) != 0 || len(by.Volumes) != len(of.Volumes) {
			t.Errorf("%s: mounted: %q, %t, %+v", role, image, is, by)
		}
		// The image has the program as /agent, so that the command is the same.
		if !slices.ContainsFunc(by.Containers[0].VolumeMounts, func(m corev1.VolumeMount) bool {
			return m.Name == volumeAgent && m.MountPath == protocol.AgentDir && m.ReadOnly && m.SubPath == ""
		}) || by.Containers[0].Command[0] != protocol.AgentDir+"/agent" {
			t.Errorf("%s: %+v", role, by.Containers[0])
		}
	}
	if PullJobName(cluster, in, "n") == PullJobName(cluster, mounted, "n") {
		t.Error("a node that has copied an agent would count as one that has mounted it")
	}
	pull := PullJob(cluster, mounted, v1alpha1.RoleMQTTBroker, "n").Spec.Template.Spec
	if image, is := AgentImageOf(&pull); image != in.AgentImage || !is || len(pull.InitContainers) != 0 || len(pull.Volumes) != 1 {
		t.Errorf("%+v", pull)
	}
	if image, is := AgentImageOf(&corev1.PodSpec{Volumes: []corev1.Volume{{Name: "other", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "o:1"}}}}}); image != "" || is {
		t.Errorf("another image that is mounted is not the agent's: %q", image)
	}
}
