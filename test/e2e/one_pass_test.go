//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/test/e2e/live"
)

func quantity(s string) resource.Quantity { return resource.MustParse(s) }

// TestOnePass is the way of the quickstart sample through its life: it forms, serves, bears what kills pods, is deleted, and comes back on its volumes.
func TestOnePass(t *testing.T) {
	s := newScene(t, "quickstart")
	c := s.sample("quickstart.yaml")
	if realServer { // what fits on a small machine: seen to run on 2 cores and 24 GiB
		c.Spec.MQTTBroker.Replicas = 2
	}
	step := func(name string, do func(*scene)) {
		t.Helper()
		if !t.Run(name, func(t *testing.T) { do(&scene{T: t, name: s.name, pool: s.pool}) }) {
			t.FailNow() // what follows builds upon it
		}
	}
	step("it forms within 90 s", func(s *scene) {
		s.apply(c)
		_, took := s.ready(3 * time.Minute)
		figures.add(fmt.Sprintf("formation of %d+%d pods, from apply to Ready", 3, c.Spec.MQTTBroker.Replicas), "%.1f s", took.Seconds())
		if took > 90*time.Second {
			s.Errorf("it took %s", took)
		}
		figures.add("servers that were started again while it formed", "%s", s.restarts())
	})
	step("its events tell the order: member 0 founds, 1 joins, 2 joins, then the brokers", func(s *scene) {
		s.tellsTheOrder(int(c.Spec.MQTTBroker.Replicas))
	})
	step("a message sent to one broker is received from another", func(s *scene) { s.messages("e2e/one") })
	step("a backup is in the bucket", func(s *scene) { s.backUp(c) })
	step("what was done since the backup is undone by a restore of it", func(s *scene) { s.takeBack() })
	step("applying the same file again changes nothing", func(s *scene) { s.applyTwice(c) })
	step("a leader that is restarted in place is back within 10 s, in the same term", func(s *scene) { s.restartLeaderInPlace() })
	step("a broker whose pod is killed comes back", func(s *scene) { s.killPod("broker pod", s.broker(0)) })
	step("a leader whose pod is killed comes back, and nobody founds anything", func(s *scene) { s.killPod("leader pod", s.leader()) })
	step("messages go on", func(s *scene) { s.messages("e2e/one") })
	step("deleted and applied again, it is adopted and not founded", func(s *scene) { s.deleteAndAdopt(c) })
	step("messages go on after the adoption", func(s *scene) { s.messages("e2e/one") })
}

// restarts are the servers of members that were started more than once, and how the former one ended.
func (s *scene) restarts() string {
	s.Helper()
	var again []string
	for i := range 3 {
		state, err := s.state(s.Context(), s.member(i))
		s.must(err)
		if state.Server.Restarts > 0 {
			again = append(again, fmt.Sprintf("%s %d times, last exit %+v", s.member(i).Name, state.Server.Restarts, state.Server.LastExit))
		}
	}
	if len(again) == 0 {
		return "none"
	}
	return strings.Join(again, "; ")
}

// tellsTheOrder compares the events with the order that keeps the quorum safe. On a slow machine a member may be told as out of service and in again: the first
// time counts. That member 0 is a voter of its own groups may be told before or after it founded them. Brokers come in the order in which their pods are there: one
// whose volume is mounted late holds nobody up.
func (s *scene) tellsTheOrder(brokers int) {
	s.Helper()
	var told []string
	for _, e := range s.events() {
		first, _, _ := strings.Cut(e.Message, " ")
		line := e.Reason + " " + first
		switch {
		case e.Reason == v1alpha1.ReasonFounded:
			line = e.Reason
		case e.Reason != v1alpha1.ReasonMemberJoined && e.Reason != v1alpha1.ReasonNodeInService, e.Reason == v1alpha1.ReasonMemberJoined && first == s.member(0).Name:
			continue
		}
		if !slices.Contains(told, line) {
			told = append(told, line)
		}
	}
	want := []string{v1alpha1.ReasonFounded}
	for i := 1; i < 3; i++ {
		want = append(want, v1alpha1.ReasonMemberJoined+" "+s.member(i).Name)
	}
	members := min(len(want), len(told))
	slices.Sort(told[members:])
	for i := range brokers {
		want = append(want, v1alpha1.ReasonNodeInService+" "+s.broker(i).Name)
	}
	if !slices.Equal(told, want) {
		s.Errorf("events:\n  %s\nwant:\n  %s", strings.Join(told, "\n  "), strings.Join(want, "\n  "))
	}
}

