package simulated

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// agentSays are the samples of a pod's agent, by name and labels as written.
func agentSays(t *testing.T, w *world.World, name string) map[string]string {
	t.Helper()
	p := pod(t, w, name)
	if p == nil || p.Status.PodIP == "" {
		return nil
	}
	answer, err := http.Get("http://" + p.Status.PodIP + ":7480/metrics")
	if err != nil {
		return nil
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil
	}
	samples := map[string]string{}
	for line := range strings.Lines(string(body)) {
		if sample, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.HasPrefix(sample, "robustmq_") {
			samples[sample] = value
		}
	}
	return samples
}

// awaitSaid waits until a pod's agent says all of these; an empty value is that it says nothing of it.
func awaitSaid(t *testing.T, w *world.World, pod string, wanted map[string]string) {
	t.Helper()
	w.Await("the metrics of "+pod, func() (bool, string) {
		got := agentSays(t, w, pod)
		var differ []string
		for _, sample := range slices.Sorted(maps.Keys(wanted)) {
			if got[sample] != wanted[sample] {
				differ = append(differ, fmt.Sprintf("%s is %q, not %q", sample, got[sample], wanted[sample]))
			}
		}
		return got != nil && differ == nil, strings.Join(differ, "; ")
	})
}

func TestTheAgentsTellThatAClusterIsWellAndWhatItLacksWhenABrokersMachineLosesItsPower(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{Nodes: 6})
	c := form(t, w, manifest(newest, 3, 2, ""))
	leader := c.Status.Leader
	awaitSaid(t, w, leader, map[string]string{
		`robustmq_raft_leader{group="metadata_0"}`: "1", `robustmq_raft_lag{group="metadata_0"}`: "0", `robustmq_raft_learners{group="metadata_0"}`: "0", "robustmq_registered_nodes": "5",
		"robustmq_unregistered_nodes": "0", `robustmq_segments{state="under_replicated"}`: "0", `robustmq_segments{state="unavailable"}`: "0", "robustmq_mqtt_clients": "",
		`robustmq_server_info{reported="` + newest + `",version="` + newest + `"}`: "1",
	})
	if all := agentSays(t, w, leader)[`robustmq_segments{state="total"}`]; all == "" || all == "0" {
		t.Errorf("%q segments, and there are inner topics", all)
	}
	for _, follower := range w.Pods(c, v1alpha1.RolePlacementCenter) {
		if follower != leader {
			awaitSaid(t, w, follower, map[string]string{`robustmq_raft_lag{group="data_0"}`: "0", "robustmq_unregistered_nodes": "", `robustmq_segments{state="total"}`: ""})
		}
	}
	for _, broker := range w.Pods(c, v1alpha1.RoleMQTTBroker) {
		awaitSaid(t, w, broker, map[string]string{"robustmq_mqtt_clients": "0", "robustmq_known_nodes": "5", `robustmq_raft_lag{group="data_0"}`: ""})
	}
	node := w.Kubelet.NodeOf("c-mqtt-broker-1")
	for _, p := range w.AllPods(c) {
		if p != "c-mqtt-broker-1" && w.Kubelet.NodeOf(p) == node {
			t.Fatalf("%s shares the machine of the broker", p)
		}
	}
	w.Kubelet.PowerCut(node)
	awaitSaid(t, w, leader, map[string]string{"robustmq_unregistered_nodes": "1", "robustmq_registered_nodes": "4"})
	w.Kubelet.PowerOn(node)
	formed(t, w)
	awaitSaid(t, w, leader, map[string]string{"robustmq_unregistered_nodes": "0", `robustmq_segments{state="under_replicated"}`: "0", `robustmq_segments{state="unavailable"}`: "0"})
}
