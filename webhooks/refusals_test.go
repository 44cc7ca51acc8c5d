package webhooks_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

// refused is a spec that must not get in. Patches are JSON merge patches.
type refused struct {
	what   string
	start  string // of a cluster that exists; empty: the cluster is created
	spec   string // the spec that is refused
	status string // the status of the cluster that exists
	want   []string
	// schemaHolds: it is refused without a webhook too. Otherwise the guard must refuse it.
	schemaHolds bool
}

var refusals = []refused{
	{what: "a version with a leading v", spec: `{"version":"v0.4.11"}`, want: []string{"spec.version", "v0.4.11", "VersionKnown", `write one such as "0.4.11"`}, schemaHolds: true},
	{what: "a version of two numbers", spec: `{"version":"0.4"}`, want: []string{"spec.version", "VersionKnown"}, schemaHolds: true},
	{what: "latest as a version", spec: `{"version":"latest"}`, want: []string{"spec.version", "latest", "VersionKnown"}, schemaHolds: true},
	{what: "a version with a leading zero", spec: `{"version":"0.04.1"}`, want: []string{"spec.version", "VersionKnown"}, schemaHolds: true},
	{what: "a version before 0.3.0", spec: `{"version":"0.2.14"}`, want: []string{"spec.version", "0.2.14", "0.3.0"}, schemaHolds: true},
	{what: "a pre-release of 0.3.0", spec: `{"version":"0.3.0-rc.1"}`, want: []string{"spec.version", "0.3.0"}, schemaHolds: true},
	{what: "two members", spec: `{"placementCenter":{"replicas":2}}`, want: []string{"spec.placementCenter.replicas", "PlacementCenterOdd", "write 1 or 3", "AllowEvenPlacementCenter"}, schemaHolds: true},
	{what: "four members", spec: `{"placementCenter":{"replicas":4}}`, want: []string{"PlacementCenterOdd", "write 3 or 5"}, schemaHolds: true},
	{what: "six members", spec: `{"placementCenter":{"replicas":6}}`, want: []string{"PlacementCenterOdd", "write 5 or 7"}, schemaHolds: true},
	{what: "nine members", spec: `{"placementCenter":{"replicas":9}}`, want: []string{"spec.placementCenter.replicas", "9", "less than or equal to 7"}, schemaHolds: true},
	{what: "no members", spec: `{"placementCenter":{"replicas":0}}`, want: []string{"spec.placementCenter.replicas", "greater than or equal to 1"}, schemaHolds: true},
	{what: "no brokers", spec: `{"mqttBroker":{"replicas":0}}`, want: []string{"spec.mqttBroker.replicas", "greater than or equal to 1"}, schemaHolds: true},
	{what: "1001 brokers", spec: `{"mqttBroker":{"replicas":1001}}`, want: []string{"spec.mqttBroker.replicas", "1001", "less than or equal to 1000"}, schemaHolds: true},
	{what: "more copies than nodes", spec: `{"config":{"runtime":{"default_topic_replica_num":6}}}`, want: []string{"spec.mqttBroker.replicas", "BrokersWithinScale", "6 copies"}},
	{what: "both forms of resources", spec: `{"mqttBroker":{"resources":{"cpu":"1","requests":{"memory":"1Gi"}}}}`, want: []string{"spec.mqttBroker.resources", "ResourcesCoherent", "either cpu and memory"}, schemaHolds: true},
	{what: "a CPU request above its limit", spec: `{"mqttBroker":{"resources":{"requests":{"cpu":"2"},"limits":{"cpu":"1"}}}}`, want: []string{"spec.mqttBroker.resources", "ResourcesCoherent", "requests.cpu is 2", "limits.cpu 1"}, schemaHolds: true},
	{what: "a memory request above its limit", spec: `{"placementCenter":{"resources":{"requests":{"memory":"2Gi"},"limits":{"memory":"1Gi"}}}}`, want: []string{"spec.placementCenter.resources", "requests.memory is 2Gi"}, schemaHolds: true},
	{what: "a request for another resource above its limit", spec: `{"placementCenter":{"resources":{"requests":{"ephemeral-storage":"2Gi"},"limits":{"ephemeral-storage":"1Gi"}}}}`, want: []string{"spec.placementCenter.resources.requests[ephemeral-storage]", "ResourcesCoherent"}},
	{what: "a CPU of zero", spec: `{"mqttBroker":{"resources":{"cpu":"0"}}}`, want: []string{"spec.mqttBroker.resources.cpu", "cpu is 0", "above zero"}, schemaHolds: true},
	{what: "a negative request", spec: `{"mqttBroker":{"resources":{"requests":{"memory":"-1Gi"}}}}`, want: []string{"spec.mqttBroker.resources.requests", "above zero"}, schemaHolds: true},
	{what: "a size that is none", spec: `{"mqttBroker":{"storage":"much"}}`, want: []string{"spec.mqttBroker.storage", "much"}, schemaHolds: true},
	{what: "a size that only looks like one", spec: `{"mqttBroker":{"storage":"1e1.5"}}`, want: []string{"spec.mqttBroker.storage"}, schemaHolds: true},
	{what: "a size of zero", spec: `{"placementCenter":{"storage":"0"}}`, want: []string{"spec.placementCenter.storage", "above zero"}, schemaHolds: true},
	{what: "a label of the operator", spec: `{"mqttBroker":{"podTemplate":{"labels":{"robustmq.io/cluster":"x"}}}}`, want: []string{"spec.mqttBroker.podTemplate.labels", "LabelsReserved"}, schemaHolds: true},
	{what: "two listeners on one port", spec: `{"listeners":{"ws":{"enabled":true,"port":1883}}}`, want: []string{"spec.listeners", "PortsDistinct", "mqtt 1883", "ws 1883"}, schemaHolds: true},
	{what: "a listener on a port of the server", spec: `{"listeners":{"mqtt":{"port":1228}}}`, want: []string{"spec.listeners", "PortsDistinct", "1228"}, schemaHolds: true},
	{what: "a listener on a default port of a disabled one", spec: `{"listeners":{"mqtt":{"port":9092}}}`, want: []string{"PortsDistinct", "kafka 9092"}, schemaHolds: true},
	{what: "a privileged port", spec: `{"listeners":{"mqtt":{"port":83}}}`, want: []string{"spec.listeners.mqtt.port", "1024"}, schemaHolds: true},
	{what: "QUIC on another port than MQTTS", spec: `{"listeners":{"quic":{"enabled":true,"port":9083}}}`, want: []string{"spec.listeners.quic.port", "PortsDistinct", "mqtts"}, schemaHolds: true},
	{what: "a load balancer's class without a load balancer", spec: `{"listeners":{"service":{"loadBalancerClass":"x"}}}`, want: []string{"spec.listeners.service", "LoadBalancer"}, schemaHolds: true},
	{what: "a source range that is none", spec: `{"listeners":{"service":{"type":"LoadBalancer","loadBalancerSourceRanges":["10.0.0.0"]}}}`, want: []string{"loadBalancerSourceRanges", "10.0.0.0/8"}, schemaHolds: true},
	{what: "two sources of the certificate", spec: `{"tls":{"secretName":"a","issuerRef":{"name":"b"}}}`, want: []string{"spec.tls", "leave one of them out"}, schemaHolds: true},
	{what: "an Ingress host with a scheme", spec: `{"ingress":{"host":"https://mqtt.example.com"}}`, want: []string{"spec.ingress.host", "without scheme"}, schemaHolds: true},
	{what: "an unknown escape", spec: `{"unsafe":["AllowEverything"]}`, want: []string{"spec.unsafe", "AllowEverything", "AllowEvenPlacementCenter"}, schemaHolds: true},
	{what: "backups in clear", spec: `{"backup":{"destination":{"bucket":"backups","endpoint":"http://minio:9000"}}}`, want: []string{"spec.backup.destination.endpoint", "BackupDestination", "AllowInsecureS3"}, schemaHolds: true},
	{what: "a bucket with a scheme", spec: `{"backup":{"destination":{"bucket":"s3://backups"}}}`, want: []string{"spec.backup.destination.bucket", "BackupDestination"}, schemaHolds: true},
	{what: "a prefix that climbs", spec: `{"backup":{"destination":{"bucket":"backups","prefix":"a/../b"}}}`, want: []string{"spec.backup.destination.prefix", "BackupDestination"}, schemaHolds: true},
	{what: "two schedules of one name", spec: `{"backup":{"destination":{"bucket":"backups"},"schedules":[{"name":"a","cron":"0 * * * *"},{"name":"a","cron":"1 * * * *"}]}}`, want: []string{"spec.backup.schedules", "Duplicate"}, schemaHolds: true},
	{what: "retention that keeps none", spec: `{"backup":{"destination":{"bucket":"backups"},"schedules":[{"name":"a","cron":"0 * * * *","retention":{"keepLast":0}}]}}`, want: []string{"keepLast", "greater than or equal to 1"}, schemaHolds: true},
	{what: "an identity where a recipient belongs", spec: `{"backup":{"destination":{"bucket":"backups"},"encryption":{"recipients":["AGE-SECRET-KEY-1"]}}}`, want: []string{"recipients", "age1"}, schemaHolds: true},
	{what: "a restore from nowhere", spec: `{"bootstrap":{"restoreFrom":{}}}`, want: []string{"spec.bootstrap.restoreFrom", "backupName"}, schemaHolds: true},
	{what: "an interval that is none", spec: `{"monitoring":{"interval":"often"}}`, want: []string{"spec.monitoring.interval"}, schemaHolds: true},
	{what: "an interval that is too short", spec: `{"monitoring":{"interval":"1s"}}`, want: []string{"spec.monitoring.interval", "5s to 1h"}, schemaHolds: true},
	{what: "journal servers of islands", spec: `{"version":"0.3.0","journalServer":{}}`, want: []string{"spec.journalServer", "VersionCapabilities", "0.4.11"}},
	{what: "the id of a node", spec: `{"config":{"":{"broker_id":7}}}`, want: []string{"spec.config[][broker_id]", "ConfigReserved", "leave it out"}},
	{what: "the port of a listener in the configuration", spec: `{"config":{"mqtt_runtime.server":{"tcp_port":2883}}}`, want: []string{"ConfigReserved", "spec.listeners.mqtt.port"}},
	{what: "a password in the configuration", spec: `{"config":{"mqtt_runtime.auth":{"default_password":"hunter2"}}}`, want: []string{"ConfigReserved", "spec.auth.mqttSecretName"}},
	{what: "the members' addresses", spec: `{"config":{"meta_addrs":{"1":"a:1228"}}}`, want: []string{"spec.config[meta_addrs][1]", "ConfigReserved"}},
	{what: "a count of raft groups", spec: `{"config":{"meta_runtime":{"data_raft_group_num":2}}}`, want: []string{"ConfigReserved", "data_raft_group_num"}},
	{what: "an object as a setting", spec: `{"config":{"runtime":{"pprof_enable":{"y":1}}}}`, want: []string{"spec.config[runtime][pprof_enable]", "ConfigTypes", "this is an object"}},
	{what: "nothing as a setting", spec: `{"config":{"runtime":{"pprof_enable":[null]}}}`, want: []string{"spec.config[runtime][pprof_enable]", "ConfigTypes", "this is a list"}},
	{what: "a section that could not be one", spec: `{"config":{"Runtime] x":{"y":1}}}`, want: []string{"ConfigTypes"}},

	// Changes.
	{what: "7 to 3 members", start: `{"placementCenter":{"replicas":7}}`, spec: `{"placementCenter":{"replicas":3}}`, want: []string{"spec.placementCenter.replicas", "NoShrinkBelowQuorum", "from 7 to 3", "write 5 or more", "AllowShrinkBelowQuorum"}, schemaHolds: true},
	{what: "3 to 1 members", start: `{}`, spec: `{"placementCenter":{"replicas":1}}`, want: []string{"NoShrinkBelowQuorum", "from 3 to 1", "write 3 or more"}, schemaHolds: true},
	{what: "5 to 1 members", start: `{"placementCenter":{"replicas":5}}`, spec: `{"placementCenter":{"replicas":1}}`, want: []string{"NoShrinkBelowQuorum", "from 5 to 1", "write 3 or more"}, schemaHolds: true},
	{what: "5 to 3 members while 7 exist", start: `{"placementCenter":{"replicas":5}}`, status: `{"placementCenter":{"desired":5,"replicas":7,"ready":7}}`, spec: `{"placementCenter":{"replicas":3}}`, want: []string{"NoShrinkBelowQuorum", "has 7 members", "write 5 or more"}},
	{what: "less storage", start: `{"placementCenter":{"storage":"20Gi"}}`, spec: `{"placementCenter":{"storage":"10Gi"}}`, want: []string{"spec.placementCenter.storage", "StorageOnlyGrows", "from 20Gi to 10Gi", "write 20Gi or more"}, schemaHolds: true},
	{what: "less storage than the default", start: `{}`, spec: `{"mqttBroker":{"storage":"5Gi"}}`, want: []string{"spec.mqttBroker.storage", "StorageOnlyGrows"}, schemaHolds: true},
	{what: "another storage class", start: `{"mqttBroker":{"storageClassName":"a"}}`, spec: `{"mqttBroker":{"storageClassName":"b"}}`, want: []string{"spec.mqttBroker.storageClassName", "StorageClassFixed", `"a"`, `"b"`}, schemaHolds: true},
	{what: "no storage class any more", start: `{"journalServer":{"storageClassName":"a"}}`, spec: `{"journalServer":{"storageClassName":null}}`, want: []string{"spec.journalServer.storageClassName", "StorageClassFixed", "the default class"}, schemaHolds: true},
	{what: "journal servers later", start: `{}`, spec: `{"journalServer":{}}`, want: []string{"spec.journalServer", "RoleLayoutFixed", "added"}, schemaHolds: true},
	{what: "no journal servers any more", start: `{"journalServer":{}}`, spec: `{"journalServer":null}`, want: []string{"spec.journalServer", "RoleLayoutFixed", "taken from"}, schemaHolds: true},
	{what: "an older version", start: `{"version":"0.4.11"}`, spec: `{"version":"0.4.10"}`, want: []string{"spec.version", "VersionForward", "0.4.10", "0.4.11"}, schemaHolds: true},
	{what: "an older version by its second number", start: `{"version":"0.5.0"}`, spec: `{"version":"0.4.11"}`, want: []string{"spec.version", "VersionForward"}, schemaHolds: true},
	{what: "a version that runs nowhere, back below what runs", start: `{"version":"0.4.21"}`, status: `{"version":"0.4.11"}`, spec: `{"version":"0.4.10"}`, want: []string{"spec.version", "VersionForward", "from 0.4.11"}, schemaHolds: true},
	{what: "a hop between versions that cannot talk", start: `{"version":"0.3.0"}`, spec: `{"version":"0.4.11"}`, want: []string{"spec.version", "VersionHop", "AllowIncompatibleUpgrade"}, schemaHolds: true},
	{what: "members of a limited version that stands", start: `{"version":"0.4.5"}`, status: `{"founded":true}`, spec: `{"placementCenter":{"replicas":5}}`, want: []string{"spec.placementCenter.replicas", "VersionCapabilities", "0.4.5"}},
}

