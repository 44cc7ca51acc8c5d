package simulated

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// watch notes, from its start until it is stopped, in which order servers went down, and which two were down at once.
type watch struct {
	stop func()

	mu    sync.Mutex
	order []string
	at    []time.Time // of the same
	twice []string
}

func watchServers(w *world.World, pods []string) *watch {
	ctx, cancel := context.WithCancel(w.Context())
	o := &watch{}
	done := make(chan struct{})
	o.stop = func() { cancel(); <-done }
	go func() {
		defer close(done)
		up := map[string]int{}
		for _, pod := range pods {
			up[pod] = w.ServerOf(pod)
		}
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			var down []string
			o.mu.Lock()
			for _, pod := range pods {
				now := w.ServerOf(pod)
				if now != up[pod] && up[pod] != 0 {
					o.order, o.at = append(o.order, pod), append(o.at, time.Now())
				}
				up[pod] = now
				if now == 0 {
					down = append(down, pod)
				}
			}
			if len(down) > 1 {
				o.twice = append(o.twice, strings.Join(down, " and "))
			}
			o.mu.Unlock()
		}
	}()
	return o
}

func (o *watch) assert(t *testing.T, want []string) {
	t.Helper()
	o.stop()
	if !slices.Equal(o.order, want) {
		t.Errorf("servers went down in the order\n%q, wanted\n%q", o.order, want)
	}
	if len(o.twice) > 0 {
		t.Errorf("down at the same time: %s", o.twice[0])
	}
}

// assertAnew is assert for pods that are made anew: before the leader's goes, its leadership moves to the heir, for which both servers are stopped for a moment.
func (o *watch) assertAnew(t *testing.T, w *world.World, want []string) {
	t.Helper()
	o.stop()
	const leader, heir = "c-placement-center-0", "c-placement-center-1"
	if moved := events(w, v1alpha1.ReasonLeadershipMoved); len(moved) != 1 {
		t.Errorf("leadership moved: %v, want once, before the leader's pod is made anew", moved)
	}
	rest := want
	for _, pod := range o.order {
		switch {
		case len(rest) > 0 && pod == rest[0]:
			rest = rest[1:]
		case pod != leader && pod != heir:
			t.Errorf("servers went down in the order\n%q, wanted\n%q", o.order, want)
			return
		}
	}
	if len(rest) > 0 {
		t.Errorf("servers went down in the order\n%q, wanted\n%q", o.order, want)
	}
	for _, pair := range o.twice {
		if pair != leader+" and "+heir && pair != heir+" and "+leader {
			t.Errorf("down at the same time: %s", pair)
		}
	}
}

// rollOrder is the order in which a cluster of three members that is led by the first is rolled.
func rollOrder(brokers int) []string {
	order := []string{"c-placement-center-2", "c-placement-center-1"}
	for i := range brokers {
		order = append(order, fmt.Sprintf("c-mqtt-broker-%d", brokers-1-i))
	}
	return append(order, "c-placement-center-0")
}

func podUIDs(t *testing.T, w *world.World, c *v1alpha1.RobustMQCluster) map[string]types.UID {
	t.Helper()
	all := map[string]types.UID{}
	for _, name := range w.AllPods(c) {
		all[name] = pod(t, w, name).UID
	}
	return all
}

func startsOf(w *world.World, c *v1alpha1.RobustMQCluster) map[string]int {
	all := map[string]int{}
	for _, pod := range w.AllPods(c) {
		all[pod] = len(w.Starts(pod))
	}
	return all
}

// applied waits until the cluster has what its manifest says, everywhere.
func applied(t *testing.T, w *world.World) *v1alpha1.RobustMQCluster {
	t.Helper()
	w.AwaitFor(2*world.Patience, "the change everywhere", func() (bool, string) {
		c := w.Cluster("c")
		for _, x := range c.Status.Conditions {
			if x.Type == v1alpha1.ConditionConfigApplied {
				return x.Status == "True" && x.ObservedGeneration == c.Generation, x.Message
			}
		}
		return false, "no such condition"
	})
	return formed(t, w)
}

