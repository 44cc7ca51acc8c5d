package e2e

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A command of a page is what somebody is to type: a line of an indented block, with its here-document, or a span of code in a sentence.
type command struct {
	line int // at which it begins
	text string
}

// programs that a page tells to call. A line of a block begins with one of them.
var programs = regexp.MustCompile(`^(kubectl|robustmq-operator|age-keygen) `)

var (
	hereDocument = regexp.MustCompile(`<<(\w+)`)
	codeSpan     = regexp.MustCompile("`([^`]+)`")
)

// commandsIn are the commands of a page, in order; what stands there twice is one.
func commandsIn(text string) (out []command, err error) {
	add := func(line int, text string) {
		if !slices.ContainsFunc(out, func(c command) bool { return c.text == text }) {
			out = append(out, command{line, text})
		}
	}
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		begun := strings.TrimLeft(line, " ")
		indent := line[:len(line)-len(begun)]
		if len(indent) < 4 || begun == "" { // in a list text is indented by 2 or 3
			for _, span := range codeSpan.FindAllStringSubmatch(line, -1) {
				if programs.MatchString(span[1]) {
					add(i+1, span[1])
				}
			}
			continue
		}
		if !programs.MatchString(begun) {
			return nil, fmt.Errorf("line %d: %q is in a block, and no command", i+1, begun)
		}
		whole, at := []string{begun}, i+1
		if here := hereDocument.FindStringSubmatch(begun); here != nil {
			for i++; ; i++ {
				if i == len(lines) || lines[i] != "" && !strings.HasPrefix(lines[i], indent) {
					return nil, fmt.Errorf("line %d: its here-document has no end %s", at, here[1])
				}
				whole = append(whole, strings.TrimPrefix(lines[i], indent))
				if whole[len(whole)-1] == here[1] {
					break
				}
			}
		}
		add(at, strings.Join(whole, "\n"))
	}
	return out, nil
}