// doors are the ways in which a change can come.
var doors = map[string]func(ctx context.Context, n *tenant, name, spec string, wanted *unstructured.Unstructured) error{
	"patch": func(ctx context.Context, n *tenant, name, spec string, _ *unstructured.Unstructured) error {
		return n.Patch(ctx, object(n.namespace, name), client.RawPatch(types.MergePatchType, []byte(`{"spec":`+spec+`}`)))
	},
	"replace": func(ctx context.Context, n *tenant, name, _ string, wanted *unstructured.Unstructured) error {
		live := object(n.namespace, name)
		if err := n.Get(ctx, client.ObjectKeyFromObject(live), live); err != nil {
			return err
		}
		wanted.SetResourceVersion(live.GetResourceVersion())
		return n.Update(ctx, wanted)
	},
	"server-side apply": func(ctx context.Context, n *tenant, _, _ string, wanted *unstructured.Unstructured) error {
		return n.Apply(ctx, client.ApplyConfigurationFromUnstructured(wanted), client.FieldOwner("start"), client.ForceOwnership)
	},
}

func object(namespace, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("RobustMQCluster"))
	u.SetNamespace(namespace)
	u.SetName(name)
	return u
}

func TestEveryUnsafeSpecIsRefusedThroughEveryDoorAndWithoutWebhooksBySchemaOrGuard(t *testing.T) {
	on, off := newTenant(t, true), newTenant(t, false)
	for i, r := range refusals {
		for door, try := range doors {
			if r.start == "" && door != "patch" {
				continue // a creation comes through one door
			}
			name := fmt.Sprintf("c-%d-%s", i, strings.ReplaceAll(door, " ", "-"))
			t.Run(r.what+" by "+door, func(t *testing.T) {
				check(t, r, attempt(t, on, r, name, try))
				err := attempt(t, off, r, name, try)
				if r.schemaHolds {
					check(t, r, err)
					return
				}
				if err != nil {
					t.Fatalf("without webhooks: %v; say schemaHolds if the schema refuses it", err)
				}
				guarded(t, off, r, name)
			})
		}
	}
}

