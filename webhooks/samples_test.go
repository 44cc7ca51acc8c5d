package webhooks_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

func samples(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../config/samples/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	return files
}

// staged makes what a sample names and does not bring: a restore is refused where neither cluster nor backup is.
func (n *tenant) staged(t *testing.T, file string) {
	t.Helper()
	if filepath.Base(file) != "restore.yaml" {
		return
	}
	n.create(t, n.cluster(t, "production", `{}`), standing)
	n.create(t, n.made(t, "RobustMQBackup", "production-hourly-29660520", `{"clusterName":"production"}`, `{}`), complete)
}

// removePolicies takes away what no tenant's namespace holds.
func removePolicies(t *testing.T, n *tenant) {
	t.Helper()
	if err := n.DeleteAllOf(t.Context(), &v1alpha1.RobustMQPolicy{}); err != nil {
		t.Error(err)
	}
}

func TestEverySampleIsAdmittedWithStrictValidationAndADryRunOfItStoresNothing(t *testing.T) {
	for _, on := range []bool{true, false} {
		for _, file := range samples(t) {
			n := newTenant(t, on)
			n.staged(t, file)
			for _, args := range [][]string{
				{"apply", "--dry-run=server", "--validate=strict", "-f", file},
				{"apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", file},
			} {
				if out, err := n.run(t, "", args...); err != nil {
					t.Errorf("webhooks %t: %v: %v: %s", on, args, err, out)
				}
			}
			if out, err := n.run(t, "", "get", "-f", file, "--ignore-not-found", "-o", "name"); err != nil || out != "" {
				t.Errorf("after a dry run: %s, %v", out, err)
			}
			if out, err := n.run(t, "", "apply", "--validate=strict", "-f", file); err != nil {
				t.Errorf("webhooks %t: %s: %v: %s", on, file, err, out)
			}
			removePolicies(t, n)
		}
	}
}

func TestApplyingASampleTwiceChangesNothing(t *testing.T) {
	for _, on := range []bool{true, false} {
		for _, apply := range [][]string{{"apply"}, {"apply", "--server-side"}} {
			for _, file := range samples(t) {
				n := newTenant(t, on)
				n.staged(t, file)
				do := func(args ...string) string {
					out, err := n.run(t, "", args...)
					if err != nil {
						t.Fatalf("webhooks %t: %v: %v: %s", on, args, err, out)
					}
					return out
				}
				version := func() string {
					return do("get", "-f", file, "-o", "jsonpath={.metadata.resourceVersion} {.metadata.generation}")
				}
				do(append(apply, "-f", file)...)
				// The operator writes the status within the first second. Until then what is stored has none, and what is read has the schema's default.
				do("patch", "-f", file, "--subresource=status", "--type=merge", "-p", `{"status":{"observedGeneration":1}}`)
				before := version()
				do(append(apply, "-f", file)...)
				if after := version(); after != before || !strings.HasSuffix(after, " 1") {
					t.Errorf("webhooks %t: %v of %s twice: resourceVersion and generation %s, then %s", on, apply, file, before, after)
				}
				if len(apply) == 2 {
					do("diff", "--server-side", "-f", file) // exit code 1 when there is a difference
				} else {
					do("diff", "-f", file)
				}
				removePolicies(t, n)
			}
		}
	}
}

