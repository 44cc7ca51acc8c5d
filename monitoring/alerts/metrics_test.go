package alerts

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
)

// selector is what the tool of that name says of one selector of an expression: `=value`, `!=value`, `=~value` or `!~value` by label.
type selector struct {
	Metric   string            `json:"metric"`
	Matchers map[string]string `json:"matchers"`
}

// selectors of each rule, by Prometheus' own parser.
func selectors(t *testing.T, rules []monitoringv1.Rule) [][]selector {
	t.Helper()
	var in bytes.Buffer
	for _, r := range rules {
		if err := json.NewEncoder(&in).Encode(r.Expr.StrVal); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), tool(t, "selectors"))
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	found := make([][]selector, len(rules))
	decode := json.NewDecoder(bytes.NewReader(out))
	for i, r := range rules {
		var answer struct {
			Error     string     `json:"error"`
			Selectors []selector `json:"selectors"`
		}
		if err := decode.Decode(&answer); err != nil || answer.Error != "" || len(answer.Selectors) == 0 {
			t.Fatalf("%s: %v %s", r.Alert, err, answer.Error)
		}
		found[i] = answer.Selectors
	}
	return found
}

func TestRulesOfAClusterLookAtNoOther(t *testing.T) {
	ofCluster, _ := rules(t)
	for i, of := range selectors(t, ofCluster) {
		for _, s := range of {
			if s.Matchers["namespace"] != "=apps" || s.Matchers["cluster"] != "=orders" {
				t.Errorf("%s looks at %s %v", ofCluster[i].Alert, s.Metric, s.Matchers)
			}
		}
	}
}

// series are the metrics that exist, and the labels and values that those of the server were seen with.
type series map[string]map[string][]string

// recorded are what servers of RobustMQ 0.4.11 exported. The labels of their targets are not among it.
func recorded(t *testing.T) series {
	t.Helper()
	files, err := filepath.Glob("../testdata/metrics/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	out := series{}
	for _, f := range files {
		for line := range strings.Lines(read(t, f)) {
			m := regexp.MustCompile(`^([a-zA-Z_:][\w:]*)\{?([^}]*)`).FindStringSubmatch(line)
			if m == nil {
				continue
			}
			if out[m[1]] == nil {
				out[m[1]] = map[string][]string{}
			}
			for _, l := range regexp.MustCompile(`(\w+)="([^"]*)"`).FindAllStringSubmatch(m[2], -1) {
				out[m[1]][l[1]] = append(out[m[1]][l[1]], l[2])
			}
		}
	}
	return out
}

// documented are the metrics of a page's tables, with the series that a histogram has.
func documented(t *testing.T, page string) series {
	t.Helper()
	out := series{}
	for line := range strings.Lines(read(t, page)) {
		if !strings.HasPrefix(line, "| `robustmq_") {
			continue
		}
		cell, _, _ := strings.Cut(line[2:], " |")
		for _, name := range regexp.MustCompile("`(robustmq_[a-z_]+)").FindAllStringSubmatch(cell, -1) {
			out[name[1]] = nil
		}
	}
	return out
}

// ofLibraries are made by Prometheus itself and by the libraries of the operator: client_golang's process collector, and controller-runtime's work queues.
var ofLibraries = []string{"up", "process_start_time_seconds", "workqueue_depth", "workqueue_longest_running_processor_seconds"}

func TestEveryMetricOfARuleExists(t *testing.T) {
	server, agent, operator := recorded(t), documented(t, "../../docs/agent.md"), documented(t, "../../docs/metrics.md")
	exists := func(name string, in series) bool {
		for _, end := range []string{"", "_count", "_sum", "_bucket"} {
			base, cut := strings.CutSuffix(name, end)
			if _, ok := in[base]; ok && cut {
				return true
			}
		}
		return false
	}
	rules := all(t)
	ofServer := 0
	for i, of := range selectors(t, rules) {
		for _, s := range of {
			labels, seen := server[s.Metric]
			if !seen {
				if !exists(s.Metric, agent) && !exists(s.Metric, operator) && !slices.Contains(ofLibraries, s.Metric) {
					t.Errorf("%s: %s is no metric of the server, the agent or the operator", rules[i].Alert, s.Metric)
				}
				continue
			}
			ofServer++
			for label, matcher := range s.Matchers {
				if slices.Contains([]string{"namespace", "cluster", "pod", "role", "member", "job"}, label) {
					continue // the target's
				}
				value := strings.TrimLeft(matcher, "=!~")
				if !slices.Contains(labels[label], value) {
					t.Errorf("%s: %s was never seen with %s=%q", rules[i].Alert, s.Metric, label, value)
				}
			}
		}
	}
	if ofServer < 8 {
		t.Errorf("only %d metrics of the server were found", ofServer)
	}
}
