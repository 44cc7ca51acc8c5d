package live

import (
	"testing"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

func TestTheSamplesFitOnFiveNodesOfTwoCPUs(t *testing.T) {
	for _, path := range []string{"../../../config/samples/cluster.yaml", "../../../config/samples/quickstart.yaml"} {
		cluster, err := ReadCluster(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := NodesFor(cluster, 2); n != 5 {
			t.Errorf("%s: %d nodes", path, n)
		}
	}
}

func TestRequestsThatAreLargerThanHalfANodeTakeANodeEach(t *testing.T) {
	var cluster v1alpha1.RobustMQCluster
	if n := NodesFor(&cluster, 2); n != 3 { // 3 members and 2 brokers of 500m, spread over three
		t.Errorf("the defaults: %d nodes", n)
	}
	cluster.Spec.MQTTBroker.Replicas = 9
	if n := NodesFor(&cluster, 2); n != 5 { // 12 pods of 500m: 3.25 nodes; nine brokers spread over five at most
		t.Errorf("nine brokers: %d nodes", n)
	}
	if n := NodesFor(&cluster, 1); n != 7 {
		t.Errorf("nine brokers on nodes of one CPU: %d nodes", n)
	}
}
