package validate

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/config/crd"
	"github.com/robustmq/robustmq-operator/internal/validate"
)

const header = "apiVersion: robustmq.io/v1alpha1\nkind: RobustMQCluster\nmetadata: {name: a}\n"

// call runs the command and returns what it prints, and how it ends.
func call(t *testing.T, stdin string, args ...string) (out string, code int, err error) {
	t.Helper()
	cmd := NewCommand("ghcr.io/robustmq/robustmq:v{version}")
	var b bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&b)
	err = cmd.ExecuteContext(t.Context())
	if ended := (*Ended)(nil); errors.As(err, &ended) {
		code = ended.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return b.String(), code, err
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheExitCodeSaysWhetherEverythingWouldBeLetIn(t *testing.T) {
	for what, c := range map[string]struct {
		stdin string
		args  []string
		code  int
		want  string
	}{
		"a cluster with warnings":  {header + "spec: {version: \"0.4.11\"}\n", []string{"-f", "-"}, 0, "1 object judged: 0 refused, 1 let in with warnings"},
		"an even placement centre": {header + "spec: {version: \"0.4.11\", placementCenter: {replicas: 4}}\n", []string{"-f", "-"}, 1, "stdin:4: error: RobustMQCluster default/a, document 1: spec.placementCenter.replicas: Invalid value: PlacementCenterOdd"},
		"YAML that is none":        {"robustmq.io: [\n", []string{"-f", "-"}, 2, "this is no YAML"},
		"nothing of ours":          {"a: b\n", []string{"-f", "-"}, 0, "0 objects judged"},
		"no file":                  {"", nil, 2, ""},
		"a file that is not there": {"", []string{"-f", "/nonexistent.yaml"}, 2, ""},
		"a format that is none":    {"", []string{"-f", "-", "-o", "xml"}, 2, ""},
		"a flag that is none":      {"", []string{"--nothing"}, 2, ""},
		"a file without -f":        {"", []string{"a.yaml"}, 2, ""},
		"standard input twice":     {"", []string{"-f", "-", "--against", "-"}, 2, ""},
		"another version":          {strings.Replace(header, "v1alpha1", "v1", 1), []string{"-f", "-"}, 1, "write robustmq.io/v1alpha1"},
		"another group":            {strings.Replace(header, "robustmq.io/", "", 1), []string{"-f", "-"}, 1, "write robustmq.io/v1alpha1"},
		"another kind":             {strings.Replace(header, "RobustMQCluster", "RobustMQTopic", 1), []string{"-f", "-"}, 1, "those that there are: RobustMQBackup, RobustMQCluster"},
	} {
		out, code, err := call(t, c.stdin, c.args...)
		if code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("%s: code %d, %v: %s", what, code, err, out)
		}
	}
}

func TestWhatExistsMakesAChangeOfIt(t *testing.T) {
	live := write(t, "live.yaml", header+"spec: {version: \"0.4.11\", placementCenter: {replicas: 7}}\nstatus: {placementCenter: {desired: 7, replicas: 7, ready: 7}}\n")
	wanted := write(t, "wanted.yaml", header+"spec: {version: \"0.4.11\", placementCenter: {replicas: 3}}\n")
	if out, code, _ := call(t, "", "-f", wanted); code != 0 {
		t.Errorf("a cluster of three: %d: %s", code, out)
	}
	if out, code, _ := call(t, "", "-f", wanted, "--against", live); code != 1 || !strings.Contains(out, "NoShrinkBelowQuorum") {
		t.Errorf("from seven to three: %d: %s", code, out)
	}
	if out, code, _ := call(t, "", "-f", filepath.Dir(wanted), "--against", filepath.Dir(live)); code != 1 {
		t.Errorf("folders: %d: %s", code, out)
	}
}