// applyTwice applies the same file again, in both ways that kubectl knows.
func (s *scene) applyTwice(c *v1alpha1.RobustMQCluster) {
	s.Helper()
	before := s.cluster()
	for _, flags := range [][]string{nil, {"--server-side", "--force-conflicts"}} {
		// The first server-side apply takes the fields over from the client-side one, which is a write; the second must not be.
		if len(flags) > 0 {
			s.apply(c, flags...)
			before = s.cluster()
		}
		args := append([]string{"diff", "-n", s.name.Namespace, "-f", "-"}, flags...)
		if out, err := k8s.Kubectl(s.Context(), strings.NewReader(manifest(s, c)), args...); err != nil {
			var k *live.KubectlError
			if errors.As(err, &k) && k.ExitCode() == 1 {
				s.Errorf("kubectl diff %v: %s", flags, out)
			} else {
				s.Error(err)
			}
		}
		s.apply(c, flags...)
		after := s.cluster()
		if after.ResourceVersion != before.ResourceVersion || after.Generation != before.Generation {
			s.Errorf("apply %v: resourceVersion %s, generation %d; before %s, %d", flags, after.ResourceVersion, after.Generation, before.ResourceVersion, before.Generation)
		}
	}
}

// restartLeaderInPlace orders the leader's agent to restart its server.
func (s *scene) restartLeaderInPlace() {
	s.Helper()
	leader := s.leader()
	before := s.terms(leader)
	uid := s.getPod(leader).UID
	agent, err := s.agent(s.Context(), leader)
	s.must(err)
	begin := time.Now()
	_, err = agent.Server(s.Context(), protocol.ServerOrder{Action: protocol.ServerRestart, Reason: "end-to-end test"})
	s.must(err)
	s.must(live.Until(s.Context(), "the leader leads again with a quorum", 100*time.Millisecond, 40*time.Second, func(ctx context.Context) (bool, string, error) {
		state, err := s.state(ctx, leader)
		if err != nil || len(state.Raft) == 0 {
			return false, fmt.Sprintf("server %s, %v %s", state.Server.Phase, err, state.RaftError), nil
		}
		for name, g := range state.Raft {
			if !g.LeadsWithQuorum() {
				return false, fmt.Sprintf("%s: led by %d, term %d", name, g.CurrentLeader, g.Term), nil
			}
		}
		return true, "", nil
	}))
	took := time.Since(begin)
	figures.add("leader restarted in place, leads every group again", "%.1f s", took.Seconds())
	if took > 10*time.Second {
		s.Errorf("it took %s", took)
	}
	s.sameTerms(before, s.terms(leader))
	if got := s.getPod(leader).UID; got != uid {
		s.Error("the pod was replaced")
	}
	s.ready(90 * time.Second)
}

// killPod deletes a pod without grace, as a node that is drained in a hurry does, and waits until all is well again.
func (s *scene) killPod(what string, key client.ObjectKey) {
	s.Helper()
	old := s.getPod(key)
	begin := time.Now()
	s.must(k8s.Delete(s.Context(), old, client.GracePeriodSeconds(0)))
	s.await(key.Name+" replaced and everything in service", 2*time.Minute, func(c *v1alpha1.RobustMQCluster) bool {
		var now corev1.Pod
		err := k8s.Get(s.Context(), key, &now)
		if err != nil || now.UID == old.UID || !live.IsReady(c) {
			return false
		}
		state, err := s.state(s.Context(), key)
		return err == nil && state.Server.Phase == protocol.ServerRunning
	})
	figures.add(what+" killed, cluster Ready again", "%.1f s", time.Since(begin).Seconds())
	for _, e := range s.events() {
		if e.Reason == v1alpha1.ReasonFounded && e.Count > 1 {
			s.Error("it was founded twice")
		}
	}
}

