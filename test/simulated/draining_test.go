package simulated

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/e2e/messages"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

const memberZero = "c-placement-center-0"

func broker(ordinal int) string { return fmt.Sprintf("c-mqtt-broker-%d", ordinal) }

// load is traffic on topics of their own: QoS 1 publishers and subscribers that never stop.
type load struct {
	t       *testing.T
	w       *world.World
	topics  []string
	traffic []*messages.Traffic
}

// begin makes topics with two copies and starts a publisher and a subscriber on each, at these brokers, the first that answers.
func (l *load) begin(name string, count int, pods ...string) {
	l.t.Helper()
	for i := range count {
		topic := fmt.Sprintf("%s-%d", name, i)
		l.w.CreateTopic(memberZero, topic, 2)
		l.w.Await("every server knows "+topic, func() (bool, string) {
			for _, pod := range append([]string{memberZero}, pods...) {
				if l.w.Kubelet.AddressOf(pod) == "" {
					continue
				}
				if _, err := l.w.Segment(pod, topic); err != nil {
					return false, fmt.Sprintf("%s: %v", pod, err)
				}
			}
			return true, ""
		})
		traffic, err := messages.Start(l.t.Context(), l.w.MQTT(pods...), topic, messages.NewRun(time.Now()), 100*time.Millisecond)
		if err != nil {
			l.t.Fatal(err)
		}
		l.topics, l.traffic = append(l.topics, topic), append(l.traffic, traffic)
	}
}

// end stops the traffic; every message that was acknowledged must still be there.
func (l *load) end() {
	l.t.Helper()
	acknowledged := 0
	for i, traffic := range l.traffic {
		figures := traffic.Stop(2 * time.Second)
		acknowledged += figures.Acknowledged
		missing, err := l.w.Missing(memberZero, l.topics[i], traffic)
		if err != nil {
			l.t.Errorf("topic %s: %v", l.topics[i], err)
		}
		if len(missing) > 0 {
			l.t.Errorf("topic %s: %d acknowledged messages are gone: %v", l.topics[i], len(missing), missing)
		}
		l.t.Logf("%s: %s", l.topics[i], figures)
	}
	l.t.Logf("%d messages acknowledged", acknowledged)
}

// gone waits until these pods are away, and nothing counts on their nodes.
func gone(t *testing.T, w *world.World, pods ...string) {
	t.Helper()
	w.Await("pods gone", func() (bool, string) {
		for _, name := range pods {
			if pod(t, w, name) != nil {
				return false, name
			}
		}
		return true, ""
	})
}

// starts counts the servers' starts, by pod, from their logs.
func starts(w *world.World) map[string]int {
	all := map[string]int{}
	for name, text := range w.Logs() {
		if pod, ok := strings.CutSuffix(name, ".server.log"); ok {
			all[pod] = strings.Count(text, "successfully registered")
		}
	}
	return all
}

func TestBrokersGoFromFiveToSevenAndBackUnderTrafficAndNothingAcknowledgedIsLost(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{Nodes: 5})
	form(t, w, manifest(newest, 3, 5, ""))
	l := &load{t: t, w: w}
	l.begin("old", 4, broker(0), broker(1), broker(2))
	before, template := starts(w), statefulSet(t, w, "c-mqtt-broker").Spec.Template

	w.Apply(manifest(newest, 3, 7, ""))
	formed(t, w)
	for name, n := range starts(w) {
		if before[name] != 0 && before[name] != n {
			t.Errorf("%s was started again when brokers were added: %d starts, then %d", name, before[name], n)
		}
	}
	if now := statefulSet(t, w, "c-mqtt-broker").Spec.Template; !equality.Semantic.DeepEqual(now, template) {
		t.Errorf("the pod template changed when brokers were added:\n%v\n%v", template, now)
	}

	l.begin("new", 4, broker(6), broker(5), broker(0))
	led := 0
	for _, topic := range l.topics {
		s, err := w.Segment(memberZero, topic)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(s.Replicas, 1006) || slices.Contains(s.Replicas, 1007) {
			led++
		}
	}
	if led == 0 {
		t.Fatal("no topic is on the brokers that will go: this test shows nothing")
	}
	begin := time.Now()
	w.Apply(manifest(newest, 3, 5, ""))
	gone(t, w, broker(6), broker(5))
	formed(t, w)
	t.Logf("two brokers, with copies of %d topics under traffic, were taken away in %v", led, time.Since(begin).Round(time.Second))
	l.end()
	assertDrained(t, w, "c-mqtt-broker-6", "c-mqtt-broker-5")
	for name, n := range starts(w) {
		if before[name] != 0 && before[name] != n {
			t.Errorf("%s was started again when brokers were taken away: %d starts, then %d", name, before[name], n)
		}
	}
	w.Stays(time.Minute, "the volumes of retained claims", func() (bool, string) { return w.Claim(broker(6)) != nil && w.Marker(broker(6)) == nil, "not empty" })
}

// assertDrained reads the events: each broker was quiesced, stopped, unregistered and emptied, in this order, one broker after the other. What was ordered may be told twice: the answer comes later than the next look.
func assertDrained(t *testing.T, w *world.World, pods ...string) {
	t.Helper()
	var want []string
	for _, pod := range pods {
		want = append(want, "Draining "+pod, "NodeUnregistered "+pod, "VolumeWiped "+pod)
	}
	w.Await("the events", func() (bool, string) {
		var seen []string
		for _, e := range w.Events() {
			pod, _, _ := strings.Cut(e.Message, ":")
			if slices.Contains([]string{v1alpha1.ReasonDraining, v1alpha1.ReasonNodeUnregistered, v1alpha1.ReasonVolumeWiped}, e.Reason) && slices.Contains(pods, pod) {
				seen = append(seen, e.Reason+" "+pod)
			}
		}
		seen = slices.Compact(seen)
		return slices.Equal(seen, want), fmt.Sprintf("%v\nwanted %v", seen, want)
	})
}
