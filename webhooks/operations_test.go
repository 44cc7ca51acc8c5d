package webhooks_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	autoscalingv1 "k8s.io/api/autoscaling/v1"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/apiserver"
)

// made is an object of one of our kinds, changed by a JSON merge patch.
func (n *tenant) made(t *testing.T, kind, name, spec, patch string) *unstructured.Unstructured {
	t.Helper()
	merged, err := jsonpatch.MergePatch(fmt.Appendf(nil, `{"apiVersion":"robustmq.io/v1alpha1","kind":%q,"metadata":{"name":%q,"namespace":%q},"spec":%s}`, kind, name, n.namespace, spec), []byte(patch))
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal(merged, &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

func (n *tenant) backup(t *testing.T, name, patch string) *unstructured.Unstructured {
	t.Helper()
	return n.made(t, "RobustMQBackup", name, `{"clusterName":"c"}`, patch)
}

func (n *tenant) restore(t *testing.T, name, patch string) *unstructured.Unstructured {
	t.Helper()
	return n.made(t, "RobustMQRestore", name, `{"clusterName":"c","source":{"backupName":"saved"}}`, patch)
}

// create makes an object and, if there is one, writes its status as the operator would.
func (n *tenant) create(t *testing.T, u *unstructured.Unstructured, status string) {
	t.Helper()
	if err := n.Create(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	if status != "" {
		n.setStatus(t, u, status)
	}
}

func (n *tenant) setStatus(t *testing.T, u *unstructured.Unstructured, status string) {
	t.Helper()
	if err := n.Status().Patch(t.Context(), u, client.RawPatch(types.MergePatchType, []byte(`{"status":`+status+`}`))); err != nil {
		t.Fatal(err)
	}
}

const (
	standing = `{"founded":true,"version":"0.4.11"}`
	complete = `{"stage":"Complete","version":"0.4.11","nodes":{"placementCenter":3,"mqttBroker":2,"journalServer":0},
		"conditions":[{"type":"Complete","status":"True","reason":"Verified","message":"","lastTransitionTime":"2026-11-24T00:00:00Z"}]}`
	underWay = `{"stage":"Transferring"}`
)

// refusedWith checks that something was refused in those words.
func refusedWith(t *testing.T, what string, err error, want ...string) {
	t.Helper()
	if !apierrors.IsInvalid(err) {
		t.Errorf("%s: %v; want a refusal", what, err)
		return
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: the refusal lacks %q: %v", what, w, err)
		}
	}
}

func TestTheSpecOfABackupOrRestoreCannotChangeWhetherAWebhookIsThereOrNot(t *testing.T) {
	for _, on := range []bool{true, false} {
		n := newTenant(t, on)
		n.create(t, n.cluster(t, "c", `{}`), standing)
		n.create(t, n.backup(t, "saved", `{}`), complete)
		n.create(t, n.restore(t, "undo", `{}`), "")
		patch := func(u *unstructured.Unstructured, body string) error {
			return n.Patch(t.Context(), u, client.RawPatch(types.MergePatchType, []byte(body)))
		}
		refusedWith(t, "another cluster", patch(n.backup(t, "saved", `{}`), `{"spec":{"clusterName":"d"}}`), "spec", "BackupImmutable", "make another RobustMQBackup")
		refusedWith(t, "another policy", patch(n.backup(t, "saved", `{}`), `{"spec":{"deletionPolicy":"Delete"}}`), "BackupImmutable")
		refusedWith(t, "another source", patch(n.restore(t, "undo", `{}`), `{"spec":{"source":{"backupName":"x"}}}`), "spec", "RestoreImmutable", "make another RobustMQRestore")
		refusedWith(t, "an escape", patch(n.restore(t, "undo", `{}`), `{"spec":{"unsafe":["SkipSafetyBackup"]}}`), "RestoreImmutable")
		for _, u := range []*unstructured.Unstructured{n.backup(t, "saved", `{}`), n.restore(t, "undo", `{}`)} {
			if err := patch(u, `{"metadata":{"labels":{"a":"b"}}}`); err != nil {
				t.Errorf("webhooks %t: a label: %v", on, err)
			}
		}
	}
}

func TestARestoreThatCannotWorkIsRefusedWhenItIsMade(t *testing.T) {
	n := newTenant(t, true)
	try := func(patch string) error { return n.Create(t.Context(), n.restore(t, "undo", patch), client.DryRunAll) }
	refusedWith(t, "no cluster", try(`{"spec":{"source":{"backupName":null,"destination":{"bucket":"backups"}}}}`), "spec.clusterName", `"c"`, "RestoreTargetExists", "spec.bootstrap.restoreFrom")
	n.create(t, n.cluster(t, "c", `{}`), "")
	n.create(t, n.backup(t, "saved", `{}`), "")
	refusedWith(t, "a cluster that was never founded", try(`{}`), "RestoreTargetExists", "never founded")
	n.setStatus(t, n.cluster(t, "c", `{}`), standing)
	refusedWith(t, "a backup that is not complete", try(`{}`), "spec.source.backupName", `"saved"`, "RestoreSourceComplete", "not complete yet", "kubectl get rmqb")
	refusedWith(t, "a backup that is not there", try(`{"spec":{"source":{"backupName":"lost"}}}`), "RestoreSourceComplete", "no such RobustMQBackup")
	n.setStatus(t, n.backup(t, "saved", `{}`), complete)
	if err := try(`{}`); err != nil {
		t.Errorf("a restore that can work: %v", err)
	}
	n.setStatus(t, n.cluster(t, "c", `{}`), `{"version":"0.4.10"}`)
	refusedWith(t, "an older cluster", try(`{}`), "RestoreSameVersion", "0.4.11", "0.4.10")
	n.setStatus(t, n.cluster(t, "c", `{}`), `{"version":"0.4.11"}`)
	n.setStatus(t, n.backup(t, "saved", `{}`), `{"nodes":{"mqttBroker":5}}`)
	refusedWith(t, "fewer brokers", try(`{}`), "RestoreEnoughNodes", "AllowFewerNodes")
	if err := try(`{"spec":{"unsafe":["AllowFewerNodes"]}}`); err != nil {
		t.Errorf("fewer brokers, and that is allowed: %v", err)
	}
	n.setStatus(t, n.backup(t, "saved", `{}`), complete)
	n.create(t, n.restore(t, "first", `{}`), underWay)
	refusedWith(t, "a second restore", try(`{}`), "OneRestoreAtATime", "restore first", "kubectl get rmqr first")
	n.setStatus(t, n.restore(t, "first", `{}`), `{"stage":"Failed"}`)
	if err := try(`{}`); err != nil {
		t.Errorf("after the first has failed: %v", err)
	}
}

// What the operator makes by itself is held to the same by whoever else makes it.
func TestATriggerIsTakenFromNobodyForWhomItIsNotMeant(t *testing.T) {
	n := newTenant(t, true)
	const destination = `{"bucket":"backups","prefix":"eu"}`
	try := func(cluster, trigger, source string) error {
		u := n.made(t, "RobustMQRestore", "r", `{"clusterName":"`+cluster+`","trigger":"`+trigger+`","source":`+source+`}`, `{}`)
		return n.Create(t.Context(), u, client.DryRunAll)
	}
	from := `{"destination":` + destination + `,"before":"2026-11-24T00:00:00Z"}`
	n.create(t, n.cluster(t, "new", `{"spec":{"bootstrap":{"restoreFrom":`+from+`}}}`), "")
	n.create(t, n.cluster(t, "old", `{"spec":{"backup":{"destination":`+destination+`}}}`), `{"founded":true,"version":"0.4.11","clusterUID":"0b6c6a2e"}`)
	own := `{"destination":` + destination + `,"clusterUID":"0b6c6a2e"}`
	for what, err := range map[string]error{"a new cluster's own": try("new", "Bootstrap", from), "a lost cluster's own": try("old", "TotalLoss", own), "a person's": try("old", "Manual", own)} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	refusedWith(t, "a founded cluster", try("old", "Bootstrap", from), "spec.trigger", `"Bootstrap"`, "RestoreTriggerFits", "never overwrites", "leave spec.trigger out")
	refusedWith(t, "another source than the new cluster's", try("new", "Bootstrap", own), "spec.trigger", "RestoreTriggerFits", "spec.bootstrap.restoreFrom")
	refusedWith(t, "what was never founded", try("new", "TotalLoss", own), "spec.clusterName", "RestoreTargetExists", "never founded")
	refusedWith(t, "another cluster's backups", try("old", "TotalLoss", `{"destination":`+destination+`,"clusterUID":"other"}`), "spec.trigger", `"TotalLoss"`, "RestoreTriggerFits", "status.clusterUID")
	refusedWith(t, "a trigger that is none", try("old", "Automatic", own), "spec.trigger", "Automatic", "TotalLoss")
}

func TestWhatASchemaCanSayOfBackupsAndRestoresHoldsWithoutWebhooks(t *testing.T) {
	n := newTenant(t, false)
	long := strings.Repeat("a", 57)
	for what, c := range map[string]struct {
		u    *unstructured.Unstructured
		want []string
	}{
		"a long name of a backup":   {n.backup(t, long, `{}`), []string{"NamesFit", long, "at most 56"}},
		"a backup with a dot":       {n.backup(t, "a.b", `{}`), []string{"NamesFit", "a.b"}},
		"a long name of a restore":  {n.restore(t, long[:50], `{}`), []string{"NamesFit", "at most 49"}},
		"a backup of nothing":       {n.backup(t, "b", `{"spec":{"clusterName":null}}`), []string{"spec.clusterName", "Required"}},
		"an unknown policy":         {n.backup(t, "b", `{"spec":{"deletionPolicy":"Keep"}}`), []string{"spec.deletionPolicy", "Keep", "Retain"}},
		"a deadline of a second":    {n.backup(t, "b", `{"spec":{"startDeadline":"1s"}}`), []string{"spec.startDeadline", "10s to 24h"}},
		"a deadline of two days":    {n.backup(t, "b", `{"spec":{"progressDeadline":"48h"}}`), []string{"spec.progressDeadline", "10s to 24h"}},
		"a restore from nowhere":    {n.restore(t, "r", `{"spec":{"source":{"backupName":null}}}`), []string{"spec.source", "backupName"}},
		"a restore from two places": {n.restore(t, "r", `{"spec":{"source":{"destination":{"bucket":"backups"}}}}`), []string{"spec.source", "one backup"}},
		"a restore in clear":        {n.restore(t, "r", `{"spec":{"source":{"backupName":null,"destination":{"bucket":"backups","endpoint":"http://minio"}}}}`), []string{"spec.source.destination.endpoint", "BackupDestination", "AllowInsecureS3"}},
		"a loss, from an object":    {n.restore(t, "r", `{"spec":{"trigger":"TotalLoss"}}`), []string{"spec.source", "RestoreTriggerFits", "backup saved", "status.clusterUID"}},
		"a loss, and anybody's":     {n.restore(t, "r", `{"spec":{"trigger":"TotalLoss","source":{"backupName":null,"destination":{"bucket":"backups"}}}}`), []string{"spec.source", "RestoreTriggerFits", "source.clusterUID"}},
		"a loss, and a choice":      {n.restore(t, "r", `{"spec":{"trigger":"TotalLoss","source":{"backupName":null,"destination":{"bucket":"backups"},"clusterUID":"u","key":"k"}}}`), []string{"spec.source", "RestoreTriggerFits"}},
		"an unknown escape":         {n.restore(t, "r", `{"spec":{"unsafe":["AllowEverything"]}}`), []string{"spec.unsafe", "AllowEverything", "SkipSafetyBackup"}},
	} {
		refusedWith(t, what, n.Create(t.Context(), c.u, client.DryRunAll), c.want...)
	}
	for _, u := range []*unstructured.Unstructured{n.backup(t, long[:56], `{}`), n.restore(t, long[:49], `{}`), n.restore(t, "r", `{"spec":{"source":{"backupName":null,"destination":{"bucket":"backups","endpoint":"http://minio"}},"unsafe":["AllowInsecureS3"]}}`)} {
		if err := n.Create(t.Context(), u, client.DryRunAll); err != nil {
			t.Error(err)
		}
	}
}

func TestADestinationIsJudgedByTheSchemaAsByTheRule(t *testing.T) {
	on, off := newTenant(t, true), newTenant(t, false)
	for i, d := range []string{
		`{"bucket":"Backups"}`, `{"bucket":"ba..ckups"}`, `{"bucket":"ba.-ckups"}`, `{"bucket":"192.168.5.4"}`, `{"bucket":"xn--backups"}`, `{"bucket":"sthree-backups"}`, `{"bucket":"amzn-s3-demo-x"}`, `{"bucket":"backups-s3alias"}`,
		`{"bucket":"backups--ol-s3"}`, `{"bucket":"backups.mrap"}`, `{"bucket":"backups--x-s3"}`, `{"bucket":"backups--table-s3"}`, `{"bucket":"backups","prefix":"/a"}`, `{"bucket":"backups","prefix":"a//b"}`, `{"bucket":"backups","prefix":"../a"}`,
		`{"bucket":"backups","endpoint":"s3.example.com"}`, `{"bucket":"backups","endpoint":"https://s3.example.com/x"}`, `{"bucket":"backups","endpoint":"https://s3.example.com:65536"}`, `{"bucket":"backups","endpoint":"https://s3.example.com:0"}`,
		`{"bucket":"backups","endpoint":"https://s3..example.com"}`, `{"bucket":"backups","endpoint":"https://root:hunter2@s3.example.com"}`,
	} {
		for _, n := range []*tenant{on, off} {
			err := n.Create(t.Context(), n.cluster(t, fmt.Sprintf("c-%d", i), `{"spec":{"backup":{"destination":`+d+`}}}`), client.DryRunAll)
			refusedWith(t, d, err, "spec.backup.destination", "BackupDestination")
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the refusal repeats a password: %v", err)
			}
		}
	}
	for i, d := range []string{`{"bucket":"abc"}`, `{"bucket":"a.b-c","pathStyle":true}`, `{"bucket":"backups","endpoint":"https://minio:9000/"}`, `{"bucket":"backups","endpoint":"https://[fd00::1]:65535"}`, `{"bucket":"backups","prefix":"production/eu"}`} {
		for _, n := range []*tenant{on, off} {
			if err := n.Create(t.Context(), n.cluster(t, fmt.Sprintf("d-%d", i), `{"spec":{"backup":{"destination":`+d+`}}}`), client.DryRunAll); err != nil {
				t.Errorf("%s: %v", d, err)
			}
		}
	}
}

func TestNothingThatARestoreCountsOnChangesThroughAnyDoorWhileItRuns(t *testing.T) {
	n := newTenant(t, true)
	n.create(t, n.cluster(t, "c", `{}`), standing)
	n.create(t, n.backup(t, "saved", `{}`), complete)
	n.create(t, n.restore(t, "undo", `{}`), underWay)
	patch := func(spec string) error {
		return n.Patch(t.Context(), object(n.namespace, "c"), client.RawPatch(types.MergePatchType, []byte(`{"spec":`+spec+`}`)))
	}
	scale := func(replicas int32) error {
		return n.SubResource("scale").Update(t.Context(), object(n.namespace, "c"), client.WithSubResourceBody(&autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}))
	}
	for field, spec := range map[string]string{
		"spec.placementCenter.replicas": `{"placementCenter":{"replicas":5}}`, "spec.version": `{"version":"0.4.12"}`, "spec.mqttBroker.storage": `{"mqttBroker":{"storage":"20Gi"}}`,
	} {
		refusedWith(t, field, patch(spec), field, "NoChangeDuringRestore", "restore undo", "kubectl get rmqr undo")
	}
	refusedWith(t, "scale", scale(5), "spec.mqttBroker.replicas", "NoChangeDuringRestore")
	if err := patch(`{"listeners":{"ws":{"enabled":false}}}`); err != nil {
		t.Errorf("a listener: %v", err)
	}
	n.setStatus(t, n.restore(t, "undo", `{}`), `{"stage":"Complete"}`)
	if err := scale(5); err != nil {
		t.Errorf("after the restore: %v", err)
	}
}

