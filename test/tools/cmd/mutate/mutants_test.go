package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEveryComparisonBoundaryAndConnectiveIsMutated(t *testing.T) {
	const source = `package p

const limit = 7

func f(n int, ok bool) bool {
	m := max(n, 2) % 2
	return !ok && n/2+1 >= limit || m == len("1")-3
}
`
	mutants, err := mutate("p/p.go", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range mutants {
		got = append(got, m.Function+": "+m.Becomes)
		whole := source[:m.Offset] + m.With + source[m.Offset+m.Length:]
		if whole == source || !strings.Contains(strings.Join(strings.Fields(whole), " "), m.Becomes) {
			t.Errorf("%s makes\n%s", m, whole)
		}
	}
	want := []string{
		"(declarations): 8", "(declarations): (6)",
		"f: max(n, 2) % 3", "f: max(n, 2) % (1)", "f: min(n, 2)",
		`f: !ok && n/2+1 >= limit && m == len("1")-3`,
		"f: !ok || n/2+1 >= limit",
		"f: ok",
		"f: n/2+1 > limit", "f: n/2+1 < limit", "f: n/3+1 >= limit", "f: n/(1)+1 >= limit", "f: n/2+2 >= limit", "f: n/2+(0) >= limit",
		`f: m != len("1")-3`, `f: m == len("1")-4`, `f: m == len("1")-(2)`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestMutantsThatReadTheSameHaveDifferentNames(t *testing.T) {
	mutants, err := mutate("p/p.go", []byte("package p\nfunc f(a, b bool) bool { if a && b { return true }; return a && b }\n"))
	if err != nil || len(mutants) != 2 || mutants[0].ID() == mutants[1].ID() {
		t.Errorf("%v, %v", mutants, err)
	}
}

// module makes one with a function, and tests that look at some of its boundaries.
func module(t *testing.T, tests string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"go.mod":      "module example.com/m\n\ngo 1.26\n",
		"p/p.go":      "package p\n\nfunc Big(n int) bool { return n > 3 }\n",
		"p/p_test.go": "package p\n\nimport \"testing\"\n\nfunc TestBig(t *testing.T) {" + tests + "}\n",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func judge(t *testing.T, equivalents string, files ...string) (bool, string) {
	t.Helper()
	var out strings.Builder
	ok, err := run(t.Context(), &out, []string{"p"}, files, "", equivalents, time.Minute, false)
	if err != nil {
		t.Fatal(err)
	}
	return ok, out.String()
}

func TestATestThatLeavesABoundaryOutLetsAMutantSurvive(t *testing.T) {
	module(t, `if Big(3) || !Big(5) { t.Fail() }`)
	ok, out := judge(t, "")
	if ok || !strings.Contains(out, "SURVIVED   p/p.go:3 Big: n > 3 -> n > 4") || !strings.Contains(out, "4 mutants") || !strings.Contains(out, "3 killed, 0 equivalent, 1 survived") {
		t.Errorf("%v\n%s", ok, out)
	}
	if err := os.WriteFile("equivalents", []byte("# reviewed\np/p.go Big: n > 3 -> n > 4\tnobody asks for 4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if ok, out := judge(t, "equivalents"); !ok || !strings.Contains(out, "nobody asks for 4") {
		t.Errorf("%v\n%s", ok, out)
	}
}

func TestOnlyTheTestsThatAreAskedForCanKill(t *testing.T) {
	module(t, `if Big(3) || !Big(4) { t.Fail() }`)
	for asked, want := range map[string]string{"Big": "4 killed, 0 equivalent, 0 survived", "Small": "0 killed, 0 equivalent, 4 survived"} {
		var out strings.Builder
		if _, err := run(t.Context(), &out, []string{"p"}, nil, asked, "", time.Minute, false); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%s: %v\n%s", asked, err, out.String())
		}
	}
}

func TestAnEquivalentThatIsKilledOrGoneIsToldOf(t *testing.T) {
	module(t, `if Big(3) || !Big(4) { t.Fail() }`)
	if ok, out := judge(t, ""); !ok || !strings.Contains(out, "4 killed, 0 equivalent, 0 survived") {
		t.Errorf("%v\n%s", ok, out)
	}
	if err := os.WriteFile("equivalents", []byte("p/p.go Big: n > 3 -> n > 4\tnobody asks for 4\np/p.go Gone: a -> b\tit was here once\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ok, out := judge(t, "equivalents")
	if ok || !strings.Contains(out, "although it is called equivalent") || !strings.Contains(out, "UNKNOWN    p/p.go Gone") {
		t.Errorf("%v\n%s", ok, out)
	}
}

func TestOnlyTheFilesThatAreAskedForAreChanged(t *testing.T) {
	module(t, `if Big(3) || !Big(4) || !Small(3) || Small(4) { t.Fail() }`)
	if err := os.WriteFile("p/q.go", []byte("package p\n\nfunc Small(n int) bool { return n < 4 }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("equivalents", []byte("p/p.go Gone: a -> b\tit was here once\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if ok, out := judge(t, "equivalents", "q.go"); !ok || strings.Contains(out, "p.go") || !strings.Contains(out, "4 mutants") {
		t.Errorf("%v\n%s", ok, out)
	}
	if ok, out := judge(t, "equivalents", "p.go"); ok || strings.Contains(out, "q.go") || !strings.Contains(out, "UNKNOWN    p/p.go Gone") {
		t.Errorf("%v\n%s", ok, out)
	}
	if ok, out := judge(t, "", "p.go", "q.go"); !ok || !strings.Contains(out, "8 mutants") {
		t.Errorf("%v\n%s", ok, out)
	}
	if _, err := run(t.Context(), io.Discard, []string{"p"}, []string{"r.go"}, "", "", time.Minute, false); err == nil || !strings.Contains(err.Error(), "r.go") {
		t.Errorf("a file that there is not: %v", err)
	}
}
