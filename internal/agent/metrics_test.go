package agent

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

// tabulated are the metrics that docs/agent.md has in its tables, with their labels.
func tabulated(t *testing.T) map[string][]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "agent.md"))
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `(robustmq_[a-z0-9_]+)` \\| ([a-z0-9_, ]*) ?\\|")
	found := map[string][]string{}
	for _, m := range row.FindAllStringSubmatch(string(raw), -1) {
		if _, twice := found[m[1]]; twice {
			t.Errorf("docs/agent.md has %s twice", m[1])
		}
		labels := strings.FieldsFunc(m[2], func(r rune) bool { return r == ',' || r == ' ' })
		slices.Sort(labels)
		found[m[1]] = labels
	}
	return found
}

// named are the metrics that the package's own files name.
func named(t *testing.T) []string {
	t.Helper()
	name := regexp.MustCompile(`^robustmq_[a-z0-9_]+$`)
	var all []string
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if text, err := strconv.Unquote(literal.Value); err == nil && name.MatchString(text) && !slices.Contains(all, text) {
					all = append(all, text)
				}
			}
			return true
		})
	}
	slices.Sort(all)
	return all
}

func TestEveryMetricOfTheAgentIsInTheTableAndNothingElse(t *testing.T) {
	table, all := tabulated(t), named(t)
	if len(all) < 40 {
		t.Errorf("only %d metrics were found in the source: %v", len(all), all)
	}
	for _, name := range all {
		if _, ok := table[name]; !ok {
			t.Errorf("docs/agent.md has no row for %s", name)
		}
	}
	for name := range table {
		if !slices.Contains(all, name) {
			t.Errorf("docs/agent.md has %s, which no agent exports", name)
		}
	}
}

func TestWhatIsExportedHasTheLabelsOfTheTable(t *testing.T) {
	w, pods := three(t, func(w *world) {
		w.script(1).set(func(b *behaviour) { b.segments, b.snapshot = someSegments, 5 })
	})
	broker := w.add(config.RoleMQTTBroker, 0).initialised(nil).start()
	broker.shows("robustmq_mqtt_clients")
	pods[0].shows("robustmq_segments")
	table, seen := tabulated(t), map[string]bool{}
	for _, p := range []*pod{pods[0], broker} {
		families, err := p.agent.metrics.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			name := f.GetName()
			if !strings.HasPrefix(name, "robustmq_") {
				continue // of the process
			}
			seen[name] = true
			if f.GetHelp() == "" {
				t.Errorf("%s has no help", name)
			}
			for _, m := range f.GetMetric() {
				labels := []string{}
				for _, l := range m.GetLabel() {
					labels = append(labels, l.GetName())
				}
				slices.Sort(labels)
				if want, ok := table[name]; !ok || !slices.Equal(labels, want) {
					t.Errorf("%s has the labels %v, the table %v", name, labels, want)
				}
			}
		}
	}
	for name := range table {
		// Counters with labels begin with what they count.
		if late := strings.HasSuffix(name, "_total"); !late && !seen[name] {
			t.Errorf("%s is in the table, and neither a leader nor a broker exports it", name)
		}
	}
}

// scrape is one scrape without a network.
func (p *pod) scrapeSize() int {
	recorder := httptest.NewRecorder()
	p.agent.PublicHandler().ServeHTTP(recorder, httptest.NewRequestWithContext(p.w.t.Context(), "GET", "/metrics", nil))
	return recorder.Body.Len()
}

// maxScrape bounds a scrape: Prometheus comes every 15 or 30 s, to a process that lives beside its server on the server's CPU.
const maxScrape = 20 * time.Millisecond

func TestAScrapeOfALeaderIsShortAndSmall(t *testing.T) {
	_, pods := three(t, func(w *world) {
		w.script(1).set(func(b *behaviour) { b.segments = someSegments })
	})
	pods[0].shows("robustmq_segments")
	best, size := time.Duration(math.MaxInt64), 0
	for range 50 {
		begin := time.Now()
		size = pods[0].scrapeSize()
		best = min(best, time.Since(begin))
	}
	if best > maxScrape || size > 64<<10 {
		t.Errorf("a scrape takes %s and has %d bytes", best, size)
	}
}

func BenchmarkAScrapeOfALeader(b *testing.B) {
	_, pods := three(b, func(w *world) {
		w.script(1).set(func(b *behaviour) { b.segments = someSegments })
	})
	pods[0].shows("robustmq_segments")
	size := 0
	for b.Loop() {
		size = pods[0].scrapeSize()
	}
	b.ReportMetric(float64(size), "B/scrape")
	if each := b.Elapsed() / time.Duration(max(b.N, 1)); each > maxScrape {
		b.Errorf("a scrape takes %s, more than %s", each, maxScrape)
	}
}