const keepAlive = "  config: {mqtt_runtime.keep_alive: {default_time: %d}}\n"

func TestAChangeOfWhatIsReadAtTheStartRestartsEveryServerInPlaceOneAtATimeTheLeaderLast(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 3, ""))
	settle(t, w)
	pods, term, starts := podUIDs(t, w, c), terms(t, w, c.Status.Leader), startsOf(w, c)
	set := statefulSet(t, w, "c-mqtt-broker").Generation
	seen := watchServers(w, w.AllPods(c))
	w.Apply(manifest(newest, 3, 3, fmt.Sprintf(keepAlive, 200)))
	w.Await("the progress in the conditions", func() (bool, string) {
		for _, x := range w.Cluster("c").Status.Conditions {
			if x.Type == v1alpha1.ConditionProgressing && strings.Contains(x.Message, "of 6") {
				return true, ""
			}
		}
		return false, "not yet"
	})
	c = applied(t, w)
	seen.assert(t, rollOrder(3))
	for name, uid := range podUIDs(t, w, c) {
		if pods[name] != uid {
			t.Errorf("pod %s was made anew", name)
		}
	}
	if now := statefulSet(t, w, "c-mqtt-broker").Generation; now != set {
		t.Errorf("the StatefulSet changed: generation %d, then %d", set, now)
	}
	for group, before := range term {
		if after := terms(t, w, c.Status.Leader)[group]; after != before {
			t.Errorf("group %s: term %d, then %d", group, before, after)
		}
	}
	for pod, n := range startsOf(w, c) {
		if n != starts[pod]+1 {
			t.Errorf("%s was started %d times for one change", pod, n-starts[pod])
		}
	}
	if ok, why := goesBy(w, c, "mqtt_runtime.keep_alive.default_time", 200); !ok {
		t.Error(why)
	}
}

func TestAnOperatorThatIsKilledAfterAnyWriteOfARollRestartsNothingTwice(t *testing.T) {
	long(t)
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 2, ""))
	value := 200
	for _, n := range []int{1, 2, 3, 4, 5, 7, 9} {
		settle(t, w)
		starts := startsOf(w, c)
		w.Operator().Crash()
		value++
		seen := watchServers(w, w.AllPods(c))
		first := w.StartOperatorUntil(n)
		w.Apply(manifest(newest, 3, 2, fmt.Sprintf(keepAlive, value)))
		w.Await("the operator's death, or the end of the change", func() (bool, string) {
			ok, why := goesBy(w, c, "mqtt_runtime.keep_alive.default_time", value)
			return first.Dead() || ok, why
		})
		w.StartOperator()
		applied(t, w)
		seen.assert(t, rollOrder(2))
		for pod, now := range startsOf(w, c) {
			if now != starts[pod]+1 {
				t.Errorf("killed after write %d: %s was started %d times", n, pod, now-starts[pod])
			}
		}
	}
}

func TestAChangeThatTheServerDiesOfStopsAtTheFirstPodAndACorrectionBeginsThere(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 2, ""))
	settle(t, w)
	starts := startsOf(w, c)
	w.Poison(func(_, _, file string) bool { return strings.Contains(file, "default_time = 666") })
	w.Apply(manifest(newest, 3, 2, fmt.Sprintf(keepAlive, 666)))
	w.AwaitCondition("c", v1alpha1.ConditionDegraded, "True", "", "the change stops at c-placement-center-2")
	w.Stays(time.Minute, "nobody follows", func() (bool, string) {
		for _, pod := range w.AllPods(c) {
			if pod != "c-placement-center-2" && len(w.Starts(pod)) != starts[pod] {
				return false, pod
			}
		}
		return true, ""
	})
	seen := watchServers(w, w.AllPods(c))
	w.Apply(manifest(newest, 3, 2, fmt.Sprintf(keepAlive, 201)))
	c = applied(t, w)
	seen.stop()
	if want := rollOrder(2)[1:]; !slices.Equal(seen.order, want) {
		t.Errorf("after the correction %q, wanted %q", seen.order, want)
	}
}

