package validate

import (
	"encoding/json"
	"fmt"
	"io"
)

// FormatVersion of the JSON report. It changes when a field is taken away or changes its meaning, not when one is added.
const FormatVersion = 1

// Verdict of an object.
type Verdict string

// The verdicts.
const (
	Allowed Verdict = "allowed"
	Warned  Verdict = "warned"
	Refused Verdict = "refused"
)

// Severity of a finding.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Finding is one thing that speaks against an object.
type Finding struct {
	Severity Severity `json:"severity"`
	// Line of the field, or of the nearest one around it that is written.
	Line int `json:"line"`
	// Rule as in docs/policies.md; Schema where the shape of the object is wrong.
	Rule  string `json:"rule"`
	Field string `json:"field"`
	// Value that was written there, as text; left out where there is none, or where it may not be repeated.
	Value *string `json:"value,omitempty"`
	// Message is the whole sentence: value, rule, what is wrong and what to write instead.
	Message string `json:"message"`
}

// Object is one object that was judged.
type Object struct {
	Place
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Namespace  string    `json:"namespace,omitempty"`
	Name       string    `json:"name"`
	Verdict    Verdict   `json:"verdict"`
	Findings   []Finding `json:"findings"`
}

// Place is where a document stands: its file, its number there from 1, and its line.
type Place struct {
	File     string `json:"file"`
	Document int    `json:"document"`
	Line     int    `json:"line"`
}

// Unreadable is a document, or a whole file, that could not be read.
type Unreadable struct {
	Place
	Message string `json:"message"`
}

// PassedOver is a document of another kind; the kind is empty where nothing of ours was in it and it was not parsed.
type PassedOver struct {
	Place
	Kind string `json:"kind,omitempty"`
}

// Report is all that is to be said. Lists are never null.
type Report struct {
	Version    int          `json:"version"`
	Verdict    Verdict      `json:"verdict"`
	Objects    []Object     `json:"objects"`
	Unreadable []Unreadable `json:"unreadable"`
	PassedOver []PassedOver `json:"passedOver"`
}

// verdict is the worst of the findings.
func verdict(findings []Finding) Verdict {
	out := Allowed
	for _, f := range findings {
		if f.Severity == SeverityError {
			return Refused
		}
		out = Warned
	}
	return out
}

// finish sums up.
func (r *Report) finish() {
	r.Verdict = Allowed
	for _, o := range r.Objects {
		if o.Verdict == Refused || r.Verdict == Allowed {
			r.Verdict = o.Verdict
		}
	}
}

// ExitCode of the command: 0 everything would be let in, 1 something would be refused, 2 something could not be read, so that nothing can be said of it.
func (r *Report) ExitCode() int {
	switch {
	case len(r.Unreadable) > 0:
		return 2
	case r.Verdict == Refused:
		return 1
	}
	return 0
}

func (r *Report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// writeText writes one line a finding, as compilers do, so that editors and CI systems find the place.
func (r *Report) writeText(w io.Writer, verbose bool) error {
	var err error
	line := func(format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintf(w, format+"\n", args...)
		}
	}
	for _, u := range r.Unreadable {
		line("%s:%d: error: document %d: %s", u.File, u.Line, u.Document, u.Message)
	}
	refused, warned := 0, 0
	for _, o := range r.Objects {
		who := o.Kind + " " + o.Name
		if o.Namespace != "" {
			who = o.Kind + " " + o.Namespace + "/" + o.Name
		}
		for _, f := range o.Findings {
			line("%s:%d: %s: %s, document %d: %s: %s", o.File, f.Line, f.Severity, who, o.Document, f.Field, f.Message)
		}
		switch o.Verdict {
		case Refused:
			refused++
		case Warned:
			warned++
		}
		if verbose && o.Verdict == Allowed {
			line("%s:%d: ok: %s, document %d", o.File, o.Line, who, o.Document)
		}
	}
	if verbose {
		for _, p := range r.PassedOver {
			line("%s:%d: passed over: document %d%s", p.File, p.Line, p.Document, because(p.Kind))
		}
	}
	line("%s judged: %d refused, %d let in with warnings; %s unreadable, %s passed over",
		count(len(r.Objects), "object"), refused, warned, count(len(r.Unreadable), "document"), count(len(r.PassedOver), "document"))
	return err
}

func because(kind string) string {
	if kind == "" {
		return ": nothing of robustmq.io is in it"
	}
	return " is " + kind
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
