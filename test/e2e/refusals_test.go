//go:build e2e

package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// TestSpecsThatBreakARuleAreRefused asks the real API server, with the webhooks as they are installed: the message names the rule, the field, the value and the way out.
// Plain bounds of the schema come before any rule, and say themselves.
func TestSpecsThatBreakARuleAreRefused(t *testing.T) {
	s := newScene(t, "refused")
	for _, c := range []struct {
		rule  string
		spoil func(*v1alpha1.RobustMQCluster)
		words []string // in the message
	}{
		{"PlacementCenterOdd", func(c *v1alpha1.RobustMQCluster) { c.Spec.PlacementCenter.Replicas = 4 }, []string{"placementCenter.replicas", "4", "AllowEvenPlacementCenter"}},
		{"less than or equal to 7", func(c *v1alpha1.RobustMQCluster) { c.Spec.PlacementCenter.Replicas = 9 }, []string{"placementCenter.replicas", "9"}},
		{"less than or equal to 1000", func(c *v1alpha1.RobustMQCluster) { c.Spec.MQTTBroker.Replicas = 1001 }, []string{"mqttBroker.replicas", "1001"}},
		{"VersionKnown", func(c *v1alpha1.RobustMQCluster) { c.Spec.Version = "v0.4" }, []string{"version", "v0.4", "0.4.11"}},
		{"ResourcesCoherent", func(c *v1alpha1.RobustMQCluster) {
			cpu := quantity("1")
			c.Spec.MQTTBroker.Resources = &v1alpha1.ResourcesSpec{CPU: &cpu, Requests: corev1.ResourceList{corev1.ResourceCPU: quantity("2")}}
		}, []string{"mqttBroker.resources"}},
		{"NamesFit", func(c *v1alpha1.RobustMQCluster) { c.Name = strings.Repeat("long-", 8) + "name" }, []string{"metadata.name", "35"}},
		{"ConfigReserved", func(c *v1alpha1.RobustMQCluster) {
			c.Spec.Config = v1alpha1.Config{"": v1alpha1.ConfigSection{"broker_id": apiextensionsv1.JSON{Raw: json.RawMessage("7")}}}
		}, []string{"broker_id"}},
	} {
		bad := small("refused")
		c.spoil(bad)
		_, _, err := s.tryApply(bad, "--dry-run=server")
		if err == nil {
			t.Errorf("%s: it was admitted", c.rule)
			continue
		}
		for _, w := range append(c.words, c.rule) {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: the message lacks %q: %v", c.rule, w, err)
			}
		}
	}
	good := small("refused")
	if said := s.apply(good, "--dry-run=server"); !strings.Contains(said, "Warning") || !strings.Contains(said, "BackupAdvised") {
		t.Errorf("a cluster without a backup is admitted without a warning: %s", said)
	}
}

// TestChangesThatBreakARuleAreRefused needs a cluster that exists, and that nothing is done for: it is paused.
func TestChangesThatBreakARuleAreRefused(t *testing.T) {
	s := newScene(t, "unchanged")
	five := small("unchanged")
	five.Spec.PlacementCenter.Replicas, five.Spec.Paused = 5, true
	s.apply(five)
	before := s.cluster()
	for _, c := range []struct {
		name  string
		spoil func(*v1alpha1.RobustMQCluster)
	}{
		{"NoShrinkBelowQuorum", func(c *v1alpha1.RobustMQCluster) { c.Spec.PlacementCenter.Replicas = 1 }},
		{"StorageOnlyGrows", func(c *v1alpha1.RobustMQCluster) { q := quantity("1Gi"); c.Spec.MQTTBroker.Storage = &q }},
		{"VersionForward", func(c *v1alpha1.RobustMQCluster) { c.Spec.Version = "0.4.9" }},
		{"RoleLayoutFixed", func(c *v1alpha1.RobustMQCluster) { c.Spec.JournalServer = &v1alpha1.JournalServerSpec{} }},
	} {
		bad := five.DeepCopy()
		c.spoil(bad)
		if _, _, err := s.tryApply(bad); err == nil || !strings.Contains(err.Error(), c.name) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// The scale subresource calls no webhook of its parent.
	for _, replicas := range []string{"0", "1001"} {
		if _, err := k8s.Kubectl(t.Context(), nil, "scale", "rmqc", s.name.Name, "-n", s.name.Namespace, "--replicas="+replicas); err == nil {
			t.Errorf("kubectl scale --replicas=%s was admitted", replicas)
		}
	}
	if _, err := k8s.Kubectl(t.Context(), nil, "scale", "rmqc", s.name.Name, "-n", s.name.Namespace, "--replicas=3"); err != nil {
		t.Errorf("a scale that breaks no rule is refused: %v", err)
	}
	after := s.await("paused, and nothing made", time.Minute, func(c *v1alpha1.RobustMQCluster) bool { return c.Spec.MQTTBroker.Replicas == 3 })
	if after.Spec.PlacementCenter.Replicas != before.Spec.PlacementCenter.Replicas || after.Spec.Version != before.Spec.Version {
		t.Errorf("spec %+v", after.Spec)
	}
}
