//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/test/e2e/messages"
)

// rollingTopics have their publishers each: a topic's stand still while the server that leads its segment is away, so there are enough of them for most servers to lead one.
const rollingTopics = 5

// plannedGap is the longest that clients may stand still at a planned step.
const plannedGap = 5 * time.Second

// TestAPlannedChangeLeavesNoGap restarts everything in place for a configuration, gives every pod another image, and makes everything anew for a template, under clients that never stop; then a bad
// image, and its correction.
func TestAPlannedChangeLeavesNoGap(t *testing.T) {
	onlyLong(t)
	s := newScene(t, "rolling")
	c := small("rolling")
	s.apply(c)
	s.ready(3 * time.Minute)

	c.Spec.Config["mqtt_runtime.keep_alive"] = v1alpha1.ConfigSection{"default_time": {Raw: []byte("200")}}
	s.rolls(c, "restarted in place", v1alpha1.ReasonServerRestarted)
	before := s.uids()
	again := s.serverImage() + "-again"
	s.must(theBed.TagImage(s.Context(), s.serverImage(), again))
	c.Spec.Image = again
	s.rolls(c, "given another image", v1alpha1.ReasonImageChanged)
	if after := s.uids(); !slices.Equal(before, after) {
		t.Errorf("pods were made anew for another image:\n%v\n%v", before, after)
	}
	for _, p := range s.pods() {
		if image := serverImageOf(p); image != again {
			t.Errorf("%s has image %q, want %q", p.Name, image, again)
		}
	}
	c.Spec.PlacementCenter.PodTemplate = &v1alpha1.PodTemplateSpec{Labels: map[string]string{"example.com/release": "b"}}
	c.Spec.MQTTBroker.PodTemplate = c.Spec.PlacementCenter.PodTemplate
	s.rolls(c, "made anew", v1alpha1.ReasonPodReplaced)

	before = s.uids()
	c.Spec.Image = "registry.invalid/robustmq:none"
	s.apply(c)
	s.says(3*time.Minute, v1alpha1.ConditionDegraded, metav1.ConditionTrue, v1alpha1.ReasonImagePullFailed, "registry.invalid/robustmq:none")
	if after := s.uids(); !slices.Equal(before, after) {
		t.Errorf("pods were touched for an image that cannot be pulled:\n%v\n%v", before, after)
	}
	c.Spec.Image = again
	s.apply(c)
	s.carriedOut(3 * time.Minute)
	if after := s.uids(); !slices.Equal(before, after) {
		t.Errorf("pods were touched when it was taken back:\n%v\n%v", before, after)
	}
}

// serverImage is the one of the first member's server.
func (s *scene) serverImage() string {
	s.Helper()
	var pod corev1.Pod
	s.must(k8s.Get(s.Context(), s.member(0), &pod))
	image := serverImageOf(pod)
	if image == "" {
		s.Fatalf("pod %s has no server", pod.Name)
	}
	return image
}

// serverImageOf is the image of a pod's server, empty where it has none.
func serverImageOf(pod corev1.Pod) string {
	for _, c := range pod.Spec.Containers {
		if c.Name == manifests.ContainerServer {
			return c.Image
		}
	}
	return ""
}

// carriedOut waits until every server has what the spec says.
func (s *scene) carriedOut(within time.Duration) {
	s.Helper()
	s.await("the change everywhere", within, func(c *v1alpha1.RobustMQCluster) bool {
		applied := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionConfigApplied)
		ready := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady)
		return applied != nil && applied.Status == metav1.ConditionTrue && applied.ObservedGeneration == c.Generation && ready != nil && ready.Status == metav1.ConditionTrue
	})
}

func (s *scene) uids() []string {
	s.Helper()
	var all []string
	for _, p := range s.pods() {
		if p.Labels[v1alpha1.LabelRole] == v1alpha1.ComponentPull {
			continue
		}
		all = append(all, fmt.Sprintf("%s %s", p.Name, p.UID))
	}
	slices.Sort(all)
	return all
}

