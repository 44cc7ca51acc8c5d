// Command reference writes the documentation of spec.config out of the catalogue of RobustMQ's settings.
//
//	reference DOCUMENT.md
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config/catalogue"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("reference: ")
	if len(os.Args) != 2 {
		log.Fatal("usage: reference DOCUMENT.md")
	}
	if err := os.WriteFile(os.Args[1], render(), 0o644); err != nil {
		log.Fatal(err)
	}
}

const intro = `<!-- Made by ` + "`make generate`" + ` out of internal/robustmq/config/catalogue; do not edit. -->
# Settings of RobustMQ (spec.config)

` + "`spec.config`" + ` holds settings of RobustMQ's server.toml by section and key. Write them in the names below, those of the newest RobustMQ, whatever version the cluster runs:
the operator writes them where that version reads them. The section of a key at the top level is ` + "`\"\"`" + `.

` + "```yaml" + `
spec:
  config:
    mqtt_runtime.protocol:
      max_packet_size: 1048576
    cluster_limit:
      max_connection_per_ip: 20000
` + "```" + `

What is written is judged before it is taken:

* **ConfigKnownKeys** refuses a key that the cluster's version does not have, since RobustMQ would silently ignore it, and names the nearest one. What is newer than this operator is passed on with a warning.
* **ConfigTypes** refuses a value of another type or outside the range below: such a value ends every server at its next start.
* **ConfigReserved** refuses the [keys that the operator sets itself](#keys-that-the-operator-sets) and names the field to use.

A change of ` + "`spec.config`" + ` restarts the nodes one after another. *Default* is what holds when the key is not set; where the operator chooses another value than the server, the server's own is in
brackets. *Changes* tells what the server could do without a restart through its own ` + "`config/set`" + `: "live" takes effect at once, "next start" is stored and lies over server.toml from the next start
on; "restart" cannot be changed so. "No effect" marks keys that the server reads and does not act on. Versions are given where a key is not in all of %s to %s.
`

type page struct{ bytes.Buffer }

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func render() []byte {
	p := &page{}
	p.line(strings.TrimSuffix(intro, "\n"), robustmq.Oldest, robustmq.Newest)
	bySection := map[string][]catalogue.Setting{}
	var owned []catalogue.Setting
	for _, s := range catalogue.All() {
		if s.Owned {
			owned = append(owned, s)
		} else {
			bySection[s.Section] = append(bySection[s.Section], s)
		}
	}
	for _, section := range catalogue.Sections() {
		settings := bySection[section.Name]
		if len(settings) == 0 {
			continue // owned as a whole, or written already
		}
		delete(bySection, section.Name)
		p.line("\n## %s\n", section.Name)
		p.line("%s", section.Meaning)
		p.line("\n| key | takes | default | changes | versions | what it does |")
		p.line("| --- | --- | --- | --- | --- | --- |")
		for _, s := range settings {
			p.line("| `%s` | %s | %s | %s | %s | %s |", s.Key, cell(takes(s)), standard(s), changes(s), versions(s), cell(about(s)))
		}
	}
	p.owned(owned)
	p.kinds()
	p.line("\n## Sections that cannot be set\n")
	for _, d := range catalogue.DeadSections {
		p.line("* `%s`, in versions before %s: %s.", d.Name, d.Until, d.Why)
	}
	return p.Bytes()
}

func (p *page) owned(settings []catalogue.Setting) {
	p.line("\n## Keys that the operator sets\n")
	p.line("They have to agree with the objects that the operator makes, and are refused in `spec.config`.\n")
	p.line("| section | key | set by | versions | what it does |")
	p.line("| --- | --- | --- | --- | --- |")
	for _, s := range settings {
		by := "the operator alone"
		if s.Owner != "" {
			by = s.Owner
		}
		section := s.Section
		if section == "" {
			section = `""`
		}
		p.line("| `%s` | `%s` | %s | %s | %s |", section, s.Key, by, versions(s), cell(s.Meaning))
	}
	p.line("\nIn versions 0.3.0 to 0.3.7 `meta_runtime.heartbeat_timeout_ms` too: a leader of those versions that expires a node stops applying writes.")
}

func (p *page) kinds() {
	p.line("\n## What a running server can change\n")
	p.line("The kinds of `POST /api/cluster/config/set`, each of them always sent as a whole: the server sets a key that is left out to a default, and stores what it cannot read.\n")
	p.line("| kind | since | keys | after a restart |")
	p.line("| --- | --- | --- | --- |")
	for _, k := range catalogue.Kinds(robustmq.Newest) {
		section := ""
		for _, s := range k.Of(robustmq.Newest) {
			if section == "" || len(s.Section) < len(section) {
				section = s.Section
			}
		}
		keys := fmt.Sprintf("all of `%s`", section)
		switch k {
		case catalogue.KafkaDynamic:
			keys = "`kafka_runtime.auto_create_topics_enable`"
		case catalogue.MqttLimit:
			keys = "all of `mqtt_runtime.limit.cluster` and `mqtt_runtime.limit.tenant`"
		}
		after := "server.toml counts again"
		if k.Survives() {
			after = "the stored value counts, whatever server.toml says"
		}
		p.line("| `%s` | %s | %s | %s |", k, k.Since(), keys, after)
	}
}

// takes is the type in short; numbers with their range.
func takes(s catalogue.Setting) string {
	if !s.Number() {
		return s.Takes()
	}
	low, high := s.Range()
	text := fmt.Sprintf("%d to %d", low, high)
	if s.Max == 0 && s.Type != catalogue.F32 {
		text = fmt.Sprintf("whole number from %d (%s)", low, s.Type)
	}
	if s.Unit != "" {
		text += ", in " + string(s.Unit)
	}
	return text
}

// standard is the default under the operator, and the server's own where that is another.
func standard(s catalogue.Setting) string {
	own := "unset"
	switch {
	case s.Default != nil:
		own = value(s.Default)
	case s.DefaultText != "":
		own = s.DefaultText
	}
	switch {
	case s.ChosenText != "":
		return fmt.Sprintf("%s (%s)", s.ChosenText, own)
	case s.Chosen != nil && s.Chosen != s.Default:
		return fmt.Sprintf("%s (%s)", value(s.Chosen), own)
	}
	return own
}

func value(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		log.Fatal(err)
	}
	return "`" + strings.Trim(string(raw), `"`) + "`"
}

func changes(s catalogue.Setting) string {
	switch {
	case s.Unused:
		return "no effect"
	case s.Live:
		return "live: `" + string(s.Resource) + "`"
	case s.Resource.Survives():
		return "next start: `" + string(s.Resource) + "`"
	}
	return "restart"
}

func versions(s catalogue.Setting) string {
	var text string
	if robustmq.Oldest.Less(s.Since) {
		text = "since " + s.Since.String()
	}
	if s.Until != (robustmq.Version{}) {
		text += " before " + s.Until.String()
	}
	from := s.Since
	for _, p := range s.Was {
		if p.Section == catalogue.Nowhere {
			text += fmt.Sprintf(" not in %s (again in %s)", from, p.Until)
		}
		from = p.Until
	}
	return strings.TrimSpace(text)
}

func about(s catalogue.Setting) string {
	text := s.Meaning
	if s.Why != "" {
		text += " " + s.Why
	}
	for _, d := range s.Before {
		text += fmt.Sprintf(" Before %s the default is %s.", d.Until, value(d.Value))
	}
	if s.Required != (robustmq.Version{}) {
		text += fmt.Sprintf(" Before %s the section needs it.", s.Required)
	}
	return text
}

// cell makes text fit into a table.
func cell(s string) string { return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(s) }
