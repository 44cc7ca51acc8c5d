package manifests

import (
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

func TestAPullRunsOnItsNodeWithTheImagesOfTheRoleAndLikeAnyPodOfTheProfileRestricted(t *testing.T) {
	cluster, in := sample(t, "production")
	job := PullJob(cluster, in, v1alpha1.RoleMQTTBroker, "node-7")
	pod := job.Spec.Template.Spec
	if job.Name != PullJobName(cluster, in, "node-7") || job.Name == PullJobName(cluster, in, "node-8") || !strings.HasPrefix(job.Name, cluster.Name+"-pull-") {
		t.Errorf("name %s", job.Name)
	}
	other := in
	other.ServerImage = "another:1"
	if PullJobName(cluster, other, "node-7") == job.Name {
		t.Error("other images have the same Job")
	}
	term := pod.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchFields[0]
	if term.Key != "metadata.name" || len(term.Values) != 1 || term.Values[0] != "node-7" {
		t.Errorf("%+v", term)
	}
	if pod.Containers[0].Image != in.ServerImage || pod.InitContainers[0].Image != in.AgentImage || len(pod.Containers[0].Command) == 0 {
		t.Errorf("%s, %s", pod.Containers[0].Image, pod.InitContainers[0].Image)
	}
	for _, c := range append(pod.InitContainers, pod.Containers...) {
		s := c.SecurityContext
		if s == nil || !*s.RunAsNonRoot || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || len(s.Capabilities.Drop) != 1 {
			t.Errorf("%s: %+v", c.Name, s)
		}
		if c.Resources.Limits.Memory().IsZero() {
			t.Errorf("%s has no limit", c.Name)
		}
	}
	if *pod.AutomountServiceAccountToken || job.Spec.Template.Labels[v1alpha1.LabelRole] != v1alpha1.ComponentPull || len(pod.Volumes) != 1 {
		t.Errorf("%+v", pod)
	}
	if len(job.OwnerReferences) != 1 || *job.Spec.TTLSecondsAfterFinished == 0 || *job.Spec.BackoffLimit != 0 {
		t.Errorf("%+v", job.Spec)
	}
}