// attempt creates the cluster, or changes one that was created for it.
func attempt(t *testing.T, n *tenant, r refused, name string, change func(context.Context, *tenant, string, string, *unstructured.Unstructured) error) error {
	t.Helper()
	if r.start == "" {
		return n.Create(t.Context(), n.cluster(t, name, `{"spec":`+r.spec+`}`))
	}
	start := n.cluster(t, name, `{"spec":`+r.start+`}`)
	if err := n.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(start), client.FieldOwner("start")); err != nil {
		t.Fatal(err)
	}
	if r.status != "" {
		if err := n.Status().Patch(t.Context(), object(n.namespace, name), client.RawPatch(types.MergePatchType, []byte(`{"status":`+r.status+`}`))); err != nil {
			t.Fatal(err)
		}
	}
	wanted := n.cluster(t, name, merge(t, `{"spec":`+r.start+`}`, `{"spec":`+r.spec+`}`))
	return change(t.Context(), n, name, r.spec, wanted)
}

func check(t *testing.T, r refused, err error) {
	t.Helper()
	if !apierrors.IsInvalid(err) {
		t.Fatalf("got %v; want a refusal", err)
	}
	for _, want := range r.want {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the refusal lacks %q: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the refusal repeats a password: %v", err)
	}
}

// guarded checks that reconcile refuses what got in.
func guarded(t *testing.T, n *tenant, r refused, name string) {
	t.Helper()
	var is v1alpha1.RobustMQCluster
	if err := n.Get(t.Context(), client.ObjectKey{Namespace: n.namespace, Name: name}, &is); err != nil {
		t.Fatal(err)
	}
	var was *v1alpha1.RobustMQCluster
	if r.start != "" {
		was = is.DeepCopy()
		was.Spec = v1alpha1.RobustMQClusterSpec{Version: "0.4.11"}
		if err := json.Unmarshal([]byte(r.start), &was.Spec); err != nil {
			t.Fatal(err)
		}
		was.Default()
	}
	text := rules.Summary(rules.GuardCluster(was, &is))
	for _, want := range r.want {
		if !strings.Contains(text, want) {
			t.Errorf("the guard lacks %q: %s", want, text)
		}
	}
}

