package simulated

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// TestTheSampleBecomesReadyAsIslands runs config/samples/cluster.yaml to the letter: RobustMQ 0.3.0 cannot cluster its brokers, and the resource says so.
func TestTheSampleBecomesReadyAsIslands(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../config/samples/cluster.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// 0.3.0 elects a leader within half a second of silence: at a higher speed a busy machine is silent for longer than that.
	w := env.New(t, world.Options{Nodes: 5, Speed: 2})
	w.StartOperator()
	c := w.Apply(string(text))
	if c.Spec.Version != "0.3.0" {
		t.Fatalf("the sample asks for version %s", c.Spec.Version)
	}
	w.AwaitReady(c.Name)
	w.AwaitCondition(c.Name, v1alpha1.ConditionVersionSupported, "False", v1alpha1.ReasonIslandsOnly, "0.4.11")
	w.Await("one raft cluster of the members", func() (bool, string) { return w.OneRaft(w.Cluster(c.Name)) })
	w.Await("the markers", func() (bool, string) { return w.Marked(w.Cluster(c.Name)) })
	first := pod(t, w, c.Name+"-mqtt-broker-0")
	w.Await("only broker 0 behind the client Service", func() (bool, string) {
		found := w.Endpoints(c.Name)
		return len(found) == 1 && found[0] == first.Status.PodIP, strings.Join(found, ", ")
	})
	settle(t, w)
	before, writes := w.Versions(), len(w.Operator().Writes())
	w.Stays(time.Minute, "no write", func() (bool, string) { return len(w.Operator().Writes()) == writes, "" })
	assertSame(t, before, w.Versions())
}
