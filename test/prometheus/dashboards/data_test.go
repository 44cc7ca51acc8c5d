package dashboards

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
)

// hour of scrapes: what agents and the operator export as it is in testdata, and the recorded server twice, as a broker and as a member of the placement centre. Counters of the server grow by what they were
// recorded with at each scrape, so what never happened stays at zero.
func hour(t *testing.T) string {
	t.Helper()
	ours, err := os.ReadFile("testdata/ours.txt")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.Write(ours)
	server, err := os.ReadFile("testdata/recorded/server-0.4.11.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []string{"placement-center", "mqtt-broker"} {
		target := fmt.Sprintf(`job="robustmq-server",namespace="apps",cluster="orders",role=%q,member="%s-0",pod="orders-%s-0"`, role, role, role)
		kind := ""
		for line := range strings.Lines(string(server)) {
			if words := strings.Fields(line); len(words) == 4 && words[1] == "TYPE" {
				kind = words[3]
			}
			series, value, ok := strings.Cut(strings.TrimSpace(line), " ")
			if !ok || strings.HasPrefix(line, "#") {
				continue
			}
			name, own, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
			if own != "" {
				own += ","
			}
			growth := "0"
			if kind != "gauge" {
				growth = value
			}
			fmt.Fprintf(&b, "  %s{%s%s} %s+%sx120\n", name, own, target, value, growth)
		}
	}
	return b.String()
}

func TestEveryExpressionReturnsDataOfAClusterThatHasAll(t *testing.T) {
	storage := promqltest.LoadedStorage(t, hour(t))
	engine := promqltest.NewTestEngine(t, false, 0, 10_000_000)
	at := time.Unix(0, 0).Add(31 * time.Minute)
	for _, e := range expressions(t) {
		for _, all := range []bool{false, true} {
			if all && !strings.Contains(e.expr, "=~\"$namespace\"") {
				continue
			}
			query, err := engine.NewInstantQuery(t.Context(), storage, nil, e.filled(all), at)
			if err != nil {
				t.Errorf("%s: %s: %v", e.where, e.expr, err)
				continue
			}
			result := query.Exec(t.Context())
			vector, err := result.Vector()
			if err != nil || len(vector) == 0 {
				t.Errorf("%s returns nothing (%v): %s", e.where, err, e.filled(all))
			}
			names := map[string]bool{}
			for _, s := range vector {
				name := legend(e.legend, s)
				if names[name] && e.legend != "" {
					t.Errorf("%s: two series are called %q: %s", e.where, name, e.expr)
				}
				names[name] = true
			}
			query.Close()
		}
	}
}

func legend(format string, s promql.Sample) string {
	for {
		before, rest, ok := strings.Cut(format, "{{")
		label, after, _ := strings.Cut(rest, "}}")
		if !ok {
			return format
		}
		format = before + s.Metric.Get(label) + after
	}
}
