package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// answers of the program to a recording.
func answers(t *testing.T, r string) []alert {
	t.Helper()
	var out strings.Builder
	if err := run(t.Context(), strings.NewReader(r), &out); err != nil {
		t.Fatal(err)
	}
	var all []alert
	for line := range strings.Lines(out.String()) {
		var a alert
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

// target is a scrape of a target called a; "-" is no answer.
func target(at, text string) string {
	content, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	if text == "-" {
		content = []byte("null")
	}
	return `{"at":` + at + `,"target":{"job":"j","pod":"a"},"text":` + string(content) + `}`
}

func document(expr, wait string, scrapes ...string) string {
	return `{"every":1,"rules":[{"alert":"A","expr":"` + expr + `","for":"` + wait + `","labels":{"severity":"info"},"annotations":{"summary":"{{ $labels.pod }} has {{ $value }}"}}],"scrapes":[` + strings.Join(scrapes, ",") + `]}`
}

func TestAnAlertWaitsFiresAndEnds(t *testing.T) {
	found := answers(t, document("x > 1", "3s", target("1000", "x 0"), target("1002", "x 5"), target("1004", "x 6"), target("1006", "x 7"), target("1008", "x 0"), target("1010", "x 0")))
	if len(found) != 1 || found[0].Active != 1002 || found[0].Fired == nil || *found[0].Fired != 1005 || found[0].Ended == nil || *found[0].Ended != 1008 {
		t.Fatalf("%+v", found)
	}
	if got := found[0].Annotations["summary"]; got != "a has 6" && got != "a has 7" {
		t.Errorf("it says %q", got)
	}
	if got := found[0].Labels; got["severity"] != "info" || got["pod"] != "a" || got["job"] != "j" {
		t.Errorf("it has the labels %v", got)
	}
}

func TestAnAlertThatDoesNotHoldLongEnoughOnlyWaits(t *testing.T) {
	found := answers(t, document("x > 1", "3s", target("1000", "x 5"), target("1002", "x 0"), target("1010", "x 0")))
	if len(found) != 1 || found[0].Fired != nil || found[0].Ended == nil {
		t.Errorf("%+v", found)
	}
}

func TestWhatATargetNoLongerSaysIsGoneAtOnceAndATargetThatDoesNotAnswerIsDown(t *testing.T) {
	found := answers(t, document("x or up == 0", "0s", target("1000", "x 1"), target("1005", "y 1"), target("1010", "-")))
	var active []float64
	for _, a := range found {
		active = append(active, a.Active)
	}
	if !slices.Equal(active, []float64{1000, 1010}) || found[0].Ended == nil || *found[0].Ended != 1005 {
		t.Errorf("%+v", found)
	}
}

func TestALabelThatBothHaveIsTheTargetsUnlessItIsHonoured(t *testing.T) {
	scrape := target("1000", `x{pod="mine"} 1`)
	found := answers(t, document("x", "0s", scrape))
	if len(found) != 1 || found[0].Labels["pod"] != "a" || found[0].Labels["exported_pod"] != "mine" {
		t.Errorf("%+v", found)
	}
	found = answers(t, document("x", "0s", strings.Replace(scrape, `"at"`, `"honorLabels":true,"at"`, 1)))
	if len(found) != 1 || found[0].Labels["pod"] != "mine" {
		t.Errorf("honoured: %+v", found)
	}
}

func TestWhatCannotBeReadOrEvaluatedIsRefused(t *testing.T) {
	for what, in := range map[string]string{
		"no JSON":         "x",
		"an unknown key":  `{"ruls":[]}`,
		"nothing":         "{}",
		"no expression":   document("x >", "0s", target("1000", "x 1")),
		"no metrics":      document("x", "0s", target("1000", "x{ 1")),
		"two of one name": document("x", "0s", target("1000", "x 1"), target("1000", "x 2")),
	} {
		if err := run(t.Context(), strings.NewReader(in), &strings.Builder{}); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
}
