package simulated

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// goesBy reports whether every server of the cluster shows a value, by its dotted path in the whole configuration that it goes by.
func goesBy(w *world.World, c *v1alpha1.RobustMQCluster, path string, value any) (bool, string) {
	for _, pod := range w.AllPods(c) {
		got, err := w.Setting(pod, path)
		if err != nil {
			return false, pod + ": " + err.Error()
		}
		if fmt.Sprint(got) != fmt.Sprint(value) {
			return false, fmt.Sprintf("%s goes by %v", pod, got)
		}
	}
	return true, ""
}

func TestASettingThatRunningServersTakeInReachesAllOfThemWithoutARestartAndIsTakenBack(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 2, ""))
	before := lives(w, c)
	const path = "mqtt_runtime.protocol.receive_max"
	usual, err := w.Setting("c-mqtt-broker-0", path)
	if err != nil {
		t.Fatal(err)
	}
	w.Apply(manifest(newest, 3, 2, "  config: {mqtt_runtime.protocol: {receive_max: 77}}\n"))
	w.Await("the new value everywhere", func() (bool, string) { return goesBy(w, c, path, 77) })
	w.AwaitCondition("c", v1alpha1.ConditionConfigApplied, "True", "", "")
	w.Apply(manifest(newest, 3, 2, ""))
	w.Await("the usual value everywhere", func() (bool, string) { return goesBy(w, c, path, usual) })
	w.AwaitReady("c")
	if after := lives(w, w.Cluster("c")); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	// A server that starts again goes by the same, though the old value was stored once.
	w.CrashServer("c-mqtt-broker-1")
	w.AwaitReady("c")
	w.Await("the usual value after a start", func() (bool, string) { return goesBy(w, c, path, usual) })
}

func TestASettingThatSomebodyChangedByHandIsBroughtBack(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 2, "  config: {mqtt_runtime.flapping_detect: {enable: true}}\n"))
	if err := w.Set("c-mqtt-broker-0", "MqttFlappingDetect", `{"enable":false,"window_time":1,"max_client_connections":15,"ban_time":5}`); err != nil {
		t.Fatal(err)
	}
	w.AwaitFor(w.Scaled(15*time.Minute), "the wanted value everywhere", func() (bool, string) { return goesBy(w, c, "mqtt_runtime.flapping_detect.enable", true) })
}

func TestASettingThatTheServerRefusesIsTakenOutOfItsStoreAndNamed(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	c := form(t, w, manifest(newest, 3, 2, ""))
	before := lives(w, c)
	w.RefuseSettings("MqttProtocol")
	w.Apply(manifest(newest, 3, 2, "  config: {mqtt_runtime.protocol: {receive_max: 77}}\n"))
	w.AwaitCondition("c", v1alpha1.ConditionDegraded, "True", v1alpha1.ReasonConfigRefused, "MqttProtocol")
	w.Await("nothing stored that would end a later start", func() (bool, string) {
		for _, pod := range w.Pods(c, v1alpha1.RolePlacementCenter) {
			stored, err := w.Stored(pod, "MqttProtocol")
			if err != nil || strings.TrimSpace(string(stored)) != "" {
				return false, fmt.Sprintf("%s has %q (%v)", pod, stored, err)
			}
		}
		return true, ""
	})
	if after := lives(w, w.Cluster("c")); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}
