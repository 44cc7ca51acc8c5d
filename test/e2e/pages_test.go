package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// reasons are the values of the closed set in api/v1alpha1/conditions.go.
func reasons(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../api/v1alpha1/conditions.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Reason") || len(spec.Values) == 0 {
			return true
		}
		if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
			value, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, value)
		}
		return true
	})
	if len(all) < 30 {
		t.Fatalf("only %d reasons were found: %v", len(all), all)
	}
	return all
}

func TestTroubleshootingExplainsEveryReasonAndNoOther(t *testing.T) {
	page, err := os.ReadFile("../../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	var explained []string
	for line := range strings.Lines(string(page)) {
		first, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		for _, word := range regexp.MustCompile("`([A-Za-z]+)`").FindAllStringSubmatch(first, -1) {
			if !slices.Contains(v1alpha1.ConditionTypes, word[1]) || slices.Contains(reasons(t), word[1]) {
				explained = append(explained, word[1])
			}
		}
	}
	for _, r := range reasons(t) {
		if !slices.Contains(explained, r) {
			t.Errorf("%s is not explained", r)
		}
	}
	for _, e := range explained {
		if !slices.Contains(reasons(t), e) {
			t.Errorf("%s is explained and does not exist", e)
		}
	}
	for _, c := range v1alpha1.ConditionTypes {
		if !strings.Contains(string(page), "| `"+c+"` |") {
			t.Errorf("the condition %s is not explained", c)
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinksBetweenPagesLeadSomewhere(t *testing.T) {
	pages := append(glob(t, "../../docs/*.md"), glob(t, "../../docs/runbooks/*.md")...)
	pages = append(pages, glob(t, "../../docs/runbooks/alerts/*.md")...)
	for _, page := range append(pages, "../../README.md", "../README.md", "../bed/README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range link.FindAllStringSubmatch(string(text), -1) {
			target, anchor, anchored := strings.Cut(l[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := filepath.Join(filepath.Dir(page), target)
			if target == "" {
				file = page
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, l[1])
			} else if anchored && !slices.Contains(anchors(t, file), anchor) {
				t.Errorf("%s links to %s, and that page has no such heading", page, l[1])
			}
		}
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(files), err)
	}
	return files
}

var heading = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)

// anchors of a page's headings, as GitHub makes them.
func anchors(t *testing.T, page string) []string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, h := range heading.FindAllStringSubmatch(string(text), -1) {
		kept := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(h[1]), "")
		out = append(out, strings.ReplaceAll(kept, " ", "-"))
	}
	return out
}

// The first screen of the README is for somebody who knows nothing: two commands, what it is, a picture.
func TestTheReadmeBeginsWithTheTwoCommands(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	screen := strings.Join(lines[:min(len(lines), 45)], "\n")
	for _, want := range []string{"make demo", "make test", "```mermaid", "MQTT broker"} {
		if !strings.Contains(screen, want) {
			t.Errorf("the first screen lacks %q", want)
		}
	}
}
