package alerts

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
)

// rules are all rules, those of clusters for apps/orders.
func rules(t *testing.T) (ofCluster, ofOperator []monitoringv1.Rule) {
	t.Helper()
	groups, err := ForCluster("apps", "orders")
	if err != nil {
		t.Fatal(err)
	}
	own, err := ForOperator()
	if err != nil {
		t.Fatal(err)
	}
	return groups[0].Rules, own[0].Rules
}

func all(t *testing.T) []monitoringv1.Rule {
	t.Helper()
	ofCluster, ofOperator := rules(t)
	return slices.Concat(ofCluster, ofOperator)
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// names of the files of a folder that match a pattern, without their ends.
func names(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range found {
		found[i] = strings.TrimSuffix(filepath.Base(f), filepath.Ext(f))
	}
	return found
}

func TestEveryRuleIsCompleteAndSaysWhatItIsAbout(t *testing.T) {
	for _, r := range all(t) {
		if !regexp.MustCompile(`^RobustMQ[A-Za-z]+$`).MatchString(r.Alert) {
			t.Errorf("%q is no name of an alert", r.Alert)
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) || len(r.Labels) != 1 {
			t.Errorf("%s has the labels %v", r.Alert, r.Labels)
		}
		if keys := slices.Sorted(maps.Keys(r.Annotations)); !slices.Equal(keys, []string{"description", "runbook_url", "summary"}) {
			t.Errorf("%s has the annotations %v", r.Alert, keys)
		}
		if want := "https://github.com/robustmq/robustmq-operator/blob/main/docs/runbooks/alerts/" + r.Alert + ".md"; r.Annotations["runbook_url"] != want {
			t.Errorf("%s has its page at %s", r.Alert, r.Annotations["runbook_url"])
		}
		if s, d := r.Annotations["summary"], r.Annotations["description"]; s == d || len(s) > 140 || strings.HasSuffix(s, ".") || !strings.HasSuffix(d, ".") {
			t.Errorf("%s: the summary is one line, the description are sentences: %q, %q", r.Alert, s, d)
		}
	}
}

func TestWhatOneClusterGetsIsNotChangedByAnother(t *testing.T) {
	first, err := ForCluster("a", "one")
	if err != nil {
		t.Fatal(err)
	}
	rule := &first[0].Rules[0]
	before := *rule.DeepCopy()
	second, err := ForCluster("b", "two")
	if err != nil {
		t.Fatal(err)
	}
	other := &second[0].Rules[0]
	if rule.Expr == other.Expr || strings.Contains(other.Expr.StrVal, `"a"`) || strings.Contains(other.Expr.StrVal, "NAMESPACE") {
		t.Errorf("%s is %s", rule.Expr.StrVal, other.Expr.StrVal)
	}
	other.Labels["severity"], other.Annotations["summary"], *other.For = "none", "", "1s"
	if rule.Labels["severity"] != before.Labels["severity"] || rule.Annotations["summary"] != before.Annotations["summary"] || *rule.For != *before.For {
		t.Error("they share a map")
	}
}

func TestARuleThatIsMisspeltIsRefused(t *testing.T) {
	for what, text := range map[string]string{
		"an unknown key": "alert: A\nexpr: up\nseverity: critical\n",
		"no YAML":        "alert: [\n",
	} {
		if _, err := parse([]byte(text)); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
}

func TestEveryAlertHasATestAPageAndARowAndNothingIsLeftOver(t *testing.T) {
	var want []string
	for _, r := range all(t) {
		want = append(want, r.Alert)
	}
	slices.Sort(want)
	if len(slices.Compact(slices.Clone(want))) != len(want) {
		t.Errorf("two alerts have one name: %v", want)
	}
	if got := names(t, "tests/*.yaml"); !slices.Equal(got, want) {
		t.Errorf("tests: %v, want %v", got, want)
	}
	if got := names(t, "../../docs/runbooks/alerts/*.md"); !slices.Equal(got, want) {
		t.Errorf("pages: %v, want %v", got, want)
	}
	ofCluster, ofOperator := rules(t)
	_, table, _ := strings.Cut(read(t, "../../docs/alerts.md"), "## Of a cluster")
	clusters, operator, _ := strings.Cut(table, "## Of the operator")
	for part, rules := range map[string][]monitoringv1.Rule{clusters: ofCluster, operator: ofOperator} {
		if rows := strings.Count(part, "\n| ["); rows != len(rules) {
			t.Errorf("docs/alerts.md has %d rows for %d alerts", rows, len(rules))
		}
		for _, r := range rules {
			wait := "at once"
			if r.For != nil {
				wait = string(*r.For)
			}
			row := "\n| [" + r.Alert + "](runbooks/alerts/" + r.Alert + ".md) | " + r.Labels["severity"] + " | " + wait + " | "
			if !strings.Contains(part, row) {
				t.Errorf("docs/alerts.md lacks the row %q", strings.TrimSpace(row))
			}
		}
	}
}

func TestEveryPageOfAnAlertHasTheSameParts(t *testing.T) {
	parts := []string{"What it means", "What the operator does by itself", "What to check", "What to do", "How it clears"}
	for _, r := range all(t) {
		page := read(t, "../../docs/runbooks/alerts/"+r.Alert+".md")
		if !strings.HasPrefix(page, "# "+r.Alert+"\n") {
			t.Errorf("the page of %s has another title", r.Alert)
		}
		sections := strings.Split(page, "\n## ")[1:]
		var found []string
		for _, s := range sections {
			title, text, _ := strings.Cut(s, "\n")
			found = append(found, title)
			if len(strings.TrimSpace(text)) < 10 {
				t.Errorf("the page of %s says nothing under %q", r.Alert, title)
			}
		}
		if !slices.Equal(found, parts) {
			t.Errorf("the page of %s has the parts %q, want %q", r.Alert, found, parts)
		}
	}
}
