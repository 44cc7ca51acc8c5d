// Package dashboards has the tests of docs/dashboards by Prometheus' own parser and engine. What they read outside of this module they reach by links in testdata: go test keeps its results until a file
// inside the module changes.
package dashboards

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// expression of a panel, or of a variable, as it is in the JSON.
type expression struct {
	where, expr, legend string
	instant             bool
}

type panel struct {
	Title   string
	Panels  []panel
	Targets []struct {
		Expr, LegendFormat string
		Instant            bool
	}
}

func expressions(t *testing.T) []expression {
	t.Helper()
	files, err := filepath.Glob("testdata/docs/dashboards/*.json")
	if err != nil || len(files) != 4 {
		t.Fatalf("there are four dashboards, found %v (%v)", files, err)
	}
	var list []expression
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var board struct {
			Panels     []panel
			Templating struct {
				List []struct{ Name, Definition string }
			}
		}
		if err := json.Unmarshal(text, &board); err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		for _, v := range board.Templating.List {
			if v.Definition == "" {
				continue
			}
			values, ok := strings.CutPrefix(v.Definition, "label_values(")
			selector, label, cut := strings.Cut(strings.TrimSuffix(values, ")"), ", ")
			if !ok || !cut {
				t.Fatalf("%s: variable %s: %s", name, v.Name, v.Definition)
			}
			list = append(list, expression{where: name + ": variable " + v.Name, expr: fmt.Sprintf("group by (%s) (%s)", label, selector), instant: true})
		}
		var walk func([]panel)
		walk = func(panels []panel) {
			for _, p := range panels {
				walk(p.Panels)
				for _, q := range p.Targets {
					list = append(list, expression{fmt.Sprintf("%s: %q", name, p.Title), q.Expr, q.LegendFormat, q.Instant})
				}
			}
		}
		walk(board.Panels)
	}
	if len(list) < 150 {
		t.Fatalf("only %d expressions", len(list))
	}
	return list
}

// filled is an expression as Grafana sends it. all is for the choice of everything where a dashboard has that.
func (e expression) filled(all bool) string {
	namespace, cluster := "apps", "orders"
	if all {
		namespace, cluster = ".*", ".*"
	}
	return strings.NewReplacer("$__rate_interval", "2m", "$__range", "30m", "$__interval", "30s", "$namespace", namespace, "$cluster", cluster).Replace(e.expr)
}
