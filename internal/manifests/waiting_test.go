package manifests

import (
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// What the spec asks for and what is carried out differ while a change waits: nothing may act upon the former.
func TestAChangeOfReplicasThatWaitsIsSeenInNoObject(t *testing.T) {
	is, in := sample(t, "sample-0.4.11")
	in.Members = is.Spec.PlacementCenter.Replicas
	asked := is.DeepCopy()
	for _, n := range []int32{1, 9} {
		asked.Spec.PlacementCenter.Replicas, asked.Spec.MQTTBroker.Replicas = n, n
		before, after := written(t, is, in), written(t, asked, in)
		if len(before) != len(after) {
			t.Errorf("%d asked for: %d objects, and %d while it waits", n, len(before), len(after))
			continue
		}
		for i := range before {
			if before[i] != after[i] {
				t.Errorf("%d asked for:\n%s\nwhile it waits:\n%s", n, before[i], after[i])
			}
		}
		if len(Absent(is, in)) != len(Absent(asked, in)) {
			t.Errorf("%d asked for: something is taken away while it waits", n)
		}
	}
}

// written are the cluster's objects as text.
func written(t *testing.T, cluster *v1alpha1.RobustMQCluster, in Inputs) []string {
	t.Helper()
	objects, err := Objects(cluster, in)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, o := range objects {
		text, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(text))
	}
	return out
}
