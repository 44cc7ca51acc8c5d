package alerts

import (
	"bytes"
	"encoding/json"
	"maps"
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

// family is a metric that exists: its labels, with the values that are known of each. Those that every target has are not among them.
type family map[string][]string

// target are the labels that the ServiceMonitors give to all that they scrape.
var target = []string{"namespace", "cluster", "pod", "role", "member", "job", "instance"}

// recorded are what servers of RobustMQ 0.4.11 exported.
func recorded(t *testing.T) map[string]family {
	t.Helper()
	files, err := filepath.Glob("../testdata/metrics/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	out := map[string]family{}
	for _, f := range files {
		for line := range strings.Lines(read(t, f)) {
			if name, labels, ok := sample(line); ok {
				if out[name] == nil {
					out[name] = family{}
				}
				for label, value := range labels {
					out[name][label] = append(out[name][label], value)
				}
			}
		}
	}
	return out
}

// sample reads the name and the labels at the begin of a line.
func sample(line string) (name string, labels map[string]string, ok bool) {
	m := regexp.MustCompile(`^([a-zA-Z_:][\w:]*)(?:\{([^}]*)\})?`).FindStringSubmatch(line)
	if m == nil {
		return "", nil, false
	}
	labels = map[string]string{}
	for _, l := range regexp.MustCompile(`(\w+)="([^"]*)"`).FindAllStringSubmatch(m[2], -1) {
		labels[l[1]] = l[2]
	}
	return m[1], labels, true
}

// documented are the metrics of a page's tables: the labels stand in the second column, and what values they have somewhere on the page, as code. A histogram has its three series.
func documented(t *testing.T, page string) map[string]family {
	t.Helper()
	text := read(t, page)
	var words []string
	for _, w := range regexp.MustCompile("`([\\w-]+)`").FindAllStringSubmatch(text, -1) {
		words = append(words, w[1])
	}
	out := map[string]family{}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "| `robustmq_") {
			continue
		}
		cells := strings.Split(line, "|")
		f := family{}
		for label := range strings.SplitSeq(cells[2], ",") {
			if label = strings.TrimSpace(label); label != "" {
				f[label] = words
			}
		}
		for _, name := range regexp.MustCompile("`(robustmq_[a-z_]+)").FindAllStringSubmatch(cells[1], -1) {
			out[name[1]] = f
			if strings.Contains(line, "histogram") {
				out[name[1]+"_count"], out[name[1]+"_sum"], out[name[1]+"_bucket"] = f, f, f
			}
		}
	}
	return out
}

// known are all metrics that there are.
func known(t *testing.T) map[string]family {
	t.Helper()
	out := map[string]family{ // of Prometheus itself, of client_golang's process collector, of controller-runtime's work queues
		"up": {}, "process_start_time_seconds": {}, "workqueue_depth": {"name": nil, "priority": nil}, "workqueue_longest_running_processor_seconds": {"name": nil},
	}
	maps.Copy(out, recorded(t))
	maps.Copy(out, documented(t, "../../docs/agent.md"))
	maps.Copy(out, documented(t, "../../docs/metrics.md"))
	if len(out) < 200 {
		t.Errorf("only %d metrics were found", len(out))
	}
	return out
}

func TestEveryMetricOfARuleExistsWithTheLabelsAndValuesThatItIsAskedFor(t *testing.T) {
	families, rules := known(t), all(t)
	for i, of := range selectors(t, rules) {
		for _, s := range of {
			f, exists := families[s.Metric]
			if !exists {
				t.Errorf("%s: %s is no metric of the server, the agent or the operator", rules[i].Alert, s.Metric)
				continue
			}
			for label, matcher := range s.Matchers {
				values, has := f[label]
				if !has {
					if !slices.Contains(target, label) {
						t.Errorf("%s: %s has no label %s", rules[i].Alert, s.Metric, label)
					}
					continue
				}
				if slices.Contains([]string{"namespace", "cluster", "role"}, label) {
					continue // names, and the roles, which are the target's elsewhere
				}
				for value := range strings.SplitSeq(strings.TrimLeft(matcher, "=!~"), "|") {
					if value != "" && !slices.Contains(values, value) {
						t.Errorf("%s: %s never has %s=%q", rules[i].Alert, s.Metric, label, value)
					}
				}
			}
		}
	}
}

// A test with series that nobody exports would be worth nothing.
func TestTheSeriesOfTheTestsAreSuchAsAreExported(t *testing.T) {
	families, seen := known(t), 0
	for _, r := range all(t) {
		for _, m := range regexp.MustCompile(`(?m)^  - series: '(.*)'$`).FindAllStringSubmatch(read(t, "tests/"+r.Alert+".yaml"), -1) {
			name, labels, ok := sample(m[1])
			f, exists := families[name]
			if !ok || !exists {
				t.Errorf("%s: its test has %s, which nobody exports", r.Alert, m[1])
				continue
			}
			seen++
			for label := range labels {
				if _, has := f[label]; !has && !slices.Contains(target, label) {
					t.Errorf("%s: its test has %s with the label %s, which that metric lacks", r.Alert, name, label)
				}
			}
			for label := range f {
				if _, has := labels[label]; !has {
					t.Errorf("%s: its test has %s without the label %s, which that metric has", r.Alert, name, label)
				}
			}
		}
	}
	if seen < 150 {
		t.Errorf("only %d series were compared", seen)
	}
}