func TestAProtectedClusterIsNotDeletedAndAnyOtherIsEvenWhenTheOperatorIsGone(t *testing.T) {
	for what, turn := range map[string]string{"operator": "true", "no operator": "gone"} {
		n := newTenant(t, false)
		protect := `{"metadata":{"annotations":{"robustmq.io/deletion-protection":"true"}}}`
		n.create(t, n.cluster(t, "kept", protect), "")
		n.create(t, n.cluster(t, "plain", `{}`), "")
		n.create(t, n.cluster(t, "denied", `{"metadata":{"annotations":{"robustmq.io/deletion-protection":"false"}}}`), "")
		if turn == "gone" {
			nobody, err := apiserver.FreePorts(1)
			if err != nil {
				t.Fatal(err)
			}
			turn = "protection-gone"
			if err := n.server.configure(t.Context(), "-protection-gone", turn, nobody[0]); err != nil {
				t.Fatal(err)
			}
		}
		turnOn(t, n, turn)
		for _, name := range []string{"plain", "denied"} {
			if err := n.Delete(t.Context(), object(n.namespace, name)); err != nil {
				t.Errorf("%s: %s: %v", what, name, err)
			}
		}
		err := n.Delete(t.Context(), object(n.namespace, "kept"))
		if what == "operator" {
			refusedWith(t, what, err, "DeletionProtected", "robustmq.io/deletion-protection", "namespace", "kubectl annotate robustmqcluster kept -n "+n.namespace)
			refusedWith(t, "all at once, as a namespace's deletion does it", n.DeleteAllOf(t.Context(), object(n.namespace, ""), client.InNamespace(n.namespace)), "DeletionProtected")
		}
		if err == nil {
			t.Errorf("%s: a protected cluster is deleted", what)
		}
		// The way out that the message names.
		if out, err := n.run(t, "", "annotate", "robustmqcluster", "kept", "robustmq.io/deletion-protection-"); err != nil {
			t.Errorf("%s: %v: %s", what, err, out)
		}
		if err := n.Delete(t.Context(), object(n.namespace, "kept")); err != nil {
			t.Errorf("%s: without the annotation: %v", what, err)
		}
	}
}

