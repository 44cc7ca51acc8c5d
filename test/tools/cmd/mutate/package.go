package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pkg is a package of the module in the current directory, with its mutants in the order of the source.
type pkg struct {
	dir     string
	name    string
	files   map[string][]byte
	mutants []Mutant
	asked   string // which tests are asked, as a regular expression; empty: all
}

func readPackage(dir string) (*pkg, error) {
	p := &pkg{dir: filepath.Clean(dir), files: map[string][]byte{}}
	files, err := filepath.Glob(filepath.Join(p.dir, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		name = filepath.ToSlash(name)
		some, err := mutate(name, text)
		if err != nil {
			return nil, err
		}
		p.files[name] = text
		p.mutants = append(p.mutants, some...)
		if clause := packageClause.FindSubmatch(text); clause != nil {
			p.name = string(clause[1])
		}
	}
	return p, nil
}

var packageClause = regexp.MustCompile(`(?m)^package (\w+)`)

// fate of a mutant; as text, what is to be said beside "killed".
type fate string

const (
	survived    fate = "survived"
	killed      fate = ""
	endless     fate = "   (the tests did not end)"
	uncompiling fate = "   (does not compile)"
)

// chosen is the variable of the tests' program that names the mutant in force.
const chosen = "MUTANT_IN_FORCE"

// judge tells the fate of each mutant, and first asks whether the tests pass without any.
func (p *pkg) judge(ctx context.Context, timeout time.Duration, tell func(Mutant, fate)) error {
	work, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	program := filepath.Join(work, "tests")
	wrong, err := p.compileAll(ctx, work, program)
	if err != nil {
		return err
	}
	if f, text, err := p.test(ctx, program, -1, timeout); err != nil || f != survived {
		return fmt.Errorf("the tests of %s fail without any mutant: %w\n%s", p.dir, err, text)
	}
	for i, m := range p.mutants {
		var f fate
		switch {
		case wrong[i]:
			f = uncompiling
		case m.To == 0:
			f, err = p.testAlone(ctx, work, i, timeout)
		default:
			f, _, err = p.test(ctx, program, i, timeout)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", m, err)
		}
		tell(m, f)
	}
	return nil
}

// test runs the tests' program with a mutant in force. Tests that need an API server are not asked: what they find it by is taken away.
func (p *pkg) test(ctx context.Context, program string, mutant int, timeout time.Duration) (fate, string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-test.failfast", "-test.run="+p.asked)
	cmd.Dir, cmd.WaitDelay = p.dir, time.Second
	cmd.Env = append(os.Environ(), "KUBEBUILDER_ASSETS=", fmt.Sprintf("%s=%d", chosen, mutant+1))
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return endless, string(text), nil
	case err == nil:
		return survived, string(text), nil
	case errors.As(err, &exit):
		return killed, string(text), nil
	}
	return "", string(text), err
}

// testAlone compiles the tests with one mutant.
func (p *pkg) testAlone(ctx context.Context, work string, i int, timeout time.Duration) (fate, error) {
	m := p.mutants[i]
	text := p.files[m.File]
	changed := string(text[:m.Offset]) + m.With + string(text[m.Offset+m.Length:])
	program := filepath.Join(work, "alone")
	if out, err := p.compile(ctx, work, program, map[string]string{m.File: changed}); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && compileError.MatchString(out) {
			return uncompiling, nil
		}
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	f, _, err := p.test(ctx, program, -1, timeout)
	return f, err
}

// compile makes the tests' program with other files in place of some, which the tree does not see.
func (p *pkg) compile(ctx context.Context, work, program string, files map[string]string) (string, error) {
	replace := map[string]string{}
	for name, text := range files {
		with := filepath.Join(work, filepath.Base(name))
		if err := os.WriteFile(with, []byte(text), 0o600); err != nil {
			return "", err
		}
		abs, err := filepath.Abs(name)
		if err != nil {
			return "", err
		}
		replace[abs] = with
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", err
	}
	at := filepath.Join(work, "overlay.json")
	if err := os.WriteFile(at, overlay, 0o600); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-p=1", "-gcflags=-e", "-ldflags=-s -w", "-overlay", at, "-o", program, "./"+filepath.ToSlash(p.dir))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

var compileError = regexp.MustCompile(`(?m)^(?:\./)?(\S+\.go):(\d+):\d+: `)

// compileAll makes one program with all mutants but the constants. Those that are no program (an unsigned number below zero) are found by the compiler, and left out.
func (p *pkg) compileAll(ctx context.Context, work, program string) (wrong map[int]bool, err error) {
	wrong = map[int]bool{}
	for {
		files := map[string]string{filepath.Join(p.dir, "mutant_in_force.go"): fmt.Sprintf(
			"package %s\n\nimport (\n\tmutantos \"os\"\n\tmutantstrconv \"strconv\"\n)\n\nvar mutantInForce, _ = mutantstrconv.Atoi(mutantos.Getenv(%q))\n", p.name, chosen)}
		lines := map[string]map[int]int{}
		for name := range p.files {
			files[name], lines[filepath.Base(name)] = p.render(name, wrong)
		}
		out, err := p.compile(ctx, work, program, files)
		if err == nil {
			return wrong, nil
		}
		found := false
		for _, e := range compileError.FindAllStringSubmatch(out, -1) {
			line, _ := strconv.Atoi(e[2])
			if i, ok := lines[filepath.Base(e[1])][line]; ok && !wrong[i] {
				wrong[i], found = true, true
			}
		}
		if !found {
			return nil, fmt.Errorf("compiling the tests of %s: %w\n%s", p.dir, err, out)
		}
	}
}

// render is a file in which each boolean expression asks which mutant is in force. It also says which line belongs to which mutant.
func (p *pkg) render(name string, wrong map[int]bool) (string, map[int]int) {
	text := p.files[name]
	type site struct {
		from, to int
		mutants  []int
	}
	var sites []site
	at := map[[2]int]int{}
	for i, m := range p.mutants {
		if m.File != name || m.To == 0 || wrong[i] {
			continue
		}
		key := [2]int{m.From, m.To}
		if _, ok := at[key]; !ok {
			at[key] = len(sites)
			sites = append(sites, site{from: m.From, to: m.To})
		}
		sites[at[key]].mutants = append(sites[at[key]].mutants, i)
	}
	slices.SortFunc(sites, func(a, b site) int { return cmp.Or(a.from-b.from, b.to-a.to) }) // what is around comes before what is within
	var out strings.Builder
	lines := map[int]int{}
	var write func(from, to int)
	write = func(from, to int) { // and the sites within
		for len(sites) > 0 && sites[0].to <= to {
			s := sites[0]
			sites = sites[1:]
			out.Write(text[from:s.from])
			out.WriteString("(func() bool {\nswitch mutantInForce {\n")
			for _, i := range s.mutants {
				m := p.mutants[i]
				fmt.Fprintf(&out, "case %d:\nreturn ", i+1)
				first := strings.Count(out.String(), "\n") + 1
				out.Write(text[s.from:m.Offset])
				out.WriteString(m.With)
				out.Write(text[m.Offset+m.Length : s.to])
				out.WriteByte('\n')
				for line := first; line <= strings.Count(out.String(), "\n"); line++ {
					lines[line] = i
				}
			}
			out.WriteString("}\nreturn ")
			write(s.from, s.to)
			out.WriteString("\n}())")
			from = s.to
		}
		out.Write(text[from:to])
	}
	write(0, len(text))
	return out.String(), lines
}