func TestScaleIsHeldToTheSameRules(t *testing.T) {
	for _, withWebhooks := range []bool{true, false} {
		n := newTenant(t, withWebhooks)
		u := n.cluster(t, "c", `{"spec":{"mqttBroker":{"replicas":5},"config":{"runtime":{"default_topic_replica_num":6}}}}`)
		if err := n.Create(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		scale := func(replicas int32) error {
			return n.SubResource("scale").Update(t.Context(), object(n.namespace, "c"), client.WithSubResourceBody(&autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}))
		}
		if err := scale(0); err == nil || !strings.Contains(err.Error(), "spec.mqttBroker.replicas") {
			t.Errorf("webhooks %t: to 0: %v", withWebhooks, err)
		}
		if err := scale(1001); err == nil || !strings.Contains(err.Error(), "1000") {
			t.Errorf("webhooks %t: to 1001: %v", withWebhooks, err)
		}
		if err := scale(7); err != nil {
			t.Errorf("webhooks %t: to 7: %v", withWebhooks, err)
		}
		err := scale(2) // 3 members and 2 brokers for 6 copies: the webhook alone can know
		if (err != nil) != withWebhooks || withWebhooks && !strings.Contains(err.Error(), "6 copies") {
			t.Errorf("webhooks %t: to 2: %v", withWebhooks, err)
		}
		if out, err := n.run(t, "", "scale", "rmqc/c", "--replicas=0"); err == nil || !strings.Contains(out, "spec.mqttBroker.replicas") {
			t.Errorf("webhooks %t: kubectl scale: %v: %s", withWebhooks, err, out)
		}
	}
}

