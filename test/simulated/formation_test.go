package simulated

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// manifest is a cluster called c; more is added to its spec.
func manifest(version string, members, brokers int, more string) string {
	return fmt.Sprintf(`apiVersion: robustmq.io/v1alpha1
kind: RobustMQCluster
metadata: {name: c}
spec:
  version: %q
  placementCenter: {replicas: %d}
  mqttBroker: {replicas: %d}
%s`, version, members, brokers, more)
}

// newest is the version that everything works with.
const newest = "0.4.11"

// form starts an operator, applies a manifest and waits until the cluster is Ready and, in truth, whole.
func form(t *testing.T, w *world.World, text string) *v1alpha1.RobustMQCluster {
	t.Helper()
	w.StartOperator()
	w.Apply(text)
	return formed(t, w)
}

func formed(t *testing.T, w *world.World) *v1alpha1.RobustMQCluster {
	t.Helper()
	w.AwaitReady("c")
	w.Await("one whole cluster", func() (bool, string) { return w.Whole(w.Cluster("c")) })
	return w.Cluster("c")
}

func TestThreeMembersAndTwoBrokersFormOneClusterInOrder(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	start := time.Now()
	c := form(t, w, manifest(newest, 3, 2, ""))
	t.Logf("formed in %v", time.Since(start).Round(10*time.Millisecond))
	if founders := w.Founders(); !slices.Equal(founders, []string{"c-placement-center-0"}) {
		t.Errorf("servers that founded a cluster: %v, want member 0 once", founders)
	}
	assertOrder(t, w, c)
	if c.Status.Leader != "c-placement-center-0" {
		t.Errorf("status.leader is %q, want the founder", c.Status.Leader)
	}
}

// assertOrder reads the event list as a user does: member 0 founded, the others joined by number, then the brokers.
func assertOrder(t *testing.T, w *world.World, c *v1alpha1.RobustMQCluster) {
	t.Helper()
	w.Await("the events", func() (bool, string) {
		var seen []string
		for _, e := range w.Events() {
			if e.Object == c.Name && (e.Reason == "Founding" || e.Reason == "Joining") {
				pod, _, _ := strings.Cut(e.Message, ":")
				seen = append(seen, e.Reason+" "+pod)
			}
		}
		var want []string
		for i, pod := range w.AllPods(c) {
			if i == 0 {
				want = append(want, "Founding "+pod)
			} else {
				want = append(want, "Joining "+pod)
			}
		}
		seen = slices.Compact(seen) // an order that the agent has not carried out yet when it is asked again is given, and told, twice
		return slices.Equal(seen, want), fmt.Sprintf("%v\nwanted %v", seen, want)
	})
}

func TestThreeMembersAndFiveBrokersForm(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{Nodes: 5})
	form(t, w, manifest(newest, 3, 5, ""))
}

func TestJournalServersFormWithTheRest(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{Nodes: 5})
	c := form(t, w, manifest(newest, 3, 2, "  journalServer: {replicas: 2}\n"))
	assertOrder(t, w, c)
	if c.Status.JournalServer == nil || c.Status.JournalServer.Summary != "2/2" {
		t.Errorf("status of the journal servers: %+v", c.Status.JournalServer)
	}
}

func TestFiveMembersForm(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{Nodes: 5})
	form(t, w, manifest(newest, 5, 1, ""))
}

func TestOneMemberFormsAlone(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	form(t, w, manifest(newest, 1, 1, ""))
}