func TestTheSampleOfTheIslandsIsAdmittedWithItsWarningInPlainWords(t *testing.T) {
	n := newTenant(t, true)
	out, err := n.run(t, "", "apply", "-f", "../config/samples/cluster.yaml")
	if err != nil || !strings.Contains(out, "cannot cluster its brokers") || !strings.Contains(out, `"0.4.11"`) {
		t.Errorf("%v: %s", err, out)
	}
	n = newTenant(t, true)
	out, err = n.run(t, "", "apply", "-f", "../config/samples/quickstart.yaml")
	if err != nil || strings.Contains(out, "cannot cluster") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestASampleSaysWhatTheArchitectureSays(t *testing.T) {
	const spec = `apiVersion: robustmq.io/v1alpha1
kind: RobustMQCluster
metadata: {name: my-cluster}
spec:
  version: "0.3.0"          # and the same with "0.4.11"
  placementCenter: {replicas: 3, storage: 10Gi}
  mqttBroker: {replicas: 5, resources: {memory: 2Gi, cpu: 1000m}}
`
	if got, err := os.ReadFile("../config/samples/cluster.yaml"); err != nil || string(got) != spec {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestAClusterHasItsDefaultsAndConditionsFromTheFirstSecond(t *testing.T) {
	for _, on := range []bool{true, false} {
		n := newTenant(t, on)
		if err := n.Create(t.Context(), n.cluster(t, "c", `{}`)); err != nil {
			t.Fatal(err)
		}
		var got v1alpha1.RobustMQCluster
		if err := n.Get(t.Context(), client.ObjectKey{Namespace: n.namespace, Name: "c"}, &got); err != nil {
			t.Fatal(err)
		}
		want := v1alpha1.RobustMQCluster{Spec: v1alpha1.RobustMQClusterSpec{Version: "0.4.11"}}
		want.Default()
		if diff := jsonDiff(t, want.Spec, got.Spec); diff != "" {
			t.Errorf("webhooks %t: the schema's defaults are not Default()'s: %s", on, diff)
		}
		types := map[string]bool{}
		for _, c := range got.Status.Conditions {
			types[c.Type] = c.Status == "Unknown" && c.Reason == v1alpha1.ReasonPending
		}
		for _, want := range v1alpha1.ConditionTypes {
			if !types[want] {
				t.Errorf("webhooks %t: condition %s is missing or not Unknown: %+v", on, want, got.Status.Conditions)
			}
		}
		if len(types) != len(v1alpha1.ConditionTypes) {
			t.Errorf("%d conditions", len(types))
		}
	}
}

func TestHalfAListenerIsCompletedByTheWebhook(t *testing.T) {
	n := newTenant(t, true)
	u := n.cluster(t, "c", `{"spec":{"listeners":{"kafka":{"enabled":true},"mqtt":{"port":2883}}}}`)
	if err := n.Create(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	var got v1alpha1.RobustMQCluster
	if err := n.Get(t.Context(), client.ObjectKeyFromObject(u), &got); err != nil {
		t.Fatal(err)
	}
	if k, m := got.Spec.Listeners.Kafka, got.Spec.Listeners.MQTT; k.Port != 9092 || !*k.Enabled || m.Port != 2883 || m.Enabled == nil || !*m.Enabled {
		t.Errorf("kafka %+v, mqtt %+v", k, m)
	}
}

func TestKubectlShowsAClusterInOneLineAndExplainsItsFields(t *testing.T) {
	n := newTenant(t, true)
	do := func(args ...string) string {
		out, err := n.run(t, "", args...)
		if err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
		return out
	}
	do("apply", "-f", "../config/samples/quickstart.yaml")
	do("patch", "rmqc/my-cluster", "--subresource=status", "--type=merge", "-p", `{"status":{"leader":"my-cluster-placement-center-0",
		"placementCenter":{"desired":3,"replicas":3,"ready":3,"summary":"3/3"},
		"mqttBroker":{"desired":5,"replicas":5,"ready":4,"summary":"4/5","selector":"robustmq.io/cluster=my-cluster"},
		"conditions":[{"type":"Ready","status":"True","reason":"AllInService","message":"","lastTransitionTime":"2026-11-24T00:00:00Z"}]}}`)
	for _, name := range []string{"rmqc", "robustmqclusters", "robustmq", "all"} {
		lines := strings.Split(strings.TrimSpace(do("get", name)), "\n")
		if len(lines) != 2 {
			t.Fatalf("get %s: %q", name, lines)
		}
		if got := strings.Join(strings.Fields(lines[0]), " "); got != "NAME READY VERSION PLACEMENT BROKERS JOURNAL LEADER AGE" {
			t.Errorf("columns: %s", got)
		}
		if got := strings.Join(strings.Fields(lines[1])[1:6], " "); got != "True 0.4.11 3/3 4/5 my-cluster-placement-center-0" {
			t.Errorf("row: %s", got)
		}
	}
	if got := do("get", "rmqc/my-cluster", "--subresource=scale", "-o", "jsonpath={.spec.replicas} {.status.replicas} {.status.selector}"); got != "5 5 robustmq.io/cluster=my-cluster" {
		t.Errorf("scale: %s", got)
	}
	for field, want := range map[string]string{
		"robustmqcluster.spec.placementCenter":          "raft quorum that holds the metadata",
		"robustmqcluster.spec.placementCenter.replicas": "3 bear the loss of one",
		"robustmqcluster.spec.mqttBroker.storage":       "never shrink",
	} {
		if got := strings.Join(strings.Fields(do("explain", field)), " "); !strings.Contains(got, want) {
			t.Errorf("explain %s lacks %q: %s", field, want, got)
		}
	}
}
