package main

import (
	"strings"
	"testing"
)

func TestEverySelectorOfAnExpressionIsFoundWithItsMatchers(t *testing.T) {
	in := `"sum by (group) (rate(a_total{x=\"1\"}[5m])) * on (group) group_left() b{y!~\"z.*\"} unless time() - c > 3"` + "\n" + `"a{"` + "\n"
	var out strings.Builder
	if err := answerAll(strings.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := `{"selectors":[{"metric":"a_total","matchers":{"x":"=1"}},{"metric":"b","matchers":{"y":"!~z.*"}},{"metric":"c","matchers":{}}]}`
	if len(lines) != 2 || lines[0] != want {
		t.Errorf("%q, want %q", lines[0], want)
	}
	if !strings.Contains(lines[1], `"error":"`) {
		t.Errorf("%q is no error", lines[1])
	}
}

func TestALineThatIsNoStringEndsTheProgram(t *testing.T) {
	if err := answerAll(strings.NewReader("sum(a)\n"), &strings.Builder{}); err == nil {
		t.Error("no error")
	}
}
