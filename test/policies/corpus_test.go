package policies

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

func corpus(t *testing.T) []*Case {
	t.Helper()
	cases, err := Load(".")
	if err != nil {
		t.Fatal(err)
	}
	return cases
}

func TestACaseIsReadAsTheReadmeSays(t *testing.T) {
	c, err := Parse([]byte(`# Two lines
# of a title: with a colon.
# expect: refused
# says: a: b
# says: spec.x
# says: write 3
# without-webhooks: guard
# operation: scale 1
# existing: unjudged
apiVersion: v1
kind: Namespace
metadata: {name: a, labels: {x: "1"}}
---
apiVersion: robustmq.io/v1alpha1
kind: RobustMQCluster
metadata: {name: b}
spec: {version: "0.4.11", mqttBroker: {replicas: 3}}
`))
	if err != nil {
		t.Fatal(err)
	}
	if c.Title != "Two lines of a title: with a colon." || c.Expect != Refused || c.Offline != Refused || c.WithoutWebhooks != HeldByGuard || !c.ExistingUnjudged ||
		c.Operation != Scale || c.Replicas != 1 || !slices.Equal(c.Says, []string{"a: b", "spec.x", "write 3"}) {
		t.Errorf("%+v", c)
	}
	if len(c.Documents) != 2 || c.Judged().GetName() != "b" || c.Before()[0].GetLabels()["x"] != "1" || c.IsUpdate() || !strings.HasPrefix(c.Texts[1], "apiVersion: robustmq.io") {
		t.Errorf("%+v", c.Documents)
	}
}

func TestACaseThatCouldProveNothingIsRefused(t *testing.T) {
	const object = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n"
	for text, want := range map[string]string{
		"# expect: allowed\n" + object:          "no title",
		"# A title\n" + object:                  "no expect",
		"# A title\n# expect: maybe\n" + object: "none of",
		"# A title\n# expect: refused\n# says: a\n# says: b\n# says: c\n" + object:              "without-webhooks",
		"# A title\n# expect: refused\n# says: a\n# without-webhooks: schema\n" + object:        "names rule",
		"# A title\n# expect: warned\n# says: a\n" + object:                                     "names rule",
		"# A title\n# expect: allowed\n# says: a\n" + object:                                    "nothing is said",
		"# A title\n# expect: allowed\n# operation: scale\n" + object:                           "a number follows",
		"# A title\n# expect: allowed\n# operation: delete 3\n" + object:                        "a number follows",
		"# A title\n# expect: allowed\n# existing: judged\n" + object:                           "unjudged",
		"# A title\n# expect: allowed\n# say: a\n" + object:                                     `no key "say"`,
		"# A title\n# expect: allowed\n# says-not:\n" + object:                                  "empty",
		"# A title\n# expect: allowed\n" + object + "---\n":                                     "document 2 is empty",
		"# A title\n# expect: allowed\napiVersion: v1\nkind: Secret\nmetadata: {}\n":            "metadata.name",
		"# A title\n# expect: allowed\napiVersion: v1\nkind: Secret\nkind: Pod\nmetadata: {}\n": "already set",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
}

// names are the names of a table's rules, with those that only warn.
func names[T any](table []rules.Rule[T], into map[string]rules.Action) {
	for _, r := range table {
		into[r.Name] = r.DefaultAction
	}
}

func TestEveryRuleHasACaseThatItStopsAndOneThatItLetsIn(t *testing.T) {
	all := map[string]rules.Action{}
	names(rules.Clusters, all)
	names(rules.Backups, all)
	names(rules.Restores, all)
	names(rules.Policies, all)
	names(rules.PolicyRules, all)
	stopped, allowed, same := map[string]bool{}, map[string]bool{}, map[string]string{}
	cases := corpus(t)
	for _, c := range cases {
		_, known := all[c.Rule]
		if !known && c.Rule != "Schema" {
			t.Errorf("%s: no table has a rule %s", c.Path, c.Rule)
		}
		stopped[c.Rule] = stopped[c.Rule] || c.Expect == Refused || c.Expect == Warned && all[c.Rule] == rules.Warn
		allowed[c.Rule] = allowed[c.Rule] || c.Expect == Allowed
		content := strings.Join(c.Texts, "---\n") + string(c.Operation) + strconv.Itoa(int(c.Replicas))
		if other, ok := same[content]; ok && strings.HasPrefix(other, c.Rule+"/") {
			t.Errorf("%s is the same as %s", c.Path, other)
		}
		same[content] = c.Path
	}
	for rule := range all {
		if !stopped[rule] || !allowed[rule] {
			t.Errorf("%s: a case that is stopped: %t, one that is let in: %t", rule, stopped[rule], allowed[rule])
		}
	}
	if len(cases) < 150 {
		t.Errorf("%d cases", len(cases))
	}
}

// TestEveryRefusalNamesRuleFieldAndMore: what a stranger needs to act on it.
func TestEveryRefusalNamesRuleFieldAndMore(t *testing.T) {
	for _, c := range corpus(t) {
		if c.Expect != Refused || c.Rule == "Schema" {
			continue
		}
		says := strings.Join(c.Says, "\n")
		field := slices.ContainsFunc(c.Says, func(s string) bool { return strings.Contains(s, "spec") || strings.Contains(s, "metadata") })
		if !strings.Contains(says, c.Rule) && !strings.Contains(says, "Immutable") && c.Rule != "VersionKnown" && c.WithoutWebhooks != HeldBySchema || !field {
			t.Errorf("%s: its says name rule %s or a field not: %q", c.Path, c.Rule, c.Says)
		}
	}
}
