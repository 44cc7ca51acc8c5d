package backup

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"sigs.k8s.io/yaml"
)

// FormatVersion of the reports in JSON and YAML. It changes when a field is taken away or changes its meaning, not when one is added.
const FormatVersion = 1

// Forms of a report.
const (
	text   = "text"
	asJSON = "json"
	asYAML = "yaml"
)

// print writes a report in the form that was asked for.
func (t *tool) print(report any, human func(w *page)) error {
	var err error
	switch t.output {
	case asJSON:
		e := json.NewEncoder(t.out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		err = e.Encode(report)
	case asYAML:
		var b []byte
		if b, err = yaml.Marshal(report); err == nil {
			_, err = t.out.Write(b)
		}
	default:
		p := &page{w: t.out}
		human(p)
		err = p.err
	}
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// page is text for people. Its first error is kept.
type page struct {
	w   io.Writer
	err error
}

func (p *page) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// fields are names and values, one a line; those without a value are left out.
func (p *page) fields(pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			p.line("%-16s%s", pairs[i], pairs[i+1])
		}
	}
}

// table has a head and rows with columns under one another.
func (p *page) table(head string, rows [][]string) {
	w := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	put := func(cells []string) {
		if p.err == nil {
			_, p.err = fmt.Fprintln(w, strings.Join(cells, "\t"))
		}
	}
	put(strings.Split(head, "|"))
	for _, row := range rows {
		put(row)
	}
	if p.err == nil {
		p.err = w.Flush()
	}
}

// size for people.
func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// clock is a time for people: that of manifests, to the second.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