func TestABackupThatARestoreReadsIsNotDeleted(t *testing.T) {
	n := newTenant(t, true)
	n.create(t, n.cluster(t, "c", `{}`), standing)
	n.create(t, n.backup(t, "saved", `{}`), complete)
	n.create(t, n.backup(t, "other", `{}`), complete)
	n.create(t, n.restore(t, "undo", `{}`), underWay)
	refusedWith(t, "read", n.Delete(t.Context(), n.backup(t, "saved", `{}`)), "DeletionProtected", "restore undo reads it")
	if err := n.Delete(t.Context(), n.backup(t, "other", `{}`)); err != nil {
		t.Error(err)
	}
	n.setStatus(t, n.restore(t, "undo", `{}`), `{"stage":"Aborted"}`)
	if err := n.Delete(t.Context(), n.backup(t, "saved", `{}`)); err != nil {
		t.Error(err)
	}
}

func TestThePlacementCentreDoesNotShrinkThroughAnyDoorWhileAVoterIsDown(t *testing.T) {
	n := newTenant(t, true)
	rows := func(last string) string {
		var members []string
		for i := range 5 {
			state := `"inService":true,"gate":"Open","server":"Running"`
			if i == 4 {
				state = last
			}
			members = append(members, fmt.Sprintf(`{"pod":"c-placement-center-%d","ordinal":%d,"nodeID":%d,"role":"PlacementCenter","voterIn":["data_0","metadata_0"],%s}`, i, i, i+1, state))
		}
		return `{"founded":true,"version":"0.4.11","members":[` + strings.Join(members, ",") + `]}`
	}
	for door, try := range doors {
		name := "c-" + strings.ReplaceAll(door, " ", "-")
		attempts := func() error {
			return try(t.Context(), n, name, `{"placementCenter":{"replicas":3}}`, n.cluster(t, name, `{"spec":{"placementCenter":{"replicas":3}}}`))
		}
		start := n.cluster(t, name, `{"spec":{"placementCenter":{"replicas":5}}}`)
		if err := n.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(start), client.FieldOwner("start")); err != nil {
			t.Fatal(err)
		}
		n.setStatus(t, object(n.namespace, name), rows(`"gate":"Unknown","server":"Unknown"`))
		refusedWith(t, door, attempts(), "spec.placementCenter.replicas", "3", "NoShrinkWhileDegraded", "voter c-placement-center-4", "QuorumHealthy")
		n.setStatus(t, object(n.namespace, name), rows(`"inService":true,"gate":"Open","server":"Running"`))
		if err := attempts(); err != nil {
			t.Errorf("%s, with all in service: %v", door, err)
		}
	}
}