// deleteAndAdopt deletes the cluster and applies it again. Its volumes are retained.
func (s *scene) deleteAndAdopt(c *v1alpha1.RobustMQCluster) {
	s.Helper()
	before := s.cluster()
	uids := s.markers(before)
	s.deleteCluster()
	s.retained(len(before.Status.Members))
	begin := time.Now()
	s.apply(c)
	after, _ := s.ready(3 * time.Minute)
	figures.add("deleted and applied again, Ready on its old volumes", "%.1f s", time.Since(begin).Seconds())
	if after.Status.ClusterUID != before.Status.ClusterUID {
		s.Errorf("cluster UID %s, before %s", after.Status.ClusterUID, before.Status.ClusterUID)
	}
	for pod, uid := range s.markers(after) {
		if uid != uids[pod] {
			s.Errorf("%s: marker of cluster %s, before %s", pod, uid, uids[pod])
		}
	}
	for _, e := range s.events() {
		if e.Reason == v1alpha1.ReasonFounding || e.Reason == v1alpha1.ReasonFounded {
			s.Errorf("it was founded again: %s", e.Message)
		}
	}
}

// markers returns the cluster UID in each volume's marker.
func (s *scene) markers(c *v1alpha1.RobustMQCluster) map[string]string {
	s.Helper()
	uids := map[string]string{}
	for _, m := range c.Status.Members {
		state, err := s.state(s.Context(), client.ObjectKey{Namespace: s.name.Namespace, Name: m.Pod})
		s.must(err)
		if state.Volume.Marker == nil {
			s.Fatalf("%s has no marker", m.Pod)
		}
		uids[m.Pod] = state.Volume.Marker.ClusterUID
	}
	return uids
}

// deleteCluster deletes the resource and waits until nothing of it runs.
func (s *scene) deleteCluster() {
	s.Helper()
	_, err := k8s.Kubectl(s.Context(), nil, "delete", "rmqc", s.name.Name, "-n", s.name.Namespace, "--timeout=60s")
	s.must(err)
	s.must(live.Until(s.Context(), "no pod and no StatefulSet is left", 250*time.Millisecond, 3*time.Minute, func(ctx context.Context) (bool, string, error) {
		var pods corev1.PodList
		var sets appsv1.StatefulSetList
		own := []client.ListOption{client.InNamespace(s.name.Namespace), client.MatchingLabels{v1alpha1.LabelCluster: s.name.Name}}
		if err := k8s.List(ctx, &pods, own...); err != nil {
			return false, "", err
		}
		if err := k8s.List(ctx, &sets, own...); err != nil {
			return false, "", err
		}
		// The Job that looked at a restore's backup is the restore's, which outlives the cluster; its pod has ended.
		pods.Items = slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool {
			return p.Labels[v1alpha1.LabelJob] != "" && p.Status.Phase == corev1.PodSucceeded
		})
		return len(pods.Items)+len(sets.Items) == 0, fmt.Sprintf("%d pods, %d StatefulSets", len(pods.Items), len(sets.Items)), nil
	}))
}

// retained checks that all volumes, and the Secrets that the data needs, are left.
func (s *scene) retained(volumes int) {
	s.Helper()
	var claims corev1.PersistentVolumeClaimList
	s.must(k8s.List(s.Context(), &claims, client.InNamespace(s.name.Namespace)))
	if len(claims.Items) != volumes {
		s.Errorf("%d volume claims are left, %d were there", len(claims.Items), volumes)
	}
	for _, suffix := range []string{"-admin", "-mqtt", "-jwt"} {
		var secret corev1.Secret
		if err := k8s.Get(s.Context(), client.ObjectKey{Namespace: s.name.Namespace, Name: s.name.Name + suffix}, &secret); apierrors.IsNotFound(err) {
			s.Errorf("the Secret %s is gone, and the data still knows it", s.name.Name+suffix)
		} else {
			s.must(err)
		}
	}
}
