package monitoring_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/robustmq/robustmq-operator/monitoring"
)

const page = "../docs/metrics.md"

// exported are the metrics of this package, with their labels, and those that other packages of the operator describe themselves, found by their names in the source (labels unknown: nil).
func exported(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	o := monitoring.NewOperator()
	fields := regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)
	for _, c := range []prometheus.Collector{o.Clusters, o.Backups, o.Restores, o.Recoveries, o.Steps, o.Transfers, o.Work, o.Admissions, o.Leader} {
		ch := make(chan *prometheus.Desc, 100)
		c.Describe(ch)
		close(ch)
		for d := range ch {
			m := fields.FindStringSubmatch(d.String())
			if m == nil {
				t.Fatalf("%s is no description that this test can read", d)
			}
			all[m[1]] = slices.DeleteFunc(strings.Split(m[2], ","), func(s string) bool { return s == "" })
		}
	}
	name := regexp.MustCompile(`^robustmq_[a-z_]+$`)
	for _, dir := range []string{"../controllers", "../webhooks", "../cmd/operator"} {
		for text := range literals(t, dir) {
			if _, known := all[text]; name.MatchString(text) && !known {
				all[text] = nil
			}
		}
	}
	return all
}

// literals are the strings in the source below a folder, tests aside.
func literals(t *testing.T, dir string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil {
					found[text] = true
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// rows are the metrics of the page's tables, with their labels.
func rows(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(robustmq_[a-z_]+)` \\| ([a-z, ]*)\\| (.+) \\|$").FindAllStringSubmatch(string(text), -1) {
		if _, twice := all[m[1]]; twice {
			t.Errorf("%s stands there twice", m[1])
		}
		all[m[1]] = slices.DeleteFunc(strings.Split(strings.ReplaceAll(m[2], " ", ""), ","), func(s string) bool { return s == "" })
	}
	return all
}

func TestEveryMetricOfTheOperatorIsInTheTableAndNoOther(t *testing.T) {
	has, says := exported(t), rows(t)
	if len(has) < 25 {
		t.Fatalf("only %d metrics were found", len(has))
	}
	for _, name := range slices.Sorted(maps.Keys(has)) {
		labels, listed := says[name]
		switch {
		case !listed:
			t.Errorf("%s is in no table of %s", name, page)
		case has[name] != nil && !slices.Equal(has[name], labels):
			t.Errorf("%s has the labels %v, %s says %v", name, has[name], page, labels)
		}
	}
	for name := range says {
		if _, ok := has[name]; !ok {
			t.Errorf("%s lists %s, which the operator does not have", page, name)
		}
	}
}

// named are the values of the constants of a type in the package of decisions.
func named(t *testing.T, kind string) []string {
	t.Helper()
	files, err := filepath.Glob("../internal/topology/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || len(v.Values) != 1 {
				return true
			}
			if of, ok := v.Type.(*ast.Ident); !ok || of.Name != kind {
				return true
			}
			if lit, ok := v.Values[0].(*ast.BasicLit); ok {
				text, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, text)
			}
			return true
		})
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestThePageNamesEveryStepAndEveryKindOfTrouble(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for line, kind := range map[string]string{"Steps: ": "StepKind", "Kinds: ": "Rung"} {
		_, rest, found := strings.Cut(string(text), "\n"+line)
		list, _, ended := strings.Cut(rest, ". ")
		if !found || !ended {
			t.Fatalf("%s has no list that begins with %q", page, line)
		}
		var says []string
		for _, m := range regexp.MustCompile("`([A-Za-z]+)`").FindAllStringSubmatch(list, -1) {
			says = append(says, m[1])
		}
		slices.Sort(says)
		if has := named(t, kind); len(has) < 10 || !slices.Equal(has, says) {
			t.Errorf("%s %v\nthe page lists %v", kind, has, says)
		}
	}
}
