// Command mutate changes one comparison, boundary or connective of a package at a time, and asks the package's tests whether they notice.
//
//	mutate [-equivalent FILE] [-timeout 60s] [-files A.go,B.go] [-run REGEXP] [-list] PACKAGE...
//
// Packages are folders of the module in the current directory. The tree is not touched: the tests are compiled with an overlay, once for all mutants of a package, and an environment
// variable says which of them is in force; only numbers outside of comparisons are compiled one by one. What the tests do not notice has survived: either a test is
// missing, or the mutant means the same as the code, and is named with its reason in the file of equivalents. The exit code is 1 when one survived that is not in the file, or when the
// file names one that is killed or does not exist.
package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	equivalents := flag.String("equivalent", "", "file of mutants that mean the same: `id<TAB>reason` a line")
	timeout := flag.Duration("timeout", time.Minute, "how long the tests of one mutant may run; over it the mutant counts as killed")
	files := flag.String("files", "", "names of the files to change, with commas between them; empty: all of the packages")
	asked := flag.String("run", "", "only the tests that match this `regexp` are asked, as with go test: for a file whose tests are few among slow ones; what survives may be known to the others")
	list := flag.Bool("list", false, "only list the mutants")
	flag.Parse()
	var names []string
	if *files != "" {
		names = strings.Split(*files, ",")
	}
	ok, err := run(context.Background(), os.Stdout, flag.Args(), names, *asked, *equivalents, *timeout, *list)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, packages, files []string, asked, equivalents string, timeout time.Duration, list bool) (bool, error) {
	if len(packages) == 0 {
		return false, errors.New("which packages?")
	}
	known, err := readEquivalents(equivalents)
	if err != nil {
		return false, err
	}
	t := tally{out: out, known: known, used: map[string]bool{}}
	begin := time.Now()
	for _, dir := range packages {
		p, err := readPackage(dir)
		if err != nil {
			return false, err
		}
		p.asked = asked
		p.mutants = slices.DeleteFunc(p.mutants, func(m Mutant) bool { return !among(m.File, files) })
		if len(p.mutants) == 0 {
			return false, fmt.Errorf("%s: nothing to mutate in %s", dir, cmp.Or(strings.Join(files, ", "), "any file"))
		}
		if list {
			for _, m := range p.mutants {
				fmt.Fprintln(out, m)
			}
			continue
		}
		if err := p.judge(ctx, timeout, t.take); err != nil {
			return false, err
		}
	}
	if list {
		return true, nil
	}
	for _, id := range slices.Sorted(maps.Keys(known)) {
		if file, _, _ := strings.Cut(id, " "); !t.used[id] && ofOne(id, packages) && among(file, files) {
			fmt.Fprintf(out, "UNKNOWN    %s: the file of equivalents names it, and there is no such mutant\n", id)
			t.wrong++
		}
	}
	fmt.Fprintf(out, "%d mutants in %s: %d killed, %d equivalent, %d survived\n", t.killed+t.equivalent+t.survived, time.Since(begin).Round(time.Second), t.killed, t.equivalent, t.survived)
	return t.survived+t.wrong == 0, nil
}

// tally counts and prints what became of the mutants.
type tally struct {
	out                                 io.Writer
	known                               map[string]string
	used                                map[string]bool
	killed, equivalent, survived, wrong int
}

func (t *tally) take(m Mutant, f fate) {
	reason, equivalent := t.known[m.ID()]
	t.used[m.ID()] = true
	switch {
	case f == survived && equivalent:
		t.equivalent++
		fmt.Fprintf(t.out, "equivalent %s   (%s)\n", m, reason)
	case f == survived:
		t.survived++
		fmt.Fprintf(t.out, "SURVIVED   %s\n", m)
	case equivalent:
		t.killed++
		t.wrong++
		fmt.Fprintf(t.out, "KILLED     %s   %s, although it is called equivalent\n", m, f)
	default:
		t.killed++
		fmt.Fprintf(t.out, "killed     %s%s\n", m, f)
	}
}

func ofOne(id string, packages []string) bool {
	return slices.ContainsFunc(packages, func(p string) bool { return strings.HasPrefix(id, filepath.ToSlash(filepath.Clean(p))+"/") })
}

// among reports whether a file has one of the names; no names are all.
func among(file string, names []string) bool {
	return len(names) == 0 || slices.Contains(names, filepath.Base(file))
}

// readEquivalents reads the reviewed file. Lines that begin with # are comments.
func readEquivalents(path string) (map[string]string, error) {
	known := map[string]string{}
	if path == "" {
		return known, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, reason, ok := strings.Cut(line, "\t")
		if !ok || strings.TrimSpace(reason) == "" {
			return nil, fmt.Errorf("%s: %q has no reason after a tab", path, line)
		}
		if known[id] != "" {
			return nil, fmt.Errorf("%s: %q twice", path, id)
		}
		known[id] = strings.TrimSpace(reason)
	}
	return known, nil
}