func TestWhileAVoterIsDownAChangeWaits(t *testing.T) {
	long(t)
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 2, ""))
	settle(t, w)
	starts := startsOf(w, c)
	w.Poison(func(pod, _, file string) bool {
		return pod == "c-placement-center-1" && !strings.Contains(file, "default_time = 203")
	})
	if !w.CrashServer("c-placement-center-1") {
		t.Fatal("no server ran")
	}
	w.Apply(manifest(newest, 3, 2, fmt.Sprintf(keepAlive, 202)))
	w.AwaitCondition("c", v1alpha1.ConditionConfigApplied, "False", v1alpha1.ReasonConfigPending, "still to be restarted in place")
	w.Stays(2*time.Minute, "nothing is restarted", func() (bool, string) {
		for _, pod := range w.AllPods(c) {
			if pod != "c-placement-center-1" && len(w.Starts(pod)) != starts[pod] {
				return false, pod
			}
		}
		return true, ""
	})
	w.Poison(nil)
	applied(t, w)
}

// templated is manifest with a label on the pods of both roles.
func templated(brokers int, value, more string) string {
	return fmt.Sprintf(`apiVersion: robustmq.io/v1alpha1
kind: RobustMQCluster
metadata: {name: c}
spec:
  version: %q
  placementCenter: {replicas: 3, podTemplate: {labels: {example.com/release: %q}}}
  mqttBroker: {replicas: %d, podTemplate: {labels: {example.com/release: %q}}}
%s`, newest, value, brokers, value, more)
}

func TestAChangedTemplateMakesEveryPodAnewOneAtATimeTheLeaderLast(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, templated(2, "a", ""))
	settle(t, w)
	pods := podUIDs(t, w, c)
	seen := watchServers(w, w.AllPods(c))
	w.Apply(templated(2, "b", ""))
	c = applied(t, w)
	seen.assertAnew(t, w, rollOrder(2))
	for name := range podUIDs(t, w, c) {
		if p := pod(t, w, name); p.UID == pods[name] || p.Labels["example.com/release"] != "b" {
			t.Errorf("%s: %s, labels %v", name, p.UID, p.Labels)
		}
	}
	if pulls := pullJobs(t, w); len(pulls) != 0 {
		t.Errorf("the images were there, and were pulled: %q", pulls)
	}
}

func pullJobs(t *testing.T, w *world.World) (names []string) {
	t.Helper()
	var jobs batchv1.JobList
	if err := w.Client.List(w.Context(), &jobs, client.InNamespace(w.Namespace), client.MatchingLabels{v1alpha1.LabelRole: v1alpha1.ComponentPull}); err != nil {
		t.Fatal(err)
	}
	for _, j := range jobs.Items {
		if j.DeletionTimestamp == nil {
			names = append(names, j.Name)
		}
	}
	return names
}

func TestAnImageThatCannotBePulledTakesNoPodDownAndOneThatDoesNotRunTakesOne(t *testing.T) {
	long(t)
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 2, ""))
	settle(t, w)
	pods := podUIDs(t, w, c)
	w.Apply(manifest(newest, 3, 2, "  image: example.org/nowhere:1\n"))
	w.AwaitCondition("c", v1alpha1.ConditionDegraded, "True", v1alpha1.ReasonImagePullFailed, "example.org/nowhere:1")
	w.Stays(time.Minute, "every pod is there", func() (bool, string) {
		for name, uid := range podUIDs(t, w, c) {
			if pods[name] != uid {
				return false, name
			}
		}
		return true, ""
	})
	// It can be pulled, and its server ends at once.
	const bad = "simulated/robustmq:v0.4.11-bad"
	w.Poison(func(_, version, _ string) bool { return version == "0.4.11-bad" })
	w.Apply(manifest(newest, 3, 2, "  image: "+bad+"\n"))
	w.AwaitCondition("c", v1alpha1.ConditionDegraded, "True", "", "the change stops at c-placement-center-2")
	for name, uid := range podUIDs(t, w, c) {
		if name != "c-placement-center-2" && pods[name] != uid {
			t.Errorf("%s followed a pod that did not come back", name)
		}
	}
	if pulls := pullJobs(t, w); len(pulls) == 0 {
		t.Error("the image was not pulled before")
	}
	w.Apply(manifest(newest, 3, 2, ""))
	c = applied(t, w)
	for name, uid := range podUIDs(t, w, c) {
		p := pod(t, w, name)
		if i := slices.IndexFunc(p.Spec.Containers, func(c corev1.Container) bool { return c.Name == "server" }); p.Spec.Containers[i].Image == bad {
			t.Errorf("%s runs %s", name, bad)
		}
		if name != "c-placement-center-2" && pods[name] != uid {
			t.Errorf("%s was made anew although it never had another image", name)
		}
	}
}

