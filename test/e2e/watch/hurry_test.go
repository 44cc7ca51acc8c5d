package watch

import (
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

const ruleObject = `{"apiVersion":"monitoring.coreos.com/v1","kind":"PrometheusRule",
"metadata":{"name":"c","namespace":"ns","uid":"1","ownerReferences":[{"name":"c"}],"labels":{"robustmq.io/cluster":"c"}},
"spec":{"groups":[{"name":"robustmq.quorum","interval":"1m","rules":[
 {"record":"robustmq:x","expr":"1"},
 {"alert":"Long","expr":"up == 0","for":"15m","keep_firing_for":"10m","labels":{"severity":"critical"},"annotations":{"summary":"s"}},
 {"alert":"Short","expr":"up == 0","for":"1s"},
 {"alert":"AtOnce","expr":"up == 0","labels":{"severity":"info"}}]}]}}`

func TestAHurriedCopyDiffersInNothingButItsPatience(t *testing.T) {
	out, err := hurried([]byte(ruleObject), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := yaml.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	// No owner and no label: nobody may take it for the operator's.
	text := `
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: c-hurried, namespace: ns}
spec:
  groups:
  - name: robustmq.quorum-hurried
    rules:
    - {alert: Long, expr: up == 0, for: 5s, labels: {severity: critical, hurried: "true"}, annotations: {summary: s}}
    - {alert: Short, expr: up == 0, for: 1s, labels: {hurried: "true"}}
    - {alert: AtOnce, expr: up == 0, labels: {severity: info, hurried: "true"}}
`
	if err := yaml.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	a, _ := yaml.Marshal(got)
	b, _ := yaml.Marshal(want)
	if string(a) != string(b) {
		t.Errorf("got:\n%s\nwant:\n%s", a, b)
	}
}

func TestRulesWithoutAlertsOrWithAPatienceThatIsNoneAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{"spec":{"groups":[{"rules":[{"record":"a","expr":"1"}]}]}}`:             "no alerts",
		`{"spec":{"groups":[{"rules":[{"alert":"a","expr":"1","for":"soon"}]}]}}`: "alert a: for",
		`[]`: "cannot unmarshal",
	} {
		if out, err := hurried([]byte(text), time.Second); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v %s", text, err, out)
		}
	}
}