func TestAnEscapeTakesOneRuleOffAndIsWarnedOf(t *testing.T) {
	n := newTenant(t, true)
	if err := n.Create(t.Context(), n.cluster(t, "c", `{"spec":{"placementCenter":{"replicas":4},"unsafe":["AllowEvenPlacementCenter"]}}`)); err != nil {
		t.Fatal(err)
	}
	if !n.warnings.Contain("PlacementCenterOdd") {
		t.Errorf("warnings: %v", n.warnings.All())
	}
	patch := func(spec string) error {
		return n.Patch(t.Context(), object(n.namespace, "c"), client.RawPatch(types.MergePatchType, []byte(`{"spec":`+spec+`}`)))
	}
	if err := patch(`{"placementCenter":{"replicas":1}}`); !apierrors.IsInvalid(err) {
		t.Errorf("the other rules hold no more: %v", err)
	}
	if err := patch(`{"placementCenter":{"replicas":1},"unsafe":["AllowShrinkBelowQuorum"]}`); err != nil {
		t.Error(err)
	}
}

func TestAVersionThatNeverRanCanBeTakenBack(t *testing.T) {
	for _, withWebhooks := range []bool{true, false} {
		n := newTenant(t, withWebhooks)
		if err := n.Create(t.Context(), n.cluster(t, "c", `{}`)); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			sub  bool
			body string
		}{{true, `{"status":{"version":"0.4.11"}}`}, {false, `{"spec":{"version":"0.4.21"}}`}, {false, `{"spec":{"version":"0.4.11"}}`}} {
			var err error
			if p := client.RawPatch(types.MergePatchType, []byte(step.body)); step.sub {
				err = n.Status().Patch(t.Context(), object(n.namespace, "c"), p)
			} else {
				err = n.Patch(t.Context(), object(n.namespace, "c"), p)
			}
			if err != nil {
				t.Errorf("webhooks %t: %s: %v", withWebhooks, step.body, err)
			}
		}
	}
}

