package cluster

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

func desiredSample() *v1alpha1.RobustMQCluster {
	c := sample("0.4.11")
	c.Default()
	return c
}

// running is what exists of a cluster: its StatefulSets as they were built.
func running(c *v1alpha1.RobustMQCluster) *observation {
	o := &observation{sets: map[v1alpha1.Role]*appsv1.StatefulSet{}}
	in := manifests.Inputs{ClusterUID: testUID, ClusterDomain: "cluster.local", Replicas: map[v1alpha1.Role]int32{}}
	for _, view := range c.Spec.Roles() {
		in.Replicas[view.Role] = view.Replicas
	}
	for _, view := range c.Spec.Roles() {
		o.sets[view.Role] = manifests.StatefulSet(c, in, view.Role)
	}
	return o
}

func TestTheGuardLetsASoundSpecPass(t *testing.T) {
	c := desiredSample()
	if problem := guard(c, running(c)); problem != "" {
		t.Error(problem)
	}
	if problem := guard(c, &observation{}); problem != "" {
		t.Error(problem)
	}
}

func TestTheGuardRefusesWhatNoWebhookSaw(t *testing.T) {
	for name, change := range map[string]func(c *v1alpha1.RobustMQCluster) (rule string){
		"an even placement centre": func(c *v1alpha1.RobustMQCluster) string {
			c.Spec.PlacementCenter.Replicas = 4
			return "PlacementCenterOdd"
		},
		"a shrink below the quorum": func(c *v1alpha1.RobustMQCluster) string {
			c.Spec.PlacementCenter.Replicas = 1
			return "NoShrinkBelowQuorum"
		},
		"smaller volumes": func(c *v1alpha1.RobustMQCluster) string {
			small := resource.MustParse("1Mi")
			c.Spec.PlacementCenter.Storage = &small
			return "StorageOnlyGrows"
		},
		"a downgrade": func(c *v1alpha1.RobustMQCluster) string {
			c.Status.Version = "0.4.11"
			c.Spec.Version = "0.4.9"
			return "VersionForward"
		},
	} {
		c := desiredSample()
		o := running(c)
		rule := change(c)
		if problem := guard(c, o); !strings.Contains(problem, rule) {
			t.Errorf("%s: %q does not name %s", name, problem, rule)
		}
	}
}