func TestPoliciesBesideTheClustersApplyWhereTheySelect(t *testing.T) {
	const policy = "apiVersion: robustmq.io/v1alpha1\nkind: RobustMQPolicy\nmetadata: {name: house}\nspec:\n  namespaceSelector: {matchLabels: {tier: gold}}\n  requirements: {minimumPlacementCenterReplicas: 5}\n---\n" +
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: mine, labels: {tier: gold}}\n"
	const cluster = "apiVersion: robustmq.io/v1alpha1\nkind: RobustMQCluster\nmetadata: {name: a, namespace: mine}\nspec: {version: \"0.4.11\"}\n"
	file := write(t, "policy.yaml", policy)
	for what, args := range map[string][]string{"among the files": {"-f", "-", "-f", file}, "with --policy": {"-f", "-", "--policy", file}, "among what exists": {"-f", "-", "--against", file}} {
		if out, code, _ := call(t, cluster, args...); code != 1 || !strings.Contains(out, "policy house") {
			t.Errorf("%s: %d: %s", what, code, out)
		}
		if out, code, _ := call(t, strings.Replace(cluster, "mine", "other", 1), args...); code != 0 {
			t.Errorf("%s, in another namespace: %d: %s", what, code, out)
		}
	}
}

func TestTheJSONReportIsWhatItsDocumentationSays(t *testing.T) {
	out, code, _ := call(t, "kind: ConfigMap\napiVersion: v1\n---\n"+header+"spec: {version: \"0.4.11\", placementCenter: {replicas: 9}}\n---\nRobustMQ: [\n", "-f", "-", "-o", "json")
	var r struct {
		Version                         int
		Verdict                         string
		Objects, Unreadable, PassedOver []map[string]any
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 2 {
		t.Fatal(code, err, out)
	}
	if r.Version != 1 || r.Verdict != "refused" || len(r.Objects) != 1 || len(r.Unreadable) != 1 || len(r.PassedOver) != 1 {
		t.Fatalf("%s", out)
	}
	o := r.Objects[0]
	f := o["findings"].([]any)[0].(map[string]any)
	if o["file"] != "stdin" || o["document"] != 2.0 || o["kind"] != "RobustMQCluster" || o["namespace"] != "default" || o["name"] != "a" || o["verdict"] != "refused" ||
		f["severity"] != "error" || f["line"] != 7.0 || f["field"] != "spec.placementCenter.replicas" || f["value"] != "9" || f["message"] == "" {
		t.Errorf("%s", out)
	}
}

func TestASecretThatWasPutIntoASettingIsNotRepeated(t *testing.T) {
	out, code, _ := call(t, header+"spec: {version: \"0.4.11\", config: {mqtt_runtime.auth: {default_password: hunter2}}}\n", "-f", "-", "-o", "json")
	if code != 1 || strings.Contains(out, "hunter2") {
		t.Errorf("%d: %s", code, out)
	}
}

func TestEverySampleWouldBeLetIn(t *testing.T) {
	if out, code, err := call(t, "", "-f", "../../../config/samples", "-v"); code != 0 || !strings.Contains(out, "ok: ") {
		t.Errorf("%v: %s", err, out)
	}
}

func FuzzValidate(f *testing.F) {
	definitions, err := validate.Load(crd.Files)
	if err != nil {
		f.Fatal(err)
	}
	seeds, err := filepath.Glob("../../../test/policies/*/*.yaml")
	if err != nil || len(seeds) == 0 {
		f.Fatal(len(seeds), err)
	}
	for _, name := range seeds {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "", true)
		f.Add([]byte(header+"spec: {version: \"0.4.11\"}\n"), string(data), false)
	}
	f.Fuzz(func(t *testing.T, files []byte, existing string, known bool) {
		in := Input{KnowsExisting: known}
		for into, text := range map[*validate.Contents]string{&in.Files: string(files), &in.Existing: existing} {
			if err := into.Read("f", strings.NewReader(text), mine); err != nil {
				t.Fatal(err)
			}
		}
		r, err := Judge(t.Context(), definitions, in)
		if err != nil {
			return // what exists cannot be used
		}
		var text, out bytes.Buffer
		if err := errors.Join(r.writeText(&text, true), r.writeJSON(&out)); err != nil {
			t.Fatal(err)
		}
		for _, o := range r.Objects {
			if (o.Verdict == Refused) != (verdict(o.Findings) == Refused) || r.Verdict == Allowed && o.Verdict != Allowed {
				t.Errorf("%+v", o)
			}
			for _, finding := range o.Findings {
				if finding.Field == "" || finding.Message == "" || finding.Rule == "" || finding.Line < 1 {
					t.Errorf("%+v says nothing", finding)
				}
			}
		}
	})
}