// commandFor is the one that is meant by a piece of its text, or by the whole of it.
func commandFor(commands []command, piece string) (command, error) {
	var found []command
	for _, c := range commands {
		if c.text == piece {
			return c, nil
		}
		if strings.Contains(c.text, piece) {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		return command{}, fmt.Errorf("%d commands have %q", len(found), piece)
	}
	return found[0], nil
}

func commandsOf(t testing.TB, page string) []command {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs/runbooks", page))
	if err != nil {
		t.Fatal(err)
	}
	commands, err := commandsIn(string(text))
	if err != nil {
		t.Fatalf("%s: %v", page, err)
	}
	return commands
}

func TestTheCommandsOfAPageAreFound(t *testing.T) {
	found, err := commandsIn(`# A page

See ` + "`kubectl get a`, `Ready`" + ` and the file that ` + "`age-keygen`" + ` wrote.

    kubectl get a
    kubectl get b   # why

1. A step:

       kubectl apply -f - <<EOF
       kind: A

       metadata: {name: c}
       EOF
       kubectl get c -w

   and ` + "`robustmq-operator backup list`" + `.
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []command{{3, "kubectl get a"}, {6, "kubectl get b   # why"}, {10, "kubectl apply -f - <<EOF\nkind: A\n\nmetadata: {name: c}\nEOF"}, {15, "kubectl get c -w"}, {17, "robustmq-operator backup list"}}
	if !slices.Equal(found, want) {
		t.Errorf("%+v", found)
	}
	for _, wrong := range []string{"    NAME  STAGE\n", "    kubectl apply -f - <<EOF\n    kind: A\n", "    kubectl apply -f - <<EOF\n    kind: A\nText\n    EOF\n"} {
		if found, err := commandsIn(wrong); err == nil {
			t.Errorf("%q: %+v", wrong, found)
		}
	}
	if c, err := commandFor(found, "kubectl get a"); err != nil || c.line != 3 {
		t.Errorf("%+v, %v", c, err)
	}
	for _, unclear := range []string{"kubectl get", "kubectl put"} {
		if c, err := commandFor(found, unclear); err == nil {
			t.Errorf("%q: %+v", unclear, c)
		}
	}
}

// A trial is what a test of the bed does with the commands of a page: those that it runs, and those that it leaves out.
type trial struct {
	function string
	run      []string
	spared   map[string]string // to the reason
}

// trialsOf reads the functions that follow pages, one each, out of their source: they are compiled for the bed alone, and a command that nobody runs has to be noticed without one.
func trialsOf(t *testing.T, files ...string) map[string]trial {
	t.Helper()
	out := map[string]trial{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			page, x := "", trial{function: f.Name.Name, spared: map[string]string{}}
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				method, ok := call.Fun.(*ast.SelectorExpr)
				if !ok || len(call.Args) == 0 {
					return true
				}
				first, isText := literal(call.Args[0])
				switch {
				case !isText:
				case method.Sel.Name == "page":
					page = first
				case slices.Contains([]string{"run", "until", "watch", "refused"}, method.Sel.Name):
					x.run = append(x.run, first)
				case method.Sel.Name == "spare" && len(call.Args) == 2:
					x.spared[first], _ = literal(call.Args[1])
				}
				return true
			})
			if page == "" {
				continue
			}
			if out[page].function != "" {
				t.Errorf("%s is followed by %s and by %s", page, out[page].function, x.function)
			}
			out[page] = x
		}
	}
	return out
}

func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(l.Value)
	return text, err == nil
}

// untried are the commands of a page that its trial neither runs nor spares, and what it names that is not there.
func untried(commands []command, x trial) (wrong []string) {
	tried := map[string]bool{}
	for _, piece := range x.run {
		c, err := commandFor(commands, piece)
		if err != nil {
			wrong = append(wrong, err.Error())
		}
		tried[c.text] = true
	}
	for piece, why := range x.spared {
		c, err := commandFor(commands, piece)
		switch {
		case err != nil:
			wrong = append(wrong, err.Error())
		case tried[c.text]:
			wrong = append(wrong, fmt.Sprintf("%q is run and spared", piece))
		case len(strings.Fields(why)) < 4:
			wrong = append(wrong, fmt.Sprintf("%q is spared, and the reason is %q", piece, why))
		}
		tried[c.text] = true
	}
	for _, c := range commands {
		if !tried[c.text] {
			wrong = append(wrong, fmt.Sprintf("line %d: nobody tries %q", c.line, c.text))
		}
	}
	slices.Sort(wrong)
	return wrong
}

func TestEveryCommandOfARunbookIsTriedOnTheBed(t *testing.T) {
	trials := trialsOf(t, glob(t, "runbook_*_test.go")...)
	for _, path := range glob(t, "../../docs/runbooks/*.md") {
		page := filepath.Base(path)
		commands := commandsOf(t, page)
		x, followed := trials[page]
		if !followed {
			t.Errorf("nobody follows %s", page)
			continue
		}
		for _, w := range untried(commands, x) {
			t.Errorf("%s, followed by %s: %s", page, x.function, w)
		}
		for _, c := range commands {
			if out, err := exec.CommandContext(t.Context(), "bash", "-n", "-c", c.text).CombinedOutput(); err != nil {
				t.Errorf("%s:%d: bash does not read it: %v: %s", page, c.line, err, out)
			}
		}
	}
	for page, x := range trials {
		if _, err := os.Stat(filepath.Join("../../docs/runbooks", page)); err != nil {
			t.Errorf("%s follows %s: %v", x.function, page, err)
		}
	}
}

func TestACommandThatNobodyTriesIsNoticed(t *testing.T) {
	commands := []command{{1, "kubectl get a"}, {2, "kubectl delete a"}}
	for _, x := range []struct {
		trial trial
		want  string
	}{
		{trial{run: []string{"get a"}, spared: map[string]string{"delete a": "it would end the bed"}}, ""},
		{trial{run: []string{"get a"}}, `line 2: nobody tries "kubectl delete a"`},
		{trial{run: []string{"get a", "delete a", "create a"}}, `0 commands have "create a"`},
		{trial{run: []string{"get a", "delete a"}, spared: map[string]string{"delete a": "it would end the bed"}}, `"delete a" is run and spared`},
		{trial{run: []string{"get a"}, spared: map[string]string{"delete a": "no"}}, `"delete a" is spared, and the reason is "no"`},
	} {
		if got := strings.Join(untried(commands, x.trial), "; "); got != x.want {
			t.Errorf("%+v: %q, want %q", x.trial, got, x.want)
		}
	}
}
