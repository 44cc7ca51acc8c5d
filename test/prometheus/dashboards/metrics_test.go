package dashboards

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// ofTarget are the labels that the ServiceMonitors give to what is scraped; exported ones are the server's or the agent's own of that name.
var ofTarget = []string{"namespace", "pod", "cluster", "role", "member", "job", "instance"}

// ofLibraries are of Prometheus itself, of client_golang and of controller-runtime, with their labels.
var ofLibraries = map[string][]string{
	"up":                            {},
	"ALERTS":                        {"alertname", "alertstate", "severity"},
	"process_resident_memory_bytes": {}, "process_cpu_seconds_total": {}, "go_goroutines": {},
	"workqueue_depth":                                   {"name", "controller", "priority"},
	"rest_client_requests_total":                        {"code", "method", "host"},
	"controller_runtime_reconcile_time_seconds_bucket":  {"controller", "le"},
	"controller_runtime_webhook_latency_seconds_bucket": {"webhook", "le"},
}

// recorded are the metrics of a server with their labels and the values of those.
func recorded(t *testing.T) map[string]map[string]map[string]bool {
	t.Helper()
	text, err := os.ReadFile("testdata/recorded/server-0.4.11.txt")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]map[string]map[string]bool{}
	for line := range strings.Lines(string(text)) {
		series, _, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		metric, err := parser.NewParser(parser.Options{}).ParseMetric(series)
		if err != nil {
			t.Fatalf("%s: %v", series, err)
		}
		name := metric.Get("__name__")
		if found[name] == nil {
			found[name] = map[string]map[string]bool{}
		}
		metric.Range(func(l labels.Label) {
			if found[name][l.Name] == nil {
				found[name][l.Name] = map[string]bool{}
			}
			found[name][l.Name][l.Value] = true
		})
	}
	return found
}

// row of a table: the labels of the second column, and the whole text, in which the values of labels are that are a closed set.
type row struct {
	labels []string
	text   string
}

// documented are the metrics in the tables of the pages.
func documented(t *testing.T) map[string]row {
	t.Helper()
	found := map[string]row{}
	for _, page := range []string{"testdata/docs/agent.md", "testdata/docs/metrics.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			cells := strings.Split(line, " | ")
			if !strings.HasPrefix(line, "| `robustmq_") {
				continue
			}
			var labels []string
			if regexp.MustCompile(`^[a-z_]+(, [a-z_]+)*$`).MatchString(cells[1]) && len(cells) > 2 {
				labels = strings.Split(cells[1], ", ")
			}
			for _, name := range regexp.MustCompile("`(robustmq_[a-z_]+)").FindAllStringSubmatch(cells[0], -1) {
				found[name[1]] = row{labels, line}
			}
		}
	}
	return found
}

func TestEveryMetricOfADashboardExists(t *testing.T) {
	server, ours := recorded(t), documented(t)
	of := map[string]int{}
	for _, e := range expressions(t) {
		parsed, err := parser.NewParser(parser.Options{}).ParseExpr(e.filled(false))
		if err != nil {
			t.Errorf("%s: %s: %v", e.where, e.expr, err)
			continue
		}
		parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
			s, ok := node.(*parser.VectorSelector)
			if !ok {
				return nil
			}
			page, own := ours[family(s.Name, ours)]
			_, known := ofLibraries[s.Name]
			switch {
			case server[s.Name] != nil:
				of["server"]++
				for _, m := range s.LabelMatchers {
					if m.Name == "__name__" || slices.Contains(ofTarget, m.Name) {
						continue
					}
					if !slices.ContainsFunc(values(server[s.Name][m.Name]), m.Matches) {
						t.Errorf("%s: %s was never seen with %s", e.where, s.Name, m)
					}
				}
			case own:
				of["ours"]++
				for _, m := range s.LabelMatchers {
					if m.Name == "__name__" || slices.Contains(ofTarget, m.Name) {
						continue
					}
					if !slices.Contains(page.labels, m.Name) || m.Type != labels.MatchRegexp && !strings.Contains(page.text, "`"+m.Value+"`") {
						t.Errorf("%s: nothing says that %s has %s", e.where, s.Name, m)
					}
				}
			case known:
				of["libraries"]++
			default:
				t.Errorf("%s: nobody exports %s", e.where, s.Name)
			}
			return nil
		})
	}
	if of["server"] < 60 || of["ours"] < 60 || of["libraries"] < 6 {
		t.Errorf("looked at %v", of)
	}
}

// family is the metric of a series: a histogram has three for one.
func family(series string, known map[string]row) string {
	for _, end := range []string{"_bucket", "_count", "_sum"} {
		if name, ok := strings.CutSuffix(series, end); ok {
			if _, ok := known[name]; ok {
				return name
			}
		}
	}
	return series
}

func values(set map[string]bool) []string {
	var list []string
	for v := range set {
		list = append(list, v)
	}
	return list
}

// An expression that groups by a label that the metric lacks draws one nameless line instead of many.
func TestEveryExpressionGroupsByLabelsThatItsMetricsHave(t *testing.T) {
	server, ours := recorded(t), documented(t)
	for _, e := range expressions(t) {
		parsed, err := parser.NewParser(parser.Options{}).ParseExpr(e.filled(false))
		if err != nil {
			continue // said by the test above
		}
		parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
			by, ok := node.(*parser.AggregateExpr)
			if !ok || by.Without {
				return nil
			}
			parser.Inspect(by.Expr, func(node parser.Node, _ []parser.Node) error {
				s, ok := node.(*parser.VectorSelector)
				if !ok {
					return nil
				}
				for _, label := range by.Grouping {
					own, isOurs := ours[family(s.Name, ours)]
					_, library := ofLibraries[s.Name]
					has := slices.Contains(ofTarget, label) || label == "le" && strings.HasSuffix(s.Name, "_bucket") ||
						server[s.Name][label] != nil || slices.Contains(ofLibraries[s.Name], label) || slices.Contains(own.labels, label)
					if !has && (server[s.Name] != nil || library || isOurs) {
						t.Errorf("%s: %s has no label %s", e.where, s.Name, label)
					}
				}
				return nil
			})
			return nil
		})
	}
}

func TestExpressionsLookAtTheChosenClusterOnly(t *testing.T) {
	for _, e := range expressions(t) {
		parsed, err := parser.NewParser(parser.Options{}).ParseExpr(e.filled(false))
		if err != nil || strings.Contains(e.where, "variable") {
			continue
		}
		parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
			s, ok := node.(*parser.VectorSelector)
			if !ok {
				return nil
			}
			chosen := map[string]string{}
			for _, m := range s.LabelMatchers {
				chosen[m.Name] = m.Value
			}
			if s.Name == "robustmq_policy_violations" { // of the whole installation
				return nil
			}
			if (chosen["namespace"] != "apps" || chosen["cluster"] != "orders") && chosen["job"] != "robustmq-operator" {
				t.Errorf("%s: %s looks at other clusters too", e.where, s.Name)
			}
			return nil
		})
	}
}
