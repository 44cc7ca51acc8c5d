package manifests

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

func TestTheHashOfATemplateFollowsWhatTheServerDependsOn(t *testing.T) {
	hash := func(change func(*v1alpha1.RobustMQCluster, *Inputs)) string {
		cluster, in := sample(t, "sample-0.4.11")
		if change != nil {
			change(cluster, &in)
		}
		return TemplateHash(StatefulSet(cluster, in, v1alpha1.RoleMQTTBroker))
	}
	before := hash(nil)
	if before == "" {
		t.Fatal("no hash")
	}
	for name, change := range map[string]func(*v1alpha1.RobustMQCluster, *Inputs){
		"another release of the operator": func(_ *v1alpha1.RobustMQCluster, in *Inputs) { in.AgentImage = "ghcr.io/robustmq/robustmq-agent:v2" },
		"more members and brokers":        func(_ *v1alpha1.RobustMQCluster, in *Inputs) { in.Replicas[v1alpha1.RoleMQTTBroker], in.Members = 9, 5 },
		"configuration": func(c *v1alpha1.RobustMQCluster, _ *Inputs) {
			c.Spec.Config = v1alpha1.Config{"runtime": {"pprof_enable": {Raw: []byte("true")}}}
		},
		"a voter that is missing":           func(_ *v1alpha1.RobustMQCluster, in *Inputs) { in.VoterMissing = true },
		"a later generation of the data":    func(_ *v1alpha1.RobustMQCluster, in *Inputs) { in.Generation = 2 },
		"another port of the admin's":       func(c *v1alpha1.RobustMQCluster, _ *Inputs) { c.Spec.Listeners.Admin.Port = 58081 },
		"annotations of the resource's own": func(c *v1alpha1.RobustMQCluster, _ *Inputs) { c.Annotations = map[string]string{"a": "b"} },
	} {
		if hash(change) != before {
			t.Errorf("%s: every pod would be replaced", name)
		}
	}
	for name, change := range map[string]func(*v1alpha1.RobustMQCluster, *Inputs){
		"the server's image": func(_ *v1alpha1.RobustMQCluster, in *Inputs) { in.ServerImage = "registry.example.com/robustmq:1" },
		"the version":        func(c *v1alpha1.RobustMQCluster, _ *Inputs) { c.Spec.Version = "0.4.10" },
		"a node selector": func(c *v1alpha1.RobustMQCluster, _ *Inputs) {
			c.Spec.MQTTBroker.PodTemplate = &v1alpha1.PodTemplateSpec{NodeSelector: map[string]string{"disk": "fast"}}
		},
		"tolerations": func(c *v1alpha1.RobustMQCluster, _ *Inputs) {
			c.Spec.MQTTBroker.PodTemplate = &v1alpha1.PodTemplateSpec{Tolerations: []corev1.Toleration{{Key: "a", Operator: corev1.TolerationOpExists}}}
		},
	} {
		if hash(change) == before {
			t.Errorf("%s: no pod would be replaced", name)
		}
	}
}
