//go:build e2e

package e2e

import (
	"maps"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// TestALiveSettingReachesEveryServerWithoutARestartAndABadOneIsRefused changes settings that running servers take in: under clients, with the same server processes afterwards.
func TestALiveSettingReachesEveryServerWithoutARestartAndABadOneIsRefused(t *testing.T) {
	onlyLong(t)
	s := newScene(t, "settings")
	c := small("settings")
	s.apply(c)
	s.ready(3 * time.Minute)
	s.carriedOut(time.Minute)
	before := s.servers()
	traffic := s.traffic("e2e/settings")

	const section = "mqtt_runtime.protocol"
	set := func(key, value string) {
		c.Spec.Config[section] = v1alpha1.ConfigSection{key: apiextensionsv1.JSON{Raw: []byte(value)}}
	}
	begin := time.Now()
	set("receive_max", "77")
	s.apply(c)
	s.carriedOut(2 * time.Minute)
	figures.add("a live setting, from apply until every server was seen to go by it", "%.1f s", time.Since(begin).Seconds())

	for value, word := range map[string]string{`"many"`: "receive_max", "-1": "receive_max", "99999999": "receive_max"} {
		set("receive_max", value)
		if out, warnings, err := s.tryApply(c); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("receive_max: %s: kubectl apply said %s%s%v: want a refusal that names the key", value, out, warnings, err)
		}
	}
	set("receive_maximum", "77")
	if out, warnings, err := s.tryApply(c); err == nil || !strings.Contains(err.Error(), "receive_max") {
		t.Errorf("kubectl apply said %s%s%v: want a refusal that names the nearest key", out, warnings, err)
	}
	if got := string(s.cluster().Spec.Config[section]["receive_max"].Raw); got != "77" {
		t.Errorf("receive_max is %s after it was refused, want 77", got)
	}

	delete(c.Spec.Config, section)
	s.apply(c)
	s.carriedOut(2 * time.Minute)
	if after := s.servers(); !maps.Equal(before, after) {
		t.Errorf("servers were started for settings that are live:\n%v\n%v", before, after)
	}
	sum := traffic.Stop(10 * time.Second)
	figures.add("MQTT while live settings changed", "%s", sum)
	if sum.Lost > 0 || sum.LongestGap > plannedGap {
		t.Errorf("clients noticed: %s", sum)
	}
	s.messages("e2e/settings")
}