func TestAnotherReleaseOfTheOperatorRestartsNothingUntilAPodIsMadeAnewAnyway(t *testing.T) {
	long(t)
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 2, ""))
	settle(t, w)
	pods, starts := podUIDs(t, w, c), startsOf(w, c)
	w.UpgradeOperator("v2")
	w.Await("the template with the new agent", func() (bool, string) {
		set := statefulSet(t, w, "c-placement-center")
		image := set.Spec.Template.Spec.InitContainers[0].Image
		return image == world.AgentImage+":v2" && set.Status.ObservedGeneration == set.Generation && set.Status.UpdateRevision != set.Status.CurrentRevision, image
	})
	w.Stays(3*time.Minute, "nothing is restarted", func() (bool, string) {
		for name, uid := range podUIDs(t, w, c) {
			if pods[name] != uid || len(w.Starts(name)) != starts[name] {
				return false, name
			}
		}
		return true, ""
	})
	applied(t, w) // nothing is pending either
	first := pod(t, w, "c-mqtt-broker-1")
	if err := w.Client.Delete(w.Context(), first); err != nil {
		t.Fatal(err)
	}
	w.Await("another pod with the new agent", func() (bool, string) {
		p := pod(t, w, "c-mqtt-broker-1")
		return p != nil && p.UID != first.UID && p.Spec.InitContainers[0].Image == world.AgentImage+":v2", "the old one"
	})
	formed(t, w)
}

func TestAnUpgradeRollsAndTheStatusFollowsWhenEveryServerRunsIt(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest("0.4.10", 3, 2, ""))
	settle(t, w)
	if c.Status.Version != "0.4.10" {
		t.Fatalf("status.version %q", c.Status.Version)
	}
	pods := podUIDs(t, w, c)
	seen := watchServers(w, w.AllPods(c))
	w.Apply(manifest(newest, 3, 2, ""))
	w.Await("the images to be pulled", func() (bool, string) { return len(pullJobs(t, w)) > 0, "no Job" })
	w.AwaitCondition("c", v1alpha1.ConditionConfigApplied, "False", v1alpha1.ReasonVersionPending, "from RobustMQ 0.4.10 to 0.4.11")
	if now := w.Cluster("c").Status.Version; now != "0.4.10" {
		t.Errorf("status.version is %q while the upgrade rolls", now)
	}
	c = applied(t, w)
	seen.assertAnew(t, w, rollOrder(2))
	if c.Status.Version != newest {
		t.Errorf("status.version is %q in the end", c.Status.Version)
	}
	for name, uid := range podUIDs(t, w, c) {
		p := pod(t, w, name)
		set := statefulSet(t, w, name[:strings.LastIndex(name, "-")])
		if p.UID != pods[name] || !strings.HasSuffix(p.Spec.Containers[0].Image, newest) || p.Annotations[v1alpha1.AnnotationVersion] != newest {
			t.Errorf("%s (%s, before %s) runs %s of version %s: the same pod should have got the other image", name, uid, pods[name], p.Spec.Containers[0].Image, p.Annotations[v1alpha1.AnnotationVersion])
		}
		if p.Status.ContainerStatuses[0].RestartCount != 1 {
			t.Errorf("%s was started again %d times", name, p.Status.ContainerStatuses[0].RestartCount)
		}
		if revision := p.Labels[appsv1.ControllerRevisionHashLabelKey]; revision != set.Status.UpdateRevision {
			t.Errorf("%s counts as of revision %s, its set is at %s", name, revision, set.Status.UpdateRevision)
		}
	}
}