func TestWhatIsBeingDeletedAndWhatIsNotASpecIsNobodysBusiness(t *testing.T) {
	off := newTenant(t, false)
	// A cluster that no rule would let in, made while no webhook was there.
	u := off.cluster(t, "c", `{"metadata":{"finalizers":["example.com/wait"]},"spec":{"config":{"":{"broker_id":7}}}}`)
	if err := off.Create(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	turnOn(t, off, "true")
	patch := func(body string) error {
		return off.Patch(t.Context(), object(off.namespace, "c"), client.RawPatch(types.MergePatchType, []byte(body)))
	}
	if err := patch(`{"spec":{"mqttBroker":{"replicas":3}}}`); !apierrors.IsInvalid(err) {
		t.Errorf("the webhook is not asked: %v", err)
	}
	for _, body := range []string{`{"metadata":{"labels":{"a":"b"}}}`, `{"metadata":{"annotations":{"a":"b"}}}`} {
		if err := patch(body); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
	if err := off.Status().Patch(t.Context(), object(off.namespace, "c"), client.RawPatch(types.MergePatchType, []byte(`{"status":{"founded":true}}`))); err != nil {
		t.Errorf("status: %v", err)
	}
	if err := off.Delete(t.Context(), object(off.namespace, "c")); err != nil {
		t.Errorf("deletion: %v", err)
	}
	if err := patch(`{"metadata":{"finalizers":null}}`); err != nil {
		t.Errorf("removal of the finalizer: %v", err)
	}
	if err := off.Get(t.Context(), client.ObjectKey{Namespace: off.namespace, Name: "c"}, object(off.namespace, "c")); !apierrors.IsNotFound(err) {
		t.Errorf("after deletion: %v", err)
	}
}

func TestANameThatDoesNotFitIsRefused(t *testing.T) {
	for _, withWebhooks := range []bool{true, false} {
		n := newTenant(t, withWebhooks)
		for _, name := range []string{strings.Repeat("a", 36), "1-cluster", "my.cluster"} {
			err := n.Create(t.Context(), n.cluster(t, name, `{}`))
			if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "NamesFit") || !strings.Contains(err.Error(), name) {
				t.Errorf("webhooks %t: %s: %v", withWebhooks, name, err)
			}
		}
		if err := n.Create(t.Context(), n.cluster(t, strings.Repeat("a", 35), `{}`)); err != nil {
			t.Error(err)
		}
	}
}

// TestWhatIsAdmittedCanBeRead: one stored object that Go cannot decode would stop the operator's list of all clusters.
func TestWhatIsAdmittedCanBeRead(t *testing.T) {
	n := newTenant(t, false)
	for i, spec := range []string{
		`{"mqttBroker":{"storage":"1e1.5"}}`, `{"mqttBroker":{"storage":"1e99999999999"}}`, `{"mqttBroker":{"storage":10737418240}}`, `{"mqttBroker":{"storage":"1."}}`, `{"mqttBroker":{"storage":".5Gi"}}`,
		`{"mqttBroker":{"resources":{"limits":{"cpu":"1e1.5"}}}}`, `{"mqttBroker":{"resources":{"cpu":1}}}`, `{"mqttBroker":{"resources":{"memory":"1E99"}}}`,
		`{"monitoring":{"interval":"9999999999999h"}}`, `{"monitoring":{"interval":"1h0m0s"}}`, `{"monitoring":{"interval":"0h1m"}}`,
		`{"backup":{"destination":{"bucket":"abc"},"schedules":[{"name":"a","cron":"* * * * *","retention":{"maxAge":"99999h99999m"}}]}}`,
		`{"bootstrap":{"restoreFrom":{"destination":{"bucket":"abc"},"before":"2026-02-31T00:00:00Z"}}}`, `{"bootstrap":{"restoreFrom":{"destination":{"bucket":"abc"},"before":"2026-02-01t00:00:00z"}}}`,
		`{"bootstrap":{"restoreFrom":{"destination":{"bucket":"abc"},"before":"2026-02-01T24:00:00Z"}}}`, `{"bootstrap":{"restoreFrom":{"destination":{"bucket":"abc"},"before":"2026-02-01T00:00:00.123456789+01:00"}}}`,
		`{"bootstrap":{"restoreFrom":{"destination":{"bucket":"abc"},"before":"2026-02-01T23:59:60Z"}}}`,
		`{"mqttBroker":{"podTemplate":{"topologySpreadConstraints":[{"maxSkew":3000000000,"topologyKey":"a","whenUnsatisfiable":"DoNotSchedule"}]}}}`,
		`{"mqttBroker":{"podTemplate":{"tolerations":[{"tolerationSeconds":9223372036854775808}]}}}`,
		`{"mqttBroker":{"podTemplate":{"affinity":{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":3000000000,"preference":{}}]}}}}}`,
		`{"mqttBroker":{"podTemplate":{"affinity":{"podAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":3000000000,"podAffinityTerm":{"topologyKey":"a"}}]}}}}}`,
		`{"config":{"runtime":{"a":null,"c":123456789012345678901234567890,"d":[[1]],"e":{"f":"g"}}}}`,
		`{"listeners":{"mqtt":{"port":1883.5}}}`, `{"listeners":{"mqtt":null}}`, `{"placementCenter":null}`, `{"mqttBroker":{"resources":null,"storage":null}}`,
		`{"networkPolicy":{"clientsFrom":[{"ipBlock":{"cidr":"x"}}]}}`,
	} {
		began := time.Now()
		u := n.cluster(t, fmt.Sprintf("c-%d", i), `{"spec":`+spec+`}`)
		if err := n.Create(t.Context(), u); err != nil {
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("refusing %s took the API server %s", spec, took)
			}
			continue
		}
		var c v1alpha1.RobustMQCluster
		if err := n.Get(t.Context(), client.ObjectKeyFromObject(u), &c); err != nil {
			t.Errorf("%s was admitted and cannot be read: %v", spec, err)
			if err := n.Delete(t.Context(), u); err != nil {
				t.Error(err)
			}
		}
	}
	var list v1alpha1.RobustMQClusterList
	if err := n.List(t.Context(), &list); err != nil {
		t.Error(err)
	}
}