func TestABackupHasItsDefaultsAndKubectlShowsBackupsAndRestoresInOneLine(t *testing.T) {
	n := newTenant(t, false)
	n.create(t, n.backup(t, "saved", `{}`), `{"stage":"Uploading","size":"12.3 MiB","progress":{"bytes":5,"totalBytes":10,"percent":50,"summary":"50 %"},"recoveryPoint":{"time":"2026-11-24T00:00:00Z"},"key":"a/b"}`)
	var got v1alpha1.RobustMQBackup
	if err := n.Get(t.Context(), client.ObjectKey{Namespace: n.namespace, Name: "saved"}, &got); err != nil {
		t.Fatal(err)
	}
	want := v1alpha1.RobustMQBackup{Spec: v1alpha1.RobustMQBackupSpec{ClusterName: "c"}}
	want.Default()
	if diff := jsonDiff(t, want.Spec, got.Spec); diff != "" {
		t.Errorf("the schema's defaults are not Default()'s: %s", diff)
	}
	var made v1alpha1.RobustMQRestore
	n.create(t, n.restore(t, "defaults", `{}`), "")
	if err := n.Get(t.Context(), client.ObjectKey{Namespace: n.namespace, Name: "defaults"}, &made); err != nil {
		t.Fatal(err)
	}
	wanted := v1alpha1.RobustMQRestore{Spec: v1alpha1.RobustMQRestoreSpec{ClusterName: "c", Source: v1alpha1.RestoreSource{BackupName: "saved"}}}
	wanted.Default()
	if diff := jsonDiff(t, wanted.Spec, made.Spec); diff != "" || made.Spec.Trigger != v1alpha1.RestoreManual {
		t.Errorf("the schema's defaults are not Default()'s: %s", diff)
	}
	if err := n.Delete(t.Context(), &made); err != nil {
		t.Fatal(err)
	}
	n.create(t, n.restore(t, "undo", `{}`), `{"stage":"Opening","awaits":"pod c-placement-center-1","progress":{"bytes":10,"totalBytes":10,"percent":100,"summary":"100 %"}}`)
	for kind, want := range map[string][2]string{
		"rmqb": {"NAME CLUSTER STAGE PROGRESS SIZE RECOVERS-TO AGE", "saved c Uploading 50 % 12.3 MiB"},
		"rmqr": {"NAME CLUSTER STAGE PROGRESS AWAITS RECOVERS-TO AGE", "undo c Opening 100 % pod c-placement-center-1"},
	} {
		out, err := n.run(t, "", "get", kind)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if err != nil || len(lines) != 2 {
			t.Fatalf("%v: %s", err, out)
		}
		if head, row := strings.Join(strings.Fields(lines[0]), " "), strings.Join(strings.Fields(lines[1]), " "); head != want[0] || !strings.HasPrefix(row, want[1]) {
			t.Errorf("%s: %q %q", kind, head, row)
		}
	}
	for field, want := range map[string]string{
		"robustmqbackup.spec.deletionPolicy": "Retain keeps it", "robustmqrestore.spec.source": "names the backup", "robustmqbackup": "Messages are in the engines",
	} {
		if out, err := n.run(t, "", "explain", field); err != nil || !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("explain %s lacks %q: %v: %s", field, want, err, out)
		}
	}
}
