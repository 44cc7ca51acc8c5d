package alerts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/yaml"
)

// tool is the path of one of the project's pinned tools; it is built when it is missing.
func tool(t *testing.T, name string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "../../test/tools/run", "--path", name)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("build %s: %v", name, err)
	}
	return strings.TrimSpace(string(out))
}

// ruleFile is a file of rules as Prometheus reads it.
type ruleFile struct {
	Groups []monitoringv1.RuleGroup `json:"groups"`
}

func write(t *testing.T, file string, content any) {
	t.Helper()
	text, err := yaml.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestPrometheusTakesTheRules(t *testing.T) {
	dir := t.TempDir()
	groups, err := ForCluster("apps", "orders")
	if err != nil {
		t.Fatal(err)
	}
	own, err := ForOperator()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "rules.yaml")
	write(t, file, ruleFile{append(groups, own...)})
	out, err := exec.CommandContext(t.Context(), tool(t, "promtool"), "check", "rules", "--lint=all", "--lint-fatal", file).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if want := fmt.Sprintf("SUCCESS: %d rules found", len(all(t))); !strings.Contains(string(out), want) {
		t.Errorf("%s, want %s", out, want)
	}
}

// expectations are the parts of a test file that are looked at here; promtool reads it whole.
type expectations struct {
	Tests []struct {
		Name   string `json:"name"`
		Alerts []struct {
			Alertname string `json:"alertname"`
			Expected  []struct {
				Labels map[string]string `json:"exp_labels"`
			} `json:"exp_alerts"`
		} `json:"alert_rule_test"`
	} `json:"tests"`
}

// The tests expect the summary of an alert; its other annotations are left out of the rule for them. A description may use the labels that a test expects, and no other.
func TestTheAlertsFireWhenTheyShouldAndNotOtherwise(t *testing.T) {
	dir := t.TempDir()
	args := []string{"test", "rules"}
	for _, r := range all(t) {
		text := read(t, "tests/"+r.Alert+".yaml")
		var e expectations
		if err := yaml.Unmarshal([]byte(text), &e); err != nil {
			t.Fatalf("%s: %v", r.Alert, err)
		}
		fires, quiet := 0, 0
		for _, test := range e.Tests {
			for _, a := range test.Alerts {
				if a.Alertname != r.Alert {
					t.Errorf("the test of %s is about %s", r.Alert, a.Alertname)
				}
				if len(a.Expected) == 0 {
					quiet++
				}
				for _, x := range a.Expected {
					fires++
					for _, used := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(r.Annotations["summary"]+r.Annotations["description"], -1) {
						if x.Labels[used[1]] == "" {
							t.Errorf("%s: its text has the label %s, which the alert lacks in %q", r.Alert, used[1], test.Name)
						}
					}
				}
			}
		}
		if fires == 0 || quiet == 0 {
			t.Errorf("%s: it is to fire %d times in its test, and to be quiet %d times", r.Alert, fires, quiet)
		}
		delete(r.Annotations, "description")
		delete(r.Annotations, "runbook_url")
		rules := r.Alert + ".rules.yaml"
		write(t, filepath.Join(dir, rules), ruleFile{[]monitoringv1.RuleGroup{{Name: "g", Rules: []monitoringv1.Rule{r}}}})
		test := filepath.Join(dir, r.Alert+".yaml")
		if err := os.WriteFile(test, []byte("rule_files: ["+rules+"]\nevaluation_interval: 30s\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, test)
	}
	if out, err := exec.CommandContext(t.Context(), tool(t, "promtool"), args...).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, failures(string(out)))
	}
}

// failures leaves the files out that succeeded.
func failures(out string) string {
	var kept []string
	for _, part := range strings.Split(out, "\n\n") {
		if strings.Contains(part, "FAILED") || !strings.Contains(part, "SUCCESS") {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, "\n\n")
}