// tells what the clients of a topic were told while they stood still.
func (s *scene) tells(topic int, told []messages.Refusal, from, to time.Time) {
	s.Helper()
	for _, r := range told {
		if !r.At.Before(from) && !r.At.After(to) {
			s.Logf("topic %d, %.1f s after the step: %v", topic, r.At.Sub(from).Seconds(), r.Err)
		}
	}
}

// rolls carries a change out under traffic and prints how long clients stood still at each step.
func (s *scene) rolls(c *v1alpha1.RobustMQCluster, doing, reason string) {
	s.Helper()
	var traffic []*messages.Traffic
	for i := range rollingTopics {
		traffic = append(traffic, s.traffic(fmt.Sprintf("e2e/rolling/%d", i)))
	}
	stored := &storedRun{scene: s}
	stored.begin(strings.ReplaceAll(doing, " ", "-"), rollingTopics, 0, 1)
	writes, acknowledged := s.writeUsers("gap")
	begin := time.Now()
	s.apply(c)
	s.carriedOut(8 * time.Minute)
	end := time.Now()
	wrote, refused, last := writes.Stop()
	var published [][]time.Time
	var told [][]messages.Refusal
	var sum messages.Figures
	for _, t := range traffic {
		published, told = append(published, messages.Times(t.Acks())), append(told, t.Refusals())
	}
	for _, t := range traffic {
		sum = sum.Add(t.Stop(10 * time.Second))
	}
	stored.end("every pod " + doing)

	type step struct {
		pod string
		at  time.Time
	}
	var steps []step
	for _, e := range s.events() {
		if pod, _, ok := strings.Cut(e.Message, ":"); ok && e.Reason == reason && !e.At.Before(begin) {
			steps = append(steps, step{pod, e.At})
		}
	}
	slices.SortFunc(steps, func(a, b step) int { return a.at.Compare(b.at) })
	steps = slices.CompactFunc(steps, func(a, b step) bool { return a.pod == b.pod }) // the operator may see a pod that it deleted once more
	if want := len(s.cluster().Status.Members); len(steps) != want {
		s.Errorf("%d steps, want %d: %v", len(steps), want, steps)
	}
	var gaps []messages.Gap
	for i, x := range steps {
		to := end
		if i+1 < len(steps) {
			to = steps[i+1].at
		}
		gap := messages.Gap{Step: doing + ": " + strings.TrimPrefix(x.pod, s.name.Name+"-"), Writes: messages.LongestGap(wrote, x.at, to)}
		var each []string
		for topic, acks := range published {
			stood := messages.LongestGap(acks, x.at, to)
			gap.Publish = max(gap.Publish, stood)
			each = append(each, fmt.Sprintf("%.2f", stood.Seconds()))
			if stood > plannedGap {
				s.tells(topic, told[topic], x.at, to)
			}
		}
		s.Logf("%s: the longest gap of each topic's publisher: %s s", gap.Step, strings.Join(each, ", "))
		gaps = append(gaps, gap)
	}
	text, longest := messages.GapTable(gaps)
	for _, g := range gaps {
		figures.add(g.Step, "longest gap of metadata writes %.2f s, of MQTT publishes %.2f s", g.Writes.Seconds(), g.Publish.Seconds())
	}
	s.Logf("%d writes acknowledged, %d refused (last %v); MQTT: %s\n%s", len(wrote), refused, last, sum, text)
	figures.add("every pod "+doing, "in %.0f s; longest gap of a client %.1f s; MQTT: %s", end.Sub(begin).Seconds(), longest.Seconds(), sum)
	if longest > plannedGap {
		s.Errorf("clients stood still for %s at a planned step", longest)
	}
	if !realServer && sum.Lost > 0 {
		s.Errorf("acknowledged messages were lost: %s", sum)
	}
	if lost := s.missingUsers(acknowledged()); len(lost) > 0 {
		s.Errorf("%d of %d acknowledged users are lost: %v", len(lost), len(wrote), lost)
	}
}
